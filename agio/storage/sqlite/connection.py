"""Connections to the database file, and how they wait for each other's locks."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from agio.storage.sqlite.faults import is_locked

T = TypeVar("T")
Connection: TypeAlias = sqlite3.Connection

LOCK_POLL_S = 0.0005
"""SQLite's own waiting grows to pauses of 100 ms, in which a busy process is always faster."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""What stays of the log file after it was larger for a while."""


def connect(path: Path, *, read_only: bool, busy_timeout_s: float = 0) -> Connection:
    """Open a connection; any one thread at a time may use it.

    Nothing but `Checkpoints` writes the log back: see there.
    """
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=busy_timeout_s,
        cached_statements=256,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    return connection


def begin(connection: Connection, timeout_s: float) -> None:
    """Begin a transaction that may write, when no other process is in one."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), timeout_s)


def patiently(attempt: Callable[[], T], timeout_s: float) -> T:
    """Return what `attempt` returns, trying again for `timeout_s` while others hold a lock."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
        time.sleep(LOCK_POLL_S)


def roll_back(connection: Connection) -> None:
    """End the transaction without its writes; nothing to do when SQLite has done so already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
