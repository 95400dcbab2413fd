"""The port between the engine and tools."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agio.domain.errors import ToolError
from agio.domain.tools import Offer, StoredTool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a tool may know about the call it serves."""

    run_id: str
    group_id: str
    session_id: str
    step: int
    tool_call_id: str
    idempotency_key: str
    """`<run>:<tool call>`: the same for every repetition of this call."""
    is_cancelled: Callable[[], bool] = field(default=lambda: False)
    """True once the run was cancelled; a tool in a thread looks at it, since nothing can stop it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something an agent may call."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments object."""
    call: Callable[[ToolContext, dict[str, Any]], Awaitable[Any]]
    """Does it. Takes the decoded arguments, returns a string or anything that JSON can say.

    Raises `ToolError` (or anything else) to tell the model that it failed. Cancelling the task
    cancels the tool.
    """
    idempotent: bool = False
    """May be repeated with the same idempotency key after a crash."""
    requires_approval: bool | Callable[[dict[str, Any]], bool] = False
    """A person must agree first; a callable decides from the arguments."""
    side_effects: bool = True
    """Changes something outside; fork plans warn of it."""
    timeout_s: float = 60.0
    source: str = "code"
    """`code`, `builtin`, `api` or `mcp`."""

    def needs_approval(self, arguments: dict[str, Any]) -> bool:
        """Say whether this call needs a person's word."""
        if callable(self.requires_approval):
            return self.requires_approval(arguments)
        return self.requires_approval


class ToolSource(Protocol):
    """A type of record that many tools come from, such as a server's."""

    def check(self, record: StoredTool) -> None:
        """Refuse a record that no tools can come from. Raises `Invalid`."""
        ...

    async def discover(self, record: StoredTool) -> tuple[Offer, ...]:
        """Ask what it has. Raises `ToolError`: it cannot be asked."""
        ...

    def make(self, record: StoredTool) -> list[Tool]:
        """Return the tools that the record's offers are, by their full names. Raises `Invalid`."""
        ...


class Toolbox(Protocol):
    """Finds tools by name."""

    @property
    def sources(self) -> Mapping[str, ToolSource]:
        """The types of records that many tools come from, by `tool_type`."""
        ...

    async def find(self, group_id: str, name: str) -> Tool | None:
        """Return the tool that the group knows by `name`; None when there is none.

        Raises:
            ToolError: code `tool_disabled` when it is switched off.
        """
        ...

    async def find_all(self, group_id: str, names: Collection[str]) -> dict[str, Tool | ToolError]:
        """Return tools by name with one look-up; an error in place of one that cannot be used.

        The name of a source stands for all of its tools, which come by their own names. Names that nobody knows are
        left out.
        """
        ...

    async def list(self, group_id: str) -> list[Tool]:
        """Return every enabled tool that the group may use, by name."""
        ...
