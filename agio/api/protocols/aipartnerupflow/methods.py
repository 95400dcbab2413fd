"""The methods of task trees: each decodes its parameters, calls a use case, and encodes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from agio.api.native.meta import get_default_agent
from agio.api.protocols.aipartnerupflow import convert, rpc
from agio.api.protocols.aipartnerupflow.shapes import (
    CreateParams,
    DeleteParams,
    ExecuteParams,
    ListParams,
    ManyParams,
    TaskParams,
    UpdateParams,
)
from agio.api.protocols.aipartnerupflow.stream import stream_execution
from agio.api.waiting import wait_for
from agio.domain import errors as err
from agio.domain.access import Permission
from agio.domain.requests import KeyedRequest
from agio.domain.runs import Run
from agio.domain.task_trees import TaskTree
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.task_states import State
from agio.engine.task_trees import Executed, Setup
from agio.engine.workflows import Fallback
from agio.security import Principal

T = TypeVar("T", bound=BaseModel)

ANSWER_S = 3.0
"""How long a tree that is executed may take to be answered whole: clients give up after 5 s (seed conflict C6)."""
CANCEL_S = 3.0
"""How long a cancel waits to take effect."""
SCANNED = 100
"""Trees read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """For whom methods work."""

    request: Request
    engine: Engine
    caller: Caller
    principal: Principal
    note: KeyedRequest | None = None
    """The request's `Idempotency-Key`: what it creates has this id."""

    @property
    def owner(self) -> str | None:
        """Whose trees are seen; None: those of the whole group."""
        return None if self.principal.may(Permission.ADMIN) else self.caller.user_id

    def acting_for(self, tree: TaskTree) -> Caller:
        """Return for whom a tree is executed: administrators, and who is not checked, may do it for its user."""
        may = tree.user_id is not None and self.principal.may(Permission.ADMIN)
        return replace(self.caller, user_id=tree.user_id) if may else self.caller


async def call_method(context: Context, call: rpc.Call) -> Any:
    """Carry a call out. Raises `rpc.RpcError`."""
    if call.method not in METHODS:
        raise rpc.RpcError(rpc.METHOD_NOT_FOUND, f"Method not found: {call.method[:80]!r}")
    method, permission = METHODS[call.method]
    try:
        context.principal.require(permission)
        return await method(context, call)
    except err.AgioError as error:
        raise translate(error) from error


def translate(error: err.AgioError) -> rpc.RpcError:
    """Return the JSON-RPC error of one of ours."""
    data: dict[str, Any] = {"type": error.code, "retryable": error.retryable}
    if field := getattr(error, "field", None):
        data["field"] = field
    match error:
        case err.Denied():
            code = rpc.UNAUTHORISED
        case err.NotFound() | err.Invalid() | err.Conflict() | err.LimitExceeded() | err.Unsupported():
            code = rpc.INVALID_PARAMS
        case _:
            code = rpc.INTERNAL_ERROR
    return rpc.RpcError(code, str(error), data)


def _params(call: rpc.Call, kind: type[T], **aliases: str) -> T:
    """Read a call's parameters; `aliases`: other names of members. Raises `rpc.RpcError`."""
    given = dict(call.params) if isinstance(call.params, dict) else {}
    for name, other in aliases.items():
        if name not in given and other in given:
            given[name] = given.pop(other)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        errors = [{"field": ".".join(map(str, one["loc"])), "message": str(one["msg"])} for one in error.errors()]
        first = errors[0]
        text = f"Invalid params: {first['field']}: {first['message']}" if first["field"] else first["message"]
        data = {"type": "validation_error", "retryable": False, "errors": errors[:20]}
        raise rpc.RpcError(rpc.INVALID_PARAMS, text, data) from None


# -- making and executing


def _given(call: rpc.Call) -> CreateParams:
    """Read tasks: a list, one object, or `params.tasks` with either."""
    params = call.params
    if isinstance(params, list) or (isinstance(params, dict) and "tasks" not in params and "name" in params):
        call = replace(call, params={"tasks": params})
    return _params(call, CreateParams)


async def _make(context: Context, params: CreateParams, *, renames: bool) -> TaskTree:
    given = [task.to_given() for task in params.tasks]
    named = next((task.user_id for task in given if task.user_id is not None), None)
    if context.owner is not None and named not in (None, context.owner):
        raise err.Denied(f"tasks of {named!r} are made by that user, or by an administrator")
    return await context.engine.task_trees.create(
        context.caller,
        given,
        user_id=context.caller.user_id,
        tree_id=context.note.resource_id if context.note else None,
        renames=renames,
    )


async def create(context: Context, call: rpc.Call) -> Any:
    """`tasks.create`: keep a tree; nothing of it is done yet."""
    tree = await _make(context, _given(call), renames=False)
    return await _whole(context, tree, tree.root_id)


async def execute_tree(context: Context, call: rpc.Call) -> Any:
    """`execute_task_tree`: keep a tree and carry it out; answered whole where it takes no longer than a client waits.

    Tasks whose ids are taken get others.
    """
    params = _given(call)
    tree = await _make(context, params, renames=True)
    done = await _execute(context, tree, tree.root_id)
    if params.use_streaming:
        return _stream(context, call, done, tree.root_id)
    return await _answer_whole(context, done)


async def execute(context: Context, call: rpc.Call) -> Any:
    """`tasks.execute`: carry out a tree that is there; `params.tasks`: as `execute_task_tree`."""
    if isinstance(call.params, list) or (isinstance(call.params, dict) and "tasks" in call.params):
        return await execute_tree(context, call)
    if isinstance(call.params, dict) and call.params.get("webhook_config"):
        raise err.Invalid("webhook_config is not served: make a webhook at POST /api/webhooks", field="webhook_config")
    params = _params(call, ExecuteParams, task_id="id")
    tree = await context.engine.task_trees.find(context.caller, params.task_id, owner=context.owner)
    task_id, original = params.task_id, None
    if params.copy_execution:
        tree_id = context.note.resource_id if context.note else None
        original = task_id
        tree = await context.engine.task_trees.copy(context.caller, task_id, tree_id=tree_id, owner=context.owner)
        task_id = tree.root_id
    done = await _execute(context, tree, task_id)
    if params.use_streaming:
        return _stream(context, call, done, task_id, original)
    return _started(done, task_id, original)


async def _execute(context: Context, tree: TaskTree, task_id: str) -> Executed:
    metadata = {"task_id": task_id}
    caller = context.acting_for(tree)
    return await context.engine.task_trees.execute(
        caller, task_id, await _setup(context), metadata=metadata, owner=context.owner
    )


async def _setup(context: Context) -> Setup:
    """Return what tasks are done with that say nothing of it: the default agent, and its model."""
    default = await get_default_agent(context.request, context.engine, context.caller)
    fallback = Fallback(provider=default.provider, model=default.model) if default else Fallback(provider="", model="")
    return Setup(fallback=fallback, agent_id=default.id if default else None)


def _started(done: Executed, task_id: str, original: str | None) -> dict[str, Any]:
    texts = {
        "started": f"Task {task_id} execution started",
        "already_running": f"Task {task_id} is running already",
        "completed": f"Task {task_id} is completed; copy it to have it done again",
    }
    return {
        "success": done.outcome != "already_running",
        "protocol": "jsonrpc",
        "root_task_id": done.tree.root_id,
        "task_id": task_id,
        "status": done.outcome,
        "message": texts[done.outcome],
        "run_id": done.run.id,
        **({"original_task_id": original} if original else {}),
    }


def _stream(context: Context, call: rpc.Call, done: Executed, task_id: str, original: str | None = None) -> Response:
    first = rpc.envelope(call.id, {**_started(done, task_id, original), "success": True, "streaming": True})
    return stream_execution(context.engine, context.caller, done, first)


async def _answer_whole(context: Context, done: Executed) -> dict[str, Any]:
    await wait_for(context.request, context.engine, context.caller, done.run, limit_s=ANSWER_S, through_rests=True)
    states = await context.engine.task_trees.states(context.caller, done.tree)
    wire = convert.wire_tree(done.tree, states, done.tree.root_id)
    failed = wire["status"] in ("failed", "cancelled")
    over = wire["status"] in convert.OVER
    return {
        **wire,
        "success": not failed,
        "protocol": "jsonrpc",
        "task_count": len(done.tree.tasks),
        "message": f"Task tree {wire['status']}" if over else "Task tree accepted; ask tasks.get how far it is",
    }


# -- looking


async def get(context: Context, call: rpc.Call) -> Any:
    """`tasks.get`, `tasks.detail`: one task, without its children."""
    params = _params(call, TaskParams, task_id="id")
    tree, states = await _read(context, params.task_id)
    return convert.wire_task(tree, tree.by_id[params.task_id], states[params.task_id])


async def get_tree(context: Context, call: rpc.Call) -> Any:
    """`tasks.tree`: the whole tree that a task is in."""
    params = _params(call, TaskParams, task_id="root_id")
    tree, _ = await _read(context, params.task_id)
    return await _whole(context, tree, tree.root_id)


async def children(context: Context, call: rpc.Call) -> Any:
    """`tasks.children`: what stands directly under a task."""
    params = _params(call, TaskParams, task_id="parent_id")
    tree, states = await _read(context, params.task_id)
    found = [task for task in tree.tasks if task.parent_id == params.task_id]
    return [convert.wire_task(tree, task, states[task.id]) for task in found]


async def list_tasks(context: Context, call: rpc.Call) -> Any:
    """`tasks.list`: tasks, newest first."""
    return await find_tasks(context, _params(call, ListParams))


async def find_tasks(context: Context, params: ListParams) -> list[dict[str, Any]]:
    """Return tasks as JSON: of the user named, else of who is logged in, else of everyone."""
    user_id = params.user_id or context.owner
    trees = context.engine.task_trees
    found: list[dict[str, Any]] = []
    offset, passed = 0, 0
    while True:
        page = await trees.page(context.caller, user_id=user_id, offset=offset, owner=context.owner, limit=SCANNED)
        for tree in page.items:
            tasks = [task for task in tree.tasks if not params.root_only or task.parent_id is None]
            if params.status is None and passed + len(tasks) <= params.offset:
                passed += len(tasks)
                continue
            states = await trees.states(context.caller, tree)
            for task in tasks:
                state = states[task.id]
                if params.status not in (None, convert.status_of(state)):
                    continue
                passed += 1
                if passed > params.offset:
                    found.append(convert.wire_task(tree, task, state))
                if len(found) == params.limit:
                    return found
        offset += SCANNED
        if offset >= page.total:
            return found


async def list_running(context: Context, call: rpc.Call) -> Any:
    """`tasks.running.list`: the tasks that are being done."""
    params = _params(call, ListParams)
    return (await _running(context, params))[: params.limit]


async def count_running(context: Context, call: rpc.Call) -> Any:
    """`tasks.running.count`: how many tasks are being done."""
    params = _params(call, ListParams)
    count = len(await _running(context, params))
    return {"count": count} | ({"user_id": params.user_id} if params.user_id else {})


async def _running(context: Context, params: ListParams) -> list[dict[str, Any]]:
    user_id = params.user_id or context.owner
    found = []
    for tree in await context.engine.task_trees.live(context.caller, owner=context.owner):
        if user_id is not None and tree.user_id != user_id:
            continue
        states = await context.engine.task_trees.states(context.caller, tree)
        busy = [task for task in tree.tasks if convert.status_of(states[task.id]) == "in_progress"]
        found += [convert.wire_task(tree, task, states[task.id]) for task in busy]
    return found


async def statuses(context: Context, call: rpc.Call) -> Any:
    """`tasks.running.status`: where some tasks stand; those that are not there say so."""
    params = _params(call, ManyParams, task_ids="context_ids")
    found = []
    for task_id in params.task_ids:
        try:
            tree, states = await _read(context, task_id)
        except err.NotFound:
            found.append({"task_id": task_id, "context_id": task_id, "status": "not_found", "progress": 0.0})
            continue
        wire = convert.view_status(tree, task_id, states[task_id]).model_dump(mode="json")
        found.append({**wire, "context_id": task_id, "is_running": wire["status"] == "in_progress"})
    return found


async def _read(context: Context, task_id: str) -> tuple[TaskTree, dict[str, State]]:
    tree = await context.engine.task_trees.find(context.caller, task_id, owner=context.owner)
    return tree, await context.engine.task_trees.states(context.caller, tree)


async def _whole(context: Context, tree: TaskTree, task_id: str) -> dict[str, Any]:
    return convert.wire_tree(tree, await context.engine.task_trees.states(context.caller, tree), task_id)


# -- changing


async def update(context: Context, call: rpc.Call) -> Any:
    """`tasks.update`: change some fields of a task."""
    given = dict(call.params) if isinstance(call.params, dict) else {}
    named = _params(call, TaskParams, task_id="id")
    changes = {name: value for name, value in given.items() if name not in ("task_id", "id")}
    known = {name: value for name, value in changes.items() if name in UpdateParams.model_fields}
    valid = _params(replace(call, params=known), UpdateParams).to_changes()
    others = {name: value for name, value in changes.items() if name not in known}
    trees = context.engine.task_trees
    tree = await trees.update(context.caller, named.task_id, {**others, **valid}, owner=context.owner)
    states = await trees.states(context.caller, tree)
    return convert.wire_task(tree, tree.by_id[named.task_id], states[named.task_id])


async def delete(context: Context, call: rpc.Call) -> Any:
    """`tasks.delete`: delete a task with its children."""
    params = _params(call, DeleteParams, task_id="id")
    gone = await context.engine.task_trees.delete(
        context.caller, params.task_id, force=params.force, owner=context.owner
    )
    counts = {"deleted_count": len(gone), "children_deleted": len(gone) - 1}
    return {"success": True, "task_id": params.task_id, **counts}


async def copy(context: Context, call: rpc.Call) -> Any:
    """`tasks.copy`: a tree of its own, to be executed."""
    params = _params(call, TaskParams, task_id="id")
    tree_id = context.note.resource_id if context.note else None
    trees = context.engine.task_trees
    tree = await trees.copy(context.caller, params.task_id, tree_id=tree_id, owner=context.owner)
    return await _whole(context, tree, tree.root_id)


async def cancel(context: Context, call: rpc.Call) -> Any:
    """`tasks.cancel`: end the runs of some tasks; of a root that of its whole tree."""
    params = _params(call, ManyParams, task_ids="context_ids")
    return [await _cancel(context, task_id, params) for task_id in params.task_ids]


async def _cancel(context: Context, task_id: str, params: ManyParams) -> dict[str, Any]:
    answer: dict[str, Any] = {"task_id": task_id, "force": params.force, "token_usage": None, "result": None}
    try:
        tree, states = await _read(context, task_id)
    except err.NotFound as error:
        return {**answer, "status": "error", "message": str(error)}
    state = states[task_id]
    run_id = state.run_id if task_id == tree.root_id else state.child_run_id
    status = convert.status_of(state)
    if run_id is None or status in convert.OVER:
        text = f"Task {task_id} is {status}" + ("; nothing is under way" if run_id is None else ", cannot cancel")
        return {**answer, "status": "failed", "message": text}
    try:
        await context.engine.commands.cancel(context.caller, run_id, reason=params.error_message)
        run = await _see_end(context, run_id)
    except (err.InvalidTransition, err.NotFound) as error:
        return {**answer, "status": "failed", "message": str(error)}
    spent = run.metrics
    usage = {name: getattr(spent, name) for name in ("total_tokens", "prompt_tokens", "completion_tokens")}
    if run.is_terminal and run.status != "cancelled":
        return {**answer, "status": "failed", "message": f"Task {task_id} was {run.status} before that"}
    text = "Task cancelled successfully" if run.is_terminal else "The cancellation was accepted and takes effect soon"
    return {**answer, "status": "cancelled", "message": text, "token_usage": usage}


async def _see_end(context: Context, run_id: str) -> Run:
    """Return the run once it has ended, or as it is after `CANCEL_S`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CANCEL_S), aclosing(context.engine.tail(context.caller, run_id)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    break
    return (await context.engine.reading.detail(context.caller, run_id)).run


Method = Callable[[Context, rpc.Call], Awaitable[Any]]


def _table(*rows: tuple[Sequence[str], Method, Permission]) -> dict[str, tuple[Method, Permission]]:
    return {name: (method, permission) for names, method, permission in rows for name in _prefixed(names)}


def _prefixed(names: Iterable[str]) -> list[str]:
    return [name if "_" in name else f"tasks.{name}" for name in names]


METHODS = _table(
    (["create"], create, Permission.RUN),
    (["execute"], execute, Permission.RUN),
    (["execute_task_tree"], execute_tree, Permission.RUN),
    (["update"], update, Permission.RUN),
    (["delete"], delete, Permission.RUN),
    (["copy"], copy, Permission.RUN),
    (["cancel", "running.cancel"], cancel, Permission.RUN),
    (["get", "detail"], get, Permission.READ),
    (["tree"], get_tree, Permission.READ),
    (["children"], children, Permission.READ),
    (["list"], list_tasks, Permission.READ),
    (["running.list"], list_running, Permission.READ),
    (["running.count"], count_running, Permission.READ),
    (["running.status"], statuses, Permission.READ),
)
"""What can be called, and what a caller needs to be allowed."""
CREATING = frozenset({"tasks.create", "tasks.execute", "tasks.copy", "execute_task_tree"})
