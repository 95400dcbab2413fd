"""Tools of type `mcp`: a stored server's tools become working ones."""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from agio.domain.errors import Invalid, ToolError
from agio.domain.tools import Offer, StoredTool
from agio.tools.base import Tool, ToolContext
from agio.tools.mcp_sessions import McpSessions, Place
from agio.tools.net import GuardedClient

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult

MOST_TOOLS = 500
"""Of one server."""
MOST_NAME_CHARS = 128
_NAME = re.compile(r"[A-Za-z0-9_./-]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_CREDENTIAL = re.compile(r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET|PASSWORD)")
"""Other variables of the environment could change which program is run, or where it loads code from."""


class McpConfiguration(BaseModel):
    """The configuration of an `mcp` tool source: `url`, or `command`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(default=None, max_length=8192, description="Of a server that speaks streamable HTTP.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent to `url` with every request.")
    command: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Program of a server that speaks over its standard input and output; must be allowed by "
        "AGIO_MCP_COMMANDS.",
    )
    args: list[str] = Field(default_factory=list, max_length=100, description="Arguments of `command`.")
    env: dict[str, str] = Field(
        default_factory=dict,
        description="Credentials for `command`: variables whose names end in _KEY, _TOKEN, _SECRET or _PASSWORD.",
    )
    timeout_s: float = Field(default=60.0, gt=0, le=600, description="Seconds for one call.")
    trust_hints: bool = Field(
        default=False,
        description="Believe what the server says of its tools: which change nothing, and which may be repeated after "
        "a crash.",
    )


class McpServers:
    """A `ToolSource`: servers of the Model Context Protocol."""

    def __init__(self, guard: GuardedClient, commands: Sequence[str] = ()) -> None:
        """Args: commands: command lines that may be run; one that ends in `*` may have further arguments."""
        self._guard = guard
        self._commands = [shlex.split(line) for line in commands]
        self._sessions = McpSessions(guard)

    def check(self, record: StoredTool) -> None:
        """Implement `ToolSource.check`."""
        self._read(record)

    def _read(self, record: StoredTool) -> McpConfiguration:
        """Return a record's configuration. Raises `Invalid`: no server may be called by it."""
        configuration = _parse(record.configuration)
        if (configuration.url is None) == (configuration.command is None):
            raise Invalid("name one of url and command", field="configuration")
        if configuration.url is not None:
            _check_headers(configuration.headers)
            try:
                self._guard.check(configuration.url)
            except ToolError as error:
                raise Invalid(str(error), field="configuration.url") from error
            return configuration
        if not self._may_run([configuration.command or "", *configuration.args]):
            text = "AGIO_MCP_COMMANDS does not allow this command; whoever runs this server may add it there"
            raise Invalid(text, field="configuration.command")
        for name in configuration.env:
            if not _CREDENTIAL.fullmatch(name):
                text = f"{name!r} cannot be set: variables must end in _KEY, _TOKEN, _SECRET or _PASSWORD"
                raise Invalid(text, field="configuration.env")
        return configuration

    def _may_run(self, wanted: list[str]) -> bool:
        for allowed in self._commands:
            is_open = allowed[-1:] == ["*"]
            fixed = allowed[:-1] if is_open else allowed
            if fixed and wanted[: len(fixed)] == fixed and (is_open or len(wanted) == len(fixed)):
                return True
        return False

    async def discover(self, record: StoredTool) -> tuple[Offer, ...]:
        """Implement `ToolSource.discover`."""
        place = _place(self._read(record))
        offers = await self._sessions.call(_owner(record), place, record.name, _list_tools)
        taken = {offer.name for offer in offers}
        if len(taken) != len(offers):
            raise ToolError(f"The MCP server {record.name!r} has two tools of one name.")
        return offers

    def make(self, record: StoredTool) -> list[Tool]:
        """Implement `ToolSource.make`."""
        configuration = self._read(record)
        place, trusts = _place(configuration), configuration.trust_hints
        return [
            Tool(
                name=f"{record.name}.{offer.name}",
                description=offer.description,
                parameters=offer.parameters,
                call=partial(self._call, record, place, offer.name),
                idempotent=trusts and (offer.idempotent or offer.read_only),
                requires_approval=record.requires_approval,
                side_effects=not (trusts and offer.read_only),
                timeout_s=configuration.timeout_s,
                source="mcp",
            )
            for offer in record.offers
        ]

    async def _call(
        self, record: StoredTool, place: Place, name: str, context: ToolContext, arguments: dict[str, Any]
    ) -> str:
        async def work(client: "Client") -> "CallToolResult":
            return await client.call_tool(name, arguments)

        result = await self._sessions.call(_owner(record), place, record.name, work)
        text = _text_of(result)
        if result.is_error:
            raise ToolError(text or f"The tool {name!r} failed and said nothing.")
        return text

    async def close(self) -> None:
        """Close every connection; processes that were started are stopped."""
        await self._sessions.close()


def _owner(record: StoredTool) -> str:
    return f"{record.group_id}/{record.id}"


def _place(configuration: McpConfiguration) -> Place:
    if configuration.url is not None:
        return Place(url=configuration.url, headers=tuple(configuration.headers.items()))
    command = (configuration.command or "", *configuration.args)
    return Place(command=command, env=tuple(configuration.env.items()))


def _parse(configuration: Mapping[str, Any]) -> McpConfiguration:
    try:
        return McpConfiguration.model_validate(configuration)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(["configuration", *map(str, problem["loc"][:1])])
        raise Invalid(f"{where}: {problem['msg']}", field=where) from error


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in ("host", "content-length", "transfer-encoding"):
            raise Invalid(f"the header {name!r} cannot be set", field="configuration.headers")
        if not _HEADER_VALUE.fullmatch(value):
            raise Invalid(f"the header {name!r} must be printable ASCII on one line", field="configuration.headers")


async def _list_tools(client: "Client") -> tuple[Offer, ...]:
    offers: list[Offer] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            if len(tool.name) > MOST_NAME_CHARS or not _NAME.fullmatch(tool.name):
                raise ToolError(f"The server has a tool whose name cannot be used: {tool.name[:200]!r}.")
            hints = tool.annotations
            offers.append(
                Offer(
                    name=tool.name,
                    description=tool.description or tool.title or "",
                    parameters=tool.input_schema,
                    read_only=bool(hints and hints.read_only_hint),
                    idempotent=bool(hints and hints.idempotent_hint),
                )
            )
        if len(offers) > MOST_TOOLS:
            raise ToolError(f"The server has more than {MOST_TOOLS} tools.")
        cursor = page.next_cursor
        if cursor is None:
            return tuple(offers)


def _text_of(result: "CallToolResult") -> str:
    """Return what a model is given: the texts, and of anything else what it is."""
    pieces = []
    for block in result.content:
        match block.type:
            case "text":
                pieces.append(block.text)
            case "image" | "audio":
                pieces.append(f"[{block.type} {block.mime_type}, not shown]")
            case "resource_link":
                pieces.append(f"[{block.name}: {block.uri}]")
            case "resource":
                pieces.append(getattr(block.resource, "text", None) or f"[{block.resource.uri}, not shown]")
    if not pieces and result.structured_content is not None:
        return to_json(result.structured_content, inf_nan_mode="null").decode()
    return "\n".join(pieces)
