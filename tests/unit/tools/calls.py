"""What tests of tools share: a context, a short way to call, a web server on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from agio.tools.base import Tool, ToolContext
from agio.tools.execution import execute


def make_context(**changes: Any) -> ToolContext:
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "group_id": "group-1",
        "session_id": "session-1",
        "step": 1,
        "tool_call_id": "call-1",
        "idempotency_key": "run-1:call-1",
    }
    return ToolContext(**(fields | changes))


async def call(tool: Tool, **arguments: Any) -> str:
    return await execute(tool, make_context(), json.dumps(arguments))


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(kw_only=True)
class WebServer:
    """Answers every request by `respond` and remembers what it was asked."""

    respond: Callable[[Received], Answer]
    port: int = 0
    requests: list[Received] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            received = Received(method=method, target=target, headers=headers, body=body)
            self.requests.append(received)
            answer = self.respond(received)
            fields = {"Content-Length": str(len(answer.body)), "Connection": "close"} | answer.headers
            lines = [f"HTTP/1.1 {answer.status} Status", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
            writer.write("\r\n".join(lines).encode() + answer.body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left, as some tests want it to
        finally:
            writer.close()


@asynccontextmanager
async def web_server(
    respond: Callable[[Received], Answer], *, host: str = "127.0.0.1", port: int = 0, tls: SSLContext | None = None
) -> AsyncIterator[WebServer]:
    served = WebServer(respond=respond)
    server = await asyncio.start_server(served.serve, host, port, ssl=tls)
    async with server:
        served.port = server.sockets[0].getsockname()[1]
        yield served


def text_answer(text: str, status: int = 200, content_type: str = "text/plain") -> Answer:
    return Answer(status=status, headers={"Content-Type": content_type}, body=text.encode())
