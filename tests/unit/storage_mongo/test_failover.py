"""Three nodes: the primary steps down, dies or freezes while runs are written, and nothing is lost or doubled."""

import asyncio
from collections.abc import Callable

import pytest

from agio.domain.errors import LeaseLost, StoreUnavailable
from agio.domain.journal import Entry
from agio.storage.mongo import MongoStore
from agio.storage.port import Append, AppendResult, Interest, Store, StoreSettings, WorkerLimits
from agio.testing.conformance.records import Owner, claim_one, make_creation, make_deltas, start
from tests.support.mongod import ReplicaSet

pytestmark = [pytest.mark.mongo, pytest.mark.faults, pytest.mark.slow]

GROUP = "g"
LONGEST_S = 60


def step_down(servers: ReplicaSet) -> None:
    servers.step_down(for_s=5)


def kill(servers: ReplicaSet) -> None:
    primary = servers.wait_primary()
    primary.kill()
    servers.wait_primary(other_than=primary)
    primary.start()


def freeze(servers: ReplicaSet) -> None:
    primary = servers.wait_primary()
    primary.freeze()
    try:
        servers.wait_primary(other_than=primary)
    finally:
        primary.thaw()


@pytest.mark.parametrize("fault", [step_down, kill, freeze])
async def test_runs_are_written_on(mongo_three_nodes: ReplicaSet, fault: Callable[[ReplicaSet], None]) -> None:
    store = MongoStore(StoreSettings(url=mongo_three_nodes.uri("failover"), options={"retry_s": 30}))
    await store.open()
    done = asyncio.Event()
    try:
        owners = [await start(store, GROUP, at_s=i) for i in range(5)]
        async with asyncio.timeout(LONGEST_S), asyncio.TaskGroup() as tasks:
            for owner in owners:
                tasks.create_task(_write(owner, done))
            tasks.create_task(_listen(store, done))
            created = tasks.create_task(_create(store, done))
            for _ in range(2):
                await asyncio.to_thread(fault, mongo_three_nodes)
                await asyncio.to_thread(mongo_three_nodes.wait_steady)
            done.set()
        for owner in owners:
            await _assert_sound(store, owner)
        assert created.result() > 0
    finally:
        await store.close()


async def _write(owner: Owner, done: asyncio.Event) -> None:
    """Append until the end, tokens and steps; the worker repeats what it has no answer to."""
    steps = 0
    while not done.is_set():
        append = owner.write(make_deltas("a", "b")) if owner.head % 3 else owner.write(step=(steps := steps + 1))
        result = await _insist(owner.store, append)
        assert not isinstance(result, LeaseLost)


async def _insist(store: Store, append: Append) -> AppendResult:
    while True:
        try:
            return (await store.append([append]))[0]
        except StoreUnavailable:
            await asyncio.sleep(0.1)


async def _create(store: MongoStore, done: asyncio.Event) -> int:
    """Create runs and claim them; every one is whole."""
    count = 0
    while not done.is_set():
        created = await store.create_run(make_creation(f"{GROUP}-new", at_s=count))
        claimed = await claim_one(store, "worker-2", WorkerLimits())
        assert claimed is not None
        assert (claimed.id, claimed.epoch) == (created.id, 1)
        assert await store.head(claimed.group_id, claimed.id) == 1
        count += 1
    return count


async def _listen(store: MongoStore, done: asyncio.Event) -> None:
    stream = store.hints(Interest(owns_runs=True, reads_remote=True))
    assert await anext(stream) is None
    await done.wait()
    await stream.aclose()


async def _assert_sound(store: MongoStore, owner: Owner) -> None:
    entries: list[Entry] = []
    while more := await store.read_entries(GROUP, owner.run.id, after=entries[-1].last_seq if entries else 0):
        entries += more
    assert [entry.first_seq for entry in entries] == [1, *(entry.last_seq + 1 for entry in entries[:-1])]
    assert entries[-1].last_seq == owner.head
    run = await store.get_run(GROUP, owner.run.id)
    assert (run.epoch, run.owner) == (1, "worker-1")
