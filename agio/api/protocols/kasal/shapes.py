"""Crews and tasks on Kasal's wire. What a client sends further and nobody here knows is refused, as everywhere."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from agio.api.native.schemas.agents import LongText, Name, NamedTool, ShortText, leave_defaults_out
from agio.api.native.schemas.common import Body, Instant, JsonObject, View
from agio.api.native.schemas.workflows import MAX_YAML_CHARS

Written = Annotated[
    Annotated[str, Field(max_length=MAX_YAML_CHARS)] | JsonObject | Annotated[list[JsonObject], Field(max_length=1000)],
    Field(description="A text in YAML, or what such a text says; kept as it is given."),
]
RecordId = Annotated[str, Field(min_length=1, max_length=128)]
ModelName = Annotated[str, Field(min_length=1, max_length=200)]
AGENTS_EXAMPLE = "researcher:\n  role: Researcher\n  goal: Find facts on {topic}\n  backstory: You read a lot.\n"
TASKS_EXAMPLE = "research:\n  description: Collect facts on {topic}.\n  expected_output: A list.\n  agent: researcher\n"
TEXTS_EXAMPLE: dict[str, Any] = {"agents_yaml": AGENTS_EXAMPLE, "tasks_yaml": TASKS_EXAMPLE}


class CrewTextFields(Body):
    """A crew as it is written down."""

    agents_yaml: Written = ""
    tasks_yaml: Written = ""
    agent_ids: list[RecordId] = Field(default_factory=list, max_length=200, description="Stored agents of the crew.")
    task_ids: list[RecordId] = Field(
        default_factory=list, max_length=200, description="Stored tasks, done behind those of `tasks_yaml`."
    )
    model: ModelName | None = Field(default=None, description="Of agents that name none.")
    process: Literal["sequential", "hierarchical"] = Field(
        default="sequential", description="`hierarchical`: a manager has the agents do the tasks."
    )


class StoredCrewFields(CrewTextFields):
    """Everything of a stored crew that can be chosen."""

    name: Name
    description: ShortText = ""
    verbose: bool = Field(default=False, description="Kept; logs and traces say everything in any case.")

    def to_stored(self) -> dict[str, Any]:
        """Return what was given, with the domain's types."""
        return tuples(self.model_dump(exclude_unset=True))


class StoredCrewBody(StoredCrewFields):
    """A new crew. Its texts are looked at by `debug` and when an execution starts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Research", **TEXTS_EXAMPLE}]})


class StoredCrewChanges(StoredCrewFields):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: Name = Field(default_factory=str)


class StoredCrewView(View):
    """A crew."""

    id: str
    name: str
    description: str
    agents_yaml: str | dict[str, Any] | list[dict[str, Any]]
    tasks_yaml: str | dict[str, Any] | list[dict[str, Any]]
    agent_ids: list[str]
    task_ids: list[str]
    model: str | None
    process: Literal["sequential", "hierarchical"]
    verbose: bool
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant


class DebugBody(CrewTextFields):
    """A crew to be looked at."""

    model_config = ConfigDict(json_schema_extra={"examples": [TEXTS_EXAMPLE]})


class FindingView(View):
    """Something about a text."""

    field: str = Field(description="Where, such as `tasks_yaml.write.agent`.")
    message: str


class DebugView(View):
    """What is wrong with a crew."""

    valid: bool
    errors: list[FindingView]
    warnings: list[FindingView] = Field(description="What has no effect.")
    order: list[str] = Field(description="Its tasks in the order of their execution; empty where it is not valid.")


class StoredTaskBody(Body):
    """A task, whole."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Research", "description": "Collect facts.", "expected_output": "A list."}]
        }
    )

    name: Name
    description: LongText
    expected_output: LongText
    agent: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Name or id of the agent that does it."
    )
    tools: list[NamedTool] = Field(default_factory=list, max_length=128, description="Besides those of its agent.")

    def to_stored(self) -> dict[str, Any]:
        """Return what was given, with the domain's types."""
        return tuples(self.model_dump(exclude_unset=True))

    def to_whole(self) -> dict[str, Any]:
        """Return everything, what was left out as well."""
        return tuples(self.model_dump())


class StoredTaskChanges(StoredTaskBody):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: Name = Field(default_factory=str)
    description: LongText = ""
    expected_output: LongText = ""


class StoredTaskView(View):
    """A task."""

    id: str
    name: str
    description: str
    expected_output: str
    agent: str | None
    tools: list[str]
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant


def tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with tuples in place of lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
