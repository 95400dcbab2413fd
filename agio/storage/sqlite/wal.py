"""Writing the write-ahead log back into the database file."""

import logging
import sqlite3
import time
from pathlib import Path

from agio.storage.sqlite.connection import Connection, begin, roll_back

_log = logging.getLogger(__name__)

CHANGES = 4000
"""Rows that a process writes before it writes the log back."""

GROWTH_BYTES = 16 * 1024 * 1024
"""Growth of the log file after which it is written back in any case: few rows may be large."""


READ_S = 0.002
"""What most reads take."""

ATTEMPTS = 10
"""Reads that take longer than all of these keep the log growing until the next time."""


class LogKeeper:
    """Writes the log back now and then, on a connection of its own.

    SQLite up to 3.51.2 may lose committed pages when one connection commits and starts the log anew while
    another one writes it back (https://sqlite.org/wal.html#walresetbug). So nobody here does it
    without the write lock: the writer holds it, and this second connection does the work, which
    `PRAGMA wal_checkpoint` refuses inside a transaction. Passive: no reader can hold it up.
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
                self._write_all()
            finally:
                roll_back(writer)
        except sqlite3.Error as error:
            _log.warning("could not write the log back", extra={"error": str(error)})
        self._size = self._log_size()

    def _write_all(self) -> None:
        """Write back everything, and let the readers of older states end: only then the log begins anew.

        Nobody writes meanwhile, so those that begin now do not keep the log.
        """
        for _ in range(ATTEMPTS):
            _, frames, written = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            time.sleep(READ_S)
            if written == frames:
                return

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _log_size(self) -> int:
        try:
            return self._log_path.stat().st_size
        except OSError:
            return 0
