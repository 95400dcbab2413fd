"""Use cases on executions: find, look, count. They are workflow runs; see `workflows` for how they start."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from agio.domain.errors import NotFound
from agio.domain.executions import AT_WORK, OF_ENDED, Analytics, ExecutionStatus, analyse, is_execution, status_of
from agio.domain.runs import Run, RunFilter
from agio.domain.status import RunStatus, StopReason
from agio.engine.caller import Caller
from agio.engine.creation import get_run
from agio.engine.reading import Reading, RunDetail
from agio.storage.port import Page, Store

BATCH = 500
"""Runs read at a time."""
MAX_ANALYSED = 20_000
"""Executions that one analysis counts at most, the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions to list; None: any."""

    status: ExecutionStatus | None = None
    tag: str | None = None
    since: datetime | None = None
    """Created at or after."""
    until: datetime | None = None
    """Created before."""


class Executions:
    """Finds executions."""

    def __init__(self, store: Store, reading: Reading) -> None:
        self._store = store
        self._reading = reading

    async def find(self, caller: Caller, execution_id: str) -> Run:
        """Return an execution's run. Raises `NotFound`."""
        try:
            run = await get_run(self._store, caller, execution_id)
        except NotFound:
            run = None
        if run is None or not is_execution(run):
            raise NotFound(f"there is no execution {execution_id!r}")
        return run

    async def get(self, caller: Caller, execution_id: str) -> RunDetail:
        """Return an execution, whole. Raises `NotFound`."""
        await self.find(caller, execution_id)
        return await self._reading.detail(caller, execution_id)

    async def list(self, caller: Caller, wanted: ExecutionFilter, *, limit: int, offset: int) -> Page[Run]:
        """Return executions, newest first."""
        where = _filter(wanted)
        if wanted.status is None:
            return await self._store.list_runs(caller.group_id, where, limit=limit, offset=offset)
        if wanted.status in OF_ENDED:
            where = replace(where, statuses=OF_ENDED[wanted.status])
            return await self._store.list_runs(caller.group_id, where, limit=limit, offset=offset)
        # What tells these apart is no column of a store, and few are at work at a time.
        found, _ = await _read_all(self._store, caller, replace(where, statuses=AT_WORK))
        matching = [run for run in found if status_of(run) is wanted.status]
        return Page(items=matching[offset : offset + limit], total=len(matching))

    async def analyse(self, caller: Caller, wanted: ExecutionFilter) -> tuple[Analytics, bool]:
        """Return what executions add up to, and whether there are more than were counted."""
        runs, is_cut = await _read_all(self._store, caller, _filter(wanted))
        return analyse(runs), is_cut

    async def awaiting_people(self, caller: Caller, runs: Iterable[Run]) -> frozenset[str]:
        """Return the ids of those executions that wait for a person: themselves, or a run below them."""
        resting = [run for run in runs if run.status is RunStatus.WAITING]
        awaiting = await asyncio.gather(*(self._awaits_people(caller, run) for run in resting))
        return frozenset(run.id for run, awaits in zip(resting, awaiting, strict=True) if awaits)

    async def _awaits_people(self, caller: Caller, run: Run) -> bool:
        if run.reason != StopReason.CHILDREN:
            return True
        # All of a tree is in one session.
        where = RunFilter(session_id=run.session_id, statuses=frozenset({RunStatus.WAITING}))
        found, _ = await _read_all(self._store, caller, where)
        below = [one for one in found if one.place is not None and one.place.root_run_id == run.id]
        return any(one.reason != StopReason.CHILDREN for one in below)


def _filter(wanted: ExecutionFilter) -> RunFilter:
    return RunFilter(workflows_only=True, tag=wanted.tag, since=wanted.since, until=wanted.until)


async def _read_all(store: Store, caller: Caller, where: RunFilter) -> tuple[list[Run], bool]:
    """Return all runs that `where` lets through, newest first, and whether there are more than were read."""
    found: list[Run] = []
    cursor = None
    while len(found) < MAX_ANALYSED:
        page = await store.list_runs(caller.group_id, where, limit=BATCH, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found, False
    return found, True
