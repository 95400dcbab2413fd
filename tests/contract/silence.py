"""All documented clients at once, on a model that says nothing for 20 s: the wait happens once."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import httpx
import websockets

from tests.contract import examples
from tests.contract.browser import CHROMIUM, opened
from tests.contract.event_source import EventSource, Message
from tests.e2e.client import model

PATIENCE_S = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What each client printed or got."""

    curl_chat: str
    python_chat: str
    curl_stream: str
    python_stream: str
    event_source: list[dict[str, Any]]
    browser: list[list[Any]] | None
    """None: there is no browser here."""
    session: list[int]
    """Statuses of GET /sessions/{id} while its run works and after its timeout of 2 s."""
    httpx_stream: list[str]
    httpx_run: dict[str, Any]
    socket: list[dict[str, Any]]
    half_failed: tuple[list[dict[str, Any]], int]
    """Frames of a turn whose model breaks off each time it is asked, and how many runs there are of it."""


def hear_all(kawai: str, firefly: str) -> Heard:
    """Run all clients side by side.

    Args:
        kawai: a server whose agent is silent; its sessions last for 2 s.
        firefly: a server whose agent `summariser` is silent.
    """
    clients: dict[str, Callable[[], Any]] = {
        "curl_chat": lambda: _shell(examples.at(examples.K22_CURL_CHAT, kawai)),
        "python_chat": lambda: _python(examples.at(examples.K23_PYTHON_CHAT, kawai)),
        "curl_stream": lambda: _shell(examples.at(examples.K39_CURL_STREAM, kawai)),
        "python_stream": lambda: _python(examples.at(examples.K40_PYTHON_STREAM, kawai)),
        "event_source": lambda: _event_source(kawai),
        "browser": lambda: _browser(kawai) if CHROMIUM else None,
        "session": lambda: _session(kawai),
        "httpx_stream": lambda: _httpx_stream(firefly),
        "httpx_run": lambda: _httpx_run(firefly),
        "socket": lambda: asyncio.run(_socket(firefly, "summariser")),
        "half_failed": lambda: _half_failed(firefly),
    }
    assert set(clients) == {field.name for field in fields(Heard)}
    with ThreadPoolExecutor(len(clients)) as pool:
        waiting: dict[str, Future[Any]] = {name: pool.submit(client) for name, client in clients.items()}
        return Heard(**{name: future.result(PATIENCE_S) for name, future in waiting.items()})


def _shell(text: str) -> str:
    return _run(["bash", "-c", text.replace("curl ", "curl -sS ")])


def _python(text: str) -> str:
    return _run([sys.executable, "-c", text])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _event_source(url: str) -> list[dict[str, Any]]:
    """K41 with a client that does what the standard says."""
    logged: list[dict[str, Any]] = []

    def on_message(message: Message) -> None:
        logged.append(json.loads(message.data))
        if logged[-1]["type"] == "run_end":
            source.close()

    source = EventSource(f"{url}/stream?message=Hello!", on_message)
    source.start().wait(PATIENCE_S)
    assert source.statuses == [200]
    return logged


def _browser(url: str) -> list[list[Any]]:
    """K41 in a real browser, on a page of the same server, until the example has closed its stream."""
    logs = "const logged = []; console.log = (...all) => logged.push(all);"
    wait = "while (eventSource.readyState !== 2) await new Promise(done => setTimeout(done, 50)); return logged;"
    with opened(f"{url}/health") as page:
        logged: list[list[Any]] = page.run(logs + examples.at(examples.K41_BROWSER_STREAM, url) + wait)
    return logged


def _session(url: str) -> list[int]:
    """Look at a session from its first message on until it is gone; looking must not keep it."""
    statuses: list[int] = []

    def look() -> int:
        status = httpx.get(f"{url}/sessions/looked-at").status_code
        if statuses[-1:] != [status]:
            statuses.append(status)
        return status

    with ThreadPoolExecutor(1) as pool:
        body = {"message": "hello", "session_id": "looked-at"}
        chat = pool.submit(httpx.post, f"{url}/chat", json=body, timeout=PATIENCE_S)
        while not chat.done():
            look()
            time.sleep(0.2)
        assert chat.result().status_code == 200
    while look() != 404:
        time.sleep(0.1)
    return statuses


def _httpx_stream(url: str) -> list[str]:
    """No time-out is given, so httpx waits 5 s at most for each byte."""
    with httpx.stream("POST", f"{url}/agents/summariser/stream", json={"prompt": "hi"}) as answer:
        return [line for line in answer.iter_lines() if line.startswith("data: ")]


def _httpx_run(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(
        f"{url}/agents/summariser/run", json={"prompt": "hi", "deps": {}}, timeout=PATIENCE_S
    ).json()
    return answer


def _half_failed(url: str) -> tuple[list[dict[str, Any]], int]:
    body = {"id": "half", "name": "Half", "model": model(cut_after=2, text="Once upon a time")}
    assert httpx.post(f"{url}/api/agents", json=body).status_code == 201
    frames = asyncio.run(_socket(url, "half"))
    return frames, httpx.get(f"{url}/api/runs", params={"agent_id": "half"}).json()["total"]


async def _socket(url: str, agent: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with websockets.connect(f"{url.replace('http', 'ws', 1)}/ws/agents/{agent}") as socket:
        await socket.send(json.dumps({"prompt": "hi", "conversation_id": None, "deps": None}))
        while not found or found[-1]["type"] not in ("result", "error"):
            found.append(json.loads(await socket.recv()))
    return found
