"""Chat: a message in, a run's events or its answer out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep
from agio.api.native.attach import attach, stream_example
from agio.api.native.schemas.runs import ChatAnswer, ChatBody, MetricsView
from agio.api.once import KEYED, reserve
from agio.api.problems import documented, problem
from agio.api.sse import EVENT_SCHEMA, IdStyle, LastEventIdText, parse_last_event_id
from agio.domain.errors import AlreadyExists, Invalid, NotFound
from agio.domain.events import RESTING_EVENTS
from agio.domain.ids import new_id
from agio.domain.runs import Run
from agio.domain.status import RESTING, RunStatus
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.hub import Published
from agio.engine.tail import Draining

router = APIRouter(tags=["chat"])

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The run's events; or, with `stream: false`, its answer.",
        "content": {
            "text/event-stream": {"schema": EVENT_SCHEMA, "example": stream_example()},
            "application/json": {"schema": {"$ref": "#/components/schemas/ChatAnswer"}},
        },
    },
    202: {"description": "Not streamed, and the run paused or waits.", "model": ChatAnswer},
    204: {"description": "Repeated, and nothing is left behind the given id."},
}


@router.post(
    "/chat",
    operation_id="chat",
    summary="Send a message to an agent",
    responses=STREAMED | documented(404, 409, 500, 502, 504),
    response_model=None,
    dependencies=[KEYED],
)
async def chat(
    body: ChatBody,
    request: Request,
    engine: EngineDep,
    caller: CallerDep,
    last_event_id: Annotated[LastEventIdText, Header(description="Read on from there (repeated request).")] = None,
) -> Response:
    """Start a run and stream its events, or wait for its answer.

    With an `Idempotency-Key` a repeated request re-attaches to the run of the first one.
    """
    cursor = parse_last_event_id(last_event_id)
    note, repeated = await reserve(request, engine, caller, wanted_id=body.run_id)
    run_id = note.resource_id if note else body.run_id or new_id()
    run = await start_once(engine, caller, body, run_id, since=note.created_at if note else None, repeated=repeated)
    if not body.stream:
        return await answer_when_done(request, engine, caller, run)
    return await attach(engine, caller, run, after=cursor[1] if cursor and repeated else 0, style="seq")


async def start_once(
    engine: Engine, caller: Caller, body: ChatBody, run_id: str, *, since: datetime | None, repeated: bool
) -> Run:
    """Start the run, unless another request under the same key, noted at `since`, did."""

    async def there() -> Run | None:
        with suppress(NotFound):
            run = await engine.store.get_run(caller.group_id, run_id)
            if body.run_id is None or (since is not None and run.created_at >= since):
                return run
        return None

    if repeated and (run := await there()) is not None:  # else the first request died before it was accepted
        return run
    try:
        return await engine.starting.start(caller, body.to_request(run_id))
    except AlreadyExists:
        if (run := await there()) is None:
            raise
        return run


@router.get(
    "/chat",
    operation_id="chatByQuery",
    summary="Send a message to an agent, from a native EventSource",
    responses=STREAMED | documented(404, 409),
    response_model=None,
)
async def chat_by_query(
    engine: EngineDep,
    caller: CallerDep,
    agent_id: Annotated[str, Query(min_length=1, max_length=64)],
    message: Annotated[str, Query(min_length=1, max_length=20_000, pattern=r"\S")],
    session_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
    run_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
    last_event_id: Annotated[LastEventIdText, Header()] = None,
) -> Response:
    """Start a run and stream it; a reconnect with `Last-Event-ID` re-attaches and starts nothing."""
    cursor = parse_last_event_id(last_event_id)
    style: IdStyle = "run/seq"
    if cursor is not None:
        run = await _get_followed(engine, caller, cursor[0] or run_id, last_event_id)
        return await attach(engine, caller, run, after=cursor[1], style=style)
    body = ChatBody(agent_id=agent_id, message=message, session_id=session_id, run_id=run_id)
    run = await engine.starting.start(caller, body.to_request(run_id or new_id()))
    return await attach(engine, caller, run, after=0, style=style)


async def _get_followed(engine: Engine, caller: Caller, run_id: str | None, last_event_id: str | None) -> Run:
    """Return the run that a reconnect was following. A browser that is refused with 400 stops reconnecting."""
    text = f"{(last_event_id or '')[:80]!r} is not an event id of this stream"
    if run_id is None:
        raise Invalid(f"{text}: it has the form <run>/<seq>", field="Last-Event-ID")
    try:
        return await engine.store.get_run(caller.group_id, run_id)
    except NotFound:
        raise Invalid(f"{text}: there is no such run", field="Last-Event-ID") from None


async def answer_when_done(request: Request, engine: Engine, caller: Caller, run: Run) -> Response:
    """Wait until the run ends or rests, and answer with what it says."""
    await wait_until_settled(engine, caller, run)
    detail = await engine.reading.detail(caller, run.id)
    run = detail.run
    answer = ChatAnswer(
        run_id=run.id,
        session_id=run.session_id,
        branch_id=run.branch_id,
        response=detail.response,
        status=run.status,
        steps=run.metrics.steps,
        metrics=MetricsView.model_validate(run.metrics),
        pending_approvals=list(run.pending_approvals),
    )
    if run.status is RunStatus.FAILED:
        error = run.error or {}
        code = str(error.get("code", "internal_error"))
        status = 502 if code.startswith(("provider_", "context_")) else 500
        return problem(
            request,
            status,
            code,
            str(error.get("message", "the run failed")),
            retryable=bool(error.get("retryable")),
            run_id=run.id,
            session_id=run.session_id,
        )
    done = run.status in (RunStatus.COMPLETED, RunStatus.CANCELLED)
    return JSONResponse(answer.model_dump(mode="json"), 200 if done else 202)


async def wait_until_settled(engine: Engine, caller: Caller, run: Run) -> None:
    """Return when the run ended or rests, or this process stops."""
    async with aclosing(_settling(engine, caller, run)) as items:
        async for item in items:
            if isinstance(item, Draining):
                return
            if isinstance(item.entry.events[-1], RESTING_EVENTS):
                current = await engine.store.get_run(caller.group_id, run.id)
                if current.status in RESTING:
                    return


async def _settling(engine: Engine, caller: Caller, run: Run) -> AsyncGenerator[Published | Draining, None]:
    try:
        async with aclosing(engine.tail(caller, run.id)) as tail:
            async for item in tail:
                yield item
    finally:
        await engine.leave(caller, run.id)
