"""What a process that died between two writes leaves behind does no harm, and is mended."""

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database as SyncDatabase

from agio.domain.errors import AlreadyExists, NotFound, StoreUnavailable
from agio.domain.runs import RunFilter
from agio.domain.status import RunStatus
from agio.storage.mongo import MongoStore, removal
from agio.storage.port import BRANCHES, SESSIONS, WorkerLimits
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    holder,
    make_approval,
    make_creation,
    make_session,
    start,
    take,
)
from tests.unit.storage_mongo.conftest import Fail, OpenStore

pytestmark = [pytest.mark.mongo, pytest.mark.faults]

Raw = SyncDatabase[dict[str, Any]]
GROUP = "g"
NEVER_TRANSIENT = {"errorCode": 2, "times": 1}
"""An error after which nobody tries again, as if the process had died."""


class TestCreatorDied:
    """After the run's document was there, before its first entry was."""

    async def test_reader_of_the_head_sees_a_whole_run(self, store: MongoStore, other: MongoStore, raw: Raw) -> None:
        wanted = make_creation(GROUP)
        await store.create_run(wanted)
        raw["journal"].delete_many({})
        assert await other.head(GROUP, wanted.run.id) == 1
        assert await other.read_entries(GROUP, wanted.run.id) == [wanted.first]

    async def test_reader_of_entries_sees_a_whole_run(self, store: MongoStore, other: MongoStore, raw: Raw) -> None:
        wanted = make_creation(GROUP)
        await store.create_run(wanted)
        raw["journal"].delete_many({})
        assert await other.read_entries(GROUP, wanted.run.id) == [wanted.first]

    async def test_claimed_run_is_whole(self, store: MongoStore, other: MongoStore, raw: Raw) -> None:
        wanted = make_creation(GROUP)
        await store.create_run(wanted)
        raw["journal"].delete_many({})
        claimed = await claim_one(other, "worker-1", WorkerLimits())
        assert claimed is not None
        assert raw["journal"].count_documents({}) == 1
        await Owner(other, claimed).append()
        assert [e.first_seq for e in await store.read_entries(GROUP, claimed.id)] == [1, 2]

    async def test_abandoned_run_is_whole_when_it_is_claimed(
        self, store: MongoStore, other: MongoStore, raw: Raw
    ) -> None:
        await start(store, GROUP, "dead")
        raw["journal"].delete_many({})
        assert await other.claim_abandoned("worker-2", 10, limit=9)
        assert raw["journal"].count_documents({}) == 1

    async def test_creation_that_came_to_nothing_can_be_done_again(self, open_store: OpenStore, fail: Fail) -> None:
        store = await open_store(retry_s=0.2)
        wanted = make_creation(GROUP)
        with fail("insert", on="runs", closeConnection=True, times=100), pytest.raises(StoreUnavailable):
            await store.create_run(wanted)
        assert (await store.list_runs(GROUP, RunFilter(), limit=5)).total == 0
        run = await store.create_run(wanted)
        assert await store.get_spec(GROUP, run.id) == wanted.spec
        assert await store.read_entries(GROUP, run.id) == [wanted.first]

    async def test_first_entry_that_could_not_be_written_is_there_later(
        self, open_store: OpenStore, fail: Fail
    ) -> None:
        store = await open_store(retry_s=0.2)
        wanted = make_creation(GROUP)
        with fail("insert", on="journal", closeConnection=True, times=100):
            await store.create_run(wanted)
            with pytest.raises(StoreUnavailable):
                await store.read_entries(GROUP, wanted.run.id)
        assert (await store.get_run(GROUP, wanted.run.id)).is_ready
        assert await store.read_entries(GROUP, wanted.run.id) == [wanted.first]
        with pytest.raises(AlreadyExists):
            await store.create_run(wanted)

    async def test_owner_appends_nothing_before_the_first_entry(self, open_store: OpenStore, fail: Fail) -> None:
        store = await open_store(retry_s=0.2)
        wanted = replace(make_creation(GROUP), owner="worker-1")
        with fail("insert", on="journal", closeConnection=True, times=100):
            run = await store.create_run(wanted)
            assert (run.owner, run.epoch, run.status) == ("worker-1", 1, "running")
            with pytest.raises(StoreUnavailable):
                await Owner(store, run).append()
        assert await store.read_entries(GROUP, run.id) == [wanted.first]
        await Owner(store, run).append()
        assert [entry.first_seq for entry in await store.read_entries(GROUP, run.id)] == [1, 2]


class TestSurroundings:
    """Session and branch of a run that is refused go again, unless someone else relies on them."""

    async def test_session_that_another_run_uses_stays(self, store: MongoStore, other: MongoStore) -> None:
        session = make_session(GROUP)
        made = await store._kinds[SESSIONS].borrow(session)
        assert await other._kinds[SESSIONS].borrow(session) is None
        await store._kinds[SESSIONS].take_back(made)
        assert await store.get(SESSIONS, GROUP, session.id) == session

    async def test_session_that_nobody_uses_goes(self, store: MongoStore, other: MongoStore) -> None:
        session = make_session(GROUP)
        await store._kinds[SESSIONS].take_back(await store._kinds[SESSIONS].borrow(session))
        with pytest.raises(NotFound):
            await other.get(SESSIONS, GROUP, session.id)

    async def test_refused_twin_leaves_the_session_to_the_winner(self, store: MongoStore, other: MongoStore) -> None:
        wanted = make_creation(GROUP, may_wait=False)
        run = await store.create_run(wanted)
        with pytest.raises(AlreadyExists):
            await other.create_run(wanted)
        assert (await store.get(SESSIONS, GROUP, run.session_id)).id == run.session_id
        assert (await store.get(BRANCHES, GROUP, run.branch_id)).id == run.branch_id


class TestOwnerDied:
    async def test_branch_is_passed_on_by_a_sweep(self, store: MongoStore, other: MongoStore, fail: Fail) -> None:
        first = make_creation(GROUP)
        owner = Owner(store, await take(store, await store.create_run(first)))
        waiter = await store.create_run(make_creation(GROUP, after=first, at_s=1))
        with fail("update", on="runs", skip=1, errorCode=2):
            await owner.end()
        assert await holder(store, waiter) is None
        await other.sweep()
        assert await holder(store, waiter) == waiter.id

    async def test_approvals_of_an_ended_run_are_cancelled_by_a_sweep(
        self, store: MongoStore, other: MongoStore, fail: Fail
    ) -> None:
        owner = await start(store, GROUP)
        resting = await start(store, GROUP, at_s=1)
        approval, waiting = make_approval(owner.run), make_approval(resting.run)
        await owner.append(approvals=(approval,))
        await resting.append(approvals=(waiting,))
        with fail("find", on="approvals", **NEVER_TRANSIENT):
            ended = await owner.end(RunStatus.CANCELLED)
        assert (await store.get_approval(GROUP, approval.id)).status == "pending"
        await other.sweep()
        cancelled = await store.get_approval(GROUP, approval.id)
        assert (cancelled.status, cancelled.resolved_at) == ("cancelled", ended.ended_at)
        assert await store.get_approval(GROUP, waiting.id) == waiting


class TestDeleterDied:
    async def test_run_is_gone_at_once_and_its_id_free_after_a_sweep(
        self, store: MongoStore, other: MongoStore, fail: Fail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = await start(store, GROUP)
        await owner.say("a", checkpoint="step")
        await owner.end()
        with fail("delete", on="journal", **NEVER_TRANSIENT), pytest.raises(StoreUnavailable):
            await store.delete_run(GROUP, owner.run.id)
        with pytest.raises(NotFound):
            await other.get_run(GROUP, owner.run.id)
        await other.sweep()
        with pytest.raises(AlreadyExists):
            await other.create_run(make_creation(GROUP, id=owner.run.id))
        monkeypatch.setattr(removal, "UNFINISHED_S", -1)
        await other.sweep()
        again = await other.create_run(make_creation(GROUP, id=owner.run.id))
        assert await other.head(GROUP, again.id) == 1

    async def test_nothing_of_a_deleted_run_is_left(self, open_store: OpenStore, raw: Raw) -> None:
        store = await open_store(inline_limit=64)
        owner = await start(store, GROUP)
        await owner.say("x" * 10_000, approvals=(make_approval(owner.run),))
        await owner.end()
        assert raw["blobs"].count_documents({}) > 0
        await store.delete_run(GROUP, owner.run.id)
        left = {name: raw[name].count_documents({}) for name in ("runs", "journal", "specs", "approvals")}
        assert left == dict.fromkeys(left, 0)
        assert raw["blobs"].count_documents({"_id": {"$regex": f"^{owner.run.id}:"}}) == 0
