"""The store."""

from typing import Literal

from agio.domain.approvals import Approval
from agio.storage.mongo import approvals, schema
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.calls import named, read
from agio.storage.mongo.catalog import CatalogMethods
from agio.storage.mongo.database import Client, Database
from agio.storage.mongo.entries import Entries
from agio.storage.mongo.garbage import GarbageMethods
from agio.storage.mongo.hints import HintMethods
from agio.storage.mongo.history import CheckpointMethods, EntryMethods
from agio.storage.mongo.kinds import Kinds
from agio.storage.mongo.leases import LeaseMethods
from agio.storage.mongo.records import Records
from agio.storage.mongo.run_records import RunRecords
from agio.storage.mongo.runs import RunMethods
from agio.storage.mongo.snapshots import Snapshots
from agio.storage.mongo.turns import Turns
from agio.storage.mongo.upgrades import upgrade
from agio.storage.mongo.upkeep import UpkeepMethods
from agio.storage.port import StoreSettings


class MongoStore(
    RunMethods,
    EntryMethods,
    CheckpointMethods,
    LeaseMethods,
    CatalogMethods,
    HintMethods,
    UpkeepMethods,
    GarbageMethods,
):
    """Agio in MongoDB.

    Args:
        settings: the URL's path names the database (default `agio`); its options win over ours. Option
            `retry_s` (default 15): how long a write of unknown outcome is repeated before it is given up.
        client: an open client to use instead of making one; it is not closed.
    """

    name: Literal["sqlite", "mongodb"] = "mongodb"
    hint_source: Literal["change_stream", "data_version", "none"] = "none"

    def __init__(self, settings: StoreSettings, client: Client | None = None) -> None:
        self._database = Database(settings, client)
        self._blobs = Blobs(self._database, settings.inline_limit)
        self._runs = RunRecords(self._database, self._blobs)
        self._entries = Entries(self._database, self._blobs)
        self._kinds = Kinds(self._database, self._blobs)
        self._approvals = Records(self._database, self._blobs, schema.APPROVALS, Approval, approvals.fields)
        self._snapshots = Snapshots(self._database, self._blobs)
        self._turns = Turns(self._database, self._runs)

    @named
    async def open(self) -> None:
        await self._database.open()
        try:
            found = await schema.prepare(self._database)
            await upgrade(self._database, self._runs, self._blobs, found)
        except BaseException:
            await self._database.close()
            raise
        self.hint_source = "change_stream" if self._database.has_change_streams else "none"

    async def close(self) -> None:
        await self._database.close()

    @read
    async def ping(self) -> None:
        await self._database.ping()
