"""aipartnerupflow's routes: JSON-RPC at `/` and `/tasks`, where tasks stand, lists."""

import json
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.routing import Match, Router
from starlette.types import Message, Receive, Scope, Send

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep, PrincipalDep
from agio.api.native.schemas.common import Offset
from agio.api.once import KEYED, reserve
from agio.api.protocols.aipartnerupflow import convert, rpc
from agio.api.protocols.aipartnerupflow.methods import CREATING, Context, call_method, find_tasks, translate
from agio.api.protocols.aipartnerupflow.shapes import MOST_LISTED, ListParams, StatusView, TaskView
from agio.api.protocols.feed import find_agent_id
from agio.api.protocols.plain import PlainRoute, plainly
from agio.api.sse import EVENT_SCHEMA
from agio.domain import errors as err
from agio.domain.access import Permission
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.security import Principal

router = APIRouter(tags=["aipartnerupflow"], route_class=PlainRoute)

A2A_METHODS = frozenset(
    {
        *("message/send", "message/stream", "tasks/get", "tasks/cancel", "tasks/resubscribe"),
        *("SendMessage", "SendStreamingMessage", "GetTask", "CancelTask", "SubscribeToTask", "ListTasks"),
    }
)
"""Methods of A2A: the wire below `/a2a` answers them, for the default agent."""

_EXAMPLE = {
    "jsonrpc": "2.0",
    "method": "execute_task_tree",
    "params": {"tasks": [{"id": "task1", "name": "calculator", "inputs": {"expression": "6 * 7"}}]},
    "id": "request-123",
}
_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The JSON-RPC answer, errors included; with `use_streaming` a stream whose first frame it is.",
        "content": {
            "application/json": {"schema": {"description": "One answer, or those of a batch."}},
            "text/event-stream": {"schema": EVENT_SCHEMA},
        },
    },
    204: {"description": "A batch of notifications."},
}
_BODY = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {"description": "A JSON-RPC 2.0 call, or a list of calls."},
                "example": _EXAMPLE,
            }
        },
    }
}


class _Forwarded(Response):
    """The answer that another route of the application gives."""

    def __init__(self, request: Request, path: str, body: bytes) -> None:
        super().__init__()
        self._router: Router = request.app.router
        self._body = body
        root: str = request.scope.get("app_root_path", request.scope.get("root_path", ""))
        path = root + path
        self._scope = {**request.scope, "path": path, "raw_path": path.encode(), "root_path": root}
        for name in ("endpoint", "route", "path_params"):
            self._scope.pop(name, None)

    @property
    def is_served(self) -> bool:
        """Somebody answers there."""
        return any(route.matches(self._scope)[0] is Match.FULL for route in self._router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}

        await self._router(self._scope, replay, send)


@router.post(
    "/",
    operation_id="flowCall",
    summary="JSON-RPC: task trees, and A2A for the default agent",
    response_model=None,
    responses=_ANSWERED | plainly(409),
    openapi_extra=_BODY,
    dependencies=[KEYED],
)
@needs(Permission.READ)
async def call_at_root(request: Request, engine: EngineDep, caller: CallerDep, principal: PrincipalDep) -> Response:
    """`execute_task_tree` and every `tasks.*` of `POST /tasks`; `message/send`, `tasks/get` and the like are A2A's."""
    return await _call(request, engine, caller, principal, at_root=True)


@router.post(
    "/tasks",
    operation_id="flowCallTasks",
    summary="JSON-RPC: task trees",
    response_model=None,
    responses=_ANSWERED | plainly(409),
    openapi_extra=_BODY,
    dependencies=[KEYED],
)
@needs(Permission.READ)
async def call_tasks(request: Request, engine: EngineDep, caller: CallerDep, principal: PrincipalDep) -> Response:
    """`tasks.create`, `.execute`, `.get`, `.detail`, `.tree`, `.children`, `.list`, `.update`, `.delete`, `.copy`,
    `.cancel`, `.running.list`, `.running.status`, `.running.count`; `execute_task_tree`.
    """
    return await _call(request, engine, caller, principal, at_root=False)


async def _call(request: Request, engine: Engine, caller: Caller, principal: Principal, *, at_root: bool) -> Response:
    body = await request.body()
    context = Context(request=request, engine=engine, caller=caller, principal=principal)

    async def method(call: rpc.Call) -> Any:
        if at_root and call.method in A2A_METHODS:
            return await _to_a2a(context, body)
        return await call_method(context, call)

    if request.headers.get("idempotency-key") is None or not _creates(body):
        return await rpc.answer(body, method)
    return await _once(context, body, method)


async def _once(context: Context, body: bytes, method: rpc.Method) -> Response:
    """Answer a request under an `Idempotency-Key`; only what made something is kept, and streams are not."""
    note, repeated = await reserve(context.request, context.engine, context.caller)
    if note is None:
        return await rpc.answer(body, method)
    if repeated and note.status is not None:
        return Response(note.body, note.status, {"Idempotent-Replayed": "true"}, "application/json")
    keyed = replace(context, note=note)

    async def with_note(call: rpc.Call) -> Any:
        return await call_method(keyed, call)

    made = await rpc.answer(body, with_note)
    if isinstance(made, JSONResponse) and "error" not in json.loads(bytes(made.body)):
        await context.engine.keyed.answered(note, made.status_code, bytes(made.body).decode())
    return made


def _creates(body: bytes) -> bool:
    """Say whether it is one call that makes something; others are safe to repeat, and batches have no key."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and given.get("method") in CREATING


async def _to_a2a(context: Context, body: bytes) -> Response:
    try:
        agent_id = await find_agent_id(context.request, context.engine, context.caller, None)
    except err.AgioError as error:
        raise translate(error) from error
    answer = _Forwarded(context.request, f"/a2a/{agent_id}", body)
    if not answer.is_served:
        raise rpc.RpcError(rpc.METHOD_NOT_FOUND, "Method not found: this installation does not serve A2A")
    return answer


TaskPath = Annotated[str, Path(max_length=128, examples=["task1"])]


@router.get(
    "/tasks/{task_id}/status",
    operation_id="flowTaskStatus",
    summary="Look where a task stands",
    responses=plainly(404),
)
async def get_status(
    task_id: TaskPath, request: Request, engine: EngineDep, caller: CallerDep, principal: PrincipalDep
) -> StatusView:
    """Of a root: where its tree stands."""
    context = Context(request=request, engine=engine, caller=caller, principal=principal)
    tree = await engine.task_trees.find(caller, task_id, owner=context.owner)
    states = await engine.task_trees.states(caller, tree)
    return convert.view_status(tree, task_id, states[task_id])


@router.get(
    "/tasks", operation_id="flowTasks", summary="List tasks", response_model=list[TaskView], responses=plainly()
)
async def list_tasks(
    request: Request,
    engine: EngineDep,
    caller: CallerDep,
    principal: PrincipalDep,
    user_id: Annotated[str | None, Query(max_length=200, description="Of this user only.")] = None,
    status: Annotated[str | None, Query(max_length=50)] = None,
    root_only: bool = False,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    offset: Offset = 0,
) -> Any:
    """Newest first. Without `user_id`: those of who is logged in, else all."""
    context = Context(request=request, engine=engine, caller=caller, principal=principal)
    params = ListParams(user_id=user_id, status=status, root_only=root_only, limit=limit, offset=offset)
    return await find_tasks(context, params)
