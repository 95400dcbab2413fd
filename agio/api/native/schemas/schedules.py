"""Schedules on the wire."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from agio.api.native.schemas.agents import Name, leave_defaults_out
from agio.api.native.schemas.common import SESSION_ID, Body, Instant, JsonObject, View
from agio.api.native.schemas.workflows import CREW_EXAMPLE, CrewGiven
from agio.domain.errors import Invalid
from agio.domain.schedules import NEVER, Chat, CrewWork, Fire, Schedule
from agio.engine.clock import utc_now
from agio.engine.schedules import next_fires
from agio.engine.workflows import Fallback

ScheduleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Left out: one is made.")]
Cron = Annotated[
    str,
    Field(
        min_length=9,
        max_length=200,
        description="Five fields: minute, hour, day of the month, month, day of the week.",
        examples=["0 7 * * MON-FRI"],
    ),
]
Zone = Annotated[str, Field(min_length=1, max_length=64, examples=["Europe/Berlin"])]


class ChatWish(Body):
    """A message for an agent."""

    agent_id: str = Field(min_length=1, max_length=64)
    message: str = Field(min_length=1, max_length=100_000, pattern=r"\S")
    session_id: str | None = Field(default=None, pattern=SESSION_ID, description="Left out: a new one each time.")
    max_steps: int | None = Field(default=None, ge=1, le=100_000)


class ScheduleFields(Body):
    """Everything of a schedule that can be chosen, but for its id."""

    name: Name
    cron: Cron
    timezone: Zone = "UTC"
    chat: ChatWish | None = Field(default=None, description="This, or `crew`.")
    crew: CrewGiven | None = None
    inputs: JsonObject = Field(default_factory=dict, description="Of the crew.")
    enabled: bool = True
    missed: Literal["skip", "once", "all"] = Field(
        default="once", description="Fires that nobody was there for: none is made up for, the last one is, each is."
    )
    overlap: Literal["allow", "skip", "replace"] = Field(
        default="skip", description="While the last run still works: start beside it, leave the fire out, cancel it."
    )
    grace_s: float = Field(default=60.0, ge=1, le=86_400, description="A fire that is later counts as missed.")


class ScheduleBody(ScheduleFields):
    """A new schedule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "Briefing", "cron": "0 7 * * MON-FRI", "timezone": "Europe/Berlin", "crew": CREW_EXAMPLE},
                {"name": "Ping", "cron": "*/5 * * * *", "chat": {"agent_id": "assistant", "message": "Hello"}},
            ]
        }
    )

    id: ScheduleId | None = None

    def to_domain(self, schedule_id: str, group_id: str, by: str, fallback: Fallback) -> Schedule:
        """Return the domain's form; when it fires next is not known yet. Raises `Invalid`."""
        if (self.chat is None) == (self.crew is None):
            raise Invalid("say what to start: chat, or a crew", field="chat")
        now = utc_now()
        return Schedule(
            id=schedule_id,
            group_id=group_id,
            name=self.name,
            cron=self.cron,
            timezone=self.timezone,
            enabled=self.enabled,
            missed=self.missed,
            overlap=self.overlap,
            grace_s=self.grace_s,
            next_at=NEVER,
            created_by=by,
            created_at=now,
            updated_at=now,
            **_action(self, fallback),
        )


class ScheduleChanges(ScheduleFields):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: Name = Field(default_factory=str)
    cron: Cron = Field(default_factory=str)

    def to_changes(self, present: Schedule, fallback: Fallback) -> dict[str, Any]:
        """Return what was given, and nothing else. Raises `Invalid`."""
        given = self.model_fields_set
        plain = {name: getattr(self, name) for name in given - {"chat", "crew", "inputs"}}
        if self.chat is not None and self.crew is not None:
            raise Invalid("say what to start: chat, or a crew", field="chat")
        if self.chat is not None or self.crew is not None:
            return plain | _action(self, fallback)
        if "inputs" in given and present.work is not None:
            plain["work"] = CrewWork(
                crew=present.work.crew, inputs=self.inputs, provider=present.work.provider, model=present.work.model
            )
        return plain


def _action(body: ScheduleFields, fallback: Fallback) -> dict[str, Any]:
    if body.chat is not None:
        return {"chat": Chat(**body.chat.model_dump()), "work": None}
    assert body.crew is not None
    crew = body.crew.to_domain()
    work = CrewWork(crew=crew, inputs=body.inputs, provider=fallback.provider, model=fallback.model)
    return {"chat": None, "work": work}


class ChatView(View):
    """A message for an agent."""

    agent_id: str
    message: str
    session_id: str | None
    max_steps: int | None


class ScheduleView(View):
    """A schedule."""

    id: str
    name: str
    cron: str
    timezone: str
    chat: ChatView | None
    crew: str | None = Field(description="The crew's name.")
    enabled: bool
    missed: str
    overlap: str
    grace_s: float
    next_fires: list[Instant] = Field(description="The next five; none while it is switched off.")
    last_fire_at: Instant | None
    last_run_id: str | None
    created_by: str
    created_at: Instant
    updated_at: Instant
    group_id: str


def view_schedule(schedule: Schedule) -> ScheduleView:
    """Return a schedule as it stands on the wire."""
    return ScheduleView(
        id=schedule.id,
        name=schedule.name,
        cron=schedule.cron,
        timezone=schedule.timezone,
        chat=ChatView.model_validate(schedule.chat) if schedule.chat else None,
        crew=schedule.work.crew.name if schedule.work else None,
        enabled=schedule.enabled,
        missed=schedule.missed,
        overlap=schedule.overlap,
        grace_s=schedule.grace_s,
        next_fires=next_fires(schedule),
        last_fire_at=schedule.last_at,
        last_run_id=schedule.last_run_id,
        created_by=schedule.created_by,
        created_at=schedule.created_at,
        updated_at=schedule.updated_at,
        group_id=schedule.group_id,
    )


class FireView(View):
    """What became of one fire."""

    schedule_id: str
    tick: Instant = Field(description="When it was due; of a run by hand, when it was asked for.")
    manual: bool
    outcome: str | None = Field(description="`started`, `skipped` or `failed`; null: under way.")
    run_id: str | None = Field(description="The run that it started.")
    error: str | None
    created_at: Instant


def view_fire(fire: Fire) -> FireView:
    """Return a fire as it stands on the wire."""
    return FireView(
        schedule_id=fire.schedule_id,
        tick=fire.tick,
        manual=fire.manual,
        outcome=fire.outcome,
        run_id=fire.run_id if fire.outcome == "started" else None,
        error=fire.error,
        created_at=fire.created_at,
    )
