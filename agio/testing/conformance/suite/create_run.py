"""`create_run`: accepted means durable, whole, and once."""

import asyncio
from dataclasses import replace

import pytest

from agio.domain.errors import AlreadyExists, BranchBusy, NotFound
from agio.domain.runs import Budget, Parent, PauseRequest, Run, RunFilter, RunSpec
from agio.domain.status import RunStatus, StopReason
from agio.storage.port import BRANCHES, SESSIONS, RunCreation, Store, WorkerLimits
from agio.testing.conformance.records import (
    SNAPSHOT,
    Owner,
    claim_one,
    holder,
    instant,
    make_branch,
    make_creation,
    on_branch,
)


class TestCreateRun:
    async def test_returned_run_is_what_readers_get(self, store: Store, group: str) -> None:
        created = await store.create_run(make_creation(group))
        assert await store.get_run(group, created.id) == created

    async def test_new_run_is_queued_and_holds_its_branch(self, store: Store, group: str) -> None:
        created = await store.create_run(make_creation(group))
        assert (created.status, created.holds_branch, created.is_ready) == (RunStatus.QUEUED, True, True)

    async def test_everything_is_durable_for_another_process(self, store: Store, other: Store, group: str) -> None:
        wanted = make_creation(group)
        run = await store.create_run(wanted)
        await _assert_whole(other, wanted)
        assert await other.get_run(group, run.id) == run

    async def test_every_field_of_the_run_is_kept(self, store: Store, group: str) -> None:
        source = await store.create_run(make_creation(group))
        wanted = make_creation(
            group,
            step=3,
            base_step=3,
            preview="Grüße, 世界 \u2028 🚀 'quoted' \"twice\" \\ %_",
            tags=("a", "ü", "a b"),
            metadata={"nested": {"list": [1, 2.5, None, True]}, "$set": {"a.b": 1}, "": "empty key"},
            created_by="alice",
            detached=False,
            parent=Parent(run_id=source.id, checkpoint_id="r.7", kind="fork"),
            compacted_seq=4,
            former_digests=("a", "b"),
        )
        created = await store.create_run(wanted)
        assert replace(created, revision=0) == replace(wanted.run, revision=0, holds_branch=True)

    async def test_instants_keep_their_microseconds(self, store: Store, group: str) -> None:
        at_s = 0.123457
        created = await store.create_run(make_creation(group, at_s=at_s))
        assert (await store.get_run(group, created.id)).created_at == instant(at_s)

    async def test_every_field_of_the_spec_is_kept(self, store: Store, group: str) -> None:
        spec = RunSpec(
            input=[{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x.test/é"}}],
            modifications={"temperature": 0.5, "tools": ["search"]},
            force_final_answer=False,
            budget=Budget(max_total_tokens=10, max_seconds=1.5, max_cost=0.01),
            tool_results={"call-1": "text", "call-2": [{"type": "text", "text": "b"}]},
        )
        created = await store.create_run(make_creation(group, spec=spec))
        assert await store.get_spec(group, created.id) == spec

    async def test_input_may_be_larger_than_one_document(self, store: Store, group: str) -> None:
        spec = RunSpec(input="€" * 6_000_000)
        created = await store.create_run(make_creation(group, spec=spec))
        assert await store.get_spec(group, created.id) == spec

    async def test_session_that_is_there_stays_as_it_is(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        assert first.session is not None
        renamed = await store.update(SESSIONS, group, first.session.id, lambda s: replace(s, title="Sky"))
        branch = make_branch(group, first.session.id)
        await store.create_run(replace(make_creation(group, branch=branch), session=first.session))
        assert await store.get(SESSIONS, group, first.session.id) == renamed

    async def test_run_made_with_a_pause_is_ready_for_it(self, store: Store, group: str) -> None:
        pause = PauseRequest(by="alice", at=instant(0), reason="not_started")
        created = await store.create_run(make_creation(group, pause=pause))
        claimed = await claim_one(store, "worker-1", WorkerLimits(runs_per_group=0))
        assert claimed is not None
        assert (claimed.id, claimed.pause) == (created.id, pause)

    async def test_runs_of_one_session_on_different_branches_hold_both(self, store: Store, group: str) -> None:
        first = await store.create_run(make_creation(group))
        branch = make_branch(group, first.session_id)
        second = await store.create_run(make_creation(group, branch=branch))
        assert (first.holds_branch, second.holds_branch) == (True, True)

    async def test_equal_branch_ids_of_two_groups_are_two_branches(self, store: Store, group: str) -> None:
        first = await store.create_run(make_creation(group, branch_id="main", session_id="s"))
        second = await store.create_run(make_creation(f"{group}-b", branch_id="main", session_id="s"))
        assert (first.holds_branch, second.holds_branch) == (True, True)
        assert await holder(store, first) == first.id


class TestCreateRunOnBusyBranch:
    async def test_second_run_is_queued_behind_the_first(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        second = await store.create_run(make_creation(group, after=first, at_s=1))
        assert (second.status, second.holds_branch, second.is_ready) == (RunStatus.QUEUED, False, False)
        assert await holder(store, second) == first.run.id

    async def test_impatient_run_is_refused_and_told_the_holder(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        refused = make_creation(group, after=first, may_wait=False)
        with pytest.raises(BranchBusy) as caught:
            await store.create_run(refused)
        assert caught.value.holder == first.run.id
        await _assert_absent(store, refused)

    async def test_impatient_run_is_taken_when_the_branch_is_free(self, store: Store, group: str) -> None:
        created = await store.create_run(make_creation(group, may_wait=False))
        assert created.holds_branch

    async def test_of_many_at_once_one_holds_and_all_are_kept(self, store: Store, other: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        branch = make_branch(group, first.run.session_id)
        await store.insert(BRANCHES, branch)
        wanted = [replace(make_creation(group, branch=branch, at_s=i), branch=None) for i in range(20)]
        created = await asyncio.gather(*(s.create_run(one) for s, one in zip([store, other] * 10, wanted, strict=True)))
        assert sum(run.holds_branch for run in created) == 1
        assert [run.id for run in await on_branch(store, created[0])] == [one.run.id for one in wanted]
        assert await holder(store, created[0]) in {run.id for run in created}

    async def test_of_many_impatient_runs_at_once_one_is_taken(self, store: Store, other: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        branch = make_branch(group, first.run.session_id)
        await store.insert(BRANCHES, branch)
        wanted = [replace(make_creation(group, branch=branch, may_wait=False), branch=None) for _ in range(10)]
        outcomes = await asyncio.gather(
            *(s.create_run(one) for s, one in zip([store, other] * 5, wanted, strict=True)), return_exceptions=True
        )
        taken = [outcome for outcome in outcomes if isinstance(outcome, Run)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, BranchBusy)]
        assert (len(taken), len(refused)) == (1, 9)
        assert {error.holder for error in refused} == {taken[0].id}
        assert [run.id for run in await on_branch(store, taken[0])] == [taken[0].id]


class TestCreateRunOnce:
    async def test_taken_id_is_refused_and_nothing_comes_into_being(self, store: Store, group: str) -> None:
        first = await store.create_run(make_creation(group))
        refused = make_creation(group, id=first.id)
        with pytest.raises(AlreadyExists):
            await store.create_run(refused)
        assert await store.get_run(group, first.id) == first
        await _assert_no_surroundings(store, refused)

    async def test_id_that_another_group_took_is_refused(self, store: Store, group: str) -> None:
        first = await store.create_run(make_creation(group))
        refused = make_creation(f"{group}-b", id=first.id)
        with pytest.raises(AlreadyExists):
            await store.create_run(refused)
        await _assert_absent(store, refused)
        assert await store.get_run(group, first.id) == first

    async def test_repeat_after_a_lost_answer_finds_the_run_there(self, store: Store, group: str) -> None:
        wanted = make_creation(group)
        created = await store.create_run(wanted)
        with pytest.raises(AlreadyExists):
            await store.create_run(wanted)
        await _assert_whole(store, wanted)
        assert await store.get_run(group, created.id) == created
        assert await holder(store, created) == created.id

    async def test_repeat_of_an_impatient_creation_finds_the_run_there(self, store: Store, group: str) -> None:
        wanted = make_creation(group, may_wait=False)
        await store.create_run(wanted)
        with pytest.raises(AlreadyExists):
            await store.create_run(wanted)
        await _assert_whole(store, wanted)

    async def test_of_many_with_one_id_at_once_one_is_taken(self, store: Store, other: Store, group: str) -> None:
        wanted = [make_creation(group, id=f"{group}-run", preview=str(i)) for i in range(10)]
        outcomes = await asyncio.gather(
            *(s.create_run(one) for s, one in zip([store, other] * 5, wanted, strict=True)), return_exceptions=True
        )
        taken = [outcome for outcome in outcomes if isinstance(outcome, Run)]
        assert [type(o) for o in outcomes if not isinstance(o, Run)] == [AlreadyExists] * 9
        assert len(taken) == 1
        winner = wanted[int(taken[0].preview)]
        await _assert_whole(store, winner)
        for loser in wanted:
            if loser is not winner:
                await _assert_no_surroundings(store, loser)

    async def test_readers_never_see_half_of_it(self, store: Store, other: Store, group: str) -> None:
        wanted = [make_creation(group, at_s=i) for i in range(20)]
        done = asyncio.Event()

        async def read() -> int:
            seen = 0
            while True:
                last_look = done.is_set()
                page = await other.list_runs(group, RunFilter(), limit=100)
                by_id = {one.run.id: one for one in wanted}
                for run in page.items[:3]:
                    await _assert_whole(other, by_id[run.id])
                    seen += 1
                if last_look:
                    return seen

        async def write() -> None:
            for one in wanted:
                await store.create_run(one)
            done.set()

        seen, _ = await asyncio.gather(read(), write())
        assert seen > 0

    async def test_claimed_run_is_whole(self, store: Store, other: Store, group: str) -> None:
        wanted = {one.run.id: one for one in (make_creation(group, at_s=i) for i in range(20))}
        claimed: list[Run] = []

        async def work() -> None:
            while len(claimed) < len(wanted):
                run = await claim_one(other, "worker-1", WorkerLimits())
                if run is None:
                    await asyncio.sleep(0)
                    continue
                claimed.append(run)
                await _assert_whole(other, wanted[run.id])

        await asyncio.gather(work(), *(store.create_run(one) for one in wanted.values()))
        assert {run.id for run in claimed} == set(wanted)


async def _assert_whole(store: Store, wanted: RunCreation) -> None:
    run = wanted.run
    assert (await store.get_run(run.group_id, run.id)).id == run.id
    assert await store.get_spec(run.group_id, run.id) == wanted.spec
    assert await store.get_snapshot(run.group_id, run.agent_digest) == SNAPSHOT
    assert await store.read_entries(run.group_id, run.id) == [wanted.first]
    assert await store.head(run.group_id, run.id) == 1
    if wanted.session is not None:
        assert await store.get(SESSIONS, run.group_id, run.session_id) == wanted.session
    if wanted.branch is not None:
        assert await store.get(BRANCHES, run.group_id, run.branch_id) == wanted.branch


async def _assert_absent(store: Store, refused: RunCreation) -> None:
    run = refused.run
    with pytest.raises(NotFound):
        await store.get_run(run.group_id, run.id)
    with pytest.raises(NotFound):
        await store.get_spec(run.group_id, run.id)
    assert await store.read_entries(run.group_id, run.id) == []
    await _assert_no_surroundings(store, refused)


async def _assert_no_surroundings(store: Store, refused: RunCreation) -> None:
    group_id = refused.run.group_id
    if refused.session is not None:
        with pytest.raises(NotFound):
            await store.get(SESSIONS, group_id, refused.session.id)
    if refused.branch is not None:
        with pytest.raises(NotFound):
            await store.get(BRANCHES, group_id, refused.branch.id)


class TestOwnedFromAcceptance:
    """A worker that has room may own a run from the moment it exists."""

    async def test_run_is_its_owners_at_once(self, store: Store, group: str) -> None:
        wanted = replace(make_creation(group), owner="worker-1")
        run = await store.create_run(wanted)
        assert (run.status, run.owner, run.epoch, run.holds_branch) == (RunStatus.RUNNING, "worker-1", 1, True)
        assert await store.get_run(group, run.id) == run
        assert await claim_one(store, "worker-2", WorkerLimits()) is None
        assert [owned.id for owned in await store.owned("worker-1")] == [run.id]
        assert await store.read_entries(group, run.id) == [wanted.first]

    async def test_its_owner_goes_on_behind_the_first_entry(self, store: Store, group: str) -> None:
        run = await store.create_run(replace(make_creation(group), owner="worker-1"))
        await Owner(store, run).append()
        assert [entry.first_seq for entry in await store.read_entries(group, run.id)] == [1, 2]

    async def test_run_of_a_dead_owner_is_taken_over(self, store: Store, group: str) -> None:
        run = await store.create_run(replace(make_creation(group), owner="dead"))
        (taken,) = await store.claim_abandoned("worker-2", 10, limit=5)
        assert (taken.id, taken.owner, taken.epoch) == (run.id, "worker-2", 2)

    async def test_run_that_has_to_wait_is_nobodys_and_says_why(self, store: Store, group: str) -> None:
        first = make_creation(group)
        holder = await store.create_run(replace(first, owner="worker-1"))
        second = await store.create_run(replace(make_creation(group, after=first, at_s=1), owner="worker-1"))
        assert (second.status, second.owner, second.epoch) == (RunStatus.QUEUED, None, 0)
        assert second.reason == StopReason.BRANCH_BUSY
        await Owner(store, holder).end(RunStatus.COMPLETED)
        promoted = await store.get_run(group, second.id)
        assert (promoted.is_ready, promoted.reason) == (True, None)

    async def test_run_with_a_command_is_claimed_for_it(self, store: Store, group: str) -> None:
        pause = PauseRequest(by="alice", at=instant(0), reason="not_started")
        run = await store.create_run(replace(make_creation(group, pause=pause), owner="worker-1"))
        assert (run.status, run.owner, run.is_ready) == (RunStatus.QUEUED, None, True)
