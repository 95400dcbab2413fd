"""Keeping the database small: runs that are over, and journals that are compacted. See `garbage` for the rest."""

from collections.abc import Sequence
from datetime import datetime

from agio.domain.journal import Entry
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.codec import dump_events, to_micros
from agio.storage.mongo import keys
from agio.storage.mongo.calls import Part, read, write
from agio.storage.mongo.database import Document
from agio.storage.mongo.schema import JOURNAL, RUNS


class UpkeepMethods(Part):
    """Implements `Upkeep`, but for the deletion of runs and the collection of garbage."""

    @read
    async def ended_runs(
        self, status: RunStatus, *, before: datetime, limit: int, behind: Run | None = None
    ) -> list[Run]:
        return await self._ended("ended_at", before, limit, behind, {"status": status.value})

    @read
    async def uncompacted_runs(self, *, before: datetime, limit: int, behind: Run | None = None) -> list[Run]:
        return await self._ended("loose", before, limit, behind, {})

    async def _ended(self, field: str, before: datetime, limit: int, behind: Run | None, where: Document) -> list[Run]:
        window: Document = {**where, field: {"$lt": to_micros(before)}}
        if behind is not None and behind.ended_at is not None:
            at = to_micros(behind.ended_at)
            window = {"$and": [window, {"$or": [{field: {"$lt": at}}, {field: at, "_id": {"$lt": behind.id}}]}]}
        found = self._database[RUNS].find(window).sort([(field, -1), ("_id", -1)]).limit(limit)
        return [state.run for state in await self._runs.load_all(await found.to_list(None))]

    @write
    async def rewrite_entries(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if await self._reaches(entry):
                await self._rewrite(entry)

    async def _reaches(self, entry: Entry) -> bool:
        """Say whether the entries within its numbers hold events of its epoch alone, and end where it ends."""
        wanted = {"_id": keys.entries(entry.run_id, entry.first_seq, entry.last_seq), "group_id": entry.group_id}
        fields = {"last_seq": 1, "epoch": 1, "branch_id": 1, "checkpoint_seq": 1}
        found = await self._database[JOURNAL].find(wanted, fields).sort("_id", 1).to_list(None)
        if any("branch_id" in each or "checkpoint_seq" in each for each in found[1:]):
            return False
        ends = max((each["last_seq"] for each in found), default=0)
        return ends == entry.last_seq and {each["epoch"] for each in found} == {entry.epoch}

    async def _rewrite(self, entry: Entry) -> None:
        """First the entry that takes the others in, then those, in order: a reader finds one or the other.

        Their keys are free from then on; `domain.compaction` says why nobody can take one.
        """
        text = await self._blobs.shrink(entry.run_id, dump_events(entry))
        mine = {"_id": keys.entry(entry.run_id, entry.first_seq), "epoch": entry.epoch}
        fresh = {"$set": {"last_seq": entry.last_seq, "events": text}}
        within = {"last_seq": {"$lte": entry.last_seq}}
        behind = {"_id": keys.entries(entry.run_id, entry.first_seq + 1, entry.last_seq), **within}

        async def attempt(_: bool) -> None:
            changed = await self._database[JOURNAL].update_one({**mine, **within}, fresh)
            if changed.matched_count and entry.last_seq > entry.first_seq:
                await self._database[JOURNAL].delete_many(behind)

        await self._database.commits.repeat(attempt)
