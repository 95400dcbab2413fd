"""Chat: a message in, a run's events or its answer out."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep, get_answer_timeout
from agio.api.native.attach import attach, stream_example
from agio.api.native.schemas.common import SESSION_ID
from agio.api.native.schemas.runs import ChatAnswer, ChatBody, MetricsView
from agio.api.once import KEYED
from agio.api.problems import documented, problem
from agio.api.sse import EVENT_SCHEMA, IdStyle, LastEventIdText, parse_last_event_id
from agio.api.starting import get_followed, start_once
from agio.api.waiting import wait_for
from agio.domain.access import Permission
from agio.domain.ids import new_id
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.caller import Caller
from agio.engine.engine import Engine

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
    run, repeated = await start_once(request, engine, caller, body.to_request, wanted_id=body.run_id)
    if not body.stream:
        return await answer_when_done(request, engine, caller, run)
    return await attach(engine, caller, run, after=cursor[1] if cursor and repeated else 0, style="seq")


@router.get(
    "/chat",
    operation_id="chatByQuery",
    summary="Send a message to an agent, from a native EventSource",
    responses=STREAMED | documented(404, 409),
    response_model=None,
)
@needs(Permission.RUN)
async def chat_by_query(
    engine: EngineDep,
    caller: CallerDep,
    agent_id: Annotated[str, Query(min_length=1, max_length=64)],
    message: Annotated[str, Query(min_length=1, max_length=20_000, pattern=r"\S")],
    session_id: Annotated[str | None, Query(pattern=SESSION_ID)] = None,
    run_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
    last_event_id: Annotated[LastEventIdText, Header()] = None,
) -> Response:
    """Start a run and stream it; a reconnect with `Last-Event-ID` re-attaches and starts nothing."""
    cursor = parse_last_event_id(last_event_id)
    style: IdStyle = "run/seq"
    if cursor is not None:
        run = await get_followed(engine, caller, cursor[0] or run_id, last_event_id)
        return await attach(engine, caller, run, after=cursor[1], style=style)
    body = ChatBody(agent_id=agent_id, message=message, session_id=session_id, run_id=run_id)
    run = await engine.starting.start(caller, body.to_request(run_id or new_id()))
    return await attach(engine, caller, run, after=0, style=style)


async def answer_when_done(request: Request, engine: Engine, caller: Caller, run: Run) -> Response:
    """Wait until the run ends or rests, and answer with what it says."""
    limit_s = get_answer_timeout(request)
    seen = await wait_for(request, engine, caller, run, limit_s=limit_s, through_rests=False)
    if seen.why == "late":
        text = f"there is no answer after {limit_s:g} s; the run goes on, and its events tell how"
        return problem(request, 504, "answer_timeout", text, run_id=run.id, session_id=run.session_id)
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
