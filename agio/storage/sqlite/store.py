"""The store: all its parts on one database file."""

from datetime import UTC, datetime
from typing import Literal

from agio.domain.errors import Unsupported
from agio.storage.port import StoreSettings
from agio.storage.sqlite.address import database_path
from agio.storage.sqlite.approvals import Approvals
from agio.storage.sqlite.catalog import Catalog
from agio.storage.sqlite.checkpoints import Checkpoints
from agio.storage.sqlite.conversations import Conversations
from agio.storage.sqlite.database import Database
from agio.storage.sqlite.journal import Journal
from agio.storage.sqlite.leases import Leases
from agio.storage.sqlite.part import Clock
from agio.storage.sqlite.runs import Runs
from agio.storage.sqlite.upkeep import Upkeep


def _now() -> datetime:
    return datetime.now(UTC)


class SQLiteStore(Runs, Journal, Conversations, Checkpoints, Approvals, Leases, Catalog, Upkeep):
    """`agio.storage.port.Store` in one SQLite file.

    Any number of processes on one machine may share the file. Options of the settings: `lock_timeout_s`,
    how long a write waits for other processes (seconds, 30 by default).
    """

    name: Literal["sqlite", "mongodb"] = "sqlite"

    def __init__(self, settings: StoreSettings, clock: Clock = _now) -> None:
        """Take the settings; nothing is opened yet.

        Raises:
            Unsupported: the URL names no file, or an option is unknown.
        """
        options = dict(settings.options)
        timeout_s = float(options.pop("lock_timeout_s", 30.0))
        if options:
            raise Unsupported(f"the SQLite store has no options {sorted(options)!r}")
        self._database = Database(database_path(settings.url), lock_timeout_s=timeout_s)
        self._clock = clock
        self._inline_limit = settings.inline_limit

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    async def ping(self) -> None:
        await self._database.read(lambda c: c.execute("SELECT value FROM meta").fetchone())
