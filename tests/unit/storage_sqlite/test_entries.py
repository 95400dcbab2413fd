"""Rows of the journal: verdicts on batches, chunks, and how many queries a read takes."""

from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.errors import LeaseLost
from agio.domain.runs import Mark, Run
from agio.domain.status import RunStatus
from agio.storage.port import BRANCHES, Append
from agio.storage.sqlite import SQLiteStore, database
from agio.storage.sqlite.connection import Connection
from agio.testing.conformance.records import Owner, instant, make_branch, make_deltas, make_message, start
from tests.unit.storage_sqlite.conftest import OpenStore


async def _count(store: SQLiteStore, table: str) -> int:
    def read(connection: Connection) -> int:
        (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        return int(count)

    return await store._database.read(read)


@pytest.mark.parametrize("size", [1, 3, 4, 15, 16, 64, 65, 150])
async def test_each_entry_of_a_batch_gets_its_own_verdict(store: SQLiteStore, size: int):
    owners = [await start(store, "g") for _ in range(size)]
    first = [owner.write(make_deltas("a")) for owner in owners]
    assert await store.append(first) == [None] * size
    batch: list[Append] = []
    wanted: list[bool] = []
    for n, (owner, before) in enumerate(zip(owners, first, strict=True)):
        fresh = owner.write(make_deltas("b"))
        match n % 5:
            case 0:
                batch.append(fresh)
            case 1:
                batch.append(before)
            case 2:
                batch.append(replace(before, entry=replace(before.entry, epoch=before.entry.epoch + 1)))
            case 3:
                batch.append(replace(fresh, entry=replace(fresh.entry, run_id="nobody")))
            case _:
                batch.append(replace(fresh, entry=replace(fresh.entry, group_id="other")))
        wanted.append(n % 5 >= 2)
    results = await store.append(batch)
    assert [isinstance(result, LeaseLost) for result in results] == wanted
    heads = await store.heads([owner.run.id for owner in owners])
    assert [heads[owner.run.id] for owner in owners] == [3 if n % 5 == 0 else 2 for n in range(size)]


async def test_update_of_an_entry_that_comes_again_is_not_applied_again(store: SQLiteStore):
    owner = await start(store, "g")

    def mark(run: Run) -> Run:
        return control.request_mark(run, Mark(by="alice", label="x"), at=instant(1))

    for _ in range(2):
        await store.update_run("g", owner.run.id, mark)
    append = owner.write(checkpoint="step", marks_done=1)
    (once,) = await store.append([append])
    (again,) = await store.append([append])
    assert isinstance(once, Run)
    assert len(once.marks) == 1
    assert again == once == await store.get_run("g", owner.run.id)


async def test_update_that_breaks_the_rules_does_not_harm_its_neighbours(store: SQLiteStore):
    good, bad = await start(store, "g"), await start(store, "g")
    await bad.end()
    lost, done = await store.append([bad.write(status=RunStatus.PAUSED), good.write(step=4)])
    assert isinstance(lost, LeaseLost)
    assert isinstance(done, Run)
    assert done.step == 4


async def test_chunks_are_shared_within_a_run_and_go_with_it(open_store: OpenStore):
    store = await open_store(inline_limit=2000)
    owners = [await start(store, "g") for _ in range(2)]
    message = make_message("x" * 3_000_000)
    for owner in owners:
        for _ in range(2):
            await owner.append(messages=(message,))
    assert await _count(store, "chunks") == 6
    await owners[0].end()
    await store.delete_run("g", owners[0].run.id)
    assert await _count(store, "chunks") == 3
    assert await store.read_messages("g", owners[1].run.branch_id) == [message, message]
    await owners[1].end()
    await store.delete_run("g", owners[1].run.id)
    for table in ("chunks", "journal", "specs", "runs", "approvals"):
        assert await _count(store, table) == 0


async def test_refused_entry_leaves_no_chunks(open_store: OpenStore):
    store = await open_store(inline_limit=500)
    owner = await start(store, "g")
    stale = Owner(store, replace(owner.run, epoch=0), head=owner.head)
    await owner.append()
    (lost,) = await store.append([stale.write(messages=(make_message("x" * 1000),))])
    assert isinstance(lost, LeaseLost)
    assert await _count(store, "chunks") == 0


async def test_conversation_takes_two_queries_whatever_its_length(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "READERS", 1)
    store = await open_store()
    owner = await start(store, "g")
    for n in range(100):
        await owner.say(f"{n}")
    branch_id = owner.run.branch_id
    for depth in range(30):
        branch = make_branch("g", owner.run.session_id, parent_id=branch_id, fork_position=70 - depth)
        await store.insert(BRANCHES, branch)
        branch_id = branch.id
    statements: list[str] = []
    await store._database.read(lambda c: c.set_trace_callback(statements.append))
    messages = await store.read_messages("g", branch_id)
    await store._database.read(lambda c: c.set_trace_callback(None))
    assert [message.content for message in messages] == [str(n) for n in range(41)]
    assert len([s for s in statements if "SELECT" in s]) == 2
