"""Runs: start, look, follow, command."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep
from agio.api.native.attach import attach, stream_example
from agio.api.native.onward import retry_once
from agio.api.native.schemas.common import Limit, ListOf, Offset, When, as_utc, listed
from agio.api.native.schemas.runs import (
    CancelBody,
    ChatBody,
    CommandAnswer,
    PauseBody,
    ResumeBody,
    RunRow,
    RunView,
    view_command,
    view_row,
    view_run,
)
from agio.api.native.schemas.traces import EventList, MessageView, Span, StepView, view_message, view_step, view_trace
from agio.api.once import KEYED, once, reserve
from agio.api.problems import documented
from agio.api.sse import EVENT_SCHEMA, LastEventIdText, last_id, parse_last_event_id, wire_events
from agio.api.starting import start_once
from agio.domain.errors import Invalid
from agio.domain.journal import behind
from agio.domain.runs import Run, RunFilter
from agio.domain.status import RunStatus
from agio.engine.caller import Caller
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.creation import get_run
from agio.engine.engine import Engine

router = APIRouter(prefix="/runs", tags=["runs"])

FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events: as a stream, or as a list with `Accept: application/json`.",
        "content": {
            "text/event-stream": {"schema": EVENT_SCHEMA, "example": stream_example()},
            "application/json": {"schema": {"$ref": "#/components/schemas/EventList"}},
        },
    },
    204: {"description": "The run has ended and nothing is left behind the given id."},
}

RunPath = Annotated[str, Path(max_length=128, description="The run's id.")]


@router.get("", operation_id="listRuns", summary="List runs, newest first", responses=documented())
async def list_runs(
    engine: EngineDep,
    caller: CallerDep,
    status: Annotated[list[RunStatus] | None, Query(description="May be given several times.")] = None,
    agent_id: Annotated[str | None, Query(max_length=64)] = None,
    session_id: Annotated[str | None, Query(max_length=128)] = None,
    parent_run_id: Annotated[str | None, Query(max_length=64)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Occurs in the id, input or agent.")] = None,
    since: When | None = None,
    until: When | None = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    sort: Literal["-created_at", "created_at"] = "-created_at",
    limit: Limit = 20,
    offset: Offset = 0,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the last page.")] = None,
) -> ListOf[RunRow]:
    """Rows carry no payloads."""
    where = RunFilter(
        statuses=frozenset(status) if status else None,
        agent_id=agent_id,
        session_id=session_id,
        parent_run_id=parent_run_id,
        text=q,
        since=as_utc(since),
        until=as_utc(until),
        tag=tag,
    )
    page = await engine.store.list_runs(
        caller.group_id, where, limit=limit, offset=offset, cursor=cursor, newest_first=sort.startswith("-")
    )
    return listed([view_row(run) for run in page.items], page.total, limit, offset, page.next_cursor)


@router.post(
    "",
    operation_id="startRun",
    summary="Start a run without a stream",
    status_code=202,
    response_model=RunView,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def start_run(body: ChatBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """The body is that of `POST /chat`; `stream` does not matter."""
    run, _ = await start_once(request, engine, caller, body.to_request, wanted_id=body.run_id)
    view = view_run(await engine.reading.detail(caller, run.id))
    return JSONResponse(view.model_dump(mode="json"), 202, {"Location": f"/api/runs/{run.id}"})


@router.get("/{run_id}", operation_id="getRun", summary="Look at a run", responses=documented(404))
async def get_one(run_id: RunPath, engine: EngineDep, caller: CallerDep) -> RunView:
    """Everything about it but its events."""
    return view_run(await engine.reading.detail(caller, run_id))


@router.delete(
    "/{run_id}",
    operation_id="deleteRun",
    summary="Delete an ended run",
    status_code=204,
    responses=documented(404, 409),
)
async def delete_run(
    run_id: RunPath,
    engine: EngineDep,
    caller: CallerDep,
    cascade: Annotated[bool, Query(description="Delete what depends on it too.")] = False,
) -> None:
    """Refused while a fork or a later turn depends on its history, unless `cascade`."""
    await engine.commands.delete(caller, run_id, cascade=cascade)


@router.get(
    "/{run_id}/events",
    operation_id="runEvents",
    summary="Follow a run's events",
    response_model=None,
    responses=FOLLOWED | documented(400, 404),
)
async def run_events(
    run_id: RunPath,
    engine: EngineDep,
    caller: CallerDep,
    after: Annotated[int, Query(ge=0, le=10**15, description="Only events behind this one.")] = 0,
    follow: Annotated[bool, Query(description="False: replay and end.")] = True,
    limit: Annotated[int, Query(ge=1, le=1000, description="Of the JSON list.")] = 100,
    last_event_id: Annotated[LastEventIdText, Header(description="Wins over `after`.")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Replays what happened, then goes on live until the run ends; a paused run's stream stays open."""
    run = await get_run(engine.store, caller, run_id)
    cursor = parse_last_event_id(last_event_id)
    if cursor is not None and cursor[0] not in (None, run_id):
        raise Invalid("that event id is of another run", field="Last-Event-ID")
    after = cursor[1] if cursor else after
    if "application/json" in accept and "text/event-stream" not in accept:
        return await _event_list(engine, caller, run, after, limit)
    return await attach(engine, caller, run, after=after, style="seq", follow=follow)


async def _event_list(engine: Engine, caller: Caller, run: Run, after: int, limit: int) -> Response:
    entries = await engine.store.read_entries(caller.group_id, run.id, after=after, limit=limit)
    found = [item for entry in entries for item in wire_events(behind(entry, after))][:limit]
    last = last_id(found[-1]) if found else after
    head = await engine.store.head(caller.group_id, run.id)
    events = EventList(items=found, total=head, limit=limit, after=after, next_after=last, has_more=last < head)
    return JSONResponse(events.model_dump(mode="json"))


@router.get("/{run_id}/steps", operation_id="runSteps", summary="List a run's steps", responses=documented(404))
async def run_steps(
    run_id: RunPath, engine: EngineDep, caller: CallerDep, limit: Limit = 100, offset: Offset = 0
) -> ListOf[StepView]:
    """With timings, usage and tool calls."""
    steps = await engine.reading.steps(caller, run_id)
    rows = [view_step(step) for step in steps[offset : offset + limit]]
    return listed(rows, len(steps), limit, offset)


@router.get(
    "/{run_id}/messages", operation_id="runMessages", summary="Read the conversation", responses=documented(404)
)
async def run_messages(
    run_id: RunPath, engine: EngineDep, caller: CallerDep, limit: Limit = 100, offset: Offset = 0
) -> ListOf[MessageView]:
    """Up to the run's last checkpoint, what came before the run included."""
    messages = await engine.reading.messages(caller, run_id)
    rows = [view_message(message) for message in messages[offset : offset + limit]]
    return listed(rows, len(messages), limit, offset)


@router.get(
    "/{run_id}/trace",
    operation_id="runTrace",
    summary="Read a run as a span tree",
    response_model=Span,
    responses=documented(404),
)
async def run_trace(
    run_id: RunPath,
    engine: EngineDep,
    caller: CallerDep,
    after: Annotated[int, Query(ge=0, le=10**15, description="A `through_seq`: only steps that begin behind it.")] = 0,
    limit: Annotated[
        int | None, Query(ge=1, le=100_000, description="Enough events; the step that they end in is whole.")
    ] = None,
) -> Response:
    """Run → step → model or tool call; and child runs, of a workflow or of an agent with coworkers.

    The run's attributes say how far its steps are whole (`through_seq`, to go on from) and whether `limit` ended the
    reading there (`has_more`).
    """
    trace = await engine.trees.trace(caller, run_id, after=after, limit=limit)
    span = view_trace(trace)
    span.attributes |= {"through_seq": trace.through_seq, "has_more": trace.has_more}
    return Response(span.model_dump_json(), media_type="application/json")


ACCEPTED: dict[int | str, dict[str, Any]] = {200: {"description": "It is so already.", "model": CommandAnswer}}


def _answer(run: Run, *, done: bool, already: str, asked: str) -> Response:
    view = view_command(run, already if done else asked)
    return JSONResponse(view.model_dump(mode="json"), 200 if done else 202)


@router.post(
    "/{run_id}/pause",
    operation_id="pauseRun",
    summary="Pause a run",
    status_code=202,
    response_model=CommandAnswer,
    responses=ACCEPTED | documented(404, 409),
)
async def pause_run(run_id: RunPath, engine: EngineDep, caller: CallerDep, body: PauseBody | None = None) -> Response:
    """It rests at its next safe point, holds nothing, and survives restarts."""
    wish = body or PauseBody()
    run = await engine.commands.pause(caller, run_id, mode=wish.mode, reason=wish.reason)
    done = run.status is RunStatus.PAUSED
    return _answer(run, done=done, already="the run is paused", asked="the run will pause")


@router.post(
    "/{run_id}/resume",
    operation_id="resumeRun",
    summary="Resume a run",
    status_code=202,
    response_model=CommandAnswer,
    responses=documented(404, 409),
)
async def resume_run(
    run_id: RunPath, engine: EngineDep, caller: CallerDep, body: ResumeBody | None = None
) -> CommandAnswer:
    """Goes on with the same run and the same event stream; may answer approvals on the way."""
    wish = body or ResumeBody()
    request = ResumeRequest(
        verdicts=tuple(Verdict(**one.model_dump()) for one in wish.approvals),
        message=wish.message,
        tool_results=dict(wish.tool_results),
        retry_tools=tuple(wish.retry_tools),
    )
    run = await engine.commands.resume(caller, run_id, request)
    return view_command(run, "the run will go on")


@router.post(
    "/{run_id}/cancel",
    operation_id="cancelRun",
    summary="Cancel a run",
    status_code=202,
    response_model=CommandAnswer,
    responses=ACCEPTED | documented(404, 409),
)
async def cancel_run(run_id: RunPath, engine: EngineDep, caller: CallerDep, body: CancelBody | None = None) -> Response:
    """Aborts the model call and the tools; works in every status but the other ends."""
    run = await engine.commands.cancel(caller, run_id, reason=body.reason if body else None)
    done = run.status is RunStatus.CANCELLED
    return _answer(run, done=done, already="the run is cancelled", asked="the run will be cancelled")


@router.post(
    "/{run_id}/retry",
    operation_id="retryRun",
    summary="Retry a failed or interrupted run",
    status_code=202,
    response_model=RunView,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def retry_run(run_id: RunPath, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """A new attempt of the same run, from its last checkpoint."""

    note, _ = await reserve(request, engine, caller)

    async def make(_: str) -> Response:
        run = await retry_once(engine, caller, run_id, note.created_at if note else None)
        view = view_run(await engine.reading.detail(caller, run.id))
        return JSONResponse(view.model_dump(mode="json"), 202)

    return await once(request, engine, caller, make)
