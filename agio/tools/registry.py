"""The toolbox of this installation: tools from code, built-in ones, and those made over the API."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from agio.domain.errors import AlreadyExists, Invalid, ToolError
from agio.domain.tools import StoredTool
from agio.tools.base import Tool, ToolSource
from agio.tools.decorator import tool as make_tool
from agio.tools.schema import TOOL_NAME

logger = logging.getLogger(__name__)

ListStored = Callable[[str], Awaitable[Iterable[StoredTool]]]
"""Takes a group's id; returns all its records, disabled ones too."""
MakeTool = Callable[[StoredTool], Tool]
"""Makes the tool that a record describes; raises `Invalid` when it describes none."""


async def _list_nothing(group_id: str) -> Iterable[StoredTool]:
    return ()


@runtime_checkable
class _Closable(Protocol):
    async def close(self) -> None: ...


class ToolRegistry:
    """A `Toolbox`.

    A name that code gave to a tool is that tool in every group. A record of the same name cannot replace it, but is
    the group's switch for it: `enabled=False` hides it, `requires_approval=True` puts a person before it.
    """

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        list_stored: ListStored = _list_nothing,
        makers: Mapping[str, MakeTool] | None = None,
        sources: Mapping[str, ToolSource] | None = None,
    ) -> None:
        """Make a registry.

        Args:
            tools: From code, built-in ones included.
            list_stored: Returns a group's records.
            makers: `{tool_type: what makes its tool}`; a record of another type cannot be used.
            sources: `{tool_type: what makes its tools}`, of records that many come from.
        """
        self._tools: dict[str, Tool] = {}
        self._list_stored = list_stored
        self._makers = dict(makers or {})
        self._sources = dict(sources or {})
        for tool in tools:
            self.register(tool)

    def register(self, tool: Tool | Callable[..., Any]) -> Tool:
        """Add a tool, or a function as one (see `@tool`), for every group; return it.

        Raises:
            AlreadyExists: code gave the name to another tool.
            ValueError: the name is not one that providers accept.
        """
        added = tool if isinstance(tool, Tool) else make_tool(tool)
        if not TOOL_NAME.fullmatch(added.name):
            raise ValueError(f"tool name {added.name!r} must be 1 to 64 letters, digits, '_' or '-'")
        if self._tools.setdefault(added.name, added) is not added:
            raise AlreadyExists(f"There is a tool {added.name!r} already.")
        return added

    @property
    def sources(self) -> Mapping[str, ToolSource]:
        """Implement `Toolbox.sources`."""
        return self._sources

    async def close(self) -> None:
        """Let go of what the sources hold, such as connections."""
        for source in self._sources.values():
            if isinstance(source, _Closable):
                await source.close()

    @property
    def registered(self) -> tuple[Tool, ...]:
        """The tools from code, by name, whatever groups think of them."""
        return tuple(self._tools[name] for name in sorted(self._tools))

    async def find(self, group_id: str, name: str) -> Tool | None:
        """Implement `Toolbox.find`; a record that cannot be used is a `ToolError` that says why."""
        found = (await self.find_all(group_id, [name])).get(name)
        if isinstance(found, ToolError):
            raise found
        return found

    async def find_all(self, group_id: str, names: Collection[str]) -> dict[str, Tool | ToolError]:
        """Implement `Toolbox.find_all`."""
        if not names:
            return {}
        return self._find_all(names, {one.name: one for one in await self._list_stored(group_id)})

    def _find_all(self, names: Collection[str], stored: Mapping[str, StoredTool]) -> dict[str, Tool | ToolError]:
        found: dict[str, Tool | ToolError] = {}
        for name in names:
            record = stored.get(name)
            if record is not None and record.tool_type in self._sources and name not in self._tools:
                found |= self._all_of(record, stored)
            elif (one := self._one(name, stored)) is not None:
                found[name] = one
        return found

    def _one(self, name: str, stored: Mapping[str, StoredTool]) -> Tool | ToolError | None:
        record = stored.get(name)
        if record is not None and not record.enabled:
            return ToolError(f"Tool {name!r} is disabled.", code="tool_disabled")
        try:
            return self._resolve(self._tools.get(name) or self._offered(name, stored), record)
        except ToolError as error:
            return error

    def _all_of(self, source: StoredTool, stored: Mapping[str, StoredTool]) -> dict[str, Tool | ToolError]:
        """Return the tools of a source; the error that keeps all of them from being used comes under its own name."""
        if not source.enabled:
            return {source.name: ToolError(f"Tool {source.name!r} is disabled.", code="tool_disabled")}
        try:
            made = self._make_all(source)
        except ToolError as error:
            return {source.name: error}
        # Each may have a record of its own, the group's switch for it; one that is off is not missed among the others.
        switches = {tool.name: stored.get(tool.name) for tool in made}
        return {
            tool.name: self._resolve(tool, switch) or tool
            for tool in made
            if (switch := switches[tool.name]) is None or switch.enabled
        }

    def _offered(self, name: str, stored: Mapping[str, StoredTool]) -> Tool | None:
        """Return the tool of a source that has this full name. Raises `ToolError`."""
        source = stored.get(name.partition(".")[0])
        if "." not in name or source is None or source.tool_type not in self._sources:
            return None
        if not source.enabled:
            raise ToolError(f"Tool {source.name!r}, which {name!r} comes from, is disabled.", code="tool_disabled")
        return next((tool for tool in self._make_all(source) if tool.name == name), None)

    def _make_all(self, source: StoredTool) -> list[Tool]:
        try:
            return self._sources[source.tool_type].make(source)
        except Invalid as error:
            raise ToolError(f"Tool {source.name!r} is set up wrongly: {error}") from error

    async def list(self, group_id: str) -> list[Tool]:
        """Implement `Toolbox.list`; records that cannot be used are left out and logged."""
        stored = {one.name: one for one in await self._list_stored(group_id)}
        found: dict[str, Tool] = {}
        for name, one in self._find_all(sorted(self._tools.keys() | stored.keys()), stored).items():
            if isinstance(one, Tool):
                found[name] = one
            elif one.code != "tool_disabled":
                fields = {"group_id": group_id, "tool": name, "reason": str(one)}
                logger.warning("stored tool left out", extra=fields)
        return [found[name] for name in sorted(found)]

    def _resolve(self, tool: Tool | None, stored: StoredTool | None) -> Tool | None:
        if stored is None:
            return tool
        if tool is None:
            return self._make(stored)  # raises for a switch whose tool is gone
        return replace(tool, requires_approval=True) if stored.requires_approval else tool

    def _make(self, stored: StoredTool) -> Tool:
        make = self._makers.get(stored.tool_type)
        if make is None:
            message = f"Tool {stored.name!r} is of type {stored.tool_type!r}, which cannot be used here."
            raise ToolError(message, code="unknown_tool")
        try:
            return make(stored)
        except Invalid as error:
            raise ToolError(f"Tool {stored.name!r} is set up wrongly: {error}") from error
