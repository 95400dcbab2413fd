"""Passwords: hashed with argon2id, in a thread, a few at a time, for each takes 64 MiB."""

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_PASSWORD_CHARS = 1024
AT_ONCE = 4

_hasher = PasswordHasher()


class Passwords:
    """Hashes and checks passwords without holding up the event loop."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """Return what to keep of a password."""
        async with self._turns:
            return await asyncio.to_thread(_hasher.hash, password)

    async def check(self, password_hash: str | None, password: str) -> bool:
        """Say whether it is the password; None, nobody's hash, takes as long as a wrong one."""
        async with self._turns:
            return await asyncio.to_thread(_check, password_hash, password)


def hash_password(password: str) -> str:
    """Return what to keep of a password. Takes about a tenth of a second."""
    return _hasher.hash(password)


@cache
def _nobodys_hash() -> str:  # at the first use: every start of a process would wait for it
    return _hasher.hash("nobody's password")


def _check(password_hash: str | None, password: str) -> bool:
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
