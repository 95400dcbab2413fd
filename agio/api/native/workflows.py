"""Workflows: crews and task trees as runs. They are commanded, forked and traced as any run is: see `runs`."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep
from agio.api.native.meta import get_default_agent
from agio.api.native.runs import RunPath
from agio.api.native.schemas.runs import RunView, view_run
from agio.api.native.schemas.workflows import CheckBody, CheckView, FlawView, WorkflowBody, WorkflowView, view_tree
from agio.api.once import KEYED
from agio.api.problems import documented
from agio.api.sse import EVENT_SCHEMA, LastEventIdText
from agio.api.starting import begin_once
from agio.api.tree_stream import attach_to_tree, parse_places
from agio.domain.crew import tasks_of
from agio.domain.errors import Invalid
from agio.domain.runs import Run
from agio.domain.workflow import in_order
from agio.engine.caller import Caller
from agio.engine.creation import get_run
from agio.engine.engine import Engine
from agio.engine.workflows import Fallback

router = APIRouter(prefix="/workflows", tags=["workflows"])

_STREAM: dict[str, Any] = {"text/event-stream": {"schema": EVENT_SCHEMA}}
_STARTED: dict[int | str, dict[str, Any]] = {
    200: {"description": "With `stream`: the events of the whole tree.", "content": _STREAM}
}
_FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The events of the whole tree, until all of it has ended.", "content": _STREAM},
    204: {"description": "All has ended and nothing is left behind the given id."},
}


@router.post(
    "",
    operation_id="startWorkflow",
    summary="Set a crew to work",
    status_code=202,
    response_model=RunView,
    responses=_STARTED | documented(404, 409),
    dependencies=[KEYED],
)
async def start_workflow(body: WorkflowBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Its tasks are child runs, which any worker may take; the run itself waits and holds nothing."""
    if body.stream and not body.start:
        raise Invalid("a workflow that does not start has no events to stream", field="stream")
    fallback = await fallback_of(request, engine, caller)

    async def begin(run_id: str) -> Run:
        return await engine.workflows.start(caller, body.to_request(run_id, fallback))

    run, _ = await begin_once(request, engine, caller, begin, wanted_id=body.run_id)
    if body.stream:
        return await attach_to_tree(engine, caller, run, {})
    view = view_run(await engine.reading.detail(caller, run.id))
    return JSONResponse(view.model_dump(mode="json"), 202, {"Location": f"/api/workflows/{run.id}"})


async def fallback_of(request: Request, engine: Engine, caller: Caller) -> Fallback:
    """Return what agents work with that name no provider and no model: the default agent's."""
    default = await get_default_agent(request, engine, caller)
    return Fallback(provider=default.provider, model=default.model) if default else Fallback(provider="", model="")


@router.post("/check", operation_id="checkWorkflow", summary="Look whether a crew is sound", responses=documented())
async def check_workflow(body: CheckBody, request: Request, engine: EngineDep, caller: CallerDep) -> CheckView:
    """Nothing is started or kept."""
    crew = body.crew.to_domain()
    flaws = await engine.workflows.check(caller, crew, await fallback_of(request, engine, caller))
    order = [task.id for task in in_order(tasks_of(crew))] if not flaws else []
    return CheckView(valid=not flaws, errors=[FlawView.model_validate(flaw) for flaw in flaws], order=order)


@router.get("/{run_id}", operation_id="getWorkflow", summary="Look at a workflow's tree", responses=documented(404))
async def get_workflow(run_id: RunPath, engine: EngineDep, caller: CallerDep) -> WorkflowView:
    """Its tasks, what has become of them, and how far it is. Of any other run: those that it delegated."""
    return view_tree(await engine.trees.read(caller, run_id))


@router.get(
    "/{run_id}/events",
    operation_id="followWorkflow",
    summary="Follow a run and its children as one stream",
    response_model=None,
    responses=_FOLLOWED | documented(400, 404),
)
async def follow_workflow(
    run_id: RunPath,
    engine: EngineDep,
    caller: CallerDep,
    last_event_id: Annotated[LastEventIdText, Header(description="Read on from there.")] = None,
) -> Response:
    """Every event also says `depth`, and of child runs `parent_run_id` and `task_id`.

    Each run's events come in order and without a gap; a child's end comes before its parent's word of it.
    """
    run = await get_run(engine.store, caller, run_id)
    return await attach_to_tree(engine, caller, run, parse_places(last_event_id, run_id))
