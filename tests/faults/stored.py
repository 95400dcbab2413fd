"""What the server has stored of a run, read over its API."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from agio.api.sse import STORE_AWAY
from tests.faults.calls import ATTEMPT_S, Api


@dataclass(frozen=True, slots=True)
class Stored:
    """One event of the stored history."""

    seq: int
    name: str
    raw: bytes
    data: dict[str, Any]

    @property
    def is_unknown_outcome(self) -> bool:
        return self.name == "tool_call_failed" and self.data["error"].get("code") == "outcome_unknown"


async def read_stored(api: Api, run_id: str) -> list[Stored]:
    """Return the events that are stored now. The run must exist."""
    url = f"{api.base}/api/runs/{run_id}/events?follow=false"
    while True:
        try:
            async with api.session.get(url, timeout=aiohttp.ClientTimeout(total=ATTEMPT_S)) as answer:
                if answer.status == 200:
                    text = await answer.read()
                    if text.endswith(b"\n\n") and STORE_AWAY not in text:
                        return parse(text)
                elif answer.status != 503:
                    raise AssertionError(f"events of {run_id}: {answer.status} {await answer.text()}")
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            pass
        await api.pause()


def parse(text: bytes) -> list[Stored]:
    """Return the events of a stream that ended."""
    found = []
    for block in text.split(b"\n\n"):
        lines = block.split(b"\n")
        if len(lines) == 3:
            data = lines[1][6:]
            found.append(Stored(int(lines[2][4:]), lines[0][7:].decode(), data, json.loads(data)))
    return found


async def read_messages(api: Api, run_id: str) -> list[dict[str, Any]]:
    """Return the conversation up to the run's last checkpoint."""
    found: list[dict[str, Any]] = []
    while True:
        page = (await api.call("GET", f"/runs/{run_id}/messages?limit=100&offset={len(found)}")).body
        found += page["items"]
        if not page["has_more"]:
            return found
