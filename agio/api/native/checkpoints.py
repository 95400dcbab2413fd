"""Checkpoints: look, annotate, compare, and go on from them."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from agio.api.context import CallerDep, EngineDep
from agio.api.native.attach import attach, stream_example
from agio.api.native.schemas.checkpoints import (
    AnnotationBody,
    CheckpointRow,
    CheckpointView,
    DiffView,
    ForkAnswer,
    ForkBody,
    ForkList,
    MarkBody,
    PendingMark,
    PlanBody,
    PlanView,
    RestoreBody,
    changes_of,
    view_checkpoint,
    view_checkpoint_row,
    view_diff,
    view_fork,
    view_plan,
)
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.once import KEYED, once, reserve
from agio.api.problems import documented
from agio.api.sse import parse_last_event_id
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import AlreadyExists, Invalid, InvalidTransition, NotFound
from agio.domain.ids import checkpoint_id as place
from agio.domain.ids import new_id, split_checkpoint_id
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.continuing import ForkRequest
from agio.engine.creation import get_run
from agio.engine.engine import Engine

router = APIRouter(tags=["checkpoints"])

RunPath = Annotated[str, Path(max_length=128, description="The run's id.")]
CheckpointPath = Annotated[str, Path(max_length=128, description="The checkpoint's id.", examples=["my-run-1.7"])]
LastEventId = Annotated[
    str | None, Header(description="Read the stream on from there (repeated request under an `Idempotency-Key`).")
]

MARKED: dict[int | str, dict[str, Any]] = {202: {"description": "The run goes on.", "model": PendingMark}}
CONTINUED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "With `stream`: the run's events.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": stream_example()}},
    },
    204: {"description": "Repeated, and nothing is left behind the given id."},
}


@router.get(
    "/checkpoints/runs/{run_id}/checkpoints",
    operation_id="listCheckpoints",
    summary="List a run's checkpoints",
    responses=documented(404),
)
@router.get(
    "/runs/{run_id}/checkpoints",
    operation_id="runCheckpoints",
    summary="List a run's checkpoints",
    responses=documented(404),
)
async def list_checkpoints(
    run_id: RunPath, engine: EngineDep, caller: CallerDep, limit: Limit = 100, offset: Offset = 0
) -> ListOf[CheckpointRow]:
    """In the order in which they were made: by attempt, then by step."""
    page, superseded = await engine.reading.checkpoints(caller, run_id, limit=limit, offset=offset)
    rows = [view_checkpoint_row(one, superseded=one.id in superseded) for one in page.items]
    return listed(rows, page.total, limit, offset)


@router.post(
    "/checkpoints/runs/{run_id}/checkpoints",
    operation_id="markCheckpoint",
    summary="Mark the present state",
    status_code=201,
    response_model=CheckpointRow,
    responses=MARKED | documented(404, 409),
    dependencies=[KEYED],
)
@router.post(
    "/runs/{run_id}/checkpoints",
    operation_id="markRunCheckpoint",
    summary="Mark the present state",
    status_code=201,
    response_model=CheckpointRow,
    responses=MARKED | documented(404, 409),
    dependencies=[KEYED],
)
async def mark_checkpoint(
    run_id: RunPath, request: Request, engine: EngineDep, caller: CallerDep, body: MarkBody | None = None
) -> Response:
    """Labels the last checkpoint of a run that rests or ended; a run that works makes one at its next safe point."""
    wish = body or MarkBody()

    async def make(_: str) -> Response:
        made = await engine.commands.mark(caller, run_id, label=wish.label or wish.description, tags=tuple(wish.tags))
        if made is None:
            return _answer(PendingMark(run_id=run_id, message="the run will mark its next checkpoint"), 202)
        return _answer(view_checkpoint_row(made, superseded=False), 201, location=f"/api/checkpoints/{made.id}")

    return await once(request, engine, caller, make)


@router.get(
    "/checkpoints/{checkpoint_id}",
    operation_id="getCheckpoint",
    summary="Read the whole state at a checkpoint",
    responses=documented(404),
)
async def get_checkpoint(checkpoint_id: CheckpointPath, engine: EngineDep, caller: CallerDep) -> CheckpointView:
    """Messages, plan, metrics, the agent as it was, and where it all comes from."""
    state = await engine.reading.state_at(caller, checkpoint_id)
    return view_checkpoint(state, await engine.sessions.standing(caller, state.checkpoint))


@router.patch(
    "/checkpoints/{checkpoint_id}",
    operation_id="annotateCheckpoint",
    summary="Label a checkpoint",
    responses=documented(404),
)
async def annotate_checkpoint(
    checkpoint_id: CheckpointPath, body: AnnotationBody, engine: EngineDep, caller: CallerDep
) -> CheckpointRow:
    """Label and tags are the only thing of it that can change."""
    found = await _find(engine, caller, checkpoint_id)
    given = body.model_dump(exclude_unset=True)
    label, tags = given.get("label", found.label), given.get("tags", found.tags)
    made = await engine.store.annotate_checkpoint(caller.group_id, checkpoint_id, label=label, tags=tags)
    standing = await engine.sessions.standing(caller, made)
    return view_checkpoint_row(made, superseded=standing.superseded)


async def _find(engine: Engine, caller: Caller, checkpoint_id: str) -> Checkpoint:
    try:
        return await engine.store.get_checkpoint(caller.group_id, checkpoint_id)
    except NotFound:
        raise NotFound(f"there is no checkpoint {checkpoint_id!r}") from None


@router.get(
    "/checkpoints/{checkpoint_id}/diff",
    operation_id="diffCheckpoints",
    summary="Compare two checkpoints",
    responses=documented(404),
)
async def diff_checkpoints(
    checkpoint_id: CheckpointPath,
    engine: EngineDep,
    caller: CallerDep,
    against: Annotated[
        str | None, Query(max_length=128, description="The checkpoint before; left out: its parent.")
    ] = None,
) -> DiffView:
    """What was added, removed and changed on the way from `against` to this one."""
    before = against or (await _find(engine, caller, checkpoint_id)).parent_id
    if before is None:
        raise Invalid("the checkpoint has no parent; name another one", field="against")
    return view_diff(await engine.reading.diff(caller, checkpoint_id, before), checkpoint_id, before)


@router.post(
    "/checkpoints/{checkpoint_id}/plan",
    operation_id="planFork",
    summary="See what a fork would do",
    responses=documented(404),
)
async def plan_fork(
    checkpoint_id: CheckpointPath, engine: EngineDep, caller: CallerDep, body: PlanBody | None = None
) -> PlanView:
    """A dry run: nothing is written, no model is asked."""
    origin = await engine.continuing.origin(caller, checkpoint_id, changes_of(body.modifications if body else None))
    return view_plan(await engine.reading.plan_report(caller, origin))


@router.post(
    "/checkpoints/{checkpoint_id}/restore",
    operation_id="restoreCheckpoint",
    summary="Go back to a checkpoint",
    status_code=201,
    response_model=ForkAnswer,
    responses=CONTINUED | documented(404, 409),
    dependencies=[KEYED],
)
async def restore_checkpoint(
    checkpoint_id: CheckpointPath,
    request: Request,
    engine: EngineDep,
    caller: CallerDep,
    body: RestoreBody | None = None,
    last_event_id: LastEventId = None,
) -> Response:
    """A new run goes on from there, and the session stands on its branch; or the run itself is rewound."""
    wish = body or RestoreBody()
    go_on = _branch_off if wish.create_new_run else _rewind
    call = _Call(request, engine, caller, wish.stream, last_event_id)
    return await go_on(call, wish.to_request(checkpoint_id))


@router.post(
    "/checkpoints/{checkpoint_id}/fork",
    operation_id="forkCheckpoint",
    summary="Fork a checkpoint",
    status_code=201,
    response_model=ForkAnswer | ForkList,
    responses=CONTINUED | documented(404, 409),
    dependencies=[KEYED],
)
async def fork_checkpoint(
    checkpoint_id: CheckpointPath,
    request: Request,
    engine: EngineDep,
    caller: CallerDep,
    body: ForkBody | None = None,
    last_event_id: LastEventId = None,
) -> Response:
    """A new run goes on from there on a branch of its own; the source stays as it is. With `variants`: several."""
    wish = body or ForkBody()
    fork = wish.to_request(checkpoint_id)
    call = _Call(request, engine, caller, wish.stream, last_event_id)
    if wish.variants is None:
        return await _branch_off(call, fork)
    if wish.stream or wish.run_id:
        field = "stream" if wish.stream else "run_id"
        raise Invalid("variants are several runs; follow each one by the id that the answer names", field=field)
    return await _fan_out(call, fork, [fork.modifications | variant.to_domain() for variant in wish.variants])


@dataclass(frozen=True, slots=True)
class _Call:
    """A request to go on from a checkpoint."""

    request: Request
    engine: Engine
    caller: Caller
    stream: bool
    last_event_id: str | None

    async def follow(self, run: Run, *, after: int, repeated: bool) -> Response:
        """Answer with the run's events; a repeated request may read on."""
        cursor = parse_last_event_id(self.last_event_id) if repeated else None
        return await attach(self.engine, self.caller, run, after=cursor[1] if cursor else after, style="seq")


async def _branch_off(call: _Call, fork: ForkRequest) -> Response:
    note, repeated = await reserve(call.request, call.engine, call.caller, wanted_id=fork.run_id)
    since = note.created_at if note else None
    if call.stream:
        run_id = note.resource_id if note else fork.run_id or new_id()
        run = await _fork_once(call, replace(fork, run_id=run_id), since)
        return await call.follow(run, after=0, repeated=repeated)

    async def make(run_id: str) -> Response:
        run = await _fork_once(call, replace(fork, run_id=run_id), since)
        return _answer(view_fork(run, fork), 201, location=f"/api/runs/{run.id}")

    return await once(call.request, call.engine, call.caller, make, wanted_id=fork.run_id)


async def _fork_once(call: _Call, fork: ForkRequest, since: datetime | None) -> Run:
    """Begin the new run, unless a request under the same key, noted at `since`, was faster."""
    try:
        return await call.engine.continuing.branch_off(call.caller, fork)
    except AlreadyExists:
        with suppress(NotFound):  # another group's run has the id
            run = await get_run(call.engine.store, call.caller, fork.run_id or "")
            if since is not None and run.created_at >= since:
                return run
        raise


async def _fan_out(call: _Call, fork: ForkRequest, variants: list[dict[str, Any]]) -> Response:
    """Begin a run per variant; all of them are checked before the first one begins."""
    for number, changes in enumerate(variants):
        try:
            await call.engine.continuing.origin(call.caller, fork.checkpoint_id, changes)
        except Invalid as error:
            name = (error.field or "").removeprefix("modifications.")
            raise Invalid(str(error), field=f"variants.{number}.{name}") from error
    note, _ = await reserve(call.request, call.engine, call.caller)
    since = note.created_at if note else None

    async def make(base_id: str) -> Response:
        items = []
        for number, changes in enumerate(variants):
            one = replace(fork, run_id=f"{base_id}-{number}", modifications=changes)
            items.append(view_fork(await _fork_once(call, one, since), fork))
        return _answer(ForkList(items=items, total=len(items)), 201)

    return await once(call.request, call.engine, call.caller, make)


async def _rewind(call: _Call, fork: ForkRequest) -> Response:
    """Begin a new attempt of the checkpoint's own run."""
    if fork.run_id is not None:
        raise Invalid("without a new run there is no id to choose", field="run_id")
    checkpoint = await _find(call.engine, call.caller, fork.checkpoint_id)
    head = await call.engine.store.head(call.caller.group_id, checkpoint.run_id)
    # Where the journal ended before is noted with the key: a repeated stream begins there too.
    wanted_id = place(checkpoint.run_id, head)
    note, repeated = await reserve(call.request, call.engine, call.caller, wanted_id=wanted_id)
    since = note.created_at if note else None
    if call.stream:
        parts = split_checkpoint_id(note.resource_id) if note else None
        run = await _rewind_once(call, fork, since)
        return await call.follow(run, after=parts[1] if parts else head, repeated=repeated)

    async def make(_: str) -> Response:
        run = await _rewind_once(call, fork, since)
        return _answer(view_fork(run, fork), 201, location=f"/api/runs/{run.id}")

    return await once(call.request, call.engine, call.caller, make, wanted_id=wanted_id)


async def _rewind_once(call: _Call, fork: ForkRequest, since: datetime | None) -> Run:
    """Rewind the run, unless a request under the same key, noted at `since`, was faster."""
    if (run := await _rewound(call, fork, since)) is not None:
        return run
    try:
        return await call.engine.continuing.rewind(call.caller, fork)
    except InvalidTransition:
        run = await _rewound(call, fork, since)
        if run is None:
            raise
        return run


async def _rewound(call: _Call, fork: ForkRequest, since: datetime | None) -> Run | None:
    if since is None:
        return None
    run_id = (await _find(call.engine, call.caller, fork.checkpoint_id)).run_id
    run = await get_run(call.engine.store, call.caller, run_id)
    branch = (await call.engine.store.lineage(call.caller.group_id, run.branch_id))[0]
    return run if branch.from_checkpoint_id == fork.checkpoint_id and branch.created_at >= since else None


def _answer(view: BaseModel, status: int, *, location: str | None = None) -> JSONResponse:
    return JSONResponse(view.model_dump(mode="json"), status, {"Location": location} if location else None)
