"""Drafts of agents, tasks and crews: what is wanted, what a model must give, and the answer."""

from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agio.api.native.schemas.common import Body, View
from agio.domain.crew import Crew, CrewTask, Member, find_crew_flaws
from agio.domain.errors import Invalid
from agio.engine.generating import Draft

B = TypeVar("B", bound=BaseModel)

NOTICE = "No real model is set up: the offline demo model drafted this, from nothing but the words of the description."

Short = Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
Long = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"\S")]
Tools = Annotated[list[str], Field(max_length=32)]


class GenerationBody(Body):
    """What a draft is wanted of."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"description": "Someone who compares laptops and knows the prices."}]}
    )

    description: Annotated[str, Field(min_length=1, max_length=20_000, pattern=r"\S")]
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A stored model, or one of the default agent's provider; left out: the default agent's.",
    )


class _Drafted(BaseModel):
    """Part of an answer; what a model adds of its own is left out."""

    model_config = ConfigDict(extra="ignore")


class AgentDraft(_Drafted):
    """An agent as it may be made with `POST /api/agents`."""

    name: Short = Field(description="A short name.")
    role: Short = Field(description="Who it is, in a few words.")
    goal: Long = Field(description="What it is to reach.")
    backstory: Long = Field(description="What it knows and how it works.")
    tools: Tools = Field(default_factory=list, description="Those that it needs, of the known ones.")


class TaskDraft(_Drafted):
    """A task."""

    name: Short = Field(description="A short name.")
    description: Long = Field(description="What is to be done.")
    expected_output: Long = Field(description="What the result shall be like.")
    tools: Tools = Field(default_factory=list, description="Those that it needs, of the known ones.")


class CrewTaskDraft(TaskDraft):
    """A task of a crew."""

    agent: Short = Field(description="Name of the agent that does it.")
    dependencies: list[str] = Field(
        default_factory=list, max_length=100, description="Names of the tasks whose results it needs."
    )


class CrewOutline(_Drafted):
    """A crew without its agents and tasks."""

    name: Short = Field(description="A short name.")
    description: Long = Field(description="What the crew is for.")
    process: Annotated[str, Field(pattern="^(sequential|hierarchical)$", description="How the tasks are done.")] = (
        "sequential"
    )


class CrewDraft(_Drafted):
    """A crew with agents and tasks."""

    crew: CrewOutline
    agents: Annotated[list[AgentDraft], Field(min_length=1, max_length=20)]
    tasks: Annotated[list[CrewTaskDraft], Field(min_length=1, max_length=50)]


class Told(View):
    """How a draft came about."""

    provider: str
    model: str
    offline: bool = Field(description="No real model was asked: the demo model drafted it, from nothing but the words.")
    notice: str | None = Field(description="Says so, for people.", examples=[NOTICE])
    repaired: bool = Field(description="The model's first answer did not hold, its second did.")
    total_tokens: int


class AgentDraftView(Told):
    """A drafted agent; nothing was kept."""

    agent: AgentDraft


class TaskDraftView(Told):
    """A drafted task; nothing was kept."""

    task: TaskDraft


class CrewDraftView(Told, CrewDraft):
    """A drafted crew; nothing was kept."""


def facts_of(draft: Draft[Any]) -> dict[str, Any]:
    """Return what `Told` says of a draft."""
    return {
        "provider": draft.provider,
        "model": draft.model,
        "offline": draft.is_demo,
        "notice": NOTICE if draft.is_demo else None,
        "repaired": draft.is_repaired,
        "total_tokens": draft.usage.total_tokens,
    }


def schema_of(shape: type[BaseModel], tools: Collection[str]) -> dict[str, Any]:
    """Return the JSON Schema that a model is told, whole, with the tools that there are."""
    made = shape.model_json_schema()
    definitions = made.pop("$defs", {})
    whole: dict[str, Any] = _inlined(made, definitions, sorted(tools))
    return whole


def _inlined(part: Any, definitions: dict[str, Any], tools: list[str]) -> Any:
    if isinstance(part, list):
        return [_inlined(one, definitions, tools) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions, tools)
    made = {name: _inlined(one, definitions, tools) for name, one in part.items() if name != "title"}
    properties = made.get("properties", {})
    if isinstance(properties.get("tools"), dict):
        properties["tools"]["items"] = {"type": "string", "enum": tools} if tools else {"type": "string"}
    return made


def parser_of(shape: type[B], tools: Collection[str]) -> Callable[[dict[str, Any]], B]:
    """Return what checks an answer; it raises `Invalid`."""

    def parse(found: dict[str, Any]) -> B:
        # Some models wrap what they were asked for: {"agent": {…}}.
        inner = next(iter(found.values())) if len(found) == 1 else None
        given = inner if isinstance(inner, dict) and "crew" not in found else found
        try:
            made = shape.model_validate(given)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)[:5]
            raise Invalid("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)) from error
        for named in _tools_of(made):
            if named not in tools:
                known = ", ".join(sorted(tools)) or "none"
                raise Invalid(f"there is no tool {named!r}; known are {known}")
        if isinstance(made, CrewDraft):
            _check_crew(made)
        return made

    return parse


def _tools_of(made: BaseModel) -> list[str]:
    if isinstance(made, AgentDraft | TaskDraft):
        return made.tools
    if isinstance(made, CrewDraft):
        used = [*(one.tools for one in made.agents), *(one.tools for one in made.tasks)]
        return [name for tools in used for name in tools]
    return []


def _check_crew(draft: CrewDraft) -> None:
    """Refuse a crew that could not be set to work. Raises `Invalid`."""
    members = tuple(Member(name=one.name, role=one.role) for one in draft.agents)
    tasks = tuple(
        CrewTask(id=one.name, description=one.description, agent=one.agent, dependencies=tuple(one.dependencies))
        for one in draft.tasks
    )
    if strange := next((one for one in draft.tasks if one.agent not in {member.name for member in members}), None):
        raise Invalid(f"the task {strange.name!r} names the agent {strange.agent!r}, which is not among the agents")
    if flaws := find_crew_flaws(Crew(name=draft.crew.name, members=members, tasks=tasks)):
        raise Invalid("; ".join(f"{flaw.field}: {flaw.message}" for flaw in flaws[:5]))
