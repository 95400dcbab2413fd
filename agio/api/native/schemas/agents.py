"""Agents on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from agio.api.native.schemas.common import MAX_MESSAGE_CHARS, Body, Instant, JsonObject, View
from agio.domain.agents import Agent

AgentId = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$",
        description="Unique in the group; made from the name where it is left out.",
        examples=["research-analyst"],
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S", examples=["Research analyst"])]
Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
ShortText = Annotated[str, Field(max_length=10_000)]
LongText = Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["calculator"])]
NamedTool = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_./-]{1,128})?$",
        description="A tool's name; of an MCP server, `<server>.<tool>`, or the server's for all of its tools.",
        examples=["calculator"],
    ),
]

_EXAMPLE: dict[str, Any] = {
    "name": "Research analyst",
    "system_prompt": "You answer with figures.",
    "tools": ["calculator"],
    "tags": ["research"],
}


class AgentFields(Body):
    """Everything of an agent that can be chosen, but for its id."""

    name: Name
    description: ShortText = ""
    provider: str | None = Field(
        default=None, min_length=1, max_length=100, description="Left out: the default agent's.", examples=["openai"]
    )
    model: str | None = Field(
        default=None, min_length=1, max_length=200, description="Left out: `llm`, or the default agent's."
    )
    system_prompt: LongText | None = Field(
        default=None, description="Left out: made from `role`, `goal` and `backstory`, where there are any."
    )
    tools: list[NamedTool] = Field(default_factory=list, max_length=128)
    max_steps: int = Field(default=10, ge=1, le=100_000)
    planning_interval: int | None = Field(
        default=None, ge=1, le=100_000, description="Make or revise a plan before every n-th step."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000, description="Upper bound of one answer.")
    params: JsonObject = Field(default_factory=dict, description="Further fields of the model request.")
    tags: list[Tag] = Field(default_factory=list, max_length=50)
    enabled: bool = True
    metadata: JsonObject = Field(default_factory=dict, description="Anything; kept as it is.")
    role: ShortText | None = None
    goal: ShortText | None = None
    backstory: LongText | None = None
    llm: str | None = Field(default=None, min_length=1, max_length=200, description="Stands for `model`.")
    allow_delegation: bool = False
    verbose: bool = False


class AgentBody(AgentFields):
    """A new agent."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: AgentId | None = None

    def to_agent(self, group_id: str, agent_id: str, *, provider: str, model: str, at: datetime) -> Agent:
        """Return the domain's form."""
        chosen = as_stored(self.model_dump()) | {"id": agent_id, "provider": provider, "model": model}
        return Agent(group_id=group_id, created_at=at, updated_at=at, **chosen)


def leave_defaults_out(schema: dict[str, Any]) -> None:
    """What a change leaves out stays as it is, so it has no defaults."""
    for field in schema["properties"].values():
        field.pop("default", None)


class AgentChanges(AgentFields):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: Name = Field(default_factory=str)
    provider: str = Field(default_factory=str, min_length=1, max_length=100)
    model: str = Field(default_factory=str, min_length=1, max_length=200)

    def to_changes(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        changes = as_stored(self.model_dump(exclude_unset=True))
        if changes.get("llm"):
            changes.setdefault("model", changes["llm"])
        return changes


def as_stored(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an agent with the domain's types."""
    return {name: tuple(value) if name in ("tools", "tags") else value for name, value in fields.items()}


class AgentView(View):
    """An agent."""

    id: str
    name: str
    description: str
    provider: str
    model: str
    system_prompt: str | None
    tools: list[str]
    max_steps: int
    planning_interval: int | None
    temperature: float | None
    max_tokens: int | None
    params: dict[str, Any]
    tags: list[str]
    enabled: bool
    metadata: dict[str, Any]
    role: str | None
    goal: str | None
    backstory: str | None
    llm: str | None
    allow_delegation: bool
    verbose: bool
    version: int = Field(description="Grows with every change; runs keep the version that they started with.")
    source: Literal["code", "api"] = Field(description="`code`: registered in Python, read-only here.")
    group_id: str
    created_at: Instant
    updated_at: Instant


class AgentVersionView(View):
    """An agent as it was."""

    version: int
    agent: AgentView
    created_at: Instant
