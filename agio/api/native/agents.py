"""Agents: make, find, change, delete."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.meta import get_default_agent, is_demo
from agio.api.native.schemas.agents import AgentBody, AgentChanges, AgentVersionView, AgentView
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.once import KEYED, once, reserve
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.agents import Agent
from agio.domain.errors import AlreadyExists, Invalid
from agio.domain.ids import new_id
from agio.engine.agents import slug_of
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine

router = APIRouter(prefix="/agents", tags=["agents"])

AgentPath = Annotated[str, Path(max_length=128, description="The agent's id.", examples=["assistant"])]


@router.get("", operation_id="listAgents", summary="List agents", responses=documented())
async def list_agents(
    engine: EngineDep,
    caller: CallerDep,
    tag: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    q: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Occurs in the id, name or description.")
    ] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[AgentView]:
    """Those registered in Python first, then by time of creation."""
    page = await engine.agents.list(caller, limit=limit, offset=offset, tag=tag, text=q)
    return listed([AgentView.model_validate(agent) for agent in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createAgent",
    summary="Make an agent",
    status_code=201,
    response_model=AgentView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_agent(body: AgentBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Without an id, one is made from the name; without provider or model, the default agent's are taken."""
    wanted_id = body.id or slug_of(body.name) or new_id()
    note, _ = await reserve(request, engine, caller, wanted_id=wanted_id)
    provider, model = await _provider_and_model(body, request, engine, caller)

    async def make(agent_id: str) -> Response:
        agent = body.to_agent(caller.group_id, agent_id, provider=provider, model=model, at=utc_now())
        made = await _create_once(engine, caller, agent, since=note.created_at if note else None)
        view = AgentView.model_validate(made)
        return JSONResponse(view.model_dump(mode="json"), 201, {"Location": f"/api/agents/{made.id}"})

    return await once(request, engine, caller, make, wanted_id=wanted_id)


async def _create_once(engine: Engine, caller: Caller, agent: Agent, *, since: datetime | None) -> Agent:
    """Make the agent, unless a request under the same key, noted at `since`, was faster."""
    try:
        return await engine.agents.create(caller, agent)
    except AlreadyExists:
        there = await engine.agents.get(caller, agent.id)
        if since is None or there.created_at < since:
            raise
        return there


async def _provider_and_model(body: AgentBody, request: Request, engine: Engine, caller: Caller) -> tuple[str, str]:
    """Fill in what the body leaves out from the default agent."""
    default = await get_default_agent(request, engine, caller)
    provider = body.provider or (default.provider if default else None)
    if provider is None:
        raise Invalid("name a provider: there is no default agent to take one from", field="provider")
    await engine.agents.check(caller, provider=provider, tools=())
    model = body.model or body.llm
    if model is None and default is not None and provider == default.provider:
        model = default.model
    if model is None and is_demo(engine, provider):
        model = provider
    if model is None:
        raise Invalid(f"name a model of the provider {provider!r}", field="model")
    return provider, model


@router.get("/{agent_id}", operation_id="getAgent", summary="Look at an agent", responses=documented(404))
async def get_agent(agent_id: AgentPath, engine: EngineDep, caller: CallerDep) -> AgentView:
    """As it is now."""
    return AgentView.model_validate(await engine.agents.get(caller, agent_id))


@router.put(
    "/{agent_id}",
    operation_id="updateAgent",
    summary="Change an agent",
    responses=documented(404, 409),
)
@router.patch(
    "/{agent_id}",
    operation_id="patchAgent",
    summary="Change an agent",
    responses=documented(404, 409),
)
@needs(Permission.BUILD)
async def update_agent(agent_id: AgentPath, body: AgentChanges, engine: EngineDep, caller: CallerDep) -> AgentView:
    """What the body leaves out stays as it is; every change is a new version. Runs keep theirs."""
    return AgentView.model_validate(await engine.agents.update(caller, agent_id, body.to_changes()))


@router.delete(
    "/{agent_id}",
    operation_id="deleteAgent",
    summary="Delete an agent",
    status_code=204,
    responses=documented(404, 409),
)
@needs(Permission.BUILD)
async def delete_agent(agent_id: AgentPath, engine: EngineDep, caller: CallerDep) -> None:
    """Refused while it has live runs. Ended runs keep the agent as they knew it."""
    await engine.agents.delete(caller, agent_id)


@router.get(
    "/{agent_id}/versions",
    operation_id="listAgentVersions",
    summary="List an agent's versions, newest first",
    responses=documented(404),
)
async def list_agent_versions(
    agent_id: AgentPath, engine: EngineDep, caller: CallerDep, limit: Limit = 20, offset: Offset = 0
) -> ListOf[AgentVersionView]:
    """Each with the agent as it was."""
    page = await engine.agents.versions(caller, agent_id, limit=limit, offset=offset)
    return listed([AgentVersionView.model_validate(version) for version in page.items], page.total, limit, offset)
