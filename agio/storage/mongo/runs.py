"""The records of runs."""

import asyncio
from collections.abc import Callable

from pymongo.errors import DuplicateKeyError

from agio.domain.errors import NotFound
from agio.domain.runs import Run, RunFilter, RunSpec
from agio.domain.status import RunStatus
from agio.storage.codec import load_record
from agio.storage.mongo import listing
from agio.storage.mongo.calls import read, write
from agio.storage.mongo.creation import Creation
from agio.storage.mongo.schema import LIVE_STATUSES, RUNS, SPECS
from agio.storage.port import Page, RunCreation


class RunMethods(Creation):
    """Implements the part of `RunStore` that is about their records."""

    @write
    async def create_run(self, creation: RunCreation) -> Run:
        return (await self._create(creation)).run

    @read
    async def get_run(self, group_id: str, run_id: str) -> Run:
        return (await self._runs.get(group_id, run_id)).run

    @read
    async def get_spec(self, group_id: str, run_id: str) -> RunSpec:
        run = await self._database.look_up(RUNS, run_id, "group_id", "spec")
        is_known = run is not None and run.get("group_id") == group_id
        spec = await self._database.look_up(SPECS, run["spec"], "doc") if run and is_known else None
        if spec is None:
            raise NotFound(f"there is no run {run_id!r}")
        return load_record(await self._blobs.expand(run_id, spec["doc"]), RunSpec)

    @read
    async def count_live(self) -> dict[RunStatus, int]:
        runs = self._database[RUNS]
        counts = await asyncio.gather(*(runs.count_documents({"status": status}) for status in LIVE_STATUSES))
        return {RunStatus(status): count for status, count in zip(LIVE_STATUSES, counts, strict=True) if count}

    @read
    async def list_runs(
        self,
        group_id: str,
        where: RunFilter,
        *,
        limit: int,
        offset: int = 0,
        cursor: str | None = None,
        newest_first: bool = True,
    ) -> Page[Run]:
        wanted = listing.condition(group_id, where)
        direction = -1 if newest_first else 1
        window = wanted
        if cursor is not None:
            offset = 0
            window = {"$and": [wanted, listing.beyond(cursor, "$lt" if newest_first else "$gt")]}
        found = self._database[RUNS].find(window).sort([("created_at", direction), ("_id", direction)])
        documents, total = await asyncio.gather(
            found.skip(offset).limit(limit + 1).to_list(None),
            self._database[RUNS].count_documents(wanted),
        )
        shown = documents[:limit]
        more = len(documents) > limit and bool(shown)
        return Page(
            items=[state.run for state in await self._runs.load_all(shown)],
            total=total,
            next_cursor=listing.cursor_at(shown[-1]) if more else None,
        )

    @write
    async def update_run(self, group_id: str, run_id: str, change: Callable[[Run], Run]) -> Run:
        while True:
            before = await self._runs.get(group_id, run_id)
            run = change(before.run)
            if run is before.run:
                return run
            try:
                after = await self._runs.swap(before, run)
            except DuplicateKeyError as error:
                busy = await self._turns.busy(run)
                if busy is not None:
                    raise busy from error
                continue
            if after is not None:
                return (await self._turns.settle(before, after)).run
