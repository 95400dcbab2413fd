"""Requests without a stream: they wait for their run, whatever the wire."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from agio.domain.events import RESTING_EVENTS, TERMINAL_EVENTS, PlanUpdated, RunCancelled, RunCompleted, RunFailed
from agio.domain.runs import Run
from agio.domain.status import RESTING
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.tasks import end as end_tasks

CATCH_UP_S = 0.005
"""First wait for a record that is behind its journal; doubles each time."""

Why = Literal["ended", "rests", "stopping", "late", "left"]
"""The run ended or rests · this process stops · the time is over · nobody waits for the answer any more."""


@dataclass(slots=True)
class Seen:
    """What was seen of a run, and why nothing more was."""

    why: Why = "stopping"
    end: RunCompleted | RunFailed | RunCancelled | None = None
    plan: str | None = None
    """The last one."""


async def wait_for(
    request: Request, engine: Engine, caller: Caller, run: Run, *, limit_s: float | None, through_rests: bool
) -> Seen:
    """Return when the run ended, or there is no sense in waiting any longer; the run goes on whatever happens.

    Args:
        limit_s: Seconds; None: as long as it takes.
        through_rests: Wait on while it is paused or waits for a person.
    """
    seen = Seen()
    following = asyncio.ensure_future(_follow(engine, caller, run, seen, through_rests))
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({following, leaving}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
        else:
            seen.why = "left" if leaving.done() else "late"
    finally:
        await end_tasks([following, leaving])
    return seen


async def _follow(engine: Engine, caller: Caller, run: Run, seen: Seen, through_rests: bool) -> None:
    try:
        async with aclosing(engine.tail(caller, run.id)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    return
                for event in item.entry.events:
                    if isinstance(event, PlanUpdated):
                        seen.plan = event.plan
                last = item.entry.events[-1]
                seen.end = last if isinstance(last, TERMINAL_EVENTS) else None
                if isinstance(last, RESTING_EVENTS + TERMINAL_EVENTS):
                    current = await _get_caught_up(engine, caller, run.id, item.entry.last_seq)
                    if not through_rests and current.status in RESTING:
                        seen.why = "rests"
                        return
        seen.why = "ended"
    finally:
        await engine.leave(caller, run.id)


async def _get_caught_up(engine: Engine, caller: Caller, run_id: str, seq: int) -> Run:
    """Return the run's record, once it knows of the event: the journal may be ahead, until a takeover at worst."""
    wait_s = CATCH_UP_S
    while True:
        current = await engine.store.get_run(caller.group_id, run_id)
        if current.last_seq >= seq or engine.worker.is_draining:
            return current
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, 0.5)


async def _left(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
