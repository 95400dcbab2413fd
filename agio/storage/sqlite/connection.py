"""Connections to the database file, and how they wait for each other's locks."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

from agio.storage.sqlite.faults import is_locked

T = TypeVar("T")
Connection: TypeAlias = sqlite3.Connection

LOCK_POLL_S = 0.0005
"""SQLite's own waiting grows to pauses of 100 ms, in which a busy process is always faster."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""What stays of the log file after it was larger for a while."""


def connect(path: Path, *, read_only: bool, timeout_s: float) -> Connection:
    """Open a connection; any one thread at a time may use it. Locks are waited for up to `timeout_s`.

    One that may write waits in `begin` only. Nothing but `LogKeeper` writes the log back: see there.
    """
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=timeout_s,
        cached_statements=256,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        if not read_only:
            connection.execute("PRAGMA busy_timeout = 0")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def begin(connection: Connection, timeout_s: float) -> None:
    """Begin a transaction that may write, when no other process is in one."""
    roll_back(connection)
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
    """End the transaction without its writes, unless SQLite has done so already.

    Where that fails, the next `begin` tries once more.
    """
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
