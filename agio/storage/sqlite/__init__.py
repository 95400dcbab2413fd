"""SQLite as the store: one file, for one machine and any number of processes on it."""

from agio.storage.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
