"""Firefly's routes to agents."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep, get_answer_timeout
from agio.api.once import KEYED
from agio.api.protocols.feed import feed, headers_of
from agio.api.protocols.firefly import convert
from agio.api.protocols.firefly.shapes import AgentInfo, RunAnswer, RunBody, RunProblem
from agio.api.protocols.plain import Answers, PlainRoute, plain, plainly
from agio.api.speech import Speech
from agio.api.sse import EVENT_SCHEMA, EventStream
from agio.api.starting import start_once
from agio.api.waiting import wait_for
from agio.domain.agents import Agent
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.starting import StartRequest

router = APIRouter(prefix="/agents", tags=["firefly"], route_class=PlainRoute)

PAGE = 500
"""Agents read at a time."""
STOPPING = "the server stops here; the run goes on"
UNFINISHED: Answers = {status: {"description": "No answer yet.", "model": RunProblem} for status in (503, 504)}
STREAMED: Answers = {
    200: {
        "description": 'Unnamed events `{"text": …}`, one `{"error": …}` if it fails, and `[DONE]`, which is no JSON.',
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
    }
}
Name = Annotated[str, Path(min_length=1, max_length=64, examples=["assistant"])]


@router.get(
    "/",
    operation_id="fireflyListAgents",
    summary="List all agents",
    response_model=list[AgentInfo],
    responses=plainly(),
)
@router.get("", include_in_schema=False)
async def list_agents(engine: EngineDep, caller: CallerDep) -> list[AgentInfo]:
    """Those made in Python and those made over the API."""
    found: list[Agent] = []
    while True:
        page = await engine.agents.list(caller, limit=PAGE, offset=len(found))
        found += page.items
        if not page.items or len(found) >= page.total:
            return [_info(agent) for agent in found]


def _info(agent: Agent) -> AgentInfo:
    return AgentInfo(
        name=agent.id,
        title=agent.name,
        description=agent.description,
        version=str(agent.version),
        model=agent.model,
        tools=list(agent.tools),
        tags=list(agent.tags),
        metadata=agent.metadata,
    )


@router.post(
    "/{name}/run",
    operation_id="fireflyRun",
    summary="Ask an agent, wait for the answer",
    response_model=RunAnswer,
    responses=plainly(404, 409) | UNFINISHED,
    dependencies=[KEYED],
)
async def run_agent(name: Name, body: RunBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """A run that failed is answered with 200 and `success: false`."""
    run = await _start(name, body, request, engine, caller)
    limit_s = get_answer_timeout(request)
    seen = await wait_for(request, engine, caller, run, limit_s=limit_s, through_rests=True)
    if seen.end is None:
        late = seen.why != "stopping"
        text = "there is no answer yet; the run goes on" if late else STOPPING
        return plain(text, 504 if late else 503, run_id=run.id, conversation_id=run.session_id)
    failure = convert.failure_of(seen.end)
    answer = RunAnswer(
        agent_name=name,
        output=getattr(seen.end, "response", None),
        success=failure is None,
        error=failure,
        metadata=convert.facts_of(run, seen.end),
    )
    return JSONResponse(answer.model_dump())


@router.post(
    "/{name}/stream",
    operation_id="fireflyStream",
    summary="Ask an agent, read the answer while it is made",
    response_model=None,
    responses=STREAMED | plainly(404, 409),
    dependencies=[KEYED],
)
async def stream_agent(name: Name, body: RunBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """The texts are to be joined; none of them is said twice."""
    run = await _start(name, body, request, engine, caller)
    speech = Speech()
    frames = feed(
        engine,
        caller,
        run,
        lambda entry: convert.frames(entry, speech),
        farewell=lambda: convert.closing(STOPPING),
    )
    return EventStream(frames, headers_of(run))


async def _start(name: str, body: RunBody, request: Request, engine: Engine, caller: Caller) -> Run:
    def make(run_id: str) -> StartRequest:
        return StartRequest(
            agent_id=name,
            message=body.to_content(),
            session_id=body.conversation_id,
            run_id=run_id,
            metadata={"deps": body.deps} if body.deps else {},
        )

    return (await start_once(request, engine, caller, make))[0]
