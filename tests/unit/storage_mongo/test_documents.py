"""Records of any size, and what of them a document says."""

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database as SyncDatabase

from agio.domain import control
from agio.domain.ids import new_id
from agio.domain.runs import PauseRequest, RunFilter
from agio.domain.status import RunStatus
from agio.storage.mongo import MongoStore
from agio.storage.port import BRANCHES, KINDS, SESSIONS, WorkerLimits
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    instant,
    make_branch,
    make_creation,
    make_message,
    make_session,
    start,
    take,
)
from tests.unit.storage_mongo.conftest import OpenStore

pytestmark = pytest.mark.mongo

Raw = SyncDatabase[dict[str, Any]]
GROUP = "g"
HUGE = "€" * 6_000_000


class TestLargeRecords:
    async def test_run_may_be_larger_than_one_document(self, store: MongoStore, other: MongoStore) -> None:
        created = await store.create_run(make_creation(GROUP, metadata={"notes": HUGE}))
        owner = Owner(store, await take(store, created))
        run = await owner.append(step=1)
        assert await other.get_run(GROUP, created.id) == run
        assert (await other.list_runs(GROUP, RunFilter(), limit=5)).items == [run]
        assert [one.id for one in (await store.get_run(GROUP, created.id),) if one.metadata["notes"] == HUGE]

    async def test_record_of_the_catalog_may_be_larger_than_one_document(self, store: MongoStore) -> None:
        session = await store.insert(SESSIONS, make_session(GROUP, metadata={"notes": HUGE}, title="small"))
        changed = await store.update(SESSIONS, GROUP, session.id, lambda s: replace(s, title="other"))
        assert (await store.find(SESSIONS, GROUP, text="OTHER")).items == [changed]
        await store.delete(SESSIONS, GROUP, session.id)
        assert (await store.find(SESSIONS, GROUP)).total == 0

    async def test_chunks_of_a_deleted_record_go_with_it(self, open_store: OpenStore, raw: Raw) -> None:
        store = await open_store(inline_limit=64)
        session = await store.insert(SESSIONS, make_session(GROUP, title="x" * 100))
        assert raw["blobs"].count_documents({}) == 1
        await store.delete(SESSIONS, GROUP, session.id)
        assert raw["blobs"].count_documents({}) == 0

    async def test_many_large_entries_are_appended_in_one_call(self, store: MongoStore) -> None:
        owners = [await start(store, GROUP, at_s=i) for i in range(4)]
        said = ["x" * 5_000_000 + str(i) for i in range(4)]
        batch = [owner.write(messages=(make_message(text),)) for owner, text in zip(owners, said, strict=True)]
        await store.append(batch)
        for owner, text in zip(owners, said, strict=True):
            (message,) = await store.read_messages(GROUP, owner.run.branch_id)
            assert message.content == text


class TestLines:
    async def test_run_keeps_its_place_in_line_while_it_is_changed(self, store: MongoStore) -> None:
        first = await store.create_run(make_creation(GROUP))
        second = await store.create_run(make_creation(GROUP, at_s=1))
        await store.update_run(GROUP, first.id, lambda r: replace(r, tags=("changed",)))
        claimed = [await claim_one(store, "worker-1", WorkerLimits()) for _ in range(2)]
        assert [run.id for run in claimed if run] == [first.id, second.id]

    async def test_run_with_a_command_goes_before_all_groups(self, store: MongoStore) -> None:
        for number in range(3):
            await store.create_run(make_creation(f"{GROUP}{number}", at_s=number))
        pause = PauseRequest(by="ann", at=instant(9))
        urgent = await store.create_run(make_creation("zzz", at_s=9, pause=pause))
        claimed = await claim_one(store, "worker-1", WorkerLimits())
        assert claimed is not None
        assert claimed.id == urgent.id

    @pytest.mark.parametrize("groups", [("", "a", "!"), ("=", "a/b", "a%2Fb"), ("$", ".", "é")])
    async def test_groups_may_have_any_name(self, store: MongoStore, groups: tuple[str, ...]) -> None:
        for group in groups:
            for number in range(2):
                await store.create_run(make_creation(group, at_s=number))
        turns = [run.group_id for _ in range(6) if (run := await claim_one(store, "w", WorkerLimits()))]
        assert set(turns[:3]) == set(turns[3:]) == set(groups)

    async def test_slash_in_a_group_does_not_mix_records(self, store: MongoStore) -> None:
        one = await store.insert(SESSIONS, make_session("a/b", id="c"))
        two = await store.insert(SESSIONS, make_session("a", id="b/c"))
        assert await store.get(SESSIONS, "a/b", "c") == one
        assert await store.get(SESSIONS, "a", "b/c") == two


class TestSlots:
    async def test_slot_is_free_again_when_the_run_rests(self, store: MongoStore, raw: Raw) -> None:
        for number in range(3):
            await store.create_run(make_creation(GROUP, at_s=number))
        limits = WorkerLimits(runs_per_group=2)
        owners = [Owner(store, run) for _ in range(2) if (run := await claim_one(store, "worker-1", limits))]
        assert raw["runs"].count_documents({"slot": {"$exists": True}}) == 2
        await owners[0].append(step=1)
        assert raw["runs"].count_documents({"slot": {"$exists": True}}) == 2
        await owners[0].rest(RunStatus.WAITING)
        assert raw["runs"].count_documents({"slot": {"$exists": True}}) == 1
        assert await claim_one(store, "worker-1", limits) is not None
        assert await claim_one(store, "worker-1", limits) is None

    async def test_slot_goes_to_the_worker_that_takes_over(self, store: MongoStore, raw: Raw) -> None:
        await store.create_run(make_creation(GROUP))
        await store.create_run(make_creation(GROUP, at_s=1))
        limits = WorkerLimits(runs_per_group=1)
        claimed = await claim_one(store, "dead", limits)
        assert await store.claim_abandoned("worker-2", 10, limit=9)
        assert await claim_one(store, "worker-2", limits) is None
        assert claimed is not None
        assert raw["runs"].count_documents({"slot": {"$exists": True}, "owner": "worker-2"}) == 1

    async def test_runs_claimed_without_limits_count(self, store: MongoStore) -> None:
        for number in range(3):
            await store.create_run(make_creation(GROUP, at_s=number))
        assert await claim_one(store, "worker-1", WorkerLimits()) is not None
        limits = WorkerLimits(runs_per_group=2)
        assert await claim_one(store, "worker-2", limits) is not None
        assert await claim_one(store, "worker-2", limits) is None


class TestBranches:
    async def test_run_that_waits_on_its_own_branch_gets_it_when_resumed(self, store: MongoStore) -> None:
        """It was paused before its turn came, and meanwhile the branch became free."""
        first = make_creation(GROUP)
        owner = Owner(store, await take(store, await store.create_run(first)))
        waiter = await store.create_run(make_creation(GROUP, after=first, at_s=1))
        await store.update_run(GROUP, waiter.id, lambda r: control.request_pause(r, by="ann", at=instant(2)))
        paused = await take(store, waiter)
        await Owner(store, paused).rest(RunStatus.PAUSED, pause_done=True)
        await owner.end()
        resumed = await store.update_run(GROUP, waiter.id, lambda r: control.request_resume(r, by="ann", at=instant(3)))
        assert resumed.holds_branch
        assert await store.get_run(GROUP, waiter.id) == resumed

    async def test_long_chain_of_branches_is_followed(self, store: MongoStore) -> None:
        session_id, parent = new_id(), None
        for number in range(30):
            branch = make_branch(GROUP, session_id, parent_id=parent, at_s=number)
            parent = (await store.insert(BRANCHES, branch)).id
        assert parent is not None
        assert len(await store.lineage(GROUP, parent)) == 30


async def test_every_query_of_the_hot_paths_has_its_index(store: MongoStore, raw: Raw) -> None:
    await store.create_run(make_creation(GROUP))
    wanted: list[tuple[str, dict[str, Any], list[tuple[str, int]]]] = [
        ("runs", {"$or": [{"ready": "!"}, {"ready": {"$gt": "=a", "$nin": []}}]}, [("ready", 1), ("ready_at", 1)]),
        ("runs", {"ready": {"$lte": "=a", "$nin": ["=a"]}}, [("ready", 1), ("ready_at", 1)]),
        ("runs", {"$or": [{"_id": "r"}, {"holds": "g/b"}]}, []),
        ("runs", {"waits": "g/b"}, [("waits_since", 1), ("_id", 1)]),
        ("runs", {"owner": {"$gt": "", "$nin": ["w"]}}, []),
        ("runs", {"owner": "w", "unheard": True}, []),
        ("runs", {"group_id": "g"}, [("created_at", -1), ("_id", -1)]),
        ("runs", {"group_id": "g", "session_id": "s"}, [("created_at", -1), ("_id", -1)]),
        ("journal", {"_id": {"$gte": "r:0", "$lte": "r:9"}, "group_id": "g"}, [("_id", -1)]),
        ("journal", {"branch_id": "b", "group_id": "g", "position": {"$gte": 0}}, [("position", 1)]),
        ("journal", {"run_id": "r", "group_id": "g", "checkpoint_seq": {"$gt": 0}}, [("checkpoint_seq", -1)]),
        ("journal", {"session_id": "s", "group_id": "g"}, []),
        ("approvals", {"pending": {"$in": ["r"]}}, []),
    ]
    for collection, where, order in wanted:
        found = raw[collection].find(where)
        plan = (found.sort(order) if order else found).explain()["queryPlanner"]["winningPlan"]
        stages = _stages(plan)
        assert "IXSCAN" in stages, (collection, where)
        assert not {"COLLSCAN", "SORT"} & set(stages), (collection, where, stages)


def test_no_kind_takes_the_name_of_another_collection() -> None:
    taken = {"runs", "specs", "snapshots", "journal", "blobs", "approvals", "workers", "meta"}
    assert not taken & {kind.name for kind in KINDS}


def _stages(plan: dict[str, Any]) -> list[str]:
    inner = [plan[name] for name in ("inputStage",) if name in plan] + plan.get("inputStages", [])
    return [plan["stage"], *(stage for one in inner for stage in _stages(one))]
