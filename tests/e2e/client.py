"""A client of a cluster: calls that land on any process or on a chosen one, and readers that re-attach.

Readers follow the rules of `spec/api.md` for clients and check the frames while they read: line order, ids, JSON.
"""

import asyncio
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.cluster import PATIENCE_S, Cluster

T = TypeVar("T")

TERMINAL = {"run_completed", "run_failed", "run_cancelled"}
FAREWELL = ": server closing, read on from the last id"
TIMEOUT = httpx.Timeout(30.0)
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Without certificates, which take 20 ms to load for each client; nothing here is encrypted."""


def model(**behaviour: Any) -> str:
    """Return the name of a model of its own that behaves like this (`agio.testing.openai_server.Behaviour`)."""
    return f"fake-{uuid.uuid4().hex[:8]}?{urlencode(behaviour)}"


def asked_of(provider: FakeOpenAI, name: str) -> list[Any]:
    """Return the bodies of the requests that a model got, oldest first."""
    return [seen.body for seen in provider.recorded if seen.model == name]


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Return what a look yields, as soon as it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(found := await look()):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)
    return found


def new_id(prefix: str = "run") -> str:
    """Return an id that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it came."""

    event: str
    data: Any
    seq: int


@dataclass(slots=True)
class Follower:
    """Reads a run's events to their end, attaching again whenever the connection ends."""

    client: "Client"
    path: str
    pid: int | None = None
    """The process to attach to first; any afterwards."""
    frames: list[Frame] = field(default_factory=list)
    connections: int = 0
    farewells: int = 0
    reconnect_s: float = 0.1
    """How long to wait before it attaches again; the server says."""
    _task: "asyncio.Task[None] | None" = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __aenter__(self) -> "Follower":
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def saw(self, event: str, count: int = 1) -> Frame:
        """Return the `count`-th event of that name, as soon as it is there."""
        found = await self._wait(lambda: [frame for frame in self.frames if frame.event == event][count - 1 : count])
        return found[0]

    async def passed(self, seq: int) -> None:
        """Return when an event after `seq` came."""
        await self._wait(lambda: [frame for frame in self.frames if frame.seq > seq])

    async def attached(self, times: int = 1) -> None:
        """Return when it has attached so many times."""
        await self._wait(lambda: [True] if self.connections >= times else [])

    @property
    def is_done(self) -> bool:
        """It has the last event, and its connection has ended."""
        return self._task is not None and self._task.done()

    async def all(self) -> list[Frame]:
        """Return every event, once the run has ended; they are checked to be whole."""
        assert self._task is not None
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.shield(self._task)
        check_whole(self.frames)
        return self.frames

    async def _wait(self, find: Callable[[], list[Any]]) -> list[Any]:
        assert self._task is not None
        async with asyncio.timeout(PATIENCE_S), self._changed:
            while not (found := find()):
                if self._task.done():
                    self._task.result()
                    raise AssertionError(f"not among {[frame.event for frame in self.frames]}")
                await self._changed.wait()
        return found

    async def _read(self) -> None:
        try:
            while not self._is_over():
                with suppress(httpx.TransportError):
                    await self._attach()
                if not self._is_over():
                    await asyncio.sleep(self.reconnect_s)
        finally:
            async with self._changed:
                self._changed.notify_all()

    def _is_over(self) -> bool:
        return bool(self.frames) and self.frames[-1].event in TERMINAL

    async def _attach(self) -> None:
        headers = {"Last-Event-ID": str(self.frames[-1].seq)} if self.frames else {}
        pid, self.pid = self.pid, None
        async with (
            self.client.connection(pid) as connection,
            connection.stream("GET", self.path, headers=headers) as answer,
        ):
            if answer.status_code == 503:
                return
            assert answer.status_code == 200, f"{answer.status_code} {await answer.aread()!r}"
            self.connections += 1
            async for frame in read_frames(answer.aiter_lines(), self._note, self._set_retry):
                async with self._changed:
                    self.frames.append(frame)
                    self._changed.notify_all()

    def _note(self, comment: str) -> None:
        self.farewells += comment == FAREWELL

    def _set_retry(self, milliseconds: int) -> None:
        self.reconnect_s = milliseconds / 1000


async def read_frames(
    lines: AsyncIterator[str],
    on_comment: Callable[[str], object] = lambda _: None,
    on_retry: Callable[[int], object] = lambda _: None,
) -> AsyncIterator[Frame]:
    """Read an event stream, strictly. A frame that is cut off is dropped."""
    block: list[str] = []
    async for line in lines:
        if line.startswith("retry: "):
            on_retry(int(line.removeprefix("retry: ")))
        elif line.startswith(":"):
            on_comment(line)
        elif line:
            block.append(line)
        elif block:
            yield to_frame(block)
            block = []


def to_frame(block: Sequence[str]) -> Frame:
    """Return the frame of these lines: event, data, id, in this order."""
    fields = [line.split(": ", 1) for line in block]
    assert [name for name, _ in fields] == ["event", "data", "id"], block
    event, text, last_id = (value for _, value in fields)
    data = json.loads(text)
    assert data["type"] == event, block
    assert last_id.rpartition("/")[2] == str(data["seq"]), block
    return Frame(event, data, data["seq"])


def check_whole(frames: Sequence[Frame]) -> None:
    """Check that these are all events of one ended run, each once and in order."""
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert frames[0].event == "run_started"
    assert [frame.event for frame in frames if frame.event in TERMINAL] == [frames[-1].event]


def shown(frames: Sequence[Frame]) -> str:
    """Return the text of the last message, as a client that follows deltas and resets shows it."""
    texts: dict[str, str] = {}
    for frame in frames:
        if frame.event == "content_delta":
            message_id = frame.data["message_id"]
            texts[message_id] = texts.pop(message_id, "") + frame.data["content"]
        elif frame.event == "content_reset":
            texts.pop(frame.data["message_id"], None)
    return list(texts.values())[-1] if texts else ""


def names(frames: Sequence[Frame]) -> list[str]:
    """Return the names of the events, without the deltas."""
    return [frame.event for frame in frames if not frame.event.endswith("_delta")]


class Client:
    """Calls the API; every call over a connection of its own, so that any process may answer it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @asynccontextmanager
    async def connection(self, pid: int | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Open a connection of its own, to a chosen process if one is named."""
        options: dict[str, Any] = {"timeout": TIMEOUT, "limits": httpx.Limits(max_connections=1), "verify": PLAIN}
        for _ in range(200):
            async with httpx.AsyncClient(base_url=f"{self.cluster.url}/api", **options) as client:
                if pid is None or await self._lands_on(client, pid):
                    yield client
                    return
        raise AssertionError(f"no connection to process {pid} in 200 attempts")

    async def _lands_on(self, client: httpx.AsyncClient, pid: int) -> bool:
        answer = await client.get("/health")
        port = answer.extensions["network_stream"].get_extra_info("client_addr")[1]
        return self.cluster.serving_pid(port) == pid

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int = 200,
        pid: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the decoded answer; its status must be as expected."""
        async with self.connection(pid) as connection:
            answer = await connection.request(method, path, json=body, headers=headers)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def follow(self, run_id: str, pid: int | None = None) -> Follower:
        """Read a run's events, from the first one on."""
        return Follower(self, f"/runs/{run_id}/events", pid)

    async def agent(self, **fields: Any) -> str:
        """Make an agent on the local OpenAI-compatible server; return its id."""
        body = {"id": new_id("agent"), "name": "Tester", "provider": "openai", "model": model(), **fields}
        made: str = (await self.call("POST", "/agents", body, expect=201))["id"]
        return made

    async def start(self, agent_id: str, message: str = "hello", **fields: Any) -> str:
        """Start a run without a stream; return its id."""
        body = {"agent_id": agent_id, "message": message, **fields}
        started: str = (await self.call("POST", "/runs", body, expect=202))["id"]
        return started

    async def view(self, run_id: str) -> Any:
        """Return the run's view."""
        return await self.call("GET", f"/runs/{run_id}")

    async def until(self, run_id: str, *statuses: str) -> Any:
        """Return the run's view as soon as it has one of these statuses."""
        return await eventually(lambda: self.view(run_id), lambda view: view["status"] in statuses)

    async def ended(self, run_id: str) -> list[Frame]:
        """Return all events of a run, once it has ended."""
        async with self.follow(run_id) as follower:
            return await follower.all()

    async def owner(self, run_id: str) -> int:
        """Return the process that executes the run, once there is one."""
        view = await self.until(run_id, "running")
        return self.cluster.workers()[view["owner"]["worker"]]

    async def others(self, pid: int) -> list[int]:
        """Return the processes that are not this one."""
        return [other for other in self.cluster.pids() if other != pid]

    async def tool(self, url: str, *, idempotent: bool = True, **fields: Any) -> str:
        """Make a tool that POSTs there; return its name."""
        name = f"charge_{uuid.uuid4().hex[:8]}"
        configuration = {"url": url, "method": "POST", "body": {"amount": "{amount}"}, "idempotent": idempotent}
        body = {"name": name, "description": "Charge an amount.", "configuration": configuration, **fields}
        await self.call("POST", "/tools", body, expect=201)
        return name
