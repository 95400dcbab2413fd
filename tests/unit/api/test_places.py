"""Where a reconnecting reader of many runs goes on."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from agio.api.native.multiplex import _place_before
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.caller import Caller

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    first_seq: int
    last_seq: int
    at: datetime


class Journal:
    """The one method of a store that is asked."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.reads = 0

    async def read_entries(self, group_id: str, run_id: str, *, after: int, limit: int) -> list[Entry]:
        self.reads += 1
        return [entry for entry in self.entries if entry.last_seq > after][:limit]


def journal(lengths: list[int]) -> Journal:
    """Return a journal with an entry per second."""
    entries, seq = [], 0
    for second, length in enumerate(lengths):
        entries.append(Entry(seq + 1, seq + length, BEGAN + timedelta(seconds=second)))
        seq += length
    return Journal(entries)


async def place(store: Journal, since: datetime, **fields: Any) -> int:
    names = ("id", "group_id", "session_id", "branch_id", "agent_id", "agent_digest", "model")
    given: dict[str, Any] = {"status": RunStatus.RUNNING, "created_at": BEGAN, "updated_at": BEGAN} | fields
    run = Run(agent_version=1, **{**dict.fromkeys(names, "x"), **given})
    engine: Any = SimpleNamespace(store=store)
    head = store.entries[-1].last_seq
    return await _place_before(engine, Caller(), run, head, since)


@pytest.mark.parametrize("seed", range(20))
async def test_the_place_is_right_before_the_first_entry_since_then(seed: int):
    dice = random.Random(seed)
    store = journal([dice.randint(1, 50) for _ in range(dice.randint(1, 40))])
    for _ in range(10):
        since = BEGAN + timedelta(seconds=dice.uniform(0.1, 45))
        expected = max(entry.last_seq for entry in store.entries if entry.at < since)
        assert await place(store, since) == expected


async def test_a_long_journal_takes_few_reads():
    store = journal([100] * 5_000)
    assert await place(store, BEGAN + timedelta(seconds=2_500.5)) == 250_100
    assert store.reads < 25


async def test_a_run_that_began_since_then_is_read_whole_and_one_that_ended_before_not_at_all():
    store = journal([3, 3])
    assert await place(store, BEGAN) == 0
    ended_at = BEGAN + timedelta(seconds=1)
    later = BEGAN + timedelta(seconds=9)
    assert await place(store, later, status=RunStatus.COMPLETED, ended_at=ended_at) == 6
    assert store.reads == 0
