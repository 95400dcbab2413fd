"""Tools: those made in Python, the built-in ones, and those made here."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.tools import ToolBody, ToolChanges, ToolView, TrialBody, TrialView
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.errors import AlreadyExists
from agio.domain.tools import StoredTool
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.tools import ToolEntry

router = APIRouter(prefix="/tools", tags=["tools"])

ToolPath = Annotated[str, Path(max_length=128, description="The tool's id or name.", examples=["calculator"])]


@router.get("", operation_id="listTools", summary="List tools by name", responses=documented())
async def list_tools(
    engine: EngineDep,
    caller: CallerDep,
    q: Annotated[str | None, Query(max_length=200, description="Occurs in the name or description.")] = None,
    enabled: Annotated[bool | None, Query(description="Left out: those that are switched off too.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> ListOf[ToolView]:
    """Those made in Python, the built-in ones, and those made over the API."""
    found = [one for one in await engine.tools.list(caller) if enabled in (None, one.enabled) and _mentions(one, q)]
    rows = [ToolView.model_validate(entry) for entry in found[offset : offset + limit]]
    return listed(rows, len(found), limit, offset)


def _mentions(entry: ToolEntry, text: str | None) -> bool:
    return text is None or any(text.casefold() in field.casefold() for field in (entry.name, entry.description))


@router.post(
    "",
    operation_id="createTool",
    summary="Make a tool that calls an HTTP endpoint, or name an MCP server",
    status_code=201,
    response_model=ToolView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_tool(body: ToolBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Works at once, for every agent that names it. An MCP server is asked for its tools now."""

    async def make(tool_id: str) -> Response:
        entry = await _create_once(engine, caller, body, tool_id)
        view = ToolView.model_validate(entry)
        return JSONResponse(view.model_dump(mode="json"), 201, {"Location": f"/api/tools/{entry.id}"})

    return await once(request, engine, caller, make)


async def _create_once(engine: Engine, caller: Caller, body: ToolBody, tool_id: str) -> ToolEntry:
    """Make the tool, unless a request under the same key, which names the same id, was faster."""
    now = utc_now()
    record = StoredTool(id=tool_id, group_id=caller.group_id, created_at=now, updated_at=now, **body.model_dump())
    try:
        return await engine.tools.create(caller, record)
    except AlreadyExists:
        entry = await engine.tools.get(caller, body.name)
        if entry.id != tool_id:
            raise
        return entry


@router.get("/enabled", operation_id="listEnabledTools", summary="List tools that may be used", responses=documented())
async def list_enabled_tools(
    engine: EngineDep, caller: CallerDep, limit: Limit = 100, offset: Offset = 0
) -> ListOf[ToolView]:
    """As the whole list with `enabled=true`."""
    return await list_tools(engine, caller, enabled=True, limit=limit, offset=offset)


@router.get(
    "/configurations/{tool_name}/schema",
    operation_id="getToolConfigurationSchema",
    summary="Read what can be configured about a tool",
    responses=documented(404),
)
async def get_configuration_schema(
    tool_name: Annotated[str, Path(max_length=128, description="A tool's name, or a type.", examples=["http"])],
    engine: EngineDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """The JSON Schema of `configuration`; of tools made in Python an object without members."""
    return await engine.tools.configuration_schema(caller, tool_name)


@router.get("/{tool_id}", operation_id="getTool", summary="Look at a tool", responses=documented(404))
async def get_tool(tool_id: ToolPath, engine: EngineDep, caller: CallerDep) -> ToolView:
    """By its id, else by its name."""
    return ToolView.model_validate(await engine.tools.get(caller, tool_id))


@router.patch("/{tool_id}", operation_id="updateTool", summary="Change a tool", responses=documented(404, 409))
@needs(Permission.BUILD)
async def update_tool(tool_id: ToolPath, body: ToolChanges, engine: EngineDep, caller: CallerDep) -> ToolView:
    """What the body leaves out stays as it is. A tool made in Python can be switched off for this group."""
    return ToolView.model_validate(await engine.tools.update(caller, tool_id, body.to_changes()))


@router.patch(
    "/{tool_id}/toggle-enabled",
    operation_id="toggleTool",
    summary="Switch a tool on or off",
    responses=documented(404),
)
@needs(Permission.BUILD)
async def toggle_tool(tool_id: ToolPath, engine: EngineDep, caller: CallerDep) -> ToolView:
    """A run that calls a tool that is off is told so."""
    entry = await engine.tools.get(caller, tool_id)
    return ToolView.model_validate(await engine.tools.update(caller, entry.id, {"enabled": not entry.enabled}))


@router.post(
    "/{tool_id}/refresh",
    operation_id="refreshTool",
    summary="Ask an MCP server anew for its tools",
    responses=documented(404, 409),
)
@needs(Permission.BUILD)
async def refresh_tool(tool_id: ToolPath, engine: EngineDep, caller: CallerDep) -> ToolView:
    """Agents that name the server have what it offers now from their next step on."""
    return ToolView.model_validate(await engine.tools.refresh(caller, tool_id))


@router.delete(
    "/{tool_id}",
    operation_id="deleteTool",
    summary="Delete a tool",
    status_code=204,
    responses=documented(404, 409),
)
@needs(Permission.BUILD)
async def delete_tool(tool_id: ToolPath, engine: EngineDep, caller: CallerDep) -> None:
    """Only those made over the API; the others can be switched off."""
    await engine.tools.delete(caller, tool_id)


@router.post("/{tool_id}/test", operation_id="testTool", summary="Try a tool", responses=documented(404))
@needs(Permission.BUILD)
async def try_tool(tool_id: ToolPath, engine: EngineDep, caller: CallerDep, body: TrialBody | None = None) -> TrialView:
    """Calls it for real. Whoever tries a tool that needs an approval gives it."""
    trial = await engine.tools.try_out(caller, tool_id, body.arguments if body else {})
    return TrialView.model_validate(trial)
