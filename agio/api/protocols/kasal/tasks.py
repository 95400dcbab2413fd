"""Tasks that are kept, for crews to be made of (seed items S17 to S21)."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.api.protocols.kasal.crews import Text
from agio.api.protocols.kasal.shapes import StoredTaskBody, StoredTaskChanges, StoredTaskView
from agio.domain.access import Permission
from agio.domain.crews import StoredTask
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine

router = APIRouter(prefix="/tasks", tags=["kasal"])

TaskPath = Annotated[str, Path(max_length=128, description="The task's id.")]


@router.get("", operation_id="listTasks", summary="List stored tasks, oldest first", responses=documented())
async def list_tasks(
    engine: EngineDep, caller: CallerDep, q: Text = None, limit: Limit = 20, offset: Offset = 0
) -> ListOf[StoredTaskView]:
    """A crew names them in its `task_ids`."""
    page = await engine.tasks.list(caller, limit=limit, offset=offset, text=q)
    return listed([StoredTaskView.model_validate(one) for one in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createTask",
    summary="Keep a task",
    status_code=201,
    response_model=StoredTaskView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_task(body: StoredTaskBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Its agent is looked up when an execution starts; its tools must be there now."""
    await _check(engine, caller, body)

    async def make(task_id: str) -> Response:
        now = utc_now()
        fields: dict[str, Any] = {"group_id": caller.group_id, "created_by": caller.name} | body.to_stored()
        made = await engine.tasks.create(caller, StoredTask(id=task_id, created_at=now, updated_at=now, **fields))
        view = StoredTaskView.model_validate(made)
        return JSONResponse(view.model_dump(mode="json"), 201, {"Location": f"/api/v1/tasks/{made.id}"})

    return await once(request, engine, caller, make)


@router.get("/{task_id}", operation_id="getTask", summary="Look at a stored task", responses=documented(404))
async def get_task(task_id: TaskPath, engine: EngineDep, caller: CallerDep) -> StoredTaskView:
    """As it is now."""
    return StoredTaskView.model_validate(await engine.tasks.get(caller, task_id))


@router.put("/{task_id}", operation_id="updateTask", summary="Change a stored task", responses=documented(404))
@needs(Permission.BUILD)
async def update_task(
    task_id: TaskPath, body: StoredTaskChanges, engine: EngineDep, caller: CallerDep
) -> StoredTaskView:
    """What the body leaves out stays as it is."""
    await engine.tasks.get(caller, task_id)  # what is not there is told before what is wrong with the body
    await _check(engine, caller, body)
    return StoredTaskView.model_validate(await engine.tasks.change(caller, task_id, body.to_stored()))


@router.put(
    "/{task_id}/full", operation_id="replaceTask", summary="Write a stored task anew", responses=documented(404)
)
@needs(Permission.BUILD)
async def replace_task(task_id: TaskPath, body: StoredTaskBody, engine: EngineDep, caller: CallerDep) -> StoredTaskView:
    """What the body leaves out is as of a new task."""
    await engine.tasks.get(caller, task_id)  # what is not there is told before what is wrong with the body
    await _check(engine, caller, body)
    return StoredTaskView.model_validate(await engine.tasks.change(caller, task_id, body.to_whole()))


@router.delete(
    "/{task_id}", operation_id="deleteTask", summary="Delete a stored task", status_code=204, responses=documented(404)
)
@needs(Permission.BUILD)
async def delete_task(task_id: TaskPath, engine: EngineDep, caller: CallerDep) -> None:
    """Executions that have started keep it as it was."""
    await engine.tasks.delete(caller, task_id)


async def _check(engine: Engine, caller: Caller, body: StoredTaskBody) -> None:
    """Refuse tools that nobody here knows. Raises `Invalid`."""
    await engine.agents.check(caller, provider=None, tools=body.tools)
