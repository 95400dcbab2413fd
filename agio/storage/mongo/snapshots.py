"""Agents as runs pinned them, once per group and digest."""

from agio.domain.agents import AgentSnapshot
from agio.domain.errors import NotFound
from agio.storage.codec import dump_record, load_record
from agio.storage.mongo import keys
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.database import Database
from agio.storage.mongo.inserts import insert_absent
from agio.storage.mongo.recent import Recent
from agio.storage.mongo.schema import SNAPSHOTS


class Snapshots:
    """Keeps snapshots, and remembers which it need not write again."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._kept = Recent()

    async def keep(self, group_id: str, snapshot: AgentSnapshot) -> None:
        """Store the snapshot unless it is there."""
        key = keys.in_group(group_id, snapshot.digest)
        if key in self._kept:
            return
        text = await self._blobs.shrink(_owner(key), dump_record(snapshot))
        document = {"_id": key, "group_id": group_id, "doc": text}
        while not await insert_absent(self._database, SNAPSHOTS, document) and not await self._claim(key):
            pass  # it was collected in between
        self._kept.add(key)

    async def _claim(self, key: str) -> bool:
        """Take the mark off that nobody needs it; say whether it is there."""

        async def attempt(_: bool) -> bool:
            unmarked = {"$unset": {"unused_since": ""}}
            return (await self._database[SNAPSHOTS].update_one({"_id": key}, unmarked)).matched_count > 0

        return await self._database.commits.repeat(attempt)

    async def get(self, group_id: str, digest: str) -> AgentSnapshot:
        """Return a snapshot. Raises `NotFound`."""
        key = keys.in_group(group_id, digest)
        found = await self._database.look_up(SNAPSHOTS, key)
        if found is None or found.get("group_id") != group_id:
            raise NotFound(f"there is no agent snapshot {digest!r}")
        return load_record(await self._blobs.expand(_owner(key), found["doc"]), AgentSnapshot)


def _owner(key: str) -> str:
    return f"{SNAPSHOTS}/{key}"
