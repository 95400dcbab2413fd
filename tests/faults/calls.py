"""A patient client: every request over a connection of its own, repeated until it has a final answer.

What it repeats and why is noted; what no request may be answered with is noted as a surprise.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.faults.ledger import Command, Ledger, Trouble

ATTEMPT_S = 20.0
"""Longer than a store that is away lets a request wait."""
PATIENCE_S = 150.0
"""Longer than any fault lasts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer."""

    status: int
    body: Any
    tries: int
    sent_at: float
    at: float


class GaveUp(Exception):
    """No final answer in the time."""


class Api:
    """Calls the server under test."""

    def __init__(self, base: str, ledger: Ledger) -> None:
        self.base = base
        self._ledger = ledger
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_S),
        )

    async def close(self) -> None:
        await self.session.close()

    async def pause(self) -> None:
        """Wait before a read is repeated."""
        await asyncio.sleep(0.5)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        accept: Collection[int] = (200, 201, 202, 204),
        headers: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Answer:
        """Return the final answer. A status that is not in `accept` is a surprise.

        Raises:
            GaveUp: there was none.
        """
        began = time.monotonic()
        said = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        tries = 0
        self._ledger.requests += 1
        while True:
            tries += 1
            sent_at = time.monotonic()
            outcome = await self._attempt(method, path, body, said)
            at = time.monotonic()
            if not isinstance(outcome, str):
                status, content = outcome
                if status not in accept:
                    self._ledger.surprises.append(f"{method} {path}: {status} {str(content)[:300]}")
                self._ledger.longest_request_s = max(self._ledger.longest_request_s, at - began)
                return Answer(status, content, tries, sent_at, at)
            self._ledger.troubles.append(Trouble(at, outcome))
            if at - began > patience_s:
                self._ledger.surprises.append(f"{method} {path}: no final answer in {patience_s:.0f} s ({outcome})")
                raise GaveUp(path)
            await asyncio.sleep(0.5)

    async def _attempt(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any] | str:
        try:
            async with self.session.request(method, f"{self.base}/api{path}", json=body, headers=headers) as answer:
                content = await answer.json() if answer.content_length or answer.status != 204 else None
                if answer.status != 503:
                    return answer.status, content
                if "Retry-After" not in answer.headers:
                    self._ledger.surprises.append(f"{method} {path}: 503 without Retry-After")
                return "503"
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, ConnectionError):
            return "connection"

    async def command(self, run_id: str, kind: str, body: Any = None) -> Answer:
        """Command a run and note the answer. `pause now` is a kind of its own."""
        name, _, mode = kind.partition(" ")
        content = {**(body or {}), **({"mode": mode} if mode else {})}
        answer = await self.call("POST", f"/runs/{run_id}/{name}", content, accept=(200, 202, 404, 409))
        self._ledger.commands.append(
            Command(
                run_id=run_id,
                kind=kind,
                sent_at=answer.sent_at,
                answered_at=answer.at,
                wall_at=time.time(),
                status=answer.status,
                tries=answer.tries,
            )
        )
        return answer
