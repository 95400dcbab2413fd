"""Kasal's `/scheduler/schedules`: the schedules of `/api/schedules` that set stored crews to work (S66 to S69)."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ConfigDict, Field

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.agents import Name, leave_defaults_out
from agio.api.native.schemas.common import Body, Instant, JsonObject, Limit, ListOf, Offset, View, listed
from agio.api.native.schemas.schedules import Cron, Zone
from agio.api.native.workflows import fallback_of
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.api.protocols.kasal.composing import compose_stored
from agio.domain.crew import Crew
from agio.domain.errors import AlreadyExists, Invalid
from agio.domain.schedules import NEVER, CrewWork, Schedule
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.schedules import next_fires
from agio.engine.workflows import Fallback

router = APIRouter(prefix="/scheduler/schedules", tags=["kasal"])

SchedulePath = Annotated[str, Path(max_length=128, description="The schedule's id.")]


class ScheduleFields(Body):
    """Everything of a schedule that can be chosen."""

    name: Name
    cron_expression: Cron
    crew_id: Annotated[str, Field(min_length=1, max_length=128, description="The crew that is set to work.")]
    inputs: JsonObject = Field(default_factory=dict, description="Of the crew.")
    enabled: bool = True
    timezone: Zone = "UTC"


class CrewScheduleBody(ScheduleFields):
    """A new schedule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Briefing", "cron_expression": "0 7 * * MON-FRI", "crew_id": "a-crew's-id"}]
        }
    )


class CrewScheduleChanges(ScheduleFields):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: Name = Field(default_factory=str)
    cron_expression: Cron = Field(default_factory=str)
    crew_id: Annotated[str, Field(min_length=1, max_length=128)] = Field(default_factory=str)


class CrewScheduleView(View):
    """A schedule."""

    id: str
    name: str
    cron_expression: str
    timezone: str
    crew_id: str | None = Field(description="Null: made elsewhere, for an agent or for a crew that is not stored.")
    inputs: dict[str, Any]
    enabled: bool
    next_run_at: Instant | None = Field(description="Null while it is switched off.")
    next_runs: list[Instant] = Field(description="The next five.")
    last_run_at: Instant | None
    last_execution_id: str | None
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant


@router.get("", operation_id="kasalListSchedules", summary="List schedules, oldest first", responses=documented())
async def list_schedules(
    engine: EngineDep, caller: CallerDep, limit: Limit = 20, offset: Offset = 0
) -> ListOf[CrewScheduleView]:
    """Those of `/api/schedules`, with their next runs."""
    page = await engine.schedules.list(caller, limit=limit, offset=offset)
    return listed([_view(one) for one in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="kasalCreateSchedule",
    summary="Have a crew set to work again and again",
    status_code=201,
    response_model=CrewScheduleView,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def create_schedule(body: CrewScheduleBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Each tick starts one execution, whatever dies and however many servers there are."""
    work = await _work(engine, caller, body.crew_id, body.inputs, await fallback_of(request, engine, caller))

    async def make(schedule_id: str) -> Response:
        now = utc_now()
        wanted = Schedule(
            id=schedule_id,
            group_id=caller.group_id,
            name=body.name,
            cron=body.cron_expression,
            timezone=body.timezone,
            work=work,
            enabled=body.enabled,
            next_at=NEVER,
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        try:
            made = await _told(engine.schedules.create(caller, wanted))
        except AlreadyExists:  # a request under the same key was faster
            made = await engine.schedules.get(caller, schedule_id)
        headers = {"Location": f"/api/v1/scheduler/schedules/{made.id}"}
        return JSONResponse(_view(made).model_dump(mode="json"), 201, headers)

    return await once(request, engine, caller, make)


@router.get("/{schedule_id}", operation_id="kasalGetSchedule", summary="Look at a schedule", responses=documented(404))
async def get_schedule(schedule_id: SchedulePath, engine: EngineDep, caller: CallerDep) -> CrewScheduleView:
    """With its next runs."""
    return _view(await engine.schedules.get(caller, schedule_id))


@router.put(
    "/{schedule_id}", operation_id="kasalUpdateSchedule", summary="Change a schedule", responses=documented(404)
)
async def update_schedule(
    schedule_id: SchedulePath, body: CrewScheduleChanges, request: Request, engine: EngineDep, caller: CallerDep
) -> CrewScheduleView:
    """What the body leaves out stays as it is."""
    present = await engine.schedules.get(caller, schedule_id)
    given = body.model_fields_set
    changes: dict[str, Any] = {name: getattr(body, name) for name in given & {"name", "timezone", "enabled"}}
    if "cron_expression" in given:
        changes["cron"] = body.cron_expression
    if "crew_id" in given:
        known = present.work.inputs if present.work else {}
        inputs = body.inputs if "inputs" in given else known
        work = await _work(engine, caller, body.crew_id, inputs, await fallback_of(request, engine, caller))
        changes |= {"work": work, "chat": None}
    elif "inputs" in given:
        if present.work is None:
            raise Invalid("it sets no crew to work, so it has no inputs", field="inputs")
        changes["work"] = replace(present.work, inputs=body.inputs)
    return _view(await _told(engine.schedules.change(caller, schedule_id, changes)))


@router.patch(
    "/{schedule_id}/toggle",
    operation_id="kasalToggleSchedule",
    summary="Switch a schedule on or off",
    responses=documented(404),
)
async def toggle_schedule(schedule_id: SchedulePath, engine: EngineDep, caller: CallerDep) -> CrewScheduleView:
    """Switched on, it goes on with the next tick from now."""
    present = await engine.schedules.get(caller, schedule_id)
    return _view(await engine.schedules.change(caller, schedule_id, {"enabled": not present.enabled}))


@router.delete(
    "/{schedule_id}",
    operation_id="kasalDeleteSchedule",
    summary="Delete a schedule",
    status_code=204,
    responses=documented(404),
)
async def delete_schedule(schedule_id: SchedulePath, engine: EngineDep, caller: CallerDep) -> None:
    """Its executions stay."""
    await engine.schedules.delete(caller, schedule_id)


def install_reader(engine: Engine) -> None:
    """Let this process's scheduler read stored crews anew for each tick."""

    async def read(caller: Caller, crew_id: str) -> Crew:
        return (await compose_stored(engine, caller, await engine.crews.get(caller, crew_id))).sound()

    engine.scheduler.read_crew = read


async def _work(engine: Engine, caller: Caller, crew_id: str, inputs: dict[str, Any], fallback: Fallback) -> CrewWork:
    """Return what a schedule starts. Raises `NotFound`, `Invalid`: the crew cannot be set to work."""
    stored = await engine.crews.get(caller, crew_id)
    crew = (await compose_stored(engine, caller, stored)).sound()
    return CrewWork(crew=crew, crew_id=crew_id, inputs=inputs, provider=fallback.provider, model=fallback.model)


async def _told(change: Awaitable[Schedule]) -> Schedule:
    """Return what comes of a change; a wrong field is named as the body names it."""
    try:
        return await change
    except Invalid as error:
        raise Invalid(str(error), field="cron_expression" if error.field == "cron" else error.field) from error


def _view(schedule: Schedule) -> CrewScheduleView:
    fires = next_fires(schedule)
    return CrewScheduleView(
        id=schedule.id,
        name=schedule.name,
        cron_expression=schedule.cron,
        timezone=schedule.timezone,
        crew_id=schedule.work.crew_id if schedule.work else None,
        inputs=schedule.work.inputs if schedule.work else {},
        enabled=schedule.enabled,
        next_run_at=fires[0] if fires else None,
        next_runs=fires,
        last_run_at=schedule.last_at,
        last_execution_id=schedule.last_run_id,
        group_id=schedule.group_id,
        created_by=schedule.created_by,
        created_at=schedule.created_at,
        updated_at=schedule.updated_at,
    )
