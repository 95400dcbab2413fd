"""What SQLite's errors mean to the rest of Agio."""

import sqlite3
from pathlib import Path

from agio.domain.errors import StoreFull, StoreReadOnly, StoreUnavailable

_MEANINGS = {
    "SQLITE_BUSY": "other processes kept {file} locked for too long",
    "SQLITE_LOCKED": "other processes kept {file} locked for too long",
    "SQLITE_PROTOCOL": "other processes kept {file} locked for too long",
    "SQLITE_FULL": "the disk that holds {file} is full",
    "SQLITE_READONLY": "{file} cannot be written: the file or its folder is read-only",
    "SQLITE_CANTOPEN": "{file} cannot be opened; look at the permissions of the file and its folder",
    "SQLITE_PERM": "{file} cannot be opened; look at the permissions of the file and its folder",
    "SQLITE_NOTADB": "{file} is not a SQLite database",
    "SQLITE_CORRUPT": "{file} is damaged; stop all processes and restore it from a backup",
    "SQLITE_IOERR": "reading or writing {file} failed on the disk",
}


_KINDS: dict[str, type[StoreUnavailable]] = {"SQLITE_FULL": StoreFull, "SQLITE_READONLY": StoreReadOnly}


def translate(error: Exception, path: Path) -> Exception:
    """Return `StoreUnavailable` where `error` is the database's state, otherwise `error` itself."""
    if isinstance(error, sqlite3.Error):
        for prefix, meaning in _MEANINGS.items():
            if name_of(error).startswith(prefix):
                kind = _KINDS.get(prefix, StoreUnavailable)
                unavailable = kind(f"{meaning.format(file=path.name)} ({error})")
                unavailable.__cause__ = error
                return unavailable
    return error


def is_locked(error: sqlite3.Error) -> bool:
    """Say whether waiting may help: another connection has a lock."""
    return name_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def name_of(error: sqlite3.Error) -> str:
    """Return SQLite's name of the error, `""` where the error is not SQLite's own."""
    name: str = getattr(error, "sqlite_errorname", "")
    return name
