"""Use cases on tools: those from code, the built-in ones, and those made over the API, as one collection."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound, ToolError
from agio.domain.ids import new_id
from agio.domain.tools import Offer, StoredTool
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.storage.port import TOOLS, Store
from agio.tools.base import Tool, Toolbox, ToolContext
from agio.tools.execution import execute
from agio.tools.http_tool import CONFIGURATION_SCHEMAS, PLAIN_HEADERS, validate_configuration
from agio.tools.mcp_source import McpConfiguration

HTTP_CONFIGURATION = CONFIGURATION_SCHEMAS["http"]
"""JSON Schema of the configuration of a tool that is made over the API."""
MCP_CONFIGURATION = McpConfiguration.model_json_schema()
"""JSON Schema of the configuration of an MCP server."""
CONFIGURATIONS = {"http": HTTP_CONFIGURATION, "mcp": MCP_CONFIGURATION}
"""By type of tool."""

NOTHING_TO_CONFIGURE: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}

SWITCH = "switch"
"""Type of the record by which a group switches a tool from code off, or puts a person before it."""

MASK = "********"
"""Stands for a header's value that people are not shown; given back, the stored value stays."""

_MASKED = ("headers", "env")
_SAFE_METHODS = ("GET", "HEAD")
_SWITCHABLE = frozenset({"enabled", "requires_approval"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """A tool as people see it."""

    id: str
    """Its name, for tools from code."""
    name: str
    description: str
    parameters: dict[str, Any]
    source: str
    """`code`, `builtin`, `api`, or `mcp`: offered by a server."""
    tool_type: str
    enabled: bool = True
    requires_approval: bool = False
    """True also where the arguments decide."""
    idempotent: bool = False
    side_effects: bool = True
    usable: bool = True
    """False: it is switched off, or what its record says makes no tool."""
    tools: tuple[str, ...] | None = None
    """Names of the tools that come from it; None: it is one itself."""
    configuration: dict[str, Any] | None = None
    """None for tools from code. Values of headers are masked."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of calling a tool by hand."""

    ok: bool
    result: str | None = None
    error: dict[str, Any] | None = None
    """`{code, message}`."""
    duration_ms: int


class Tools:
    """Finds, makes, changes and tries tools."""

    def __init__(self, store: Store, toolbox: Toolbox) -> None:
        self._store = store
        self._toolbox = toolbox

    async def list(self, caller: Caller) -> list[ToolEntry]:
        """Return every tool of the group by name, those that are switched off too."""
        usable = {tool.name: tool for tool in await self._toolbox.list(caller.group_id)}
        records = {record.name: record for record in (await self._store.find(TOOLS, caller.group_id)).items}
        return [_entry(usable.get(name), records.get(name)) for name in sorted(usable.keys() | records.keys())]

    async def get(self, caller: Caller, key: str) -> ToolEntry:
        """Return the tool of that id, else of that name. Raises `NotFound`."""
        entries = await self.list(caller)
        for entry in entries:
            if entry.id == key:
                return entry
        for entry in entries:
            if entry.name == key:
                return entry
        raise NotFound(f"there is no tool {key!r}")

    async def configuration_schema(self, caller: Caller, name: str) -> dict[str, Any]:
        """Return the JSON Schema of a tool's configuration; `name` is a tool's, or a type of tools. Raises `NotFound`.

        Tools from code have nothing to configure.
        """
        if name in CONFIGURATIONS:
            return CONFIGURATIONS[name]
        entry = await self.get(caller, name)
        return NOTHING_TO_CONFIGURE if entry.source != "api" else CONFIGURATIONS[entry.tool_type]

    async def create(self, caller: Caller, record: StoredTool) -> ToolEntry:
        """Keep a new tool.

        Raises:
            AlreadyExists: the id or the name is taken.
            Invalid: its configuration makes no tool; names the field.
        """
        self._check(record)
        await self._refuse_code_name(caller, record.name)
        record = await self._discovered(record)
        try:
            await self._store.insert(TOOLS, record)
        except AlreadyExists:
            raise AlreadyExists(f"there is a tool {record.name!r} already") from None
        return await self.get(caller, record.id)

    def _check(self, record: StoredTool) -> None:
        source = self._toolbox.sources.get(record.tool_type)
        if source is not None:
            source.check(record)
        elif record.tool_type == "http":
            validate_configuration(record.configuration, record.parameters)
        else:
            known = ", ".join(["http", *self._toolbox.sources])
            text = f"tools of type {record.tool_type!r} cannot be made here; there are: {known}"
            raise Invalid(text, field="tool_type")

    async def _discovered(self, record: StoredTool) -> StoredTool:
        """Return the record with what its source offers now. Raises `Invalid`: that cannot be asked."""
        source = self._toolbox.sources.get(record.tool_type)
        if source is None:
            return record
        try:
            return replace(record, offers=await source.discover(record))
        except ToolError as error:
            raise Invalid(f"its tools cannot be listed: {error}", field="configuration") from error

    async def refresh(self, caller: Caller, key: str) -> ToolEntry:
        """Ask a source anew which tools it has.

        Raises:
            NotFound: no such tool. Conflict: no tools come from it. Invalid: it cannot be asked.
        """
        entry = await self.get(caller, key)
        if entry.tool_type not in self._toolbox.sources or entry.source != "api":
            raise Conflict(f"no tools come from {entry.name!r}; there is nothing to ask it")
        found = await self._discovered(await self._store.get(TOOLS, caller.group_id, entry.id))
        now = utc_now()
        await self._store.update(
            TOOLS, caller.group_id, entry.id, lambda record: replace(record, offers=found.offers, updated_at=now)
        )
        return await self.get(caller, entry.id)

    async def _refuse_code_name(self, caller: Caller, name: str) -> None:
        for entry in await self.list(caller):
            if entry.name == name and entry.source != "api":
                raise AlreadyExists(f"there is a tool {name!r} already, made in Python")

    async def update(self, caller: Caller, key: str, changes: Mapping[str, Any]) -> ToolEntry:
        """Change some fields; of a tool from code only `enabled` and `requires_approval`, for this group.

        Raises:
            NotFound: no such tool.
            Conflict: a field that only code can change.
            AlreadyExists: the new name is taken.
            Invalid: the new configuration makes no tool.
        """
        entry = await self.get(caller, key)
        if entry.source != "api":
            return await self._switch(caller, entry, changes)
        if changes.get("name", entry.name) != entry.name:
            await self._refuse_code_name(caller, changes["name"])
        now = utc_now()
        offers: tuple[Offer, ...] | None = None

        def change(record: StoredTool) -> StoredTool:
            changed = replace(record, **changes)
            changed = replace(changed, configuration=_unmasked(changed.configuration, record.configuration))
            if changed == record:
                return record
            self._check(changed)
            return replace(changed, updated_at=now, offers=record.offers if offers is None else offers)

        if "configuration" in changes and entry.tool_type in self._toolbox.sources:
            wanted = change(await self._store.get(TOOLS, caller.group_id, entry.id))
            offers = (await self._discovered(wanted)).offers

        try:
            await self._store.update(TOOLS, caller.group_id, entry.id, change)
        except AlreadyExists:
            raise AlreadyExists(f"there is a tool {changes['name']!r} already") from None
        return await self.get(caller, entry.id)

    async def _switch(self, caller: Caller, entry: ToolEntry, changes: Mapping[str, Any]) -> ToolEntry:
        fixed = sorted(changes.keys() - _SWITCHABLE)
        if fixed:
            raise Conflict(f"the tool {entry.name!r} is {_made(entry)}; change its {fixed[0]} there")
        now = utc_now()
        found = await self._store.find(TOOLS, caller.group_id, text=entry.name)
        record = next((one for one in found.items if one.name == entry.name), None)
        if record is None:
            try:
                await self._store.insert(TOOLS, replace(_new_switch(caller, entry, now), **changes))
            except AlreadyExists:
                return await self._switch(caller, entry, changes)  # someone else made it just now
        else:
            await self._store.update(
                TOOLS, caller.group_id, record.id, lambda one: replace(one, **changes, updated_at=now)
            )
        return await self.get(caller, entry.id)

    async def delete(self, caller: Caller, key: str) -> None:
        """Delete a tool made over the API.

        Raises:
            NotFound: no such tool. Conflict: it is made in Python.
        """
        entry = await self.get(caller, key)
        if entry.source != "api":
            raise Conflict(f"the tool {entry.name!r} is {_made(entry)}; switch it off instead")
        await self._store.delete(TOOLS, caller.group_id, entry.id)

    async def try_out(self, caller: Caller, key: str, arguments: dict[str, Any]) -> Trial:
        """Call a tool as an agent would; whoever tries it is the person who approves.

        Raises:
            NotFound: no such tool.
        """
        entry = await self.get(caller, key)
        began = time.monotonic()
        try:
            tool = await self._toolbox.find(caller.group_id, entry.name)
            if tool is None:
                raise NotFound(f"there is no tool {key!r}")
            result = await execute(tool, _trial_context(caller), json.dumps(arguments))
        except ToolError as error:
            told = {"code": error.code, "message": str(error)}
            return Trial(ok=False, error=told, duration_ms=_since(began))
        return Trial(ok=True, result=result, duration_ms=_since(began))


def _made(entry: ToolEntry) -> str:
    return "offered by an MCP server" if entry.source == "mcp" else "made in Python"


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _trial_context(caller: Caller) -> ToolContext:
    run_id, call_id = f"trial-{new_id()}", new_id()
    return ToolContext(
        run_id=run_id,
        group_id=caller.group_id,
        session_id=run_id,
        step=1,
        tool_call_id=call_id,
        idempotency_key=f"{run_id}:{call_id}",
    )


def _entry(tool: Tool | None, record: StoredTool | None) -> ToolEntry:
    if record is not None and record.tool_type != SWITCH and (tool is None or tool.source == "api"):
        return _stored_entry(tool, record)
    if tool is not None:
        return ToolEntry(
            id=tool.name,
            name=tool.name,
            description=tool.description,
            parameters=tool.parameters,
            source=tool.source,
            tool_type=tool.source,
            requires_approval=bool(tool.requires_approval),
            idempotent=tool.idempotent,
            side_effects=tool.side_effects,
        )
    assert record is not None
    return _switched_off(record)


def _stored_entry(tool: Tool | None, record: StoredTool) -> ToolEntry:
    is_source = record.tool_type == "mcp"
    is_safe = not is_source and str(record.configuration.get("method", "GET")).upper() in _SAFE_METHODS
    declared = record.configuration.get("idempotent")
    return ToolEntry(
        id=record.id,
        name=record.name,
        description=record.description,
        parameters=tool.parameters if tool else record.parameters,
        source="api",
        tool_type=record.tool_type,
        enabled=record.enabled,
        requires_approval=record.requires_approval,
        idempotent=tool.idempotent if tool else bool(is_safe if declared is None else declared),
        side_effects=tool.side_effects if tool else not is_safe,
        usable=tool is not None or bool(record.enabled and record.offers),
        tools=tuple(f"{record.name}.{offer.name}" for offer in record.offers) if is_source else None,
        configuration=_masked(record.configuration),
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def _new_switch(caller: Caller, entry: ToolEntry, now: datetime) -> StoredTool:
    """Return the record of a tool from code; it remembers what the tool is like while it is hidden."""
    return StoredTool(
        id=new_id(),
        group_id=caller.group_id,
        name=entry.name,
        description=entry.description,
        tool_type=SWITCH,
        configuration={
            "source": entry.source,
            "idempotent": entry.idempotent,
            "side_effects": entry.side_effects,
            "requires_approval": entry.requires_approval,
        },
        parameters=entry.parameters,
        created_at=now,
        updated_at=now,
    )


def _switched_off(record: StoredTool) -> ToolEntry:
    known = record.configuration
    return ToolEntry(
        id=record.name,
        name=record.name,
        description=record.description,
        parameters=record.parameters,
        source=known.get("source", "code"),
        tool_type=known.get("source", "code"),
        enabled=record.enabled,
        requires_approval=record.requires_approval or known.get("requires_approval", False),
        idempotent=known.get("idempotent", False),
        side_effects=known.get("side_effects", True),
        usable=False,
    )


def _masked(configuration: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(configuration)
    for member in _MASKED:
        values = configuration.get(member)
        if isinstance(values, dict):
            shown[member] = {
                name: value if member == "headers" and name.lower() in PLAIN_HEADERS else MASK
                for name, value in values.items()
            }
    return shown


def _unmasked(configuration: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with what was given back masked as it is stored.

    Raises:
        Invalid: it would be sent to another place. Whoever may change a tool could read it there.
    """
    kept = dict(configuration)
    is_elsewhere = _whereto(configuration) != _whereto(stored)
    for member in _MASKED:
        values, known = configuration.get(member), stored.get(member) or {}
        if not isinstance(values, dict):
            continue
        masked = [name for name, value in values.items() if value == MASK and name in known]
        if masked and is_elsewhere:
            text = f"{masked[0]!r} was kept for another place; give its value anew"
            raise Invalid(text, field=f"configuration.{member}")
        kept[member] = values | {name: known[name] for name in masked}
    return kept


def _whereto(configuration: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return where a tool's requests go: scheme, host and port of its URL, or the program that is run."""
    url = str(configuration.get("url") or "")
    return (*url.split("/")[:3:2], configuration.get("command"), tuple(configuration.get("args") or ()))
