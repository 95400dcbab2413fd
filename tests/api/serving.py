"""A whole server in the test's own process: a fresh SQLite file, a scripted provider, a client."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from agio.api.app import create_app
from agio.bootstrap import make_runtime
from agio.bootstrap.agents import DeclaredAgent
from agio.bootstrap.serving import PROTOCOL
from agio.domain.agents import Agent
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.settings import Settings
from agio.testing.provider import ScriptedProvider
from agio.tools.base import Tool

THEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Api:
    """A server and a client of it."""

    app: FastAPI
    client: httpx.AsyncClient
    engine: Engine
    provider: ScriptedProvider

    async def call(self, method: str, path: str, body: Any = None, *, expect: int = 200, **headers: str) -> Any:
        """Call the API and return the decoded answer; the status must be as expected."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.request(method, f"/api{path}", json=body, headers=sent)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def chat(self, message: str = "hello", *, expect: int = 200, **fields: Any) -> Any:
        """Send a message to the code agent `writer` and wait for its answer."""
        body = {"agent_id": "writer", "message": message, "stream": False, **fields}
        return await self.call("POST", "/chat", body, expect=expect)

    async def start(self, message: str = "hello", **fields: Any) -> Any:
        """Start a run and return its view at once."""
        return await self.call("POST", "/runs", {"agent_id": "writer", "message": message, **fields}, expect=202)

    async def until(self, run_id: str, status: str) -> Any:
        """Return the run's view as soon as it has that status; it must come to have it."""
        async with asyncio.timeout(20), aclosing(self.engine.tail(Caller(), run_id)) as items:
            async for _ in items:
                view = await self.call("GET", f"/runs/{run_id}")
                if view["status"] == status:
                    return view
        raise AssertionError(f"the run never was {status}")

    async def until_event(self, run_id: str, name: str) -> None:
        """Return as soon as the run's journal has such an event."""
        async with asyncio.timeout(20), aclosing(self.engine.tail(Caller(), run_id)) as items:
            async for item in items:
                if not isinstance(item, Draining) and name in {event.type for event in item.entry.events}:
                    return
        raise AssertionError(f"there was no {name}")

    async def checkpoints(self, run_id: str) -> list[Any]:
        """Return the rows of a run's checkpoints."""
        rows: list[Any] = (await self.call("GET", f"/runs/{run_id}/checkpoints"))["items"]
        return rows


def writer(**fields: Any) -> Agent:
    """Return the code agent that the tests talk to."""
    given: dict[str, Any] = {"id": "writer", "name": "Writer", "provider": "scripted", "model": "script-1"} | fields
    return Agent(group_id="default", source="code", created_at=THEN, updated_at=THEN, **given)


@asynccontextmanager
async def serving(
    folder: Path,
    provider: ScriptedProvider | None = None,
    *,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    agents: Sequence[Agent | DeclaredAgent] = (),
    **given: Any,
) -> AsyncIterator[Api]:
    """Serve a fresh database for as long as the context is open, called without a network.

    `given` are further settings.
    """
    provider = provider or ScriptedProvider(default="fine")
    chosen: dict[str, Any] = {"database_url": f"sqlite:///{folder}/agio.db", "drain_s": 0.1} | given
    settings = Settings(**chosen)
    runtime = make_runtime(settings, agents=[writer(), *agents], tools=tools, providers=[provider])
    app = create_app(settings, runtime=runtime)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as client,
    ):
        yield Api(app, client, runtime.engine, provider)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that reads answers while they are made, which `Api.client` cannot."""
    server = _Server(
        uvicorn.Config(api.app, port=0, http=PROTOCOL, proxy_headers=False, log_level="warning", lifespan="off")
    )
    serving_on = asyncio.create_task(server.serve())
    await server.listens.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        await serving_on


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream."""

    event: str
    data: Any
    id: str


async def frames(lines: AsyncIterator[str]) -> AsyncIterator[Frame]:
    """Read an event stream."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Frame(fields["event"], json.loads(fields["data"]), fields["id"])
            fields = {}


def frames_of(text: str) -> list[Frame]:
    """Read a whole event stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
        if "data" in fields:
            found.append(Frame(fields["event"], json.loads(fields["data"]), fields["id"]))
    return found
