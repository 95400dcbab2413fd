"""Secrets as they are kept: encrypted under a key that the database does not hold."""

import base64
import binascii
import json
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FERNET_BYTES = 32


class Unreadable(Exception):
    """None of the keys opens it, or it is another record's."""


class Sealer:
    """Seals texts with the newest of its keys, and opens what any of them sealed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Args: secrets: newest first; each a Fernet key, or a text of which one is derived."""
        keys = [Fernet(_fernet_key(secret)) for secret in secrets]
        self._newest = keys[0]
        self._all = MultiFernet(keys)

    def seal(self, text: str, *, of: Sequence[str]) -> str:
        """Return the text, sealed for one record: put into another one it does not open.

        Args:
            of: names the record.
        """
        return self._newest.encrypt(json.dumps([list(of), text]).encode()).decode()

    def open(self, sealed: str, *, of: Sequence[str]) -> str:
        """Return the text.

        Raises:
            Unreadable
        """
        try:
            found: list[str]
            found, text = json.loads(self._all.decrypt(sealed.encode()))
        except (InvalidToken, ValueError) as error:
            raise Unreadable from error
        if found != list(of):
            raise Unreadable
        return str(text)

    def is_old(self, sealed: str) -> bool:
        """Say whether a former key sealed it: it is to be sealed anew."""
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return True
        return False


def _fernet_key(secret: str) -> bytes:
    try:
        if len(base64.urlsafe_b64decode(secret)) == FERNET_BYTES:
            return secret.encode()
    except (binascii.Error, ValueError):
        pass
    derived = HKDF(algorithm=SHA256(), length=FERNET_BYTES, salt=None, info=b"agio stored secrets").derive(
        secret.encode()
    )
    return base64.urlsafe_b64encode(derived)
