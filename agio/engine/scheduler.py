"""Fires schedules: each tick once, however many workers there are, whatever dies, and whatever their clocks say.

A tick has a record whose id is made of the schedule and the tick, and starts a run whose id is made of that: whoever
does it again finds it done. The schedule moves on to its next tick last of all, so what a crash cut short is done
again. What the time is, the database says.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from agio.domain.crew import Crew
from agio.domain.errors import AgioError, AlreadyExists, InvalidTransition, NotFound, StoreUnavailable
from agio.domain.executions import CREW_TAG
from agio.domain.runs import Run
from agio.domain.schedules import (
    Fire,
    FireNow,
    Outcome,
    PassOver,
    Schedule,
    decide,
    fire_id,
    move_on,
    pass_over,
    run_id_of,
)
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.commands import Commands
from agio.engine.cron import following, last_until
from agio.engine.duties import is_entrusted
from agio.engine.settings import EngineSettings
from agio.engine.starting import Starting, StartRequest
from agio.engine.workflows import Fallback, WorkflowRequest, Workflows
from agio.storage.port import FIRES, SCHEDULES, Store

log = logging.getLogger(__name__)

DUTY = "schedules"
AT_ONCE = 16
"""Schedules that are dealt with at the same time."""
BATCH = 200
"""Schedules that are read at a time."""
ReadCrew = Callable[[Caller, str], Awaitable[Crew]]
"""Takes a stored crew's id and returns what it means now. Raises `NotFound`, `Invalid`."""


class Scheduler:
    """Fires what is due; one per process, and one of them at a time does the work."""

    def __init__(
        self,
        store: Store,
        settings: EngineSettings,
        starting: Starting,
        workflows: Workflows,
        commands: Commands,
        worker_id: str,
    ) -> None:
        self._store = store
        self._settings = settings
        self._starting = starting
        self._workflows = workflows
        self._commands = commands
        self._worker_id = worker_id
        self.read_crew: ReadCrew | None = None
        """Whoever knows how stored crews are written puts this here; None: schedules keep to what they have of one."""

    async def work(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(self._settings.schedule_s)
            try:
                await self.fire_due()
            except StoreUnavailable as error:
                log.warning("store away, schedules wait", extra={"error": str(error)})
            except Exception:
                log.exception("schedules failed; they are looked at again")

    async def fire_due(self) -> int:
        """Deal with everything that is due; return how many schedules were looked at. Safe to do by several at once."""
        looked = 0
        while True:
            now = await self._store.read_clock()
            due = await self._store.find_until(SCHEDULES, "next_at", now, limit=BATCH)
            if not due or not await self._is_entrusted():
                return looked
            turns = asyncio.Semaphore(AT_ONCE)
            moved = await asyncio.gather(*(self._deal_with(schedule, now, turns) for schedule in due))
            looked += len(due)
            if not any(moved):
                return looked

    async def _is_entrusted(self) -> bool:
        return await is_entrusted(self._store, DUTY, self._worker_id, self._settings.lease_s)

    async def _deal_with(self, schedule: Schedule, now: datetime, turns: asyncio.Semaphore) -> bool:
        """Do what is due of one schedule; False when it could not be."""
        async with turns:
            try:
                return await self._step(schedule, now)
            except StoreUnavailable:
                raise
            except NotFound:  # it was deleted meanwhile
                return False
            except Exception:
                log.exception("a schedule failed; it is tried again", extra={"schedule_id": schedule.id})
                return False

    async def _step(self, schedule: Schedule, now: datetime) -> bool:
        after = partial(following, schedule.cron, schedule.timezone)
        before = partial(last_until, schedule.cron, schedule.timezone)
        match decide(schedule, now, following=after, last_until=before):
            case FireNow(tick):
                fire = await self.fire(schedule, tick)
                at, to = utc_now(), after(tick)
                run_id = fire.run_id if fire.outcome == "started" else None
                change = partial(move_on, tick=tick, to=to, run_id=run_id, at=at)
            case PassOver(to):
                change = partial(pass_over, tick=schedule.next_at, to=to, at=utc_now())
            case None:
                return False
        await self._store.update(SCHEDULES, schedule.group_id, schedule.id, change)
        return True

    async def fire(self, schedule: Schedule, tick: datetime, *, by_hand: str | None = None) -> Fire:
        """Deal with one tick, unless that was done; return its record. `by_hand`: the id of a run beside the ticks."""
        key = f"{schedule.id}@{by_hand}" if by_hand else fire_id(schedule.id, tick)
        fire = Fire(
            id=key,
            group_id=schedule.group_id,
            schedule_id=schedule.id,
            tick=tick,
            run_id=by_hand or run_id_of(key),
            manual=by_hand is not None,
            created_at=utc_now(),
        )
        try:
            await self._store.insert(FIRES, fire)
        except AlreadyExists:
            fire = await self._store.get(FIRES, schedule.group_id, key)
        if fire.outcome is None:
            outcome: Outcome = "started" if by_hand or await self._may_start(schedule) else "skipped"
            fire = await self._note(fire, outcome)
        if fire.outcome == "started":
            fire = await self._start(schedule, fire)
        return fire

    async def _note(self, fire: Fire, outcome: Outcome, error: str | None = None) -> Fire:
        """Write down what is decided; what was decided first holds, but for a failure."""

        def change(record: Fire) -> Fire:
            if record.outcome is not None and outcome != "failed":
                return record
            return replace(record, outcome=outcome, error=error)

        return await self._store.update(FIRES, fire.group_id, fire.id, change)

    async def _may_start(self, schedule: Schedule) -> bool:
        """Say whether a tick may start a run beside the last one's; cancel that where the schedule says so."""
        if schedule.overlap == "allow" or schedule.last_run_id is None:
            return True
        try:
            last = await self._store.get_run(schedule.group_id, schedule.last_run_id)
        except NotFound:
            return True
        if last.is_terminal:
            return True
        if schedule.overlap == "replace":
            with suppress(NotFound, InvalidTransition):
                await self._commands.cancel(_caller(schedule), last.id, reason="replaced")
            return True
        return False

    async def _start(self, schedule: Schedule, fire: Fire) -> Fire:
        """Start the tick's run, unless it is there."""
        try:
            await self._begin(schedule, fire)
        except AlreadyExists:
            return fire
        except StoreUnavailable:
            raise
        except AgioError as error:
            with suppress(NotFound):  # a run that is there was started, whatever came after it
                await self._store.get_run(schedule.group_id, fire.run_id)
                return fire
            log.warning("a schedule could not start its run", extra={"schedule_id": schedule.id, "reason": str(error)})
            return await self._note(fire, "failed", str(error))
        return fire

    async def _begin(self, schedule: Schedule, fire: Fire) -> Run:
        caller = _caller(schedule)
        tags: tuple[str, ...] = (f"schedule:{schedule.id}",)
        metadata = {"schedule_id": schedule.id, "tick": fire.tick.isoformat()}
        if schedule.work is not None:
            work = schedule.work
            crew = work.crew
            if work.crew_id is not None:
                tags = (*tags, f"{CREW_TAG}{work.crew_id}")
                crew = await self.read_crew(caller, work.crew_id) if self.read_crew else crew
            return await self._workflows.start(
                caller,
                WorkflowRequest(
                    crew=crew,
                    fallback=Fallback(provider=work.provider, model=work.model),
                    inputs=work.inputs,
                    run_id=fire.run_id,
                    metadata=metadata,
                    tags=tags,
                ),
            )
        assert schedule.chat is not None
        chat = schedule.chat
        return await self._starting.start(
            caller,
            StartRequest(
                agent_id=chat.agent_id,
                message=chat.message,
                session_id=chat.session_id,
                max_steps=chat.max_steps,
                run_id=fire.run_id,
                metadata=metadata,
                tags=tags,
            ),
        )


def _caller(schedule: Schedule) -> Caller:
    return Caller(schedule.created_by, schedule.group_id)
