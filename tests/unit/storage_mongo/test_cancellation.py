"""A cancelled caller leaves: the write goes on, the connection stays."""

import asyncio
from typing import Any

import pytest
from pymongo.database import Database as SyncDatabase

from agio.storage.mongo import MongoStore
from agio.storage.port import WorkerLimits
from agio.testing.conformance.records import claim_one, make_creation, start
from tests.unit.storage_mongo.conftest import Fail, OpenStore

pytestmark = [pytest.mark.mongo, pytest.mark.faults]

Raw = SyncDatabase[dict[str, Any]]
GROUP = "g"


async def test_writes_are_finished_and_connections_kept(store: MongoStore, raw: Raw) -> None:
    owners = [await start(store, GROUP, at_s=i) for i in range(30)]
    before = _connections(raw)
    for number, owner in enumerate(owners):
        task = asyncio.create_task(store.append([owner.write(step=1)]))
        for _ in range(1 + number):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store._database.commits.drain()
    assert [(await store.get_run(GROUP, owner.run.id)).step for owner in owners] == [1] * len(owners)
    assert _connections(raw) - before <= len(owners)  # pool growth while they overlap, none lost


async def test_reads_keep_their_connection_and_hear_the_cancellation(store: MongoStore, raw: Raw) -> None:
    owner = await start(store, GROUP)

    async def read_on() -> None:
        while True:
            await store.read_entries(GROUP, owner.run.id)

    await store.head(GROUP, owner.run.id)
    before = _connections(raw)
    for number in range(60):
        task = asyncio.create_task(read_on())
        await asyncio.sleep(0.0003 * number)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=2)
        assert done
    assert _connections(raw) - before < 5


async def test_closing_waits_for_a_write_whose_caller_left(open_store: OpenStore, store: MongoStore) -> None:
    closing = await open_store()
    wanted = make_creation(GROUP)
    task = asyncio.create_task(closing.create_run(wanted))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await closing.close()
    assert (await store.get_run(GROUP, wanted.run.id)).id == wanted.run.id
    assert await store.head(GROUP, wanted.run.id) == 1


async def test_failure_that_nobody_hears_is_logged(
    open_store: OpenStore, fail: Fail, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store(retry_s=0.1)
    with fail("insert", on="runs", closeConnection=True, times=100):
        task = asyncio.create_task(store.create_run(make_creation(GROUP)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await store._database.commits.drain()
    assert [record.message for record in caplog.records] == ["write failed after its caller was cancelled"]


async def test_run_that_a_cancelled_claim_took_is_listed(store: MongoStore) -> None:
    run = await store.create_run(make_creation(GROUP))
    task = asyncio.create_task(claim_one(store, "worker-1", WorkerLimits()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await store._database.commits.drain()
    assert [one.id for one in await store.owned("worker-1")] == [run.id]


def _connections(raw: Raw) -> int:
    """Return how many connections the server has accepted since its start."""
    total: int = raw.client.admin.command("serverStatus")["connections"]["totalCreated"]
    return total
