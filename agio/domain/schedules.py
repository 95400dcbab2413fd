"""Schedules: what is started when, and what is done about ticks that were missed or come too early. Pure.

When the ticks of a cron expression are is not known here: see `engine.cron`.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from agio.domain.crew import Crew

Missed = Literal["skip", "once", "all"]
"""What becomes of ticks that nobody was there for: none is made up for · the last one is · each is."""
Overlap = Literal["allow", "skip", "replace"]
"""When the run of an earlier tick still lives: start beside it · leave this tick out · cancel the earlier one."""
Outcome = Literal["started", "skipped", "failed"]

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a schedule fires next that is switched off or has no further tick."""
_NAMESPACE = uuid.UUID("0f3dbd38-2a1a-5e0f-9b52-4f1ad8f0a7a4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A message for an agent."""

    agent_id: str
    message: str
    session_id: str | None = None
    """A conversation to go on with; None: each tick begins a new one."""
    max_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewWork:
    """A crew to be set to work."""

    crew: Crew
    """Where `crew_id` is set, as it was when the schedule was made or last changed."""
    crew_id: str | None = None
    """A stored crew, to be read anew for each run; None: there is this one alone."""
    inputs: dict[str, Any] = field(default_factory=dict)
    provider: str = ""
    """Of agents that name none, like the next."""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Something that is started again and again."""

    id: str
    group_id: str
    name: str
    cron: str
    timezone: str = "UTC"
    chat: Chat | None = None
    """This, or `work`."""
    work: CrewWork | None = None
    enabled: bool = True
    missed: Missed = "once"
    overlap: Overlap = "skip"
    grace_s: float = 60.0
    """A tick that is later than this counts as missed."""
    next_at: datetime
    """The next tick that is to be dealt with; `NEVER`: there is none."""
    last_at: datetime | None = None
    """The last tick that was dealt with."""
    last_run_id: str | None = None
    """The last run that it started."""
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """What became of one tick. Its id is made of the schedule's and the tick, so there is one."""

    id: str
    group_id: str
    schedule_id: str
    tick: datetime
    """When it was due; of a run by hand, when it was asked for."""
    run_id: str
    """The run that it started, or would have."""
    manual: bool = False
    outcome: Outcome | None = None
    """None: not decided yet."""
    error: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FireNow:
    """The tick is to be dealt with."""

    tick: datetime


@dataclass(frozen=True, slots=True)
class PassOver:
    """Ticks were missed; go on from this one, or never."""

    to: datetime


Decision: TypeAlias = FireNow | PassOver | None
"""None: nothing is due."""
Ticks = Callable[[datetime], datetime]
"""Takes an instant; returns the first tick after it, or `NEVER`."""


def decide(schedule: Schedule, now: datetime, *, following: Ticks, last_until: Ticks) -> Decision:
    """Return what is to be done about a schedule now.

    Args:
        following: the first tick after an instant.
        last_until: the last tick at or before an instant.
    """
    tick = schedule.next_at
    if not schedule.enabled or tick > now:
        return None
    on_time = now - tick <= timedelta(seconds=schedule.grace_s)
    if on_time or schedule.missed == "all":
        return FireNow(tick)
    if schedule.missed == "skip":
        return PassOver(following(now - timedelta(seconds=schedule.grace_s)))
    last = max(tick, last_until(now))
    return FireNow(tick) if last == tick else PassOver(last)


def move_on(schedule: Schedule, tick: datetime, to: datetime, *, run_id: str | None, at: datetime) -> Schedule:
    """Return the schedule after a tick was dealt with; unchanged when somebody else was faster.

    A later tick is never followed by an earlier one, whatever a clock says.
    """
    if schedule.next_at != tick or to <= tick:
        return schedule
    return replace(schedule, next_at=to, last_at=tick, last_run_id=run_id or schedule.last_run_id, updated_at=at)


def pass_over(schedule: Schedule, tick: datetime, to: datetime, *, at: datetime) -> Schedule:
    """Return the schedule with the ticks before `to` left out; unchanged when somebody else was faster."""
    return replace(schedule, next_at=to, updated_at=at) if schedule.next_at == tick and to > tick else schedule


def fire_id(schedule_id: str, tick: datetime) -> str:
    """Return the id of a tick's record."""
    return f"{schedule_id}@{tick.astimezone(UTC).strftime('%Y%m%dT%H%M%SZ')}"


def run_id_of(fire: str) -> str:
    """Return the id of the run that a tick starts: always the same one."""
    return str(uuid.uuid5(_NAMESPACE, fire))
