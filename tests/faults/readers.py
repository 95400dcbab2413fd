"""Readers of runs: they follow, lose their connection, come back with `Last-Event-ID`, and note what they saw."""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from tests.faults.calls import Api
from tests.faults.ledger import Ledger, Seen, Transcript, Trouble

SILENT_S = 10.0
"""A stream says something every 3 s; one that says nothing for so long is dropped by its reader."""
FAREWELL = b": server closing"


@dataclass(frozen=True, slots=True)
class Habit:
    """How a reader behaves."""

    name: str = "steady"
    vanish_s: float | None = None
    """It drops each connection after about so long."""
    stall_s: float = 0.0
    """It stops reading now and then for so long."""


STEADY = Habit()


def digest_of(data: bytes) -> int:
    """Return a short hash of an event's data."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


class Reader:
    """Reads one run to its end."""

    def __init__(self, api: Api, ledger: Ledger, run_id: str, habit: Habit, rng: random.Random) -> None:
        self.transcript: Transcript = ledger.transcript(run_id, habit.name)
        self._api = api
        self._ledger = ledger
        self._url = f"{api.base}/api/runs/{run_id}/events"
        self._habit = habit
        self._rng = rng
        self._pause_s = 0.3

    async def run(self) -> Transcript:
        """Return what was seen, once the run has ended."""
        while not self.transcript.is_over:
            self._pause_s = 0.3
            try:
                await self._attach()
            except TimeoutError:
                self._trouble("timeout")
            except (aiohttp.ClientError, ConnectionError):
                self._trouble("connection")
            if not self.transcript.is_over:
                await asyncio.sleep(self._pause_s)
        return self.transcript

    def _trouble(self, what: str) -> None:
        self.transcript.broken += 1
        self._ledger.troubles.append(Trouble(time.monotonic(), f"stream {what}"))

    async def _attach(self) -> None:
        last = self.transcript.last_seq
        headers = {"Last-Event-ID": str(last)} if last else {}
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENT_S)
        async with self._api.session.get(self._url, headers=headers, timeout=limits) as answer:
            if answer.status == 503:
                self._ledger.troubles.append(Trouble(time.monotonic(), "stream 503"))
                self._pause_s = 1.0
                return
            if answer.status != 200:
                self.transcript.odd.append(f"status {answer.status} behind {last}: {(await answer.text())[:200]}")
                self._pause_s = 2.0
                return
            self.transcript.connections += 1
            await self._read(answer)

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        vanish_s = self._habit.vanish_s
        leave_at = time.monotonic() + self._rng.uniform(0.3, 2) * vanish_s if vanish_s else float("inf")
        said_goodbye = False
        async for block in _blocks(answer):
            if block.startswith(b":") or block.startswith(b"retry:"):
                if block.startswith(FAREWELL):
                    self.transcript.farewells += 1
                    self._pause_s, said_goodbye = 0.5, True
            else:
                self._take(block)
            if self.transcript.is_over:
                return
            if time.monotonic() > leave_at:
                return
            if self._habit.stall_s and self._rng.random() < 0.02:
                await asyncio.sleep(self._habit.stall_s)
        if not said_goodbye:
            self.transcript.broken += 1

    def _take(self, block: bytes) -> None:
        lines = block.split(b"\n")
        if len(lines) != 3 or not lines[2].startswith(b"id: "):
            self.transcript.odd.append(f"no frame: {block[:200]!r}")
            return
        name, data, seq = lines[0][7:].decode(), lines[1][6:], int(lines[2][4:])
        self.transcript.events.append(Seen(seq, name, digest_of(data), time.monotonic()))


async def _blocks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield what stands between blank lines; what is cut off is dropped."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n\n")
        for block in whole:
            yield block
