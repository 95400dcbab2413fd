"""A server for aipartnerupflow's clients in a thread of the test's process, and calls to it."""

import asyncio
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from agio.api.app import create_app
from agio.bootstrap import make_runtime
from agio.domain.errors import ToolError
from agio.providers.demo import DemoProvider
from agio.settings import Settings
from agio.tools.decorator import tool
from tests.e2e.in_thread import fresh

GATES: dict[str, threading.Event] = defaultdict(threading.Event)
CALLS: list[str] = []
"""What `shout` was asked to say."""


@tool
def shout(text: str) -> str:
    """Say it loudly."""
    CALLS.append(text)
    return text.upper()


@tool
def join(left: str, right: str) -> dict[str, str]:
    """Put two results together."""
    return {"both": f"{left}+{right}"}


@tool
def my_task(key: str) -> str:
    """Do what the document's example names."""
    return f"did {key}"


@tool
async def hold(gate: str) -> str:
    """Wait until a test opens the gate."""
    while not GATES[gate].is_set():  # noqa: ASYNC110 - it is opened from another thread
        await asyncio.sleep(0.01)
    return "held"


@tool
def fails(once: str) -> str:
    """Fail, but the second time."""
    if not GATES[once].is_set():
        GATES[once].set()
        raise ToolError("broken")
    return "mended"


def flow_app(folder: Path, **settings: Any) -> FastAPI:
    """Return an application on a fresh file, with tools to make tasks of."""
    chosen: dict[str, Any] = {"database_url": f"sqlite:///{folder}/agio.db", "drain_s": 0.5, "examples": False}
    made = Settings(**chosen | settings)
    tools: list[Any] = [shout, join, my_task, hold, fails]
    return create_app(made, runtime=make_runtime(made, tools=tools, providers=[DemoProvider(delay_s=0)]))


@dataclass(frozen=True, slots=True)
class Flow:
    """Calls to a server."""

    http: httpx.Client

    def post(self, body: Any, path: str = "/tasks", *, expect: int = 200, **headers: Any) -> Any:
        """Post JSON and return what comes back."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.post(path, json=body, headers=sent)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    def call(self, method: str, params: Any = None, path: str = "/tasks", **headers: Any) -> Any:
        """Return the result of a call; there must be one."""
        answer = self.post({"jsonrpc": "2.0", "method": method, "params": params, "id": 7}, path, **headers)
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
        assert "result" in answer, answer
        return answer["result"]

    def refused(self, method: str, params: Any = None, path: str = "/tasks", **headers: Any) -> Any:
        """Return the error of a call; there must be one."""
        answer = self.post({"jsonrpc": "2.0", "method": method, "params": params, "id": 7}, path, **headers)
        assert "error" in answer, answer
        return answer["error"]

    def status(self, task_id: str, *, expect: int = 200) -> Any:
        answer = self.http.get(f"/tasks/{task_id}/status")
        assert answer.status_code == expect, answer.text
        return answer.json()

    @contextmanager
    def stream(self, params: Any, method: str = "tasks.execute") -> Iterator[Iterator[Any]]:
        """Execute with a stream; yield what its frames say. Every frame is one line of unnamed data."""
        body = {"jsonrpc": "2.0", "method": method, "params": {**params, "use_streaming": True}, "id": 1}
        with self.http.stream("POST", "/tasks", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield (json.loads(line.removeprefix("data: ")) for line in _data_lines(answer.iter_lines()))

    def execute(self, tasks: list[Any], method: str = "execute_task_tree") -> list[Any]:
        """Carry tasks out and return all frames but the first, which is the answer."""
        with self.stream({"tasks": tasks}, method) as frames:
            return list(frames)[1:]


def _data_lines(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line and not line.startswith((":", "retry: ")):
            assert line.startswith("data: "), line
            yield line


def named(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tasks under ids that no other test has."""
    prefix, text = fresh("t"), json.dumps(tasks)
    for task in tasks:
        one = re.escape(task["id"])
        text = re.sub(rf'(?<="){one}(?=")|(?<={{{{){one}(?=}}}})', f"{prefix}-{task['id']}", text)
    found: list[dict[str, Any]] = json.loads(text)
    return found
