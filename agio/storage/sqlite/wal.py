"""Writing the write-ahead log back into the database file."""

import logging
import sqlite3
from pathlib import Path

from agio.storage.sqlite.connection import Connection, begin, roll_back

_log = logging.getLogger(__name__)

CHANGES = 8000
"""Rows that a process writes before it writes the log back."""

GROWTH_BYTES = 16 * 1024 * 1024
"""Growth of the log file after which it is written back in any case: few rows may be large."""


class LogKeeper:
    """Writes the log back now and then, on a connection of its own.

    SQLite up to 3.51.2 may lose committed pages when one connection commits and starts the log anew while
    another one writes it back (https://sqlite.org/wal.html#walresetbug). So nobody here does it
    without the write lock: the writer holds it, and this second connection does the work, which
    `PRAGMA wal_checkpoint` refuses inside a transaction. Passive: it never waits for readers.
    """

    def __init__(self, path: Path, connection: Connection) -> None:
        self._log_path = path.with_name(path.name + "-wal")
        self._connection = connection
        self._changes = 0
        self._size = 0

    def is_due(self, writer: Connection) -> bool:
        """Say whether enough was written since the last time."""
        return writer.total_changes - self._changes >= CHANGES or self._log_size() - self._size >= GROWTH_BYTES

    def write_back(self, writer: Connection, timeout_s: float) -> None:
        """Write back what no reader needs in the log any more. A failure is logged: the log only grows."""
        self._changes = writer.total_changes
        try:
            begin(writer, timeout_s)
            try:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                roll_back(writer)
        except sqlite3.Error as error:
            _log.warning("could not write the log back", extra={"error": str(error)})
        self._size = self._log_size()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _log_size(self) -> int:
        try:
            return self._log_path.stat().st_size
        except OSError:
            return 0
