"""Schedules: start an agent or a crew again and again."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.schedules import (
    FireView,
    ScheduleBody,
    ScheduleChanges,
    ScheduleView,
    view_fire,
    view_schedule,
)
from agio.api.native.workflows import fallback_of
from agio.api.once import KEYED, once
from agio.api.problems import documented

router = APIRouter(prefix="/schedules", tags=["schedules"])

SchedulePath = Annotated[str, Path(max_length=128, description="The schedule's id.")]


@router.get("", operation_id="listSchedules", summary="List schedules, oldest first", responses=documented())
async def list_schedules(
    engine: EngineDep,
    caller: CallerDep,
    enabled: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[ScheduleView]:
    """With their next fires."""
    page = await engine.schedules.list(caller, limit=limit, offset=offset, enabled=enabled)
    return listed([view_schedule(one) for one in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createSchedule",
    summary="Make a schedule",
    status_code=201,
    response_model=ScheduleView,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def create_schedule(body: ScheduleBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Each fire starts one run, whatever dies and however many servers there are."""
    fallback = await fallback_of(request, engine, caller)

    async def make(schedule_id: str) -> Response:
        wanted = body.to_domain(schedule_id, caller.group_id, caller.name, fallback)
        made = await engine.schedules.create(caller, wanted)
        headers = {"Location": f"/api/schedules/{made.id}"}
        return JSONResponse(view_schedule(made).model_dump(mode="json"), 201, headers)

    return await once(request, engine, caller, make, wanted_id=body.id)


@router.get("/{schedule_id}", operation_id="getSchedule", summary="Look at a schedule", responses=documented(404))
async def get_schedule(schedule_id: SchedulePath, engine: EngineDep, caller: CallerDep) -> ScheduleView:
    """With its next fires."""
    return view_schedule(await engine.schedules.get(caller, schedule_id))


@router.patch("/{schedule_id}", operation_id="updateSchedule", summary="Change a schedule", responses=documented(404))
async def update_schedule(
    schedule_id: SchedulePath, body: ScheduleChanges, request: Request, engine: EngineDep, caller: CallerDep
) -> ScheduleView:
    """Switched off and on again, it goes on with the next fire from then."""
    present = await engine.schedules.get(caller, schedule_id)
    changes = body.to_changes(present, await fallback_of(request, engine, caller))
    return view_schedule(await engine.schedules.change(caller, schedule_id, changes))


@router.delete(
    "/{schedule_id}",
    operation_id="deleteSchedule",
    summary="Delete a schedule",
    status_code=204,
    responses=documented(404),
)
async def delete_schedule(schedule_id: SchedulePath, engine: EngineDep, caller: CallerDep) -> None:
    """Its runs stay."""
    await engine.schedules.delete(caller, schedule_id)


@router.post(
    "/{schedule_id}/run",
    operation_id="runSchedule",
    summary="Start a schedule's work now",
    status_code=202,
    response_model=FireView,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def run_schedule(schedule_id: SchedulePath, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Beside its fires, which it does not change."""

    async def make(run_id: str) -> Response:
        fire = await engine.schedules.run_now(caller, schedule_id, run_id)
        return JSONResponse(view_fire(fire).model_dump(mode="json"), 202, {"Location": f"/api/runs/{fire.run_id}"})

    return await once(request, engine, caller, make)


@router.get(
    "/{schedule_id}/fires",
    operation_id="listFires",
    summary="List what became of a schedule's fires, the last one first",
    responses=documented(404),
)
async def list_fires(
    schedule_id: SchedulePath, engine: EngineDep, caller: CallerDep, limit: Limit = 20, offset: Offset = 0
) -> ListOf[FireView]:
    """Those of the last 90 days."""
    page = await engine.schedules.fires(caller, schedule_id, limit=limit, offset=offset)
    return listed([view_fire(one) for one in page.items], page.total, limit, offset)
