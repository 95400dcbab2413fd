"""Drafts made by a model: of an agent, a task, a crew. Nothing of them is kept; whoever asked decides what to do."""

from typing import TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.generation import (
    AgentDraft,
    AgentDraftView,
    CrewDraft,
    CrewDraftView,
    GenerationBody,
    TaskDraft,
    TaskDraftView,
    facts_of,
    parser_of,
    schema_of,
)
from agio.api.native.workflows import fallback_of
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.templates import fill
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.generating import Draft, Wish

router = APIRouter(tags=["generation"])

B = TypeVar("B", bound=BaseModel)

INSTRUCTIONS = {
    "agent": "You design agents: language models with a role, a goal, a backstory and tools. Design one that fits the "
    "description. Give it only the tools that it needs.",
    "task": "You write tasks for agents. Write one that fits the description: what is to be done, and what the result "
    "shall be like, so that someone who knows nothing else can do it.",
    "crew": "You design crews: a few agents and the tasks that they do one after the other or as their dependencies "
    "say. Design one that fits the description, with no more agents and tasks than it needs. Every task names one of "
    "the agents.",
}
"""What a model is told, unless the group has a template named `generate_<what>`."""


@router.post(
    "/agent-generation/generate",
    operation_id="generateAgent",
    summary="Draft an agent",
    responses=documented(502),
)
@needs(Permission.BUILD)
async def generate_agent(
    body: GenerationBody, request: Request, engine: EngineDep, caller: CallerDep
) -> AgentDraftView:
    """From a description. Its members are those of `POST /api/agents`."""
    draft = await _draft("agent", AgentDraft, body, request, engine, caller)
    return AgentDraftView(agent=draft.value, **facts_of(draft))


@router.post(
    "/task-generation/generate",
    operation_id="generateTask",
    summary="Draft a task",
    responses=documented(502),
)
@needs(Permission.BUILD)
async def generate_task(body: GenerationBody, request: Request, engine: EngineDep, caller: CallerDep) -> TaskDraftView:
    """From a description. Its members are those of a crew's task."""
    draft = await _draft("task", TaskDraft, body, request, engine, caller)
    return TaskDraftView(task=draft.value, **facts_of(draft))


@router.post(
    "/crew-generation/generate",
    operation_id="generateCrew",
    summary="Draft a crew with its agents and tasks",
    responses=documented(502),
)
@needs(Permission.BUILD)
async def generate_crew(body: GenerationBody, request: Request, engine: EngineDep, caller: CallerDep) -> CrewDraftView:
    """From a description. Its tasks name its agents, and form a graph that can be carried out."""
    draft = await _draft("crew", CrewDraft, body, request, engine, caller)
    return CrewDraftView(**draft.value.model_dump(), **facts_of(draft))


async def _draft(
    what: str, shape: type[B], body: GenerationBody, request: Request, engine: Engine, caller: Caller
) -> Draft[B]:
    default = await fallback_of(request, engine, caller)
    tools = [tool.name for tool in await engine.toolbox.list(caller.group_id)]
    own = await engine.templates.find(caller, f"generate_{what}")
    values = {"description": body.description, "tools": ", ".join(tools)}
    wish = Wish(
        name=what,
        system=fill(own.text, values) if own else INSTRUCTIONS[what],
        question=body.description,
        schema=schema_of(shape, tools),
        parse=parser_of(shape, tools),
    )
    return await engine.generating.draft(caller, wish, provider=default.provider, model=body.model or default.model)
