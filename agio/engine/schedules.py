"""Use cases on schedules: make, find, change, run now, look back."""

from dataclasses import replace
from typing import Any

from agio.domain.errors import AlreadyExists, Invalid, NotFound
from agio.domain.schedules import NEVER, Fire, Schedule
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.cron import check_cron, following, upcoming
from agio.engine.scheduler import Scheduler
from agio.engine.workflows import Fallback, Workflows
from agio.storage.port import FIRES, SCHEDULES, Page, Store

SHOWN = 5
"""How many of the next fires are shown."""


class Schedules:
    """Keeps schedules."""

    def __init__(self, store: Store, agents: Agents, workflows: Workflows, scheduler: Scheduler) -> None:
        self._store = store
        self._agents = agents
        self._workflows = workflows
        self._scheduler = scheduler

    async def create(self, caller: Caller, schedule: Schedule) -> Schedule:
        """Keep a new schedule.

        Raises:
            AlreadyExists: the id is taken. NotFound: its agent is not there.
            Invalid: a bad expression, zone or crew.
        """
        await self._check(caller, schedule)
        try:
            return await self._store.insert(SCHEDULES, await self._timed(schedule))
        except AlreadyExists:
            raise AlreadyExists(f"there is a schedule {schedule.id!r} already") from None

    async def get(self, caller: Caller, schedule_id: str) -> Schedule:
        """Return a schedule. Raises `NotFound`."""
        try:
            return await self._store.get(SCHEDULES, caller.group_id, schedule_id)
        except NotFound:
            raise NotFound(f"there is no schedule {schedule_id!r}") from None

    async def list(self, caller: Caller, *, limit: int, offset: int, enabled: bool | None = None) -> Page[Schedule]:
        """Return schedules by time of creation."""
        where = {} if enabled is None else {"enabled": enabled}
        return await self._store.find(SCHEDULES, caller.group_id, where, limit=limit, offset=offset)

    async def change(self, caller: Caller, schedule_id: str, changes: dict[str, Any]) -> Schedule:
        """Change some fields. The next fire is counted anew from now on if they say when that is.

        Raises:
            as `create`; NotFound: there is no such schedule.
        """
        wanted = replace(await self.get(caller, schedule_id), **changes)
        await self._check(caller, wanted)
        when = {"cron", "timezone", "enabled"} & changes.keys()
        timed = await self._timed(wanted) if when else None

        def change(record: Schedule) -> Schedule:
            fresh = replace(record, **changes, updated_at=utc_now())
            same = (fresh.cron, fresh.timezone, fresh.enabled) == (record.cron, record.timezone, record.enabled)
            return fresh if timed is None or same else replace(fresh, next_at=timed.next_at)

        try:
            return await self._store.update(SCHEDULES, caller.group_id, schedule_id, change)
        except NotFound:
            raise NotFound(f"there is no schedule {schedule_id!r}") from None

    async def delete(self, caller: Caller, schedule_id: str) -> None:
        """Delete a schedule; its runs stay. Raises `NotFound`."""
        try:
            await self._store.delete(SCHEDULES, caller.group_id, schedule_id)
        except NotFound:
            raise NotFound(f"there is no schedule {schedule_id!r}") from None

    async def run_now(self, caller: Caller, schedule_id: str, run_id: str) -> Fire:
        """Start the schedule's work beside its ticks, whatever still works. Raises `NotFound`."""
        schedule = await self.get(caller, schedule_id)
        return await self._scheduler.fire(schedule, utc_now(), by_hand=run_id)

    async def fires(self, caller: Caller, schedule_id: str, *, limit: int, offset: int) -> Page[Fire]:
        """Return what became of the schedule's ticks, the last one first. Raises `NotFound`."""
        await self.get(caller, schedule_id)
        where = {"schedule_id": schedule_id}
        return await self._store.find(FIRES, caller.group_id, where, limit=limit, offset=offset, newest_first=True)

    async def _timed(self, schedule: Schedule) -> Schedule:
        """Return the schedule with its next tick, by the database's clock."""
        if not schedule.enabled:
            return replace(schedule, next_at=NEVER)
        now = await self._store.read_clock()
        return replace(schedule, next_at=following(schedule.cron, schedule.timezone, now))

    async def _check(self, caller: Caller, schedule: Schedule) -> None:
        check_cron(schedule.cron, schedule.timezone)
        if schedule.chat is not None:
            await self._agents.get(caller, schedule.chat.agent_id)
        elif schedule.work is not None:
            work = schedule.work
            fallback = Fallback(provider=work.provider, model=work.model)
            flaws = await self._workflows.check(caller, work.crew, fallback)
            if flaws:
                raise Invalid(flaws[0].message, field=f"crew.{flaws[0].field}")


def next_fires(schedule: Schedule) -> list[Any]:
    """Return the next instants that a schedule fires at, in UTC."""
    if schedule.next_at == NEVER:
        return []
    return [schedule.next_at, *upcoming(schedule.cron, schedule.timezone, schedule.next_at, SHOWN - 1)]
