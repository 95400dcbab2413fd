"""Tools on the wire."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from agio.api.native.schemas.agents import ShortText, ToolName, leave_defaults_out
from agio.api.native.schemas.common import Body, Instant, JsonObject, View
from agio.engine.tools import HTTP_CONFIGURATION, MCP_CONFIGURATION

_EXAMPLE: dict[str, Any] = {
    "name": "get_weather",
    "description": "Says what the weather is like in a city.",
    "configuration": {"url": "https://weather.example/v1/{city}", "method": "GET"},
}
Configuration = Annotated[
    JsonObject,
    WithJsonSchema(
        {
            "anyOf": [HTTP_CONFIGURATION, MCP_CONFIGURATION],
            "description": "Of an HTTP tool `{name}` stands for the argument of that name. Values of headers and `env` "
            "are shown masked; a masked value given back stays as it was.",
        }
    ),
]
_PARAMETERS = "JSON Schema of the arguments object; empty: every placeholder is a text that must be given."


class ToolBody(Body):
    """A new tool that makes an HTTP request, or an MCP server whose tools are to be used."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: ToolName
    description: ShortText = Field(default="", description="What the model is told.")
    tool_type: Literal["http", "mcp"] = "http"
    configuration: Configuration
    parameters: JsonObject = Field(default_factory=dict, description=_PARAMETERS)
    enabled: bool = True
    requires_approval: bool = Field(default=False, description="A person must agree to each call.")


class ToolChanges(Body):
    """What shall become different; of a tool made in Python, `enabled` and `requires_approval` only."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: ToolName = Field(default_factory=str)
    description: ShortText = ""
    configuration: Configuration = Field(default_factory=dict)
    parameters: JsonObject = Field(default_factory=dict, description=_PARAMETERS)
    enabled: bool = True
    requires_approval: bool = False

    def to_changes(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        return self.model_dump(exclude_unset=True)


class ToolView(View):
    """A tool."""

    id: str = Field(description="Of tools made in Python, the name.")
    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema of the arguments object.")
    source: Literal["code", "builtin", "api", "mcp"] = Field(description="`mcp`: offered by an MCP server.")
    tool_type: str = Field(examples=["http"])
    enabled: bool
    requires_approval: bool = Field(description="A person must agree, at least for some arguments.")
    idempotent: bool = Field(description="May be called again with the same key after a crash.")
    side_effects: bool = Field(description="Changes something outside.")
    usable: bool = Field(description="False: switched off, or its record makes no tool here.")
    tools: list[str] | None = Field(description="Of an MCP server: its tools, as agents name them. Null for tools.")
    configuration: dict[str, Any] | None = Field(description="Null for tools made in Python.")
    created_at: Instant | None
    updated_at: Instant | None


class TrialBody(Body):
    """Arguments to try a tool with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"arguments": {"expression": "6*7"}}]})

    arguments: JsonObject = Field(default_factory=dict)


class TrialError(View):
    """What the model would be told."""

    code: str = Field(examples=["invalid_arguments"])
    message: str


class TrialView(View):
    """What came of it."""

    ok: bool
    result: str | None = Field(description="The text that a model would be given.")
    error: TrialError | None
    duration_ms: int
