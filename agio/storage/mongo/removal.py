"""Deleting runs, and what depends on them."""

import time
from datetime import UTC, datetime, timedelta

from agio.domain.branches import Branch
from agio.domain.errors import InvalidTransition, NotFound
from agio.domain.runs import Run
from agio.storage.codec import to_micros
from agio.storage.mongo import keys, listing
from agio.storage.mongo.calls import Part, read, write
from agio.storage.mongo.commits import together
from agio.storage.mongo.database import Document
from agio.storage.mongo.run_records import RunState
from agio.storage.mongo.schema import APPROVALS, JOURNAL, RUNS, SPECS
from agio.storage.port import BRANCHES

DELETED_AT_ONCE = 5_000
"""Journal entries: more in one call could take longer than a call may."""

UNFINISHED_S = 60
"""Age at which the deletion of a run is finished by others: a call of who began it cannot be that old."""


BRANCH_IS_RECENT_S = 3600
"""Seconds after which a branch without a run will not get one any more."""


class RemovalMethods(Part):
    """Implements `delete_run` and `dependents` of `RunStore`, and `delete_unneeded` of `Upkeep`."""

    @write
    async def delete_run(self, group_id: str, run_id: str) -> None:
        while True:
            state = await self._runs.get(group_id, run_id)
            if state.run.is_live:
                raise InvalidTransition(
                    f"the run is {state.run.status}; only an ended run can be deleted", status=state.run.status
                )
            if await self._bury(run_id, state.rev, _grave(state)):
                return await self._clear(run_id)

    @write
    async def delete_unneeded(self, group_id: str, run_id: str, *, ended_before: datetime) -> bool:
        document = await self._database[RUNS].find_one({"_id": run_id, "group_id": group_id})
        if document is None:
            return False
        state = await self._runs.load(document)
        run = state.run
        if run.is_live or run.ended_at is None or run.ended_at >= ended_before or await self._is_needed(run):
            return False
        grave = _grave(state) | {"kept": document}
        if not await self._bury(run_id, state.rev, grave):
            return False
        # Once more, now that nobody can begin to need it (see `create_run`).
        if await self._is_needed(run):
            await self._revive(grave)
            return False
        await self._clear(run_id)
        return True

    async def _is_needed(self, run: Run) -> bool:
        """Say whether a run, or a branch that was just made and may get one, stands on this one."""
        if await self._dependents(run, limit=1):
            return True
        first = await self._first_positions(run.id)
        recently = datetime.now(UTC) - timedelta(seconds=BRANCH_IS_RECENT_S)
        children = await self._children(run.group_id, first)
        return any(child.created_at > recently for child in children)

    async def _revive(self, grave: Document) -> None:
        """Put a buried run back."""
        document = {**grave["kept"], "rev": grave["rev"] + 1}

        async def attempt(_: bool) -> None:
            await self._database[RUNS].replace_one({"_id": document["_id"], "gone": grave["gone"]}, document)

        await self._database.commits.repeat(attempt)

    async def _bury(self, run_id: str, rev: int, grave: Document) -> bool:
        async def attempt(again: bool) -> bool:
            found = {"_id": run_id, "rev": rev}
            if (await self._database[RUNS].replace_one(found, grave)).matched_count:
                return True
            return again and await self._database[RUNS].find_one({"_id": run_id, **grave}) is not None

        return await self._database.commits.repeat(attempt)

    async def _clear(self, run_id: str) -> None:
        """Delete everything of a run that is gone, and at last its document."""

        async def attempt(_: bool) -> None:
            await together(
                self._clear_journal(run_id),
                self._database[APPROVALS].delete_many({"run_id": run_id}),
                self._database[SPECS].delete_many({"_id": keys.parts(run_id)}),
                self._blobs.delete(run_id),
            )
            await self._database[RUNS].delete_one({"_id": run_id, "gone": {"$exists": True}})

        self._runs.forget(run_id)
        await self._database.commits.repeat(attempt)

    async def _clear_journal(self, run_id: str) -> None:
        journal = self._database[JOURNAL]
        last = await journal.find_one({"_id": keys.entries(run_id)}, {"_id": 1}, sort=[("_id", -1)])
        end = keys.split_entry(last["_id"])[1] if last is not None else -1
        for first in range(0, end + 1, DELETED_AT_ONCE):
            await journal.delete_many({"_id": keys.entries(run_id, first, first + DELETED_AT_ONCE - 1)})

    async def _clear_leftovers(self) -> None:
        """Finish deletions that a crash cut short."""
        old = time.time_ns() // 1_000 - UNFINISHED_S * 1_000_000
        async for grave in self._database[RUNS].find({"gone": {"$lt": old}}).limit(10):
            if "kept" in grave and await self._is_needed((await self._runs.load(grave["kept"])).run):
                await self._revive(grave)
            else:
                await self._clear(grave["_id"])

    @read
    async def dependents(self, group_id: str, run_id: str) -> list[str]:
        try:
            state = await self._runs.get(group_id, run_id)
        except NotFound:
            return []
        return await self._dependents(state.run)

    async def _dependents(self, run: Run, *, limit: int = 0) -> list[str]:
        """Return the ids of the runs that depend on this one, be it buried; `limit` 0: all of them."""
        group_id, run_id = run.group_id, run.id
        first = await self._first_positions(run_id)
        children = [keys.in_group(group_id, child.id) for child in await self._children(group_id, first)]
        branches = [keys.in_group(group_id, branch) for branch in {*first, run.branch_id}]
        later = listing.after(to_micros(run.created_at), run_id)
        found = self._database[RUNS].find(
            {
                "group_id": group_id,
                "_id": {"$ne": run_id},
                "$or": [
                    {"parent": run_id},
                    {"branch": {"$in": children}},
                    {"branch": {"$in": branches}, **later},
                ],
            },
            {"_id": 1},
        )
        return [each["_id"] async for each in found.sort([("created_at", 1), ("_id", 1)]).limit(limit)]

    async def _first_positions(self, run_id: str) -> dict[str, int]:
        """Return the position of the run's first message by branch."""
        found = self._database[JOURNAL].find(
            {"_id": keys.entries(run_id), "branch_id": {"$exists": True}}, {"branch_id": 1, "position": 1}
        )
        first: dict[str, int] = {}
        async for each in found.sort("_id", 1):
            first.setdefault(each["branch_id"], each["position"])
        return first

    async def _children(self, group_id: str, first: dict[str, int]) -> list[Branch]:
        """Return the branches that leave one of these after the position given."""
        where = {"group_id": group_id, "f.parent_id": {"$in": list(first)}}
        children = await self._kinds[BRANCHES].page(where, limit=None)
        return [
            child
            for child in children.items
            if child.parent_id is not None and child.fork_position > first[child.parent_id]
        ]


def _grave(state: RunState) -> Document:
    """Return what stands in the place of a run's document: nobody finds it, but its id stays taken."""
    return {"gone": time.time_ns() // 1_000, "rev": state.rev + 1, "spec": state.spec}
