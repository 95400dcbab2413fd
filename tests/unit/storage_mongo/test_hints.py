"""The change stream: what it tells, what it leaves out, and how it comes back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from pymongo.database import Database as SyncDatabase

from agio.storage.mongo import MongoStore, hints
from agio.storage.port import Interest, StoreSettings
from agio.testing.conformance.records import Owner, eventually, make_creation, start, take
from tests.unit.storage_mongo.conftest import Fail

pytestmark = pytest.mark.mongo

GROUP = "g"
BOUND_S = 10.0


class Ear:
    """Listens in a task of its own; starts to count once the stream is open."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()

    async def next(self) -> frozenset[str] | None:
        async with asyncio.timeout(BOUND_S):
            return await self.heard.get()

    async def ids_until(self, run_id: str) -> set[str]:
        """Return everything that was named up to this run."""
        ids: set[str] = set()
        while run_id not in ids:
            ids |= await self.next() or set()
        return ids


@asynccontextmanager
async def listening(store: MongoStore, interest: Interest) -> AsyncIterator[Ear]:
    ear = Ear()

    async def listen() -> None:
        async with aclosing(store.hints(interest)) as stream:
            async for hint in stream:
                ear.heard.put_nowait(hint)

    task = asyncio.create_task(listen())
    try:
        assert await ear.next() is None
        yield ear
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=BOUND_S)
        assert done


async def test_runs_of_others_are_named_and_own_ones_are_not(store: MongoStore, other: MongoStore) -> None:
    async with listening(store, Interest(owns_runs=True, reads_remote=True)) as ear:
        mine = await start(store, GROUP)
        await mine.append()
        theirs = await other.create_run(make_creation(GROUP, at_s=1))
        assert await ear.ids_until(theirs.id) == {theirs.id}


async def test_entries_are_watched_only_for_readers(store: MongoStore, other: MongoStore) -> None:
    quiet = await start(other, GROUP)
    async with listening(store, Interest(owns_runs=True)) as ear:
        await quiet.append()
        loud = await other.create_run(make_creation(GROUP, at_s=1))
        assert await ear.ids_until(loud.id) == {loud.id}


async def test_first_reader_is_woken_at_once_and_hears_of_entries(store: MongoStore, other: MongoStore) -> None:
    owner = await start(other, GROUP)
    interest = Interest(owns_runs=True)
    async with listening(store, interest) as ear:
        interest.reads_remote = True
        async with asyncio.timeout(1):
            assert await ear.next() is None
        await owner.append()
        assert await ear.ids_until(owner.run.id) == {owner.run.id}


async def test_journals_are_left_alone_some_time_after_the_last_reader(
    store: MongoStore, other: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "LINGER_S", 0.1)
    owner = await start(other, GROUP)
    interest = Interest(owns_runs=True, reads_remote=True)
    async with listening(store, interest) as ear:
        interest.reads_remote = False
        assert await ear.next() is None
        await owner.append()
        loud = await other.create_run(make_creation(GROUP, at_s=1))
        assert await ear.ids_until(loud.id) == {loud.id}


@pytest.mark.faults
async def test_killed_stream_comes_back_and_says_that_anything_may_have_happened(
    store: MongoStore, other: MongoStore, raw: SyncDatabase[dict[str, Any]]
) -> None:
    async with listening(store, Interest(owns_runs=True)) as ear:
        for _ in range(3):
            await eventually(lambda: asyncio.to_thread(_kill_streams, raw), "a stream to kill", within_s=BOUND_S)
        await eventually(lambda: _is_told(ear, other), "a hint of a later run", within_s=BOUND_S)


@pytest.mark.faults
async def test_stream_survives_a_database_that_is_away(store: MongoStore, other: MongoStore, fail: Fail) -> None:
    interest = Interest(owns_runs=True)
    async with listening(store, interest) as ear:
        with fail("aggregate", on="$cmd.aggregate", closeConnection=True, times=4):
            interest.reads_remote = True  # opens another stream
            assert await ear.next() is None
        run = await other.create_run(make_creation(GROUP))
        assert await ear.ids_until(run.id) == {run.id}


async def test_many_changes_come_together_for_a_slow_listener(store: MongoStore, other: MongoStore) -> None:
    async with aclosing(store.hints(Interest(owns_runs=True))) as stream:
        assert await anext(stream) is None
        runs = [await other.create_run(make_creation(GROUP, at_s=i)) for i in range(30)]
        seen: set[str] = set()
        count = 0
        async with asyncio.timeout(BOUND_S):
            while len(seen) < len(runs):
                hint = await anext(stream)
                seen |= hint or set()
                count += 1
        assert count < len(runs)


async def test_listener_ends_when_the_store_is_closed(store: MongoStore) -> None:
    async with asyncio.timeout(BOUND_S):
        async with aclosing(store.hints(Interest(owns_runs=True))) as stream:
            assert await anext(stream) is None
            await store.close()
            assert [hint async for hint in stream if hint is not None] == []


async def test_standalone_server_gives_none_and_it_is_said_once(
    mongo_standalone_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = MongoStore(StoreSettings(url=mongo_standalone_uri))
    await store.open()
    try:
        with caplog.at_level(logging.WARNING, logger="agio.storage.mongo"):
            for _ in range(2):
                assert [hint async for hint in store.hints(Interest())] == []
        assert len(caplog.records) == 1
        assert store.hint_source == "none"
        owner = Owner(store, await take(store, await store.create_run(make_creation(GROUP))))
        await owner.end()
    finally:
        await store.close()


def _kill_streams(raw: SyncDatabase[dict[str, Any]]) -> bool:
    """Kill the cursors of change streams; False when none was found waiting."""
    wanted = {"cursor.tailable": True, "appName": "agio", "ns": {"$regex": f"^{raw.name}\\."}}
    pipeline: list[dict[str, Any]] = [{"$currentOp": {"allUsers": True, "idleCursors": True}}, {"$match": wanted}]
    cursors = [each["cursor"]["cursorId"] for each in raw.client.admin.aggregate(pipeline)]
    if cursors:
        raw.command({"killCursors": "$cmd.aggregate", "cursors": cursors})
    return bool(cursors)


async def _is_told(ear: Ear, other: MongoStore) -> bool:
    run = await other.create_run(make_creation(GROUP))
    try:
        async with asyncio.timeout(1):
            while run.id not in (await ear.next() or ()):
                pass
    except TimeoutError:
        return False
    return True
