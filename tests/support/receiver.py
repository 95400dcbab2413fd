"""A receiver of webhooks in the test's own process, reached through the real guarded client."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from agio.tools.net import GuardedClient

URL = "https://hooks.example/agio"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@dataclass
class Receiver:
    """Takes what is sent to it, and answers 204 unless told otherwise."""

    statuses: list[int] = field(default_factory=list)
    """What it answers first, in order."""
    before_answer: Callable[[], Awaitable[None]] | None = None
    taken: list[httpx.Request] = field(default_factory=list)
    address: str = "93.184.216.34"
    """What its name resolves to."""
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    def client(self) -> GuardedClient:
        """Return a client that reaches nothing but this receiver."""

        async def resolve(host: str, port: int) -> list[str]:
            return [self.address]

        return GuardedClient(resolve=resolve, open_transport=lambda context: httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.taken.append(request)
        async with self._came:
            self._came.notify_all()
        if self.before_answer is not None:
            await self.before_answer()
        return httpx.Response(self.statuses.pop(0) if self.statuses else 204)

    async def got(self, count: int) -> list[dict[str, Any]]:
        """Return the bodies as soon as there are so many."""
        async with asyncio.timeout(20), self._came:
            await self._came.wait_for(lambda: len(self.taken) >= count)
        return [json.loads(request.content) for request in self.taken]


def check_signature(request: httpx.Request, key: bytes) -> None:
    """Check a message as a receiver does that goes by https://www.standardwebhooks.com."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
