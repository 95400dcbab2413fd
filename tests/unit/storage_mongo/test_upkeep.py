"""Compaction and deletion that were cut short, and documents of the version before."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database as SyncDatabase

from agio.domain.compaction import Compactor
from agio.domain.errors import NotFound, StoreUnavailable
from agio.domain.journal import Entry
from agio.domain.runs import Parent, Run
from agio.domain.status import RunStatus
from agio.storage.mongo import MongoStore, removal
from agio.testing.conformance.records import (
    Owner,
    instant,
    make_branch,
    make_creation,
    make_deltas,
    start,
)
from tests.unit.storage_mongo.conftest import Fail, OpenStore

pytestmark = [pytest.mark.mongo, pytest.mark.faults]

Raw = SyncDatabase[dict[str, Any]]
GROUP = "g"
LATER = instant(10**6)
NEVER_TRANSIENT = {"errorCode": 2, "times": 1}


async def _talkative(store: MongoStore) -> tuple[Run, list[Entry], list[Entry]]:
    """Return a run, its journal, and what shall take its place."""
    owner = await start(store, GROUP)
    for n in range(30):
        await owner.append(make_deltas(str(n)))
    run = await owner.end()
    entries = await store.read_entries(GROUP, run.id)
    compactor = Compactor({0, 1})
    made = [*(one for entry in entries for one in compactor.feed(entry)), *compactor.finish()]
    return run, entries, made


async def test_readers_do_not_see_compaction_that_was_cut_short(
    store: MongoStore, other: MongoStore, raw: Raw, fail: Fail
):
    run, entries, made = await _talkative(store)
    with fail("delete", on="journal", **NEVER_TRANSIENT), pytest.raises(StoreUnavailable):
        await store.rewrite_entries(made)
    assert raw["journal"].count_documents({}) == len(entries)
    for removed in range(len(entries) - 3):
        for after in range(run.last_seq):
            cursor = after
            while page := await other.read_entries(GROUP, run.id, after=cursor, limit=3):
                for entry in page:
                    assert entry.first_seq <= cursor + 1 <= entry.last_seq
                    cursor = entry.last_seq
            assert cursor == run.last_seq
            if removed % 7:
                break  # every cursor at some of the stages, the first one at all of them
        raw["journal"].delete_one({"_id": f"{run.id}:{3 + removed:012d}"})
    await store.rewrite_entries(made)
    assert [e.first_seq for e in await other.read_entries(GROUP, run.id)] == [1, 2, 32]


async def test_compaction_that_was_cut_short_is_finished_by_the_next_one(store: MongoStore, raw: Raw, fail: Fail):
    run, _, made = await _talkative(store)
    with fail("delete", on="journal", **NEVER_TRANSIENT), pytest.raises(StoreUnavailable):
        await store.rewrite_entries(made)
    compactor = Compactor({0, 1})
    entries = await store.read_entries(GROUP, run.id)
    again = [*(one for entry in entries for one in compactor.feed(entry)), *compactor.finish()]
    await store.rewrite_entries(again)
    assert raw["journal"].count_documents({}) == 3


async def test_another_plan_that_was_carried_out_meanwhile_loses_nothing(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
):
    """A program of another version may have folded the entries differently, between the look and the write."""
    run, entries, made = await _talkative(store)
    third = entries[3]
    other_fold = replace(third, last_seq=entries[20].last_seq, events=(make_deltas(*map(str, range(2, 20))),))

    async def meanwhile(self: MongoStore, entry: Entry) -> bool:
        monkeypatch.undo()
        await store.rewrite_entries([other_fold])
        return True

    monkeypatch.setattr(MongoStore, "_reaches", meanwhile)
    await store.rewrite_entries([replace(made[0], last_seq=entries[10].last_seq)])
    cursor = 0
    for entry in await store.read_entries(GROUP, run.id):
        assert entry.first_seq <= cursor + 1 <= entry.last_seq
        cursor = entry.last_seq
    assert cursor == run.last_seq


class TestDeleterDied:
    """After it took the run out of sight, before it deleted anything."""

    async def _buried(self, store: MongoStore, fail: Fail, monkeypatch: pytest.MonkeyPatch) -> Run:
        owner = await start(store, GROUP)
        await owner.say("hello", checkpoint="step")
        run = await owner.end()
        with fail("delete", on="journal", **NEVER_TRANSIENT), pytest.raises(StoreUnavailable):
            await store.delete_unneeded(GROUP, run.id, ended_before=LATER)
        with pytest.raises(NotFound):
            await store.get_run(GROUP, run.id)
        monkeypatch.setattr(removal, "UNFINISHED_S", -1)
        return run

    async def test_run_that_nobody_needs_is_deleted_by_a_sweep(
        self, store: MongoStore, other: MongoStore, raw: Raw, fail: Fail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = await self._buried(store, fail, monkeypatch)
        await other.sweep()
        assert [raw[name].count_documents({}) for name in ("runs", "journal", "specs")] == [0, 0, 0]
        with pytest.raises(NotFound):
            await other.get_run(GROUP, run.id)

    async def test_run_that_a_fork_needs_comes_back(
        self, store: MongoStore, other: MongoStore, raw: Raw, fail: Fail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The fork had seen it before, and became visible after."""
        run = await self._buried(store, fail, monkeypatch)
        branch = make_branch(GROUP, run.session_id, parent_id=run.branch_id, fork_position=1)
        fork = make_creation(GROUP, branch=branch, at_s=9)
        made = await other.create_run(fork)
        doc = {**json.loads(raw["runs"].find_one({"_id": made.id})["doc"]), "parent": None}  # type: ignore[index]
        raw["runs"].update_one({"_id": made.id}, {"$set": {"parent": run.id, "doc": json.dumps(doc)}})
        await other.sweep()
        assert replace(await other.get_run(GROUP, run.id), revision=0) == replace(run, revision=0)
        assert len(await other.read_messages(GROUP, run.branch_id)) == 1
        assert not await other.delete_unneeded(GROUP, run.id, ended_before=LATER)


async def test_fork_that_sees_the_grave_leaves_nothing(store: MongoStore, raw: Raw):
    owner = await start(store, GROUP)
    await owner.say("hello", checkpoint="step")
    run = await owner.end()
    await store.delete_run(GROUP, run.id)
    branch = make_branch(GROUP, run.session_id, parent_id=run.branch_id, fork_position=1)
    parent = Parent(run_id=run.id, checkpoint_id=f"{run.id}.2", kind="fork")
    with pytest.raises(NotFound):
        await store.create_run(make_creation(GROUP, branch=branch, parent=parent))
    assert [raw[name].count_documents({}) for name in ("runs", "specs", "journal")] == [0, 0, 0]
    assert raw["branches"].count_documents({"_id": f"{GROUP}/{branch.id}"}) == 0


async def test_spec_of_a_run_that_was_never_accepted_is_collected(store: MongoStore, raw: Raw, fail: Fail):
    kept = make_creation(GROUP)
    await store.create_run(kept)
    with fail("insert", on="runs", **NEVER_TRANSIENT), pytest.raises(StoreUnavailable):
        await store.create_run(make_creation(GROUP))
    assert raw["specs"].count_documents({}) == 2
    await _collect(store)
    assert raw["specs"].count_documents({}) == 2  # it is young
    raw["specs"].update_many({}, {"$inc": {"at": -2 * 3600 * 1_000_000}})
    await _collect(store)
    assert raw["specs"].count_documents({}) == 1
    assert await store.get_spec(GROUP, kept.run.id) == kept.spec


async def test_chunk_that_is_stored_again_is_young_again(open_store: OpenStore, raw: Raw):
    store = await open_store(inline_limit=64)
    owner = await start(store, GROUP)
    (message,) = await owner.say("x" * 1_000)
    await owner.end()
    raw["blobs"].update_many({}, {"$set": {"at": 0}})
    await Owner(store, owner.run, head=owner.head, position=1).append(messages=(message,))
    assert raw["blobs"].count_documents({"at": {"$gt": 0}}) > 0


async def test_documents_of_version_1_are_brought_up_to_date(store: MongoStore, open_store: OpenStore, raw: Raw):
    owner = await start(store, GROUP)
    await owner.say("hello", checkpoint="step")
    await owner.end()
    ended = await store.update_run(GROUP, owner.run.id, lambda r: replace(r, attempt=2, agent_digest="0" * 64))
    live = (await start(store, GROUP, at_s=1)).run
    raw["runs"].update_many({}, {"$unset": {"ended_at": "", "loose": "", "digests": ""}})
    raw["meta"].update_one({"_id": "schema"}, {"$set": {"version": 1}})
    for _ in range(2):
        later = await open_store()
        assert await later.get_run(GROUP, ended.id) == ended
        assert await later.get_run(GROUP, live.id) == live
        found = await later.ended_runs(RunStatus.COMPLETED, before=LATER, limit=5)
        assert found == await later.uncompacted_runs(before=LATER, limit=5) == [ended]
        assert (await later.collect(limit=9)).count == 0
    assert raw["meta"].find_one({"_id": "schema"})["version"] == 2  # type: ignore[index]
    digests = raw["runs"].find_one({"_id": ended.id})["digests"]  # type: ignore[index]
    assert set(digests) == {ended.agent_digest, live.agent_digest}


async def _collect(store: MongoStore) -> None:
    cursor = None
    while (cursor := (await store.collect(limit=100, cursor=cursor)).next_cursor) is not None:
        pass
