"""Answers that are lost and writes that are not acknowledged end in the same state as if nothing had happened."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from agio.domain import control
from agio.domain.errors import AlreadyExists, LeaseLost, StoreUnavailable
from agio.domain.runs import Mark, Run
from agio.domain.status import RunStatus
from agio.storage.mongo import MongoStore
from agio.storage.port import SESSIONS, WorkerLimits
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    instant,
    make_approval,
    make_creation,
    make_message,
    make_session,
    start,
    take,
)
from tests.unit.storage_mongo.conftest import Fail, OpenStore

pytestmark = [pytest.mark.mongo, pytest.mark.faults]

#: The driver repeats a write once by itself; twice in a row is for the store to deal with.
FAULTS = [
    pytest.param({"closeConnection": True, "times": 1}, id="connection-lost-once"),
    pytest.param({"closeConnection": True, "times": 2}, id="connection-lost-twice"),
    pytest.param({"errorCode": 91, "times": 2}, id="shutting-down"),
    pytest.param({"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}, "times": 2}, id="not-acknowledged"),
]
GROUP = "g"


@pytest.mark.parametrize("fault", FAULTS)
class TestFaults:
    @pytest.mark.parametrize("collection", ["specs", "sessions", "branches", "snapshots", "runs", "journal"])
    async def test_run_is_created_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, collection: str, fault: dict[str, Any]
    ) -> None:
        wanted = make_creation(GROUP)
        with fail("insert", on=collection, **fault):
            run = await store.create_run(wanted)
        assert await other.get_run(GROUP, run.id) == run
        assert (run.holds_branch, await other.get_spec(GROUP, run.id)) == (True, wanted.spec)
        assert await other.read_entries(GROUP, run.id) == [wanted.first]
        assert await other.get(SESSIONS, GROUP, run.session_id) == wanted.session

    @pytest.mark.parametrize("count", [1, 5])
    async def test_entries_are_appended_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, count: int, fault: dict[str, Any]
    ) -> None:
        owners = [await start(store, GROUP, at_s=i) for i in range(count)]
        batch = [owner.write(messages=(make_message("a"),), checkpoint="step", step=1) for owner in owners]
        with fail("insert", on="journal", **fault):
            results = await store.append(batch)
        for owner, append, result in zip(owners, batch, results, strict=True):
            assert isinstance(result, Run)
            assert await other.get_run(GROUP, owner.run.id) == result
            assert (await other.read_entries(GROUP, owner.run.id))[1:] == [append.entry]

    @pytest.mark.parametrize("count", [1, 5])
    async def test_updates_are_projected_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, count: int, fault: dict[str, Any]
    ) -> None:
        owners = [await start(store, GROUP, at_s=i) for i in range(count)]
        for owner in owners:
            await _mark(store, owner, "first", "second")
        batch = [owner.write(checkpoint="step", step=1, marks_done=1) for owner in owners]
        with fail("update", on="runs", **fault):
            results = await store.append(batch)
        for owner, result in zip(owners, results, strict=True):
            assert isinstance(result, Run)
            assert [mark.label for mark in result.marks] == ["second"]
            assert await other.get_run(GROUP, owner.run.id) == result

    async def test_change_is_made_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        owner = await start(store, GROUP)
        with fail("update", on="runs", **fault):
            await _mark(store, owner, "one")
        assert [mark.label for mark in (await other.get_run(GROUP, owner.run.id)).marks] == ["one"]

    async def test_run_is_claimed_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        created = await store.create_run(make_creation(GROUP))
        with fail("update", on="runs", **fault):
            claimed = await claim_one(store, "worker-1", WorkerLimits(runs_per_group=1))
        assert claimed is not None
        assert (claimed.id, claimed.epoch) == (created.id, 1)
        assert await other.get_run(GROUP, created.id) == claimed

    async def test_approval_is_made_once_and_changed_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        owner = await start(store, GROUP)
        approval = make_approval(owner.run)
        with fail("insert", "update", on="approvals", **fault):
            await owner.append(approvals=(approval,))
            await store.update_approval(GROUP, approval.id, lambda a: replace(a, note=(a.note or "") + "!"))
        assert (await other.get_approval(GROUP, approval.id)).note == "!"

    async def test_record_is_inserted_once_and_changed_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        session = make_session(GROUP)
        with fail("insert", on="sessions", **fault):
            await store.insert(SESSIONS, session)
        with fail("update", on="sessions", **fault):
            await store.update(SESSIONS, GROUP, session.id, lambda s: replace(s, title=(s.title or "") + "!"))
        assert (await other.get(SESSIONS, GROUP, session.id)).title == "!"

    async def test_record_is_deleted_once(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        session = await store.insert(SESSIONS, make_session(GROUP))
        with fail("delete", on="sessions", **fault):
            await store.delete(SESSIONS, GROUP, session.id)
        assert (await other.find(SESSIONS, GROUP)).total == 0

    async def test_large_text_is_whole(self, open_store: OpenStore, fail: Fail, fault: dict[str, Any]) -> None:
        store = await open_store(inline_limit=64)
        owner = await start(store, GROUP)
        with fail("insert", on="blobs", **fault):
            said = await owner.say("x" * 3_000_000)
        assert await store.read_messages(GROUP, owner.run.branch_id) == said

    async def test_ended_run_is_deleted_whole(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        owner = await start(store, GROUP)
        await owner.end()
        with fail("delete", on="journal", **fault):
            await store.delete_run(GROUP, owner.run.id)
        assert await other.head(GROUP, owner.run.id) == 0

    async def test_branch_is_handed_on(
        self, store: MongoStore, other: MongoStore, fail: Fail, fault: dict[str, Any]
    ) -> None:
        first = make_creation(GROUP)
        owner = Owner(store, await take(store, await store.create_run(first)))
        waiter = await store.create_run(make_creation(GROUP, after=first, at_s=1))
        with fail("update", on="runs", **fault):
            await owner.end()
        assert (await other.get_run(GROUP, waiter.id)).holds_branch


async def test_reads_go_on(store: MongoStore, fail: Fail) -> None:
    owner = await start(store, GROUP)
    with fail("find", on="journal", closeConnection=True):
        assert await store.head(GROUP, owner.run.id) == 1


class TestForeignEntryInPlaceOfOurs:
    async def test_refused_though_the_answer_was_lost(self, store: MongoStore, fail: Fail) -> None:
        owner = await start(store, GROUP)
        taken_over = Owner(store, replace(owner.run, epoch=9), head=owner.head)
        await store.append([taken_over.write()])
        with fail("insert", on="journal", closeConnection=True, times=2):
            (result,) = await store.append([owner.write(step=1)])
        assert isinstance(result, LeaseLost)

    async def test_approvals_of_a_refused_entry_are_taken_back(self, store: MongoStore) -> None:
        owner = await start(store, GROUP)
        await store.append([Owner(store, replace(owner.run, epoch=9), head=owner.head).write()])
        approval = make_approval(owner.run)
        (result,) = await store.append([owner.write(approvals=(approval,))])
        assert isinstance(result, LeaseLost)
        assert (await store.list_approvals(GROUP)).total == 0


class TestDatabaseAway:
    async def test_write_gives_up_in_the_end_and_can_be_repeated(self, open_store: OpenStore, fail: Fail) -> None:
        store = await open_store(retry_s=0.5)
        owner = await start(store, GROUP)
        append = owner.write(checkpoint="step", step=1)
        with fail("insert", on="journal", closeConnection=True, times=1_000), pytest.raises(StoreUnavailable):
            await store.append([append])
        (result,) = await store.append([append])
        assert isinstance(result, Run)
        assert (await store.read_entries(GROUP, owner.run.id))[1:] == [append.entry]

    async def test_repeated_ending_does_not_undo_what_followed(self, store: MongoStore) -> None:
        """The first call was done, its answer lost; then the run was resumed, and the worker asks again."""
        owner = await start(store, GROUP)
        pausing = owner.write(checkpoint="stop", status=RunStatus.PAUSED)
        await store.append([pausing])
        resumed = await store.update_run(
            GROUP, owner.run.id, lambda r: control.request_resume(r, by="ann", at=instant(9))
        )
        (result,) = await store.append([pausing])
        assert result == resumed
        assert await store.get_run(GROUP, owner.run.id) == resumed

    async def test_two_twins_of_an_append_apply_its_update_once(self, store: MongoStore, other: MongoStore) -> None:
        owner = await start(store, GROUP)
        await _mark(store, owner, "first", "second", "third")
        append = owner.write(checkpoint="step", marks_done=1)
        await other.append([append])
        (result,) = await store.append([append])
        assert isinstance(result, Run)
        assert [mark.label for mark in result.marks] == ["second", "third"]


class TestTakenByOthers:
    async def test_taken_id_is_told_though_the_answer_was_lost(self, store: MongoStore, fail: Fail) -> None:
        session = await store.insert(SESSIONS, make_session(GROUP))
        with fail("insert", on="sessions", closeConnection=True, times=2), pytest.raises(AlreadyExists):
            await store.insert(SESSIONS, session)


async def _mark(store: MongoStore, owner: Owner, *labels: str) -> None:
    for label in labels:
        change = partial(control.request_mark, mark=Mark(by="ann", label=label), at=instant(1))
        await store.update_run(owner.run.group_id, owner.run.id, change)
