"""Who lives, who may take which run, and what an owner must hear of."""

import asyncio
from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.runs import Mark, Run
from agio.domain.status import RunStatus
from agio.storage.port import Store, WorkerLimits
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    eventually,
    holder,
    instant,
    make_creation,
    start,
    take,
    tick,
)

NO_LIMITS = WorkerLimits()
LEASE_S = 10.0


class TestBeat:
    async def test_worker_that_beat_lives(self, store: Store, other: Store) -> None:
        await store.beat("worker-1", {"host": "a", "pid": "1"})
        assert await other.living(LEASE_S) == {"worker-1"}

    async def test_worker_that_never_beat_does_not(self, store: Store) -> None:
        assert await store.living(LEASE_S) == frozenset()

    async def test_silence_longer_than_the_lease_is_death(self, store: Store, backend: Backend) -> None:
        for worker in ("fresh", "late", "dead"):
            await store.beat(worker, {})
        await backend.age_worker(store, "late", LEASE_S - 3)
        await backend.age_worker(store, "dead", LEASE_S + 0.1)
        assert await store.living(LEASE_S) == {"fresh", "late"}
        assert await store.living(LEASE_S - 5) == {"fresh"}
        assert await store.living(LEASE_S + 60) == {"fresh", "late", "dead"}

    async def test_next_beat_is_life_again(self, store: Store, backend: Backend) -> None:
        await store.beat("worker-1", {"pid": "1"})
        await backend.age_worker(store, "worker-1", 3600)
        await store.beat("worker-1", {"pid": "2", "host": "ü"})
        assert await store.living(LEASE_S) == {"worker-1"}

    async def test_retired_worker_is_forgotten(self, store: Store) -> None:
        await store.beat("worker-1", {})
        await store.beat("worker-2", {})
        await store.retire("worker-1")
        await store.retire("nobody")
        assert await store.living(LEASE_S) == {"worker-2"}

    async def test_what_workers_say_is_known_until_they_retire(self, store: Store, backend: Backend) -> None:
        for worker in ("one", "dead", "gone"):
            await store.beat(worker, {"host": "ü", "pid": worker})
        await backend.age_worker(store, "dead", 3600)
        await store.beat("one", {"pid": "new"})
        await store.retire("gone")
        assert await store.workers() == {"one": {"pid": "new"}, "dead": {"host": "ü", "pid": "dead"}}


class TestClaimingSeveral:
    async def test_so_many_are_claimed_in_one_call(self, store: Store, group: str) -> None:
        ids = [(await store.create_run(make_creation(group, at_s=i))).id for i in range(5)]
        first = await store.claim_ready("worker-1", NO_LIMITS, limit=3)
        assert [run.id for run in first] == ids[:3]
        assert {(run.owner, run.epoch) for run in first} == {("worker-1", 1)}
        assert [run.id for run in await store.claim_ready("worker-2", NO_LIMITS, limit=3)] == ids[3:]
        assert await store.claim_ready("worker-2", NO_LIMITS, limit=3) == []
        assert {run.id for run in await store.owned("worker-1")} == set(ids[:3])

    async def test_groups_take_turns_from_call_to_call(self, store: Store, group: str) -> None:
        for i in range(12):
            await store.create_run(make_creation(f"{group}-busy", at_s=i))
        late = await store.create_run(make_creation(f"{group}-late", at_s=100))
        claimed = [await store.claim_ready("worker-1", NO_LIMITS, limit=4) for _ in range(2)]
        assert late.id in [run.id for runs in claimed for run in runs]

    async def test_only_those_with_commands_where_no_others_are_allowed(self, store: Store, group: str) -> None:
        runs = [await store.create_run(make_creation(group, at_s=i)) for i in range(4)]
        for run in runs[1:3]:
            await store.update_run(group, run.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        claimed = await store.claim_ready("worker-1", WorkerLimits(runs_per_group=0), limit=9)
        assert {run.id for run in claimed} == {run.id for run in runs[1:3]}

    async def test_a_groups_share_holds(self, store: Store, group: str) -> None:
        for i in range(5):
            await store.create_run(make_creation(group, at_s=i))
        limits = WorkerLimits(runs_per_group=2)
        claimed = [*await store.claim_ready("w", limits, limit=4), *await store.claim_ready("w", limits, limit=4)]
        assert len(claimed) == 2

    async def test_no_run_is_claimed_twice(self, store: Store, other: Store, group: str) -> None:
        creations = [make_creation(f"{group}-{i % 3}", at_s=i) for i in range(60)]
        await asyncio.gather(*(store.create_run(one) for one in creations))

        async def work(number: int, through: Store) -> list[Run]:
            mine: list[Run] = []
            while runs := await through.claim_ready(f"worker-{number}", NO_LIMITS, limit=8):
                mine += runs
            return mine

        shares = await asyncio.gather(*(work(i, one) for i, one in enumerate([store, other] * 2)))
        assert sorted(run.id for share in shares for run in share) == sorted(one.run.id for one in creations)


class TestClaimReady:
    async def test_nothing_ready_is_none(self, store: Store) -> None:
        assert await claim_one(store, "worker-1", NO_LIMITS) is None

    async def test_claimed_run_belongs_to_the_worker(self, store: Store, group: str) -> None:
        created = await store.create_run(make_creation(group))
        claimed = await claim_one(store, "worker-1", NO_LIMITS)
        assert claimed is not None
        assert (claimed.id, claimed.status, claimed.owner) == (created.id, RunStatus.RUNNING, "worker-1")
        assert claimed.epoch == 1
        assert claimed.started_at is not None
        assert claimed.owned_since is not None
        assert await store.get_run(group, created.id) == claimed

    async def test_claimed_run_is_not_claimed_again(self, store: Store, other: Store, group: str) -> None:
        await store.create_run(make_creation(group))
        await claim_one(store, "worker-1", NO_LIMITS)
        assert await claim_one(other, "worker-2", NO_LIMITS) is None

    async def test_run_that_waits_for_its_branch_is_not_ready(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        await store.create_run(make_creation(group, after=first, at_s=1))
        claimed = await claim_one(store, "worker-1", NO_LIMITS)
        assert claimed is not None
        assert claimed.id == first.run.id
        assert await claim_one(store, "worker-1", NO_LIMITS) is None

    @pytest.mark.parametrize("status", [RunStatus.PAUSED, RunStatus.WAITING, RunStatus.INTERRUPTED])
    async def test_resting_run_is_ready_once_it_is_resumed(self, store: Store, group: str, status: RunStatus) -> None:
        owner = await start(store, group)
        await owner.rest(status)
        assert await claim_one(store, "worker-2", NO_LIMITS) is None
        await store.update_run(group, owner.run.id, lambda r: control.request_resume(r, by="ann", at=instant(9)))
        claimed = await claim_one(store, "worker-2", NO_LIMITS)
        assert claimed is not None
        assert (claimed.owner, claimed.epoch) == ("worker-2", 2)
        assert claimed.order is not None

    @pytest.mark.parametrize("status", [RunStatus.PAUSED, RunStatus.WAITING, RunStatus.INTERRUPTED])
    async def test_cancel_makes_a_resting_run_ready(self, store: Store, group: str, status: RunStatus) -> None:
        owner = await start(store, group)
        await owner.rest(status)
        await store.update_run(group, owner.run.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        claimed = await claim_one(store, "worker-2", NO_LIMITS)
        assert claimed is not None
        assert claimed.cancel is not None

    async def test_cancel_makes_a_run_ready_that_waits_for_its_branch(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await take(store, await store.create_run(first))
        waiter = await store.create_run(make_creation(group, after=first, at_s=1))
        await store.update_run(group, waiter.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        claimed = await claim_one(store, "worker-2", NO_LIMITS)
        assert claimed is not None
        assert (claimed.id, claimed.holds_branch) == (waiter.id, False)
        assert await holder(store, waiter) == first.run.id

    async def test_ended_run_is_never_ready(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await store.update_run(group, owner.run.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        await owner.end()
        assert await claim_one(store, "worker-2", NO_LIMITS) is None

    async def test_run_given_back_is_claimed_by_the_next(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        after = await owner.rest(RunStatus.QUEUED, handed_over=True)
        assert after.is_ready
        claimed = await claim_one(store, "worker-2", NO_LIMITS)
        assert claimed is not None
        assert (claimed.owner, claimed.handed_over, claimed.claims) == ("worker-2", True, 0)


class TestFairness:
    async def test_run_that_is_ready_longest_comes_first(self, store: Store, group: str) -> None:
        created = []
        for i in range(6):
            created.append(await store.create_run(make_creation(group, at_s=i)))
            await tick()
        assert await _drain(store, 6) == [run.id for run in created]

    async def test_resumed_run_lines_up_at_the_end(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.rest()
        young = await store.create_run(make_creation(group, at_s=10))
        await tick()
        await store.update_run(group, owner.run.id, lambda r: control.request_resume(r, by="ann", at=instant(20)))
        assert await _drain(store, 2) == [young.id, owner.run.id]

    async def test_run_whose_turn_came_late_lines_up_at_the_end(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        owner = Owner(store, await take(store, first.run))
        waiter = await store.create_run(make_creation(group, after=first, at_s=1))
        young = await store.create_run(make_creation(group, at_s=2))
        await tick()
        await owner.end()

        async def promoted() -> bool:
            return (await store.get_run(group, waiter.id)).holds_branch

        await eventually(promoted, "the waiting run to get its turn")
        assert await _drain(store, 2) == [young.id, waiter.id]

    async def test_groups_take_turns(self, store: Store, group: str) -> None:
        for i in range(9):
            await store.create_run(make_creation(f"{group}-busy", at_s=i))
        for name in ("b", "c"):
            for i in range(3):
                await store.create_run(make_creation(f"{group}-{name}", at_s=100 + i))
        turns = [run.group_id.removeprefix(f"{group}-") for run in await _claim_all(store)]
        assert [set(turns[i : i + 3]) for i in (0, 3, 6)] == [{"busy", "b", "c"}] * 3
        assert turns[9:] == ["busy"] * 6

    async def test_late_group_does_not_wait_for_the_crowd(self, store: Store, group: str) -> None:
        for i in range(10):
            await store.create_run(make_creation(f"{group}-busy", at_s=i))
        for _ in range(5):
            await claim_one(store, "worker-1", NO_LIMITS)
        late = await store.create_run(make_creation(f"{group}-late", at_s=100))
        assert late.id in await _drain(store, 2)


class TestLimits:
    async def test_group_owns_no_more_than_its_share(self, store: Store, group: str) -> None:
        for i in range(3):
            await store.create_run(make_creation(group, at_s=i))
        limits = WorkerLimits(runs_per_group=2)
        claimed = [await claim_one(store, "worker-1", limits) for _ in range(3)]
        assert [run is not None for run in claimed] == [True, True, False]
        assert await claim_one(store, "worker-1", NO_LIMITS) is not None

    async def test_limit_of_its_own_counts_in_place_of_the_others(self, store: Store, group: str) -> None:
        for i in range(3):
            await store.create_run(make_creation(group, at_s=i))
        claimed = [await claim_one(store, "worker-1", WorkerLimits(own={group: 2})) for _ in range(3)]
        assert [run is not None for run in claimed] == [True, True, False]
        assert await claim_one(store, "worker-1", WorkerLimits(runs_per_group=1, own={group: 3})) is not None

    async def test_share_counts_all_workers(self, store: Store, other: Store, group: str) -> None:
        for i in range(2):
            await store.create_run(make_creation(group, at_s=i))
        limits = WorkerLimits(runs_per_group=1)
        assert await claim_one(store, "worker-1", limits) is not None
        assert await claim_one(other, "worker-2", limits) is None

    async def test_full_group_does_not_stand_in_the_way_of_others(self, store: Store, group: str) -> None:
        for i in range(5):
            await store.create_run(make_creation(f"{group}-full", at_s=i))
        limits = WorkerLimits(runs_per_group=1)
        await claim_one(store, "worker-1", limits)
        free = await store.create_run(make_creation(f"{group}-free", at_s=50))
        claimed = await claim_one(store, "worker-1", limits)
        assert claimed is not None
        assert claimed.id == free.id

    async def test_ending_makes_room(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        waiting = await store.create_run(make_creation(group, at_s=1))
        limits = WorkerLimits(runs_per_group=1)
        assert await claim_one(store, "worker-1", limits) is None
        await owner.end()
        claimed = await claim_one(store, "worker-1", limits)
        assert claimed is not None
        assert claimed.id == waiting.id

    async def test_run_with_a_command_is_claimed_whatever_the_limits_say(self, store: Store, group: str) -> None:
        await start(store, group)
        await store.create_run(make_creation(group, at_s=1))
        asked = await store.create_run(make_creation(group, at_s=2))
        await store.update_run(group, asked.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        limits = WorkerLimits(runs_per_group=1)
        claimed = await claim_one(store, "worker-1", limits)
        assert claimed is not None
        assert claimed.id == asked.id
        assert await claim_one(store, "worker-1", limits) is None

    async def test_share_holds_though_many_claim_at_once(self, store: Store, other: Store, group: str) -> None:
        for i in range(12):
            await store.create_run(make_creation(group, at_s=i))
        limits = WorkerLimits(runs_per_group=3)
        claimed = await asyncio.gather(*(claim_one(s, f"worker-{i}", limits) for i, s in enumerate([store, other] * 6)))
        assert len([run for run in claimed if run is not None]) == 3


class TestClaimingAtOnce:
    async def test_no_run_is_claimed_twice(self, store: Store, other: Store, group: str) -> None:
        creations = [make_creation(f"{group}-{i % 3}", at_s=i) for i in range(100)]
        await asyncio.gather(*(store.create_run(one) for one in creations))

        async def work(number: int, through: Store) -> list[Run]:
            mine = []
            while run := await claim_one(through, f"worker-{number}", NO_LIMITS):
                mine.append(run)
            return mine

        claimed = await asyncio.gather(*(work(i, s) for i, s in enumerate([store, other] * 4)))
        runs = [run for mine in claimed for run in mine]
        assert sorted(run.id for run in runs) == sorted(one.run.id for one in creations)
        assert {run.epoch for run in runs} == {1}
        for number, mine in enumerate(claimed):
            assert {run.owner for run in mine} <= {f"worker-{number}"}
            assert _by_id(await store.owned(f"worker-{number}")) == _by_id(mine)

    async def test_no_abandoned_run_is_claimed_twice(self, store: Store, other: Store, group: str) -> None:
        owners = [await start(store, group, "dead", at_s=i) for i in range(20)]
        for number in range(6):
            await store.beat(f"worker-{number}", {})

        async def work(number: int, through: Store) -> list[Run]:
            mine = []
            while runs := await through.claim_abandoned(f"worker-{number}", LEASE_S, limit=2):
                assert len(runs) <= 2
                mine += runs
            return mine

        claimed = await asyncio.gather(*(work(i, s) for i, s in enumerate([store, other] * 3)))
        runs = [run for mine in claimed for run in mine]
        assert sorted(run.id for run in runs) == sorted(owner.run.id for owner in owners)
        assert {(run.epoch, run.claims) for run in runs} == {(2, 1)}


class TestClaimAbandoned:
    async def test_run_of_a_living_worker_is_left_alone(self, store: Store, group: str) -> None:
        await store.beat("worker-1", {})
        await start(store, group)
        assert await store.claim_abandoned("worker-2", LEASE_S, limit=9) == []

    async def test_run_of_a_silent_worker_is_taken(self, store: Store, group: str, backend: Backend) -> None:
        await store.beat("worker-1", {})
        await store.beat("worker-2", {})
        owner = await start(store, group)
        await backend.age_worker(store, "worker-1", LEASE_S + 1)
        (taken,) = await store.claim_abandoned("worker-2", LEASE_S, limit=9)
        assert (taken.id, taken.owner, taken.epoch, taken.claims) == (owner.run.id, "worker-2", 2, 1)
        assert (taken.status, taken.handed_over) == (RunStatus.RUNNING, False)
        assert await store.get_run(group, taken.id) == taken
        assert await store.claim_abandoned("worker-2", LEASE_S, limit=9) == []

    async def test_lease_of_the_caller_decides(self, store: Store, group: str, backend: Backend) -> None:
        await store.beat("worker-1", {})
        await store.beat("worker-2", {})
        await start(store, group)
        await backend.age_worker(store, "worker-1", 5)
        assert await store.claim_abandoned("worker-2", LEASE_S, limit=9) == []
        assert await store.claim_abandoned("worker-2", 2, limit=9)

    async def test_run_of_a_worker_that_retired_is_taken(self, store: Store, group: str) -> None:
        await store.beat("worker-1", {})
        await store.beat("worker-2", {})
        owner = await start(store, group)
        await store.retire("worker-1")
        (taken,) = await store.claim_abandoned("worker-2", LEASE_S, limit=9)
        assert taken.id == owner.run.id

    async def test_run_of_a_worker_that_nobody_knows_is_taken(self, store: Store, group: str) -> None:
        await store.beat("worker-2", {})
        owner = await start(store, group, "never-beat")
        (taken,) = await store.claim_abandoned("worker-2", LEASE_S, limit=9)
        assert taken.id == owner.run.id

    async def test_runs_that_nobody_owns_are_not_abandoned(self, store: Store, group: str) -> None:
        await store.beat("worker-2", {})
        await store.create_run(make_creation(group))
        await (await start(store, group, "dead", at_s=1)).rest()
        await (await start(store, group, "dead", at_s=2)).end()
        assert await store.claim_abandoned("worker-2", LEASE_S, limit=9) == []

    async def test_crashes_without_progress_are_counted(self, store: Store, group: str) -> None:
        await store.beat("worker-2", {})
        owner = await start(store, group, "dead")
        for claims in range(1, 4):
            (taken,) = await store.claim_abandoned("worker-2", LEASE_S, limit=9)
            assert taken.claims == claims
            owner = Owner(store, await store.update_run(group, taken.id, _disown))
        progress = await owner.append(checkpoint="step")
        assert progress is not None
        assert progress.claims == 0


class TestCommands:
    async def test_worker_hears_of_commands_to_its_own_runs(self, store: Store, other: Store, group: str) -> None:
        mine = [await start(store, group, at_s=i) for i in range(3)]
        theirs = await start(store, group, "worker-2", at_s=3)
        await store.create_run(make_creation(group, at_s=4))
        for run in (mine[0].run, theirs.run):
            await other.update_run(group, run.id, lambda r: control.request_pause(r, by="ann", at=instant(9)))
        (heard,) = await store.commands("worker-1")
        assert heard == await store.get_run(group, mine[0].run.id)
        assert [run.id for run in await store.commands("worker-2")] == [theirs.run.id]
        assert await store.commands("worker-3") == []

    async def test_command_that_was_acted_on_is_not_told_again(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        asked = await store.update_run(group, owner.run.id, lambda r: control.request_pause(r, by="ann", at=instant(9)))
        await owner.append(control_ack=asked.control_seq)
        assert await store.commands("worker-1") == []
        await store.update_run(group, asked.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        assert [run.id for run in await store.commands("worker-1")] == [asked.id]

    async def test_marks_and_decisions_are_commands_too(self, store: Store, group: str) -> None:
        marked, decided = await start(store, group), await start(store, group, at_s=1)
        mark = Mark(by="ann", label="here")
        await store.update_run(group, marked.run.id, lambda r: control.request_mark(r, mark, at=instant(9)))
        await store.update_run(group, decided.run.id, lambda r: control.note_decision(r, by="ann", at=instant(9)))
        assert {run.id for run in await store.commands("worker-1")} == {marked.run.id, decided.run.id}

    async def test_owned_are_the_workers_runs(self, store: Store, group: str) -> None:
        owners = [await start(store, f"{group}-{i}", at_s=i) for i in range(4)]
        await start(store, group, "worker-2", at_s=9)
        await owners[0].end()
        await owners[1].rest()
        assert _by_id(await store.owned("worker-1")) == _by_id([owner.run for owner in owners[2:]])
        assert await store.owned("nobody") == []


class TestSweep:
    async def test_free_branch_goes_to_the_run_that_waits_longest(
        self, store: Store, group: str, backend: Backend
    ) -> None:
        first = make_creation(group)
        await store.create_run(first)
        waiters = [await store.create_run(make_creation(group, after=first, at_s=1 + i)) for i in range(3)]
        await backend.lose_hold(store, group, first.run.id)
        assert await holder(store, first.run) is None
        await store.sweep()
        assert await holder(store, first.run) == waiters[0].id
        claimed = await claim_one(store, "worker-1", NO_LIMITS)
        assert claimed is not None
        assert claimed.id == waiters[0].id

    async def test_many_free_branches_are_all_mended(self, store: Store, group: str, backend: Backend) -> None:
        waiters = []
        for i in range(5):
            first = make_creation(f"{group}-{i}")
            await store.create_run(first)
            waiters.append(await store.create_run(make_creation(f"{group}-{i}", after=first, at_s=1)))
            await backend.lose_hold(store, f"{group}-{i}", first.run.id)
        await store.sweep()
        assert [await holder(store, run) for run in waiters] == [run.id for run in waiters]

    async def test_sweeps_at_once_let_one_run_hold(
        self, store: Store, other: Store, group: str, backend: Backend
    ) -> None:
        first = make_creation(group)
        await store.create_run(first)
        waiters = [await store.create_run(make_creation(group, after=first, at_s=1 + i)) for i in range(4)]
        await backend.lose_hold(store, group, first.run.id)
        await asyncio.gather(*(s.sweep() for s in [store, other] * 3))
        assert await holder(store, first.run) == waiters[0].id

    async def test_sound_database_is_left_as_it_is(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        waiter = await store.create_run(make_creation(group, after=first, at_s=1))
        resting = await (await start(store, group, at_s=2)).rest()
        ended = await (await start(store, group, at_s=3)).end()
        before = [await store.get_run(group, run.id) for run in (first.run, waiter, resting, ended)]
        await store.sweep()
        assert [await store.get_run(group, run.id) for run in before] == before


def _disown(run: Run) -> Run:
    """Return the run as if its present owner had died under another name."""
    return replace(run, owner="dead")


def _by_id(runs: list[Run]) -> dict[str, Run]:
    return {run.id: run for run in runs}


async def _claim_all(store: Store) -> list[Run]:
    claimed = []
    while run := await claim_one(store, "worker-1", NO_LIMITS):
        claimed.append(run)
    return claimed


async def _drain(store: Store, count: int) -> list[str]:
    """Claim that many runs; return their ids in order."""
    claimed = [await claim_one(store, "worker-1", NO_LIMITS) for _ in range(count)]
    return [run.id for run in claimed if run is not None]
