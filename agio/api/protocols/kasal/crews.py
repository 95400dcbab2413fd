"""Crews that are kept, and `debug` (seed items S12 to S16)."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.workflows import fallback_of
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.api.protocols.kasal.composing import check_stored, compose
from agio.api.protocols.kasal.shapes import (
    DebugBody,
    DebugView,
    FindingView,
    StoredCrewBody,
    StoredCrewChanges,
    StoredCrewView,
)
from agio.api.protocols.kasal.texts import CrewText, Reading, place_of
from agio.domain.access import Permission
from agio.domain.crew import tasks_of
from agio.domain.crews import StoredCrew
from agio.domain.workflow import Flaw, in_order
from agio.engine.clock import utc_now

router = APIRouter(prefix="/crews", tags=["kasal"])

CrewPath = Annotated[str, Path(max_length=128, description="The crew's id.")]
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Occurs in name or description.")]


@router.get("", operation_id="listCrews", summary="List crews, oldest first", responses=documented())
async def list_crews(
    engine: EngineDep, caller: CallerDep, q: Text = None, limit: Limit = 20, offset: Offset = 0
) -> ListOf[StoredCrewView]:
    """With their texts."""
    page = await engine.crews.list(caller, limit=limit, offset=offset, text=q)
    return listed([StoredCrewView.model_validate(one) for one in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createCrew",
    summary="Keep a crew",
    status_code=201,
    response_model=StoredCrewView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_crew(body: StoredCrewBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """The texts are kept as they are; `POST /crews/debug` says what is wrong with them."""

    await check_stored(engine, caller, body.agent_ids, body.task_ids)

    async def make(crew_id: str) -> Response:
        now = utc_now()
        fields: dict[str, Any] = {"group_id": caller.group_id, "created_by": caller.name} | body.to_stored()
        made = await engine.crews.create(caller, StoredCrew(id=crew_id, created_at=now, updated_at=now, **fields))
        view = StoredCrewView.model_validate(made)
        return JSONResponse(view.model_dump(mode="json"), 201, {"Location": f"/api/crews/{made.id}"})

    return await once(request, engine, caller, make)


@router.post("/debug", operation_id="debugCrew", summary="Look what is wrong with a crew", responses=documented())
async def debug_crew(body: DebugBody, request: Request, engine: EngineDep, caller: CallerDep) -> DebugView:
    """200 whatever is found. Nothing is kept or started."""
    text = CrewText(name="crew", agents=body.agents_yaml, tasks=body.tasks_yaml, process=body.process, model=body.model)
    reading = await compose(engine, caller, text, body.agent_ids, body.task_ids)
    errors = list(reading.errors)
    if reading.crew is not None:
        flaws = await engine.workflows.check(caller, reading.crew, await fallback_of(request, engine, caller))
        errors += [Flaw(field=place_of(flaw.field, reading.crew), message=flaw.message) for flaw in flaws]
    return DebugView(
        valid=not errors,
        errors=[FindingView.model_validate(flaw) for flaw in errors],
        warnings=[FindingView.model_validate(flaw) for flaw in reading.warnings],
        order=_order(reading) if not errors else [],
    )


def _order(reading: Reading) -> list[str]:
    return [task.id for task in in_order(tasks_of(reading.sound()))]


@router.get("/{crew_id}", operation_id="getCrew", summary="Look at a crew", responses=documented(404))
async def get_crew(crew_id: CrewPath, engine: EngineDep, caller: CallerDep) -> StoredCrewView:
    """With its texts."""
    return StoredCrewView.model_validate(await engine.crews.get(caller, crew_id))


@router.put("/{crew_id}", operation_id="updateCrew", summary="Change a crew", responses=documented(404))
@needs(Permission.BUILD)
async def update_crew(
    crew_id: CrewPath, body: StoredCrewChanges, engine: EngineDep, caller: CallerDep
) -> StoredCrewView:
    """What the body leaves out stays as it is. Executions keep the crew as it was when they started."""
    await engine.crews.get(caller, crew_id)  # what is not there is told before what is wrong with the body
    await check_stored(engine, caller, body.agent_ids, body.task_ids)
    return StoredCrewView.model_validate(await engine.crews.change(caller, crew_id, body.to_stored()))


@router.delete(
    "/{crew_id}", operation_id="deleteCrew", summary="Delete a crew", status_code=204, responses=documented(404)
)
@needs(Permission.BUILD)
async def delete_crew(crew_id: CrewPath, engine: EngineDep, caller: CallerDep) -> None:
    """Its executions stay."""
    await engine.crews.delete(caller, crew_id)
