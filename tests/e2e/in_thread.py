"""A whole server in a thread of the test's own process, and a client of it that reads streams while it commands.

Not responsible for servers of several processes (`cluster.py`).
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from agio.api.app import create_app
from agio.engine.caller import Caller
from agio.settings import Settings
from tests.e2e.client import Frame, check_whole, model, to_frame
from tests.support.in_thread import running_app

SLOWLY = "Count to 500 slowly"
"""Keeps the demo model busy for 40 s."""


@dataclass(frozen=True, slots=True)
class Api:
    """A server, and calls to it."""

    app: FastAPI
    http: httpx.Client

    def call(
        self, method: str, path: str, body: Any = None, *, expect: int = 200, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the decoded answer; its status must be as expected."""
        answer = self.http.request(method, f"/api{path}", json=body, headers=headers)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, *, expect: int = 200, headers: Mapping[str, str] | None = None) -> Any:
        return self.call("GET", path, expect=expect, headers=headers)

    def post(self, path: str, body: Any = None, *, expect: int = 200, headers: Mapping[str, str] | None = None) -> Any:
        return self.call("POST", path, body, expect=expect, headers=headers)

    def chat(self, message: str = "What is 6 * 7?", *, expect: int = 200, **fields: Any) -> Any:
        """Send a message and wait for the answer."""
        body = {"agent_id": "assistant", "message": message, "stream": False, **fields}
        return self.post("/chat", body, expect=expect)

    def start(self, message: str = SLOWLY, **fields: Any) -> str:
        """Start a run and leave it; return its id."""
        started: str = self.post("/runs", {"agent_id": "assistant", "message": message, **fields}, expect=202)["id"]
        return started

    @contextmanager
    def stream(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[Frame]]:
        """Open an event stream."""
        with self.http.stream(method, f"/api{path}", json=body, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield read(answer.iter_lines())

    def events(self, run: str) -> list[Frame]:
        """Follow a run to its end and return all its events."""
        with self.stream("GET", f"/runs/{run}/events") as frames:
            found = list(frames)
        check_whole(found)
        return found

    def until(self, run: str, *events: str) -> Frame:
        """Follow a run until one of these events; return it."""
        with self.stream("GET", f"/runs/{run}/events") as frames:
            return next(frame for frame in frames if frame.event in events)


def read(lines: Iterator[str]) -> Iterator[Frame]:
    """Read an event stream, strictly."""
    block: list[str] = []
    for line in lines:
        if line and not line.startswith((":", "retry: ")):
            block.append(line)
        elif not line and block:
            yield to_frame(block)
            block = []


@contextmanager
def serving(folder: Path | None, **settings: Any) -> Iterator[Api]:
    """Run a server in a thread, on a fresh file in a folder or on what the settings name.

    The header `X-Test-Group` says which group the caller is of.
    """
    if folder is not None:
        settings["database_url"] = f"sqlite:///{folder}/agio.db"
    app = create_app(Settings(drain_s=0.5, **settings))

    async def with_group(scope: Scope, receive: Receive, send: Send) -> None:
        group = dict(scope.get("headers", ())).get(b"x-test-group")
        if group:
            scope.setdefault("state", {})["caller"] = Caller(group_id=group.decode())
        await app(scope, receive, send)

    with running_app(with_group) as url, httpx.Client(base_url=url, timeout=30) as http:
        yield Api(app, http)


def fresh(prefix: str) -> str:
    """Return an id that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def ask(api: Api, agent: dict[str, Any] | None = None, **behaviour: Any) -> tuple[str, str]:
    """Start a run on a model that behaves like this (`client.model`); return the model's name and the run."""
    asked = model(**behaviour)
    body = {"name": fresh("real"), "model": asked, "tools": ["calculator"], **(agent or {})}
    made = api.post("/agents", body, expect=201)["id"]
    return asked, api.start("hello", agent_id=made)
