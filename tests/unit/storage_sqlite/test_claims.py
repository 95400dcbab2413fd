"""Claims: what they cost when there is nothing to claim, and between processes."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

from agio.domain.runs import Run
from agio.storage.port import WorkerLimits
from agio.storage.sqlite import SQLiteStore
from agio.testing.conformance.records import claim_one, make_creation
from tests.unit.storage_sqlite.conftest import OpenStore


async def test_looking_for_work_in_vain_needs_no_lock(store: SQLiteStore, path: Path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(5):
        assert await claim_one(store, "worker", WorkerLimits()) is None
        assert await store.claim_abandoned("worker", 10, limit=9) == []
        await store.sweep()
    other.close()


async def test_run_is_claimed_once_however_many_stores_try(store: SQLiteStore, open_store: OpenStore):
    stores = [store, await open_store(), await open_store()]
    ids = [(await store.create_run(make_creation(f"g{n % 7}"))).id for n in range(60)]

    async def claim_all(one: SQLiteStore, worker: str) -> list[Run]:
        claimed = []
        while (run := await claim_one(one, worker, WorkerLimits())) is not None:
            claimed.append(run)
        return claimed

    workers = [claim_all(one, f"w{n}") for n, one in enumerate(stores * 2)]
    claimed = [run for runs in await asyncio.gather(*workers) for run in runs]
    assert Counter(run.id for run in claimed) == Counter(ids)
    assert {run.epoch for run in claimed} == {1}
    for n in range(6):
        mine = [run.id for run in claimed if run.owner == f"w{n}"]
        assert {run.id for run in await store.owned(f"w{n}")} == set(mine)


async def test_worker_does_not_take_over_from_itself(store: SQLiteStore):
    await store.create_run(make_creation("g"))
    run = await claim_one(store, "worker", WorkerLimits())
    assert run is not None
    assert await store.claim_abandoned("worker", 10, limit=9) == []
    (taken,) = await store.claim_abandoned("other", 10, limit=9)
    assert (taken.id, taken.owner, taken.epoch, taken.claims) == (run.id, "other", 2, 1)


async def test_workers_silent_for_a_day_are_forgotten(store: SQLiteStore):
    for worker in ("old", "young"):
        await store.beat(worker, {"host": "h"})
    age = "UPDATE workers SET beat_us = beat_us - 25 * 3600 * 1000000 WHERE id = 'old'"
    await store._database.write(lambda c: c.execute(age).rowcount)
    await store.sweep()
    rows = await store._database.read(lambda c: c.execute("SELECT id FROM workers").fetchall())
    assert rows == [("young",)]
