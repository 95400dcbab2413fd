"""Executions: crews at work (seed items S28 to S39). Each is a workflow's run, which `/runs` knows too."""

from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep, PrincipalDep
from agio.api.native.meta import is_demo
from agio.api.native.schemas.common import Limit, ListOf, Offset, When, as_utc, listed
from agio.api.native.workflows import fallback_of
from agio.api.once import KEYED
from agio.api.problems import documented
from agio.api.protocols.kasal.composing import compose, compose_stored
from agio.api.protocols.kasal.execution_shapes import (
    ExecutionBody,
    ExecutionRow,
    ExecutionStarted,
    ExecutionView,
    NameBody,
    NameView,
    StatusName,
    StopBody,
    view_execution,
    view_row,
    view_started,
)
from agio.api.protocols.kasal.naming import name_wish
from agio.api.protocols.kasal.texts import CrewText, Reading, place_of, read_crew
from agio.api.starting import begin_once
from agio.domain.crews import Written, name_of
from agio.domain.errors import Invalid, ProviderError, QuotaExceeded
from agio.domain.executions import CREW_TAG, ExecutionStatus, status_of
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.executions import ExecutionFilter
from agio.engine.workflows import WorkflowRequest

router = APIRouter(prefix="/executions", tags=["kasal"])

ExecutionPath = Annotated[str, Path(max_length=128, description="The execution's id, which is its run's.")]


async def read_filter(
    status: Annotated[StatusName | None, Query(description="Upper and lower case alike.")] = None,
    crew_id: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$", description="Of this crew.")] = None,
    since: Annotated[When | None, Query(description="Created at or after.")] = None,
    until: Annotated[When | None, Query(description="Created before.")] = None,
) -> ExecutionFilter:
    """Return which executions are wanted."""
    tag = f"{CREW_TAG}{crew_id}" if crew_id is not None else None
    return ExecutionFilter(status=status, tag=tag, since=as_utc(since), until=as_utc(until))


async def read_group(
    caller: CallerDep,
    principal: PrincipalDep,
    group_id: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="One of the caller's groups.")
    ] = None,
) -> Caller:
    """Return the caller, for the group that a query names. Raises `Denied`."""
    if group_id is None or group_id == caller.group_id:
        return caller
    chosen = principal.in_group(group_id)
    return Caller(name=caller.name, group_id=chosen.group_id, user_id=caller.user_id)


Wanted = Annotated[ExecutionFilter, Depends(read_filter)]
CallerInGroup = Annotated[Caller, Depends(read_group)]


@router.get("", operation_id="listExecutions", summary="List executions, newest first", responses=documented())
async def list_executions(
    engine: EngineDep, caller: CallerInGroup, wanted: Wanted, limit: Limit = 20, offset: Offset = 0
) -> ListOf[ExecutionRow]:
    """Rows carry no payloads."""
    return await rows_of(engine, caller, wanted, limit, offset)


async def rows_of(
    engine: Engine, caller: Caller, wanted: ExecutionFilter, limit: int, offset: int
) -> ListOf[ExecutionRow]:
    """Return a stretch of the executions that are wanted."""
    page = await engine.executions.list(caller, wanted, limit=limit, offset=offset)
    awaiting = await engine.executions.awaiting_people(caller, page.items)
    return listed([view_row(run, awaiting) for run in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createExecution",
    summary="Set a crew to work",
    status_code=201,
    response_model=ExecutionStarted,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def create_execution(body: ExecutionBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Answers at once; the execution waits for its turn, and for nobody's connection."""
    fallback = await fallback_of(request, engine, caller)

    async def begin(run_id: str) -> Run:
        crew = (await _read(engine, caller, body)).sound()
        own_name = crew.name if body.crew_id else name_of([task.name or task.id for task in crew.tasks])
        name = body.run_name or own_name
        wish = WorkflowRequest(
            crew=replace(crew, name=own_name),
            fallback=fallback,
            inputs=body.inputs,
            run_id=run_id,
            tags=(f"{CREW_TAG}{body.crew_id}",) if body.crew_id else (),
            metadata={"run_name": name},
            on_restart=body.on_restart,
        )
        try:
            return await engine.workflows.start(caller, wish)
        except Invalid as error:  # the place is a crew's; clients know texts
            raise Invalid(str(error), field=place_of(error.field, crew) if error.field else None) from error

    run, _ = await begin_once(request, engine, caller, begin)
    view = view_started(run, ExecutionStatus.PENDING, "Execution accepted")
    return JSONResponse(view.model_dump(mode="json"), 201, {"Location": f"/api/v1/executions/{run.id}"})


async def _read(engine: Engine, caller: Caller, body: ExecutionBody) -> Reading:
    """Read the crew that a body names or writes down. Raises `NotFound`, `Invalid`."""
    written = {"agents_yaml", "tasks_yaml", "agent_ids", "task_ids", "process"} & body.model_fields_set
    if body.crew_id is not None:
        if written:
            raise Invalid(f"name a crew or write one down; leave {min(written)} out", field=min(written))
        return await compose_stored(engine, caller, await engine.crews.get(caller, body.crew_id), model=body.model)
    text = CrewText(
        name="execution",
        agents=body.agents_yaml,
        tasks=body.tasks_yaml,
        process=body.process,
        model=body.model,
    )
    return await compose(engine, caller, text, body.agent_ids, body.task_ids)


@router.post(
    "/generate-name", operation_id="generateName", summary="Find a name for an execution", responses=documented()
)
async def generate_name(body: NameBody, request: Request, engine: EngineDep, caller: CallerDep) -> NameView:
    """By the model that is named; without one, or where it fails, from the names of tasks or agents, always alike."""
    fallback = await fallback_of(request, engine, caller)
    if body.model is not None and not is_demo(engine, fallback.provider):
        with suppress(ProviderError, QuotaExceeded, Invalid):  # a name is not worth an error
            draft = await engine.generating.draft(
                caller, name_wish(body.agents_yaml, body.tasks_yaml), provider=fallback.provider, model=body.model
            )
            return NameView(name=draft.value)
    return NameView(name=name_of([*_names(body.tasks_yaml, body.agents_yaml), *_roles(body.agents_yaml)]))


def _names(tasks: Written, agents: Written) -> list[str]:
    crew = read_crew(CrewText(name="crew", agents=agents, tasks=tasks)).crew
    return [task.name or task.id.replace("_", " ") for task in crew.tasks] if crew is not None else []


def _roles(agents: Written) -> list[str]:
    only = {"task": {"description": "anything"}}
    crew = read_crew(CrewText(name="crew", agents=agents, tasks=only, process="hierarchical")).crew
    return [member.role or member.name.replace("_", " ") for member in crew.members] if crew is not None else []


@router.get("/{execution_id}", operation_id="getExecution", summary="Look at an execution", responses=documented(404))
async def get_execution(execution_id: ExecutionPath, engine: EngineDep, caller: CallerDep) -> ExecutionView:
    """Cheap enough to be asked again and again; its logs can be followed instead."""
    detail = await engine.executions.get(caller, execution_id)
    return view_execution(detail, await engine.executions.awaiting_people(caller, [detail.run]))


_STOPPED: dict[int | str, dict[str, Any]] = {200: {"description": "It is so already.", "model": ExecutionStarted}}


@router.post(
    "/{execution_id}/stop",
    operation_id="stopExecution",
    summary="Stop an execution",
    status_code=202,
    response_model=ExecutionStarted,
    responses=_STOPPED | documented(404, 409),
)
@router.post(
    "/{execution_id}/cancel",
    operation_id="cancelExecution",
    summary="Cancel an execution",
    status_code=202,
    response_model=ExecutionStarted,
    responses=_STOPPED | documented(404, 409),
)
async def stop_execution(
    execution_id: ExecutionPath, engine: EngineDep, caller: CallerDep, body: StopBody | None = None
) -> Response:
    """Model calls and tools under way are aborted; what is finished stays. 409 when it ended otherwise."""
    await engine.executions.find(caller, execution_id)
    run = await engine.commands.cancel(caller, execution_id, reason=body.reason if body else None)
    done = run.status is RunStatus.CANCELLED
    text = "The execution is cancelled" if done else "The execution will be cancelled"
    view = view_started(run, status_of(run), text)
    return JSONResponse(view.model_dump(mode="json"), 200 if done else 202)
