"""Firefly's WebSocket: many turns on one connection, each a run like any other."""

import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from agio.api.context import get_caller, get_engine
from agio.api.protocols.firefly.convert import failure_of
from agio.api.protocols.firefly.shapes import RunBody
from agio.api.speech import Speech
from agio.api.sse import SEND_TIMEOUT_S, by_itself
from agio.domain.errors import AgioError, LimitExceeded, NotFound, StoreUnavailable
from agio.domain.events import Event, RunCompleted
from agio.domain.ids import new_id
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.starting import StartRequest
from agio.engine.tail import Draining
from agio.engine.tasks import end
from agio.settings import Settings

router = APIRouter()

NO_SUCH_AGENT = 4004
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
MAX_WAITING = 16
"""Prompts that may wait while an earlier one is answered."""


class _Gone(Exception):
    """The client left, or takes nothing any more."""


@router.websocket("/ws/agents/{name}")
async def talk(socket: WebSocket, name: str) -> None:
    """Hold a conversation with an agent."""
    caller = await get_caller(socket)
    await socket.accept()
    try:
        engine = await get_engine(socket)
        await engine.agents.get(caller, name)
    except NotFound as error:
        await socket.close(NO_SUCH_AGENT, str(error)[:100])
        return
    except StoreUnavailable:
        await socket.close(TRY_AGAIN_LATER, "the database is away")
        return
    settings: Settings = socket.app.state.settings
    talking = Talk(socket, engine, caller, name, settings)
    await talking.run()


class Talk:
    """One connection. Its conversation is its own, unless its client names another."""

    def __init__(self, socket: WebSocket, engine: Engine, caller: Caller, agent_id: str, settings: Settings) -> None:
        self._socket = socket
        self._engine = engine
        self._caller = caller
        self._agent_id = agent_id
        self._settings = settings
        self._conversation_id: str | None = None
        self._prompts: asyncio.Queue[RunBody] = asyncio.Queue(MAX_WAITING)

    async def run(self) -> None:
        """Answer prompts, one after the other, until the client leaves or this process stops."""
        reading = asyncio.ensure_future(self._read())
        answering = asyncio.ensure_future(self._answer_all())
        try:
            await asyncio.wait({reading, answering}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
            else:
                reading.result()
        except _Gone:
            pass
        finally:
            await end([reading, answering])

    async def _read(self) -> None:
        """Take prompts while others are answered: that is also how it is heard at once that the client left."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                prompt = self._decode(message.get("text") or message.get("bytes") or "")
                self._prompts.put_nowait(prompt)
            except (ValueError, LimitExceeded) as error:
                await self._send_error(_said(error))
            except asyncio.QueueFull:
                await self._send_error(f"{MAX_WAITING} prompts wait already; this one is not taken")

    def _decode(self, text: str | bytes) -> RunBody:
        if len(text) > self._settings.max_body_bytes:
            raise LimitExceeded(f"the message is larger than the limit of {self._settings.max_body_bytes} bytes")
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("the message is not JSON") from None
        return RunBody.model_validate(given)

    async def _answer_all(self) -> None:
        while True:
            prompt = await self._prompts.get()
            try:
                if not await self._answer(prompt):
                    return
            except AgioError as error:
                await self._send_error(str(error))

    async def _answer(self, prompt: RunBody) -> bool:
        """Run one turn and say what becomes of it. False: this process stops, and the connection with it."""
        if prompt.conversation_id is not None:
            self._conversation_id = prompt.conversation_id
        elif self._conversation_id is None:
            self._conversation_id = new_id()
            await self._send({"type": "conversation_id", "data": self._conversation_id})
        request = StartRequest(
            agent_id=self._agent_id,
            message=prompt.to_content(),
            session_id=self._conversation_id,
            detached=self._settings.on_socket_close == "detach",
            metadata={"deps": prompt.deps} if prompt.deps else {},
        )
        run = await self._start(request)
        last = await self._follow(run)
        if last is None:
            await self._send_error(f"the server stops here; the run {run.id} goes on")
            await self._close(SERVICE_RESTART)
            return False
        failure = failure_of(last)
        if failure is not None:
            await self._send_error(failure)
        else:
            text = last.response if isinstance(last, RunCompleted) else None
            await self._send({"type": "result", "data": text or "", "success": True})
        return True

    async def _start(self, request: StartRequest) -> Run:
        """Start a run; where the client leaves meanwhile, it is left as any other."""
        starting = asyncio.ensure_future(self._engine.starting.start(self._caller, request))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            by_itself(self._leave(starting))
            raise

    async def _leave(self, starting: "asyncio.Future[Run]") -> None:
        with suppress(AgioError):
            await self._engine.leave(self._caller, (await starting).id)

    async def _follow(self, run: Run) -> Event | None:
        """Send a run's texts; return its end, None where this process stops before."""
        speech, last = Speech(), None
        try:
            async with aclosing(self._engine.tail(self._caller, run.id)) as items:
                async for item in items:
                    if isinstance(item, Draining):
                        return None
                    for text in speech.take(item.entry):
                        await self._send({"type": "token", "data": text})
                    last = item.entry.events[-1]
            return last
        finally:
            by_itself(self._engine.leave(self._caller, run.id))

    async def _send_error(self, text: str) -> None:
        await self._send({"type": "error", "data": text, "success": False})

    async def _send(self, frame: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_text(json.dumps(frame, ensure_ascii=False))
        except (WebSocketDisconnect, RuntimeError, TimeoutError) as error:  # RuntimeError: it was closed already
            raise _Gone from error

    async def _close(self, code: int) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code)


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
