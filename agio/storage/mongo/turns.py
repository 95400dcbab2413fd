"""Whose turn it is on a branch.

One run holds a branch: the unique index on `holds` says so. Passing a branch on takes two writes, the release
and the promotion. So that none is stranded between them, whoever releases a branch looks for runs that wait,
and whoever begins to wait looks for a holder, both after their own write is in what a majority has; one of
them comes second and sees the other. A crash between the two writes is mended by `sweep`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from pymongo.errors import DuplicateKeyError

from agio.domain.control import promote
from agio.domain.errors import BranchBusy
from agio.domain.runs import Run
from agio.storage.mongo import keys
from agio.storage.mongo.commits import together
from agio.storage.mongo.database import Database
from agio.storage.mongo.run_records import RunRecords, RunState
from agio.storage.mongo.schema import RUNS

SWEPT_AT_ONCE = 200


class Turns:
    """Passes branches on."""

    def __init__(self, database: Database, records: RunRecords) -> None:
        self._database = database
        self._records = records
        self._swept_to = ""

    async def holder(self, branch: str) -> str | None:
        """Return the id of the run that holds the branch with this key."""
        found = await self._database[RUNS].find_one({"holds": branch}, {"_id": 1})
        return found["_id"] if found is not None else None

    async def busy(self, run: Run) -> BranchBusy | None:
        """Return why the run cannot hold its branch, None when it is free by now."""
        holder = await self.holder(keys.in_group(run.group_id, run.branch_id))
        if holder is None:
            return None
        return BranchBusy(f"branch {run.branch_id!r} is held by run {holder!r}", holder=holder)

    async def settle(self, before: RunState | None, after: RunState) -> RunState:
        """Pass on what the run let go of, and see that nobody waits for a free branch; return the run's state."""
        if before is not None and before.holds is not None and before.holds != after.holds:
            await self.promote(before.holds)
        if after.waits is not None and (before is None or before.waits != after.waits):
            promoted = await self.promote(after.waits)
            if promoted is not None and promoted.run.id == after.run.id:
                return promoted
        return after

    async def promote(self, branch: str) -> RunState | None:
        """Let the run that waits longest hold the branch; None when nobody waits, or the branch is held."""
        while await self.holder(branch) is None:
            longest = await self._records.find({"waits": branch}, sort=[("waits_since", 1), ("_id", 1)])
            if longest is None:
                return None
            try:
                promoted = await self._records.swap(longest, promote(longest.run, at=datetime.now(UTC)))
            except DuplicateKeyError:
                return None
            if promoted is not None:
                return promoted
        return None

    async def pass_on(self, branches: Sequence[str]) -> None:
        """Promote on those of the branches that runs wait for."""
        found = self._database[RUNS].find({"waits": {"$in": list(branches)}}, {"_id": 0, "waits": 1})
        waiting = {each["waits"] async for each in found}
        await together(*(self.promote(branch) for branch in sorted(waiting)))

    async def sweep(self) -> None:
        """Look at some of the branches that runs wait for; those after them come next time."""
        waiting = self._database[RUNS].find({"waits": {"$gt": self._swept_to}}, {"_id": 0, "waits": 1})
        branches = [each["waits"] async for each in waiting.sort("waits", 1).limit(SWEPT_AT_ONCE)]
        self._swept_to = branches[-1] if len(branches) == SWEPT_AT_ONCE else ""
        if not branches:
            return
        holders = self._database[RUNS].find({"holds": {"$in": branches}}, {"_id": 0, "holds": 1})
        held = {each["holds"] async for each in holders}
        await together(*(self.promote(branch) for branch in sorted(set(branches) - held)))
