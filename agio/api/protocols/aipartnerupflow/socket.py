"""`/ws`: who connects hears of the task trees that it may see; who subscribes, of those it names."""

import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from agio.api.context import get_caller, get_engine, get_principal
from agio.api.native.schemas.common import check_json
from agio.api.protocols.aipartnerupflow.convert import Frame, frame, status_of
from agio.api.protocols.aipartnerupflow.watch import Watch
from agio.api.sse import SEND_TIMEOUT_S
from agio.domain.access import Permission
from agio.domain.errors import NotFound, StoreUnavailable
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.tasks import end

router = APIRouter()

SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
MOST_CHARS = 10_000
"""Longest message of a client."""
MOST_SUBSCRIPTIONS = 1_000
RENAMED = {"progress": "task_progress", "task_start": "task_status"}
"""What the reference calls some frames here."""


class _Gone(Exception):
    """The client left, or takes nothing any more."""


@router.websocket("/ws")
async def updates(socket: WebSocket) -> None:
    """Send what happens to task trees; take `subscribe`, `unsubscribe` and `ping`."""
    caller, principal = await get_caller(socket), await get_principal(socket)
    await socket.accept()
    try:
        engine = await get_engine(socket)
        owner = None if principal.may(Permission.ADMIN) else caller.user_id
        await Updates(socket, engine, caller, owner).run()
    except StoreUnavailable:
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(TRY_AGAIN_LATER, "the database is away")


class Updates:
    """One connection."""

    def __init__(self, socket: WebSocket, engine: Engine, caller: Caller, owner: str | None) -> None:
        self._socket = socket
        self._engine = engine
        self._caller = caller
        self._owner = owner
        self._wanted: set[str] | None = None
        """Tasks that are subscribed to; None: it never subscribed, and hears of all."""

    async def run(self) -> None:
        """Serve until the client leaves or this process stops."""
        watch = Watch(self._engine, self._caller, self._owner)
        await watch.begin()
        reading = asyncio.ensure_future(self._read())
        telling = asyncio.ensure_future(self._tell(watch))
        try:
            await asyncio.wait({reading, telling}, return_when=asyncio.FIRST_COMPLETED)
            for one in (telling, reading):
                if one.done():
                    one.result()
        except _Gone:
            pass
        finally:
            await end([reading, telling])

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await self._act(message.get("text") or message.get("bytes") or "")

    async def _act(self, text: str | bytes) -> None:
        try:
            given = check_json(json.loads(text)) if len(text) <= MOST_CHARS else None
        except (ValueError, RecursionError):
            given = None
        action = given.get("action") if isinstance(given, dict) else None
        task_id = given.get("task_id") if isinstance(given, dict) else None
        match action:
            case "ping":
                await self._send({"type": "pong"})
            case "subscribe" | "unsubscribe" if not isinstance(task_id, str):
                await self._refuse("invalid", f"{action} needs a task_id")
            case "subscribe":
                await self._subscribe(str(task_id))
            case "unsubscribe":
                self._wanted = (self._wanted or set()) - {str(task_id)}
                await self._send({"type": "unsubscribed", "task_id": task_id})
            case _:
                await self._refuse("invalid", 'send {"action": "subscribe" | "unsubscribe" | "ping", "task_id"}')

    async def _subscribe(self, task_id: str) -> None:
        """From now on its frames are sent; first where it stands, so that nothing between is missed."""
        if self._wanted is not None and len(self._wanted) >= MOST_SUBSCRIPTIONS:
            await self._refuse("too_many", f"{MOST_SUBSCRIPTIONS} subscriptions are the limit", task_id=task_id)
            return
        trees = self._engine.task_trees
        try:
            tree = await trees.find(self._caller, task_id, owner=self._owner)
        except NotFound as error:
            await self._refuse("not_found", str(error), task_id=task_id)
            return
        self._wanted = (self._wanted or set()) | {task_id}
        await self._send({"type": "subscribed", "task_id": task_id})
        state = (await trees.states(self._caller, tree))[task_id]
        at = state.ended_at or state.started_at or utc_now()
        told = frame("task_status", task_id, tree.root_id, state.run_id, status_of(state), state.progress, at)
        await self._send(told)

    async def _tell(self, watch: Watch) -> None:
        async with aclosing(watch.frames()) as items:
            async for item in items:
                if isinstance(item, Draining):
                    with suppress(WebSocketDisconnect, RuntimeError):
                        await self._socket.close(SERVICE_RESTART)
                    return
                if self._wanted is None or {item["task_id"], item["root_task_id"]} & self._wanted:
                    await self._send({**item, "type": RENAMED.get(item["type"], item["type"])})

    async def _refuse(self, code: str, text: str, **more: Any) -> None:
        await self._send({"type": "error", "code": code, "message": text, **more})

    async def _send(self, message: Frame) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_text(json.dumps(message, ensure_ascii=False))
        except (WebSocketDisconnect, RuntimeError, TimeoutError) as error:  # RuntimeError: it was closed already
            raise _Gone from error
