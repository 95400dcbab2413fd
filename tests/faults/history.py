"""What is left when a campaign is over: the stored history of every run, and what the database still says is busy."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.faults.calls import Api
from tests.faults.ledger import Ledger
from tests.faults.stored import Stored, read_messages, read_stored

AT_ONCE = 8
BUSY = ("queued", "running", "paused", "waiting", "interrupted")


@dataclass(slots=True, kw_only=True)
class RunHistory:
    """One run as it is stored."""

    run_id: str
    view: dict[str, Any]
    events: list[Stored]
    checkpoints: list[dict[str, Any]]
    messages: list[dict[str, Any]]


@dataclass(slots=True)
class History:
    """All runs, and what is not at rest."""

    runs: dict[str, RunHistory] = field(default_factory=dict)
    busy: dict[str, list[str]] = field(default_factory=dict)
    """Ids of runs that have not ended, by status."""
    owned: dict[str, list[str]] = field(default_factory=dict)
    """Ids of runs that have an owner, by owner."""
    unusable: list[str] = field(default_factory=list)
    """What went wrong when conversations were gone on with."""


async def collect(api: Api, ledger: Ledger) -> History:
    """Read everything that is stored of the runs in the ledger."""
    history = History()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(run_id: str) -> None:
        async with gate:
            history.runs[run_id] = await _read(api, run_id)

    await asyncio.gather(*(one(run_id) for run_id in ledger.runs))
    for status in BUSY:
        page = await api.call("GET", f"/runs?status={status}&limit=100")
        if page.body["items"]:
            history.busy[status] = [row["id"] for row in page.body["items"]]
    return history


async def _read(api: Api, run_id: str) -> RunHistory:
    view = (await api.call("GET", f"/runs/{run_id}")).body
    checkpoints: list[dict[str, Any]] = []
    while True:
        page = (await api.call("GET", f"/runs/{run_id}/checkpoints?limit=100&offset={len(checkpoints)}")).body
        checkpoints += page["items"]
        if not page["has_more"]:
            break
    return RunHistory(
        run_id=run_id,
        view=view,
        events=await read_stored(api, run_id),
        checkpoints=checkpoints,
        messages=await read_messages(api, run_id),
    )
