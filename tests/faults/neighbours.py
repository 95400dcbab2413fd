"""What the server under test calls: an endpoint that counts effects, and a watch on what the model is asked."""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from agio.testing.openai_server import FakeOpenAI


class EffectServer:
    """Has an effect for each POST, at once, and answers a little later."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[float]] = {}
        """When the effects came, by idempotency key."""
        self.without_key = 0
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{delay_ms:\\d+}/{padding:\\d+}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        if key:
            self.by_key.setdefault(key, []).append(time.monotonic())
        else:
            self.without_key += 1
        await asyncio.sleep(int(request.match_info["delay_ms"]) / 1000)
        return web.json_response({"done": key, "padding": "x" * int(request.match_info["padding"])})


def outline(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Return one text per message that says all that must not change: role, content, calls."""
    return [
        json.dumps(
            [
                message["role"],
                message.get("content") or "",
                [call["id"] for call in message.get("tool_calls") or ()],
                message.get("tool_call_id"),
            ]
        )
        for message in messages
        if message["role"] != "system"
    ]


def chained(lines: Sequence[str]) -> list[str]:
    """Return a hash for each beginning of the list, the empty one first."""
    state = hashlib.blake2b(digest_size=12)
    found = [state.hexdigest()]
    for line in lines:
        state.update(line.encode() + b"\0")
        found.append(state.hexdigest())
    return found


@dataclass(slots=True)
class Asked:
    """What a model was asked, request by request."""

    conversations: list[tuple[int, str]] = field(default_factory=list)
    """Number of messages, and the hash of them."""
    unanswered: list[str] = field(default_factory=list)
    """Requests in which a tool call has no answer, or an answer no call."""


class ModelWatch:
    """Takes down the requests and closed connections that the model server records, before it forgets them."""

    def __init__(self, app: FakeOpenAI) -> None:
        self._app = app
        self.asked: dict[str, Asked] = {}
        """By model: each run has a model name of its own."""
        self.closed: dict[str, list[float]] = {}
        """When connections were dropped, by model."""
        self.count = 0

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.5)

    def look(self) -> None:
        """Take down what is new."""
        while self._app.recorded:
            seen = self._app.recorded.popleft()
            self.count += 1
            lines = outline(seen.body["messages"])
            asked = self.asked.setdefault(seen.model, Asked())
            asked.conversations.append((len(lines), chained(lines)[-1]))
            if wrong := open_calls(seen.body["messages"]):
                asked.unanswered.append(wrong)
        while self._app.closed:
            dropped = self._app.closed.popleft()
            self.closed.setdefault(dropped.model, []).append(dropped.at)


def open_calls(messages: Sequence[dict[str, Any]]) -> str | None:
    """Say what is wrong with a conversation's tool calls; None: each is answered once, right behind its message."""
    wanted: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in wanted:
                return f"message {place} answers {message['tool_call_id']!r}, which was not called"
            wanted.remove(message["tool_call_id"])
        else:
            if wanted:
                return f"calls {wanted} before message {place} are not answered"
            wanted = [call["id"] for call in message.get("tool_calls") or ()]
    return f"calls {wanted} are not answered at the end" if wanted else None
