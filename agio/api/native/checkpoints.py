"""Checkpoints: look, annotate, compare, and go on from them."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.attach import stream_example
from agio.api.native.onward import Call, answer_with, branch_off, fan_out, find_checkpoint, rewind
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
    view_plan,
)
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.api.sse import EVENT_SCHEMA, LastEventIdText, parse_last_event_id
from agio.domain.access import Permission
from agio.domain.errors import Invalid

router = APIRouter(tags=["checkpoints"])

RunPath = Annotated[str, Path(max_length=128, description="The run's id.")]
CheckpointPath = Annotated[str, Path(max_length=128, description="The checkpoint's id.", examples=["my-run-1.7"])]
LastEventId = Annotated[
    LastEventIdText, Header(description="Read the stream on from there (repeated request under an `Idempotency-Key`).")
]

MARKED: dict[int | str, dict[str, Any]] = {202: {"description": "The run goes on.", "model": PendingMark}}
CONTINUED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "With `stream`: the run's events.",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": stream_example()}},
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
            return answer_with(PendingMark(run_id=run_id, message="the run will mark its next checkpoint"), 202)
        return answer_with(view_checkpoint_row(made, superseded=False), 201, location=f"/api/checkpoints/{made.id}")

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
    found = await find_checkpoint(engine, caller, checkpoint_id)
    given = body.model_dump(exclude_unset=True)
    label, tags = given.get("label", found.label), given.get("tags", found.tags)
    made = await engine.store.annotate_checkpoint(caller.group_id, checkpoint_id, label=label, tags=tags)
    standing = await engine.sessions.standing(caller, made)
    return view_checkpoint_row(made, superseded=standing.superseded)


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
    before = against or (await find_checkpoint(engine, caller, checkpoint_id)).parent_id
    if before is None:
        raise Invalid("the checkpoint has no parent; name another one", field="against")
    return view_diff(await engine.reading.diff(caller, checkpoint_id, before), checkpoint_id, before)


@router.post(
    "/checkpoints/{checkpoint_id}/plan",
    operation_id="planFork",
    summary="See what a fork would do",
    responses=documented(404),
)
@needs(Permission.READ)
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
    go_on = branch_off if wish.create_new_run else rewind
    call = Call(request, engine, caller, wish.stream, _place(last_event_id))
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
    call = Call(request, engine, caller, wish.stream, _place(last_event_id))
    if wish.variants is None:
        return await branch_off(call, fork)
    if wish.stream or wish.run_id:
        field = "stream" if wish.stream else "run_id"
        raise Invalid("variants are several runs; follow each one by the id that the answer names", field=field)
    return await fan_out(call, fork, [fork.modifications | variant.to_domain() for variant in wish.variants])


def _place(last_event_id: str | None) -> int | None:
    cursor = parse_last_event_id(last_event_id)
    return cursor[1] if cursor else None
