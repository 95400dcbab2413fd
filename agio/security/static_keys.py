"""Keys and tokens that the settings name."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from agio.domain.access import DEFAULT_GROUP, Role
from agio.security.principal import Principal

STRONG_CHARS = 20
"""A shorter key could be found by trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticKey:
    """A key or token of a program, by the settings."""

    key: str = field(repr=False)
    name: str
    group_id: str = DEFAULT_GROUP
    role: Role = Role.ADMIN

    @property
    def principal(self) -> Principal:
        """Who calls with it."""
        return Principal(
            name=self.name,
            kind="service",
            group_id=self.group_id,
            groups=(self.group_id,),
            permissions=self.role.permissions,
            is_guessable=len(self.key) < STRONG_CHARS,
        )


class StaticKeys:
    """Several keys, compared in a time that does not tell which one was nearly right."""

    def __init__(self, keys: Iterable[StaticKey]) -> None:
        self._keys = [(_digest(key.key), key.principal) for key in keys]

    def find(self, text: str) -> Principal | None:
        """Return whose key it is; None: nobody's."""
        wanted = _digest(text)
        found: Principal | None = None
        for digest, principal in self._keys:  # all of them, always
            if hmac.compare_digest(digest, wanted) and found is None:
                found = principal
        return found

    def __bool__(self) -> bool:
        return bool(self._keys)


def name_keys(keys: Iterable[str], what: str) -> list[StaticKey]:
    """Return keys that are nothing but texts: of the default group, numbered."""
    return [StaticKey(key=key, name=f"{what}-{number}") for number, key in enumerate(dict.fromkeys(keys), 1)]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
