"""Hints: noticing what other processes write."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agio.storage.port import Interest
from agio.storage.sqlite import SQLiteStore, watch
from agio.testing.conformance.records import make_creation
from tests.unit.storage_sqlite.conftest import OpenStore


@pytest.fixture(autouse=True)
def calm_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without interest nobody looks within a test."""
    monkeypatch.setattr(watch, "CALM_S", 3600.0)


class Hints:
    """Collects a store's hints."""

    def __init__(self, store: SQLiteStore, interest: Interest) -> None:
        self.count = 0
        self.hint = asyncio.Event()
        self._task = asyncio.create_task(self._collect(store.hints(interest)))

    async def _collect(self, hints: AsyncIterator[Any]) -> None:
        async for hint in hints:
            assert hint is None
            self.count += 1
            self.hint.set()

    async def next(self) -> None:
        async with asyncio.timeout(5):
            await self.hint.wait()
        self.hint.clear()

    async def end(self) -> None:
        async with asyncio.timeout(5):
            await self._task


@pytest.mark.parametrize("interest", [Interest(owns_runs=True), Interest(reads_remote=True)])
async def test_write_of_another_store_is_hinted_at(store: SQLiteStore, open_store: OpenStore, interest: Interest):
    other = await open_store()
    hints = Hints(store, interest)
    for _ in range(3):
        await other.create_run(make_creation("g"))
        await hints.next()


async def test_own_writes_are_not_hinted_at(store: SQLiteStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agio.storage.sqlite.wal.CHANGES", 20)  # nor is writing the log back
    other = await open_store()
    hints = Hints(store, Interest(owns_runs=True))
    for _ in range(20):
        await store.create_run(make_creation("g"))
        await asyncio.sleep(0.01)
    assert hints.count == 0
    await other.create_run(make_creation("g"))
    await hints.next()


async def test_interest_that_awakes_later_is_noticed(store: SQLiteStore, open_store: OpenStore):
    other = await open_store()
    interest = Interest()
    hints = Hints(store, interest)
    await asyncio.sleep(0.1)
    hints.hint.clear()
    await other.create_run(make_creation("g"))
    interest.reads_remote = True
    await hints.next()


async def test_every_listener_is_woken(store: SQLiteStore, open_store: OpenStore):
    other = await open_store()
    listeners = [Hints(store, Interest(owns_runs=True)) for _ in range(3)]
    await asyncio.sleep(0.05)
    await other.create_run(make_creation("g"))
    for listener in listeners:
        await listener.next()


async def test_hints_end_with_the_store(open_store: OpenStore):
    store = await open_store()
    hints = Hints(store, Interest())
    await asyncio.sleep(0)
    await store.close()
    await hints.end()


async def test_listener_that_left_is_forgotten(store: SQLiteStore, open_store: OpenStore):
    other = await open_store()
    hints = store.hints(Interest(owns_runs=True))
    waiting = asyncio.ensure_future(anext(hints))
    await asyncio.sleep(0.03)
    await other.create_run(make_creation("g"))
    await waiting
    await hints.aclose()
    writer = store._database._writer
    assert writer is not None
    assert writer.watch.pause_s() is None


async def test_database_that_is_away_ends_no_hints(
    store: SQLiteStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
):
    other = await open_store()
    hints = Hints(store, Interest(owns_runs=True))
    failures = iter([True] * 3)
    look = watch._version

    def flaky(connection: Any) -> int:
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")
        return look(connection)

    monkeypatch.setattr(watch, "_version", flaky)
    await other.create_run(make_creation("g"))
    await hints.next()
