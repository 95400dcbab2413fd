"""Reads that go together."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymongo
import pytest
from pymongo.database import Database as SyncDatabase

from agio.domain.errors import NotFound
from agio.engine.recovery import load_state
from agio.storage.mongo import MongoStore
from agio.storage.mongo.gathering import AT_MOST, Gathering
from agio.storage.port import WorkerLimits
from agio.testing.conformance.records import make_creation, make_message, start


class Shelf:
    """Knows numbers below a thousand; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.was_asked = asyncio.Semaphore(0)
        self.open = asyncio.Event()
        self.open.set()
        self.gathering = Gathering(self.look_up)

    async def look_up(self, keys: Sequence[int]) -> dict[int, str]:
        self.asked.append(list(keys))
        self.was_asked.release()
        await self.open.wait()
        if 666 in keys:
            raise OSError("the shelf fell down")
        return {key: f"book {key}" for key in keys if key < 1000}


async def test_what_is_asked_for_at_once_goes_in_one_call() -> None:
    shelf = Shelf()
    found = await asyncio.gather(*map(shelf.gathering.get, [3, 1, 3, 2000]))
    assert found == ["book 3", "book 1", "book 3", None]
    assert shelf.asked == [[3, 1, 2000]]


async def test_a_call_under_way_is_not_joined_and_holds_nobody_up() -> None:
    shelf = Shelf()
    shelf.open.clear()
    first = asyncio.create_task(shelf.gathering.get(1))
    await shelf.was_asked.acquire()
    second = asyncio.create_task(shelf.gathering.get(1))
    await shelf.was_asked.acquire()
    shelf.open.set()
    assert [await first, await second] == ["book 1", "book 1"]


async def test_a_call_has_so_many_keys_at_most() -> None:
    shelf = Shelf()
    found = await asyncio.gather(*map(shelf.gathering.get, range(AT_MOST + 1)))
    assert found == [f"book {key}" for key in range(AT_MOST + 1)]
    assert [len(keys) for keys in shelf.asked] == [AT_MOST, 1]


async def test_a_failure_is_told_to_all_who_asked_and_to_nobody_after() -> None:
    shelf = Shelf()
    outcomes = await asyncio.gather(*map(shelf.gathering.get, [1, 666]), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the shelf fell down"] * 2
    assert await shelf.gathering.get(1) == "book 1"


async def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    shelf = Shelf()
    shelf.open.clear()
    first, second = (asyncio.create_task(shelf.gathering.get(key)) for key in (1, 2))
    await shelf.was_asked.acquire()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    shelf.open.set()
    assert await second == "book 2"


async def test_the_time_limit_of_whoever_came_first_is_not_that_of_all() -> None:
    limits: list[float | None] = []

    async def look_up(keys: Sequence[int]) -> dict[int, str]:
        limits.append(pymongo._csot.get_timeout())
        return {}

    gathering = Gathering(look_up)
    with pymongo.timeout(5):
        assert await gathering.get(1) is None
    assert limits == [None]


@contextmanager
def counting_reads(raw: SyncDatabase[dict[str, Any]]) -> Iterator[list[str]]:
    """Give the collections of all reads that the server did meanwhile."""
    reads: list[str] = []
    raw.command("profile", 2)
    try:
        yield reads
    finally:
        raw.command("profile", 0)
        found = raw["system.profile"].find({"op": {"$in": ["query", "command", "getmore"]}})
        reads += [each["ns"] for each in found if not each["ns"].endswith("system.profile")]
        raw.drop_collection("system.profile")


@pytest.mark.mongo
async def test_sixteen_runs_are_taken_over_with_few_calls(
    store: MongoStore, other: MongoStore, raw: SyncDatabase[dict[str, Any]]
) -> None:
    made = [await store.create_run(make_creation("g")) for _ in range(16)]
    with counting_reads(raw) as reads:
        claimed = await other.claim_ready("heir", WorkerLimits(), limit=16)
        states = await asyncio.gather(*(load_state(other, run) for run in claimed))
    assert {state.run.id for state in states} == {run.id for run in made}
    each_its_own = 16  # its entries
    assert len(reads) <= each_its_own + 12, reads


@pytest.mark.mongo
async def test_what_is_read_together_comes_to_whom_it_belongs(store: MongoStore) -> None:
    owners = [await start(store, group_id=group) for group in ("g", "h", "g")]
    for number, owner in enumerate(owners):
        await owner.append(messages=(make_message(f"message {number}"),))
    found = await asyncio.gather(*(store.read_messages(o.run.group_id, o.run.branch_id) for o in owners))
    assert [[message.content for message in messages] for messages in found] == [[f"message {n}"] for n in range(3)]
    outcomes = await asyncio.gather(
        store.get_run("g", owners[0].run.id),
        store.get_run("h", owners[0].run.id),
        store.get_spec("h", owners[0].run.id),
        store.get_spec("h", owners[1].run.id),
        return_exceptions=True,
    )
    assert [isinstance(outcome, NotFound) for outcome in outcomes] == [False, True, True, False]
