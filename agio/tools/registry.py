"""The toolbox of this installation: tools from code, built-in ones, and those made over the API."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from agio.domain.errors import AlreadyExists, Invalid, ToolError
from agio.domain.tools import StoredTool
from agio.tools.base import Tool
from agio.tools.decorator import tool as make_tool
from agio.tools.schema import TOOL_NAME

logger = logging.getLogger(__name__)

ListStored = Callable[[str], Awaitable[Iterable[StoredTool]]]
"""Takes a group's id; returns all its records, disabled ones too."""
MakeTool = Callable[[StoredTool], Tool]
"""Makes the tool that a record describes; raises `Invalid` when it describes none."""


async def _list_nothing(group_id: str) -> Iterable[StoredTool]:
    return ()


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
    ) -> None:
        """Make a registry.

        Args:
            tools: From code, built-in ones included.
            list_stored: Returns a group's records.
            makers: `{tool_type: what makes its tools}`; a record of another type cannot be used.
        """
        self._tools: dict[str, Tool] = {}
        self._list_stored = list_stored
        self._makers = dict(makers or {})
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
        stored = {one.name: one for one in await self._list_stored(group_id)}
        found: dict[str, Tool | ToolError] = {}
        for name in names:
            record = stored.get(name)
            if record is not None and not record.enabled:
                found[name] = ToolError(f"Tool {name!r} is disabled.", code="tool_disabled")
                continue
            try:
                tool = self._resolve(self._tools.get(name), record)
            except ToolError as error:
                found[name] = error
                continue
            if tool is not None:
                found[name] = tool
        return found

    async def list(self, group_id: str) -> list[Tool]:
        """Implement `Toolbox.list`; records that cannot be used are left out and logged."""
        stored = {one.name: one for one in await self._list_stored(group_id)}
        found: list[Tool] = []
        for name in sorted(self._tools.keys() | stored.keys()):
            record = stored.get(name)
            if record is not None and not record.enabled:
                continue
            try:
                tool = self._resolve(self._tools.get(name), record)
            except ToolError as error:
                fields = {"group_id": group_id, "tool": name, "reason": str(error)}
                logger.warning("stored tool left out", extra=fields)
                continue
            if tool is not None:
                found.append(tool)
        return found

    def _resolve(self, tool: Tool | None, stored: StoredTool | None) -> Tool | None:
        if stored is None:
            return tool
        if tool is None:
            return self._make(stored)
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
