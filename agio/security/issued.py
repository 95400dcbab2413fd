"""The form of tokens that Agio issues and keeps: `<prefix><group>.<id>.<secret>`.

The group stands in the token because a record is found by its group and its id; the secret is 256 random bits, so a
plain hash of it is enough to keep.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

KEY_PREFIX = "agio_"
STREAM_PREFIX = "agios_"


@dataclass(frozen=True, slots=True)
class Issued:
    """A token taken apart."""

    group_id: str
    id: str
    secret: str = field(repr=False)

    @property
    def secret_hash(self) -> str:
        """What is kept of the secret."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def matches(self, secret_hash: str) -> bool:
        """Say whether that hash is of this secret."""
        return hmac.compare_digest(self.secret_hash, secret_hash)

    def text(self, prefix: str) -> str:
        """Return the token."""
        group = base64.urlsafe_b64encode(self.group_id.encode()).decode().rstrip("=")
        return f"{prefix}{group}.{self.id}.{self.secret}"


def issue(group_id: str, token_id: str | None = None) -> Issued:
    """Return a fresh token of the group."""
    return Issued(group_id, token_id or secrets.token_hex(8), secrets.token_urlsafe(32))


def read(text: str, prefix: str) -> Issued | None:
    """Take a token apart; None: it is none with that prefix."""
    if not text.startswith(prefix) or len(text) > 1000:
        return None
    parts = text.removeprefix(prefix).split(".")
    if len(parts) != 3 or not all(parts):
        return None
    group, token_id, secret = parts
    try:
        group_id = base64.b64decode(group + "=" * (-len(group) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return Issued(group_id, token_id, secret) if token_id.isascii() and secret.isascii() else None
