"""Kawai's routes."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from sse_starlette import ServerSentEvent

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep, get_answer_timeout, get_session_timeout
from agio.api.native.attach import is_at_end
from agio.api.once import KEYED
from agio.api.protocols.feed import feed, find_agent_id, headers_of
from agio.api.protocols.kawai import convert
from agio.api.protocols.kawai.shapes import (
    AgentId,
    ChatAnswer,
    ChatBody,
    ChatProblem,
    MaxSteps,
    SessionDeleted,
    SessionId,
    SessionView,
)
from agio.api.protocols.plain import Answers, PlainRoute, plain, plainly
from agio.api.sse import EVENT_SCHEMA, RETRY, EventStream, LastEventIdText, parse_last_event_id
from agio.api.starting import get_followed, start_once
from agio.api.waiting import Seen, wait_for
from agio.domain.access import Permission
from agio.domain.events import RunCompleted, RunFailed
from agio.domain.messages import text_of
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.starting import StartRequest

router = APIRouter(tags=["kawai"], route_class=PlainRoute)

NOTHING = ServerSentEvent(sep="\n")
"""An empty line: their documented reader takes every other line for data."""
STOPPING = "the server stops here; the run goes on"
FAILED: Answers = {status: {"description": "No answer.", "model": ChatProblem} for status in (502, 503, 504)}
STREAMED: Answers = {
    200: {
        "description": "The run's events, unnamed: `{type, data, timestamp}`. `run_end` is always the last one.",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
    },
    204: {"description": "A reconnect that has all there is: do not come again."},
}
SessionPath = Annotated[str, Path(max_length=128, examples=["user-123"])]


@router.post(
    "/chat",
    operation_id="kawaiChat",
    summary="Send a message, wait for the answer",
    response_model=ChatAnswer,
    responses=plainly(404, 409) | FAILED,
    dependencies=[KEYED],
)
async def chat(body: ChatBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Of requests that name one session, each is answered in its turn."""
    agent_id = await find_agent_id(request, engine, caller, body.agent)

    def make(run_id: str) -> StartRequest:
        return StartRequest(
            agent_id=agent_id,
            message=body.message,
            session_id=body.session_id,
            run_id=run_id,
            max_steps=body.max_steps,
            force_final_answer=body.force_provide_answer,
            idle_timeout_s=get_session_timeout(request),
        )

    run, _ = await start_once(request, engine, caller, make)
    limit_s = get_answer_timeout(request)
    seen = await wait_for(request, engine, caller, run, limit_s=limit_s, through_rests=True)
    return _answer(run, seen)


def _answer(run: Run, seen: Seen) -> Response:
    about: dict[str, Any] = {"session_id": run.session_id, "run_id": run.id}
    if seen.end is None:
        late = seen.why != "stopping"
        text = "there is no answer yet; the run goes on" if late else STOPPING
        return plain(text, 504 if late else 503, **about)
    failed = seen.end.error if isinstance(seen.end, RunFailed) else None
    if failed is not None and failed.get("code") != convert.STEPS_USED_UP:
        return plain(failed.get("message", "the run failed"), 502, **about)
    completed = isinstance(seen.end, RunCompleted)
    answer = seen.end.response if isinstance(seen.end, RunCompleted) else None
    made = ChatAnswer(answer=answer, steps=seen.end.metrics.steps, completed=completed, plan=seen.plan, **about)
    return JSONResponse(made.model_dump())


@router.get(
    "/stream",
    operation_id="kawaiStream",
    summary="Send a message, read what happens",
    response_model=None,
    responses=STREAMED | plainly(404, 409),
)
@needs(Permission.RUN)
async def stream(
    request: Request,
    engine: EngineDep,
    caller: CallerDep,
    message: Annotated[str, Query(min_length=1, max_length=20_000, pattern=r"\S")],
    session_id: Annotated[SessionId | None, Query()] = None,
    max_steps: Annotated[MaxSteps | None, Query()] = None,
    force_provide_answer: bool = True,
    agent: Annotated[AgentId | None, Query(description="Our addition.")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[LastEventIdText, Header()] = None,
) -> Response:
    """A browser's EventSource that comes back with `Last-Event-ID` is put on its run again and starts nothing.

    The message stands in the URL, hence in access logs. Event ids are sent to those who accept `text/event-stream`.
    """
    with_ids = "text/event-stream" in accept
    cursor = parse_last_event_id(last_event_id)
    if cursor is not None:
        run = await get_followed(engine, caller, cursor[0], last_event_id)
        if await is_at_end(engine, caller, run, cursor[1]):
            return Response(status_code=204)
        return await _stream(engine, caller, run, after=cursor[1], with_ids=with_ids)
    asked = StartRequest(
        agent_id=await find_agent_id(request, engine, caller, agent),
        message=message,
        session_id=session_id,
        max_steps=max_steps,
        force_final_answer=force_provide_answer,
        idle_timeout_s=get_session_timeout(request),
    )
    return await _stream(engine, caller, await engine.starting.start(caller, asked), after=0, with_ids=with_ids)


async def _stream(engine: Engine, caller: Caller, run: Run, *, after: int, with_ids: bool) -> Response:
    spec = await engine.store.get_spec(caller.group_id, run.id)
    prompt = text_of(spec.input) if spec.input is not None else ""
    farewell = None if with_ids else lambda: convert.closing(STOPPING, utc_now())  # who has ids comes back
    body = feed(
        engine,
        caller,
        run,
        lambda entry: convert.frames(entry, prompt, after=after, with_ids=with_ids),
        after=after,
        opening=RETRY if with_ids else b"",
        farewell=farewell,
    )
    return EventStream(body, headers_of(run), keep_alive=NOTHING)


@router.get(
    "/sessions/{session_id}",
    operation_id="kawaiGetSession",
    summary="Look at a session",
    response_model=SessionView,
    responses=plainly(404),
)
async def get_session(session_id: SessionPath, engine: EngineDep, caller: CallerDep) -> SessionView:
    """Looking does not make it last longer."""
    found = await engine.conversations.look(caller, session_id)
    return SessionView(
        session_id=session_id,
        created_at=found.began_at,
        last_accessed=found.session.updated_at,
        message_count=found.message_count,
    )


@router.delete(
    "/sessions/{session_id}",
    operation_id="kawaiDeleteSession",
    summary="Delete a session with its history",
    response_model=SessionDeleted,
    responses=plainly(404, 409),
)
async def delete_session(session_id: SessionPath, engine: EngineDep, caller: CallerDep) -> SessionDeleted:
    """Its live runs are cancelled first. Refused while other sessions were forked from it."""
    await engine.conversations.remove(caller, session_id)
    return SessionDeleted(session_id=session_id)
