"""A WebSocket client without a network: the handshake, by hand."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, WebSocket
from starlette.types import ASGIApp, Message

from agio.api.context import CallerDep


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a server answered."""

    accepted: bool
    status: int
    """101, or that of the refusal; 403 where the server only closed."""
    subprotocol: str | None
    headers: dict[str, str]
    said: str
    """The first text that came."""


def add_echo(app: FastAPI, path: str = "/ws/echo") -> None:
    """Give an application a socket that says who calls."""

    async def echo(socket: WebSocket, caller: CallerDep) -> None:
        await socket.accept()
        await socket.send_text(f"{caller.name} of {caller.group_id}")
        await socket.close()

    app.add_api_websocket_route(path, echo)
    app.router.routes.insert(0, app.router.routes.pop())  # before the mounts


async def connect(
    app: ASGIApp,
    path: str = "/ws/echo",
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    subprotocols: list[str] | None = None,
    can_deny: bool = True,
) -> Handshake:
    """Open a socket and read until it is refused or closed."""
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope: dict[str, Any] = {
        **{"type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1"},
        **{"scheme": "ws", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode()},
        **{"headers": [(b"host", b"test"), *raw], "client": ("127.0.0.1", 1), "server": ("test", 80), "state": {}},
        **{"subprotocols": list(subprotocols or []), "extensions": {"websocket.http.response": {}} if can_deny else {}},
    }
    sent: list[Message] = []
    done = asyncio.Event()

    async def receive() -> Message:
        if not sent:
            return {"type": "websocket.connect"}
        await done.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    first = sent[0]
    texts = [message["text"] for message in sent if message["type"] == "websocket.send"]
    if first["type"] == "websocket.accept":
        return Handshake(True, 101, first.get("subprotocol"), {}, texts[0] if texts else "")
    if first["type"] == "websocket.close":
        return Handshake(False, 403, None, {}, "")
    named = {name.decode(): value.decode() for name, value in first["headers"]}
    return Handshake(False, first["status"], None, named, sent[1]["body"].decode())
