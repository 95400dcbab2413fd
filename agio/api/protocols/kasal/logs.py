"""What an execution says while it works, as a list, as an event stream, and over a WebSocket (seed items S42, S43)."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from pydantic import BaseModel, Field

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep, get_caller, get_engine
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.problems import documented
from agio.api.protocols.kasal.executions import ExecutionPath
from agio.api.protocols.kasal.lines import line_of
from agio.api.sse import EVENT_SCHEMA, SEND_TIMEOUT_S, LastEventIdText, data_line, wire_events
from agio.api.tree_stream import attach_to_tree, parse_places
from agio.domain.access import Permission
from agio.domain.errors import NotFound, StoreUnavailable
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.tasks import end
from agio.engine.trees import Leaf

router = APIRouter(prefix="/execution-logs", tags=["kasal"])

NO_SUCH_EXECUTION = 4004
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
_FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The lines, until the execution has ended; unnamed frames.",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
    },
    204: {"description": "All has ended and nothing is left behind the given id."},
}


class LogLine(BaseModel):
    """One line of a log."""

    timestamp: str = Field(description="ISO 8601, UTC.", examples=["2026-11-21T12:00:00.000Z"])
    level: str = Field(examples=["INFO"])
    message: str
    step: int | None = None
    task_id: str | None = None


@router.get(
    "/{execution_id}", operation_id="getExecutionLogs", summary="Read an execution's log", responses=documented(404)
)
async def get_logs(
    execution_id: ExecutionPath, engine: EngineDep, caller: CallerDep, limit: Limit = 100, offset: Offset = 0
) -> ListOf[LogLine]:
    """Of the execution and of all its tasks, by time."""
    await engine.executions.find(caller, execution_id)
    found = []
    for entry, place in await engine.trees.journals(caller, execution_id):
        found += [line for event in wire_events(entry) if (line := line_of(event, place)) is not None]
    rows = [LogLine(**line) for line in found[offset : offset + limit]]
    return listed(rows, len(found), limit, offset)


@router.get(
    "/{execution_id}/stream",
    operation_id="followExecutionLogs",
    summary="Follow an execution's log",
    response_model=None,
    responses=_FOLLOWED | documented(400, 404),
)
async def follow_logs(
    execution_id: ExecutionPath,
    engine: EngineDep,
    caller: CallerDep,
    last_event_id: Annotated[LastEventIdText, Header(description="Read on from there.")] = None,
) -> Response:
    """What was said already comes first. A WebSocket at the same path gets the same lines, one JSON text each."""
    run = await engine.executions.find(caller, execution_id)
    return await attach_to_tree(engine, caller, run, parse_places(last_event_id, run.id), _frame)


def _frame(leaf: Leaf, event: Mapping[str, Any]) -> bytes | None:
    line = line_of(event, leaf.place)
    return data_line(line) if line is not None else None


@router.websocket("/{execution_id}/stream")
@needs(Permission.READ)
async def talk_logs(socket: WebSocket, execution_id: str) -> None:
    """Send the lines, what was said already first; close when the execution has ended."""
    caller = await get_caller(socket)
    await socket.accept()
    try:
        engine = await get_engine(socket)
        await engine.executions.find(caller, execution_id)
    except NotFound as error:
        await socket.close(NO_SUCH_EXECUTION, str(error)[:100])
        return
    except StoreUnavailable:
        await socket.close(TRY_AGAIN_LATER, "the database is away")
        return
    sending = asyncio.ensure_future(_send_lines(socket, engine, caller, execution_id))
    leaving = asyncio.ensure_future(_wait_until_left(socket))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        code = sending.result() if sending.done() else None
    finally:
        await end([sending, leaving])
    if code is not None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it left by itself meanwhile
            await socket.close(code)


async def _send_lines(socket: WebSocket, engine: Engine, caller: Caller, execution_id: str) -> int | None:
    """Send the lines; return the code to close with, None when the reader is gone."""
    try:
        async with aclosing(engine.trees.follow(caller, execution_id, {})) as items:
            async for item in items:
                if isinstance(item, Draining):
                    return SERVICE_RESTART
                for event in wire_events(item.published.entry):
                    if (line := line_of(event, item.place)) is not None:
                        async with asyncio.timeout(SEND_TIMEOUT_S):
                            await socket.send_json(line)
    except StoreUnavailable:
        return TRY_AGAIN_LATER
    except (WebSocketDisconnect, RuntimeError, TimeoutError):  # RuntimeError: it was closed already
        return None
    return 1000


async def _wait_until_left(socket: WebSocket) -> None:
    """Return when the reader leaves; what it says meanwhile means nothing."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
