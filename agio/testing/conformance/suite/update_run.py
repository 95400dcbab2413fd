"""`update_run` and the hold on a branch: one run at a time, first come, first served."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.errors import BranchBusy, InvalidTransition, NotFound
from agio.domain.runs import Run
from agio.domain.status import TERMINAL, RunStatus
from agio.storage.port import BRANCHES, Store, WorkerLimits
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    eventually,
    holder,
    instant,
    make_branch,
    make_creation,
    on_branch,
    start,
    take,
    tick,
)

ENDINGS = sorted(TERMINAL)


class TestUpdateRun:
    async def test_record_after_it_is_returned_and_kept(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))
        after = await store.update_run(group, run.id, lambda r: replace(r, tags=("a",), updated_at=instant(1)))
        assert (after.tags, after.updated_at) == (("a",), instant(1))
        assert await store.get_run(group, run.id) == after
        assert after.revision > run.revision

    async def test_fifty_changes_at_once_lose_none(self, store: Store, other: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))

        def add(tag: str) -> Callable[[Run], Run]:
            return lambda found: replace(found, tags=(*found.tags, tag))

        await asyncio.gather(*(s.update_run(group, run.id, add(str(i))) for i, s in enumerate([store, other] * 25)))
        after = await store.get_run(group, run.id)
        assert sorted(after.tags, key=int) == [str(i) for i in range(50)]

    async def test_change_that_raises_writes_nothing(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))

        def refuse(found: Run) -> Run:
            raise InvalidTransition("no", status=found.status)

        with pytest.raises(InvalidTransition, match="no"):
            await store.update_run(group, run.id, refuse)
        assert await store.get_run(group, run.id) == run

    async def test_any_exception_of_the_change_is_raised_as_it_is(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))
        mistake = RuntimeError("mine")

        def fail(_: Run) -> Run:
            raise mistake

        with pytest.raises(RuntimeError) as caught:
            await store.update_run(group, run.id, fail)
        assert caught.value is mistake
        assert await store.get_run(group, run.id) == run

    async def test_change_that_returns_its_argument_writes_nothing(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))
        assert await store.update_run(group, run.id, lambda found: found) == run
        assert await store.get_run(group, run.id) == run

    async def test_unknown_run_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.update_run(group, "nobody", lambda found: found)

    async def test_every_part_of_the_record_is_kept(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))

        def change(found: Run) -> Run:
            found = control.request_pause(found, by="bob", at=instant(1.5), mode="now", reason="lunch")
            found = control.request_cancel(found, by="ann", at=instant(2.5), reason="enough")
            return replace(
                found,
                error={"code": "x", "message": "ü", "retryable": True},
                pending_approvals=("a", "b"),
                handed_over=True,
                claims=3,
                started_at=instant(1),
                ended_at=instant(2),
            )

        after = await store.update_run(group, run.id, change)
        assert replace(after, revision=0) == replace(change(run), revision=0)
        assert await store.get_run(group, run.id) == after


class TestBranchHold:
    async def test_change_cannot_take_a_held_branch(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        second = await store.create_run(make_creation(group, after=first, at_s=1))
        with pytest.raises(BranchBusy):
            await store.update_run(group, second.id, lambda r: replace(r, holds_branch=True))
        assert await store.get_run(group, second.id) == second
        assert await holder(store, second) == first.run.id

    async def test_new_attempt_cannot_take_a_held_branch(self, store: Store, group: str) -> None:
        busy = await store.create_run(make_creation(group))
        owner = await start(store, group)
        ended = await owner.end()
        with pytest.raises(BranchBusy):
            await store.update_run(group, ended.id, lambda r: _attempt(r, busy.branch_id))
        assert await store.get_run(group, ended.id) == ended

    async def test_new_attempt_holds_a_branch_of_its_own(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        ended = await owner.end(RunStatus.FAILED)
        branch = await store.insert(BRANCHES, make_branch(group, ended.session_id, parent_id=ended.branch_id))
        after = await store.update_run(group, ended.id, lambda r: _attempt(r, branch.id))
        assert (after.is_ready, await holder(store, after)) == (True, ended.id)
        claimed = await claim_one(store, "worker-2", WorkerLimits())
        assert claimed is not None
        assert (claimed.id, claimed.branch_id, claimed.attempt) == (ended.id, branch.id, 2)

    async def test_moving_to_another_branch_lets_go_of_the_first(self, store: Store, group: str) -> None:
        first = make_creation(group)
        run = await store.create_run(first)
        waiter = await store.create_run(make_creation(group, after=first, at_s=1))
        branch = await store.insert(BRANCHES, make_branch(group, run.session_id))
        await store.update_run(group, run.id, lambda r: replace(r, branch_id=branch.id))
        await _assert_becomes_holder(store, waiter)

    @pytest.mark.parametrize("ending", ENDINGS)
    async def test_ended_run_hands_the_branch_to_the_one_that_waits_longest(
        self, store: Store, group: str, ending: RunStatus
    ) -> None:
        owner, waiters = await _queue_up(store, group, waiters=3)
        await owner.end(ending)
        await _assert_becomes_holder(store, waiters[0])
        claimed = await claim_one(store, "worker-2", WorkerLimits())
        assert claimed is not None
        assert claimed.id == waiters[0].id
        assert await claim_one(store, "worker-2", WorkerLimits()) is None

    async def test_change_that_lets_go_hands_the_branch_on(self, store: Store, group: str) -> None:
        owner, waiters = await _queue_up(store, group, waiters=2)
        await store.update_run(
            group,
            owner.run.id,
            lambda r: replace(r, status=RunStatus.CANCELLED, owner=None, holds_branch=False, ended_at=instant(9)),
        )
        await _assert_becomes_holder(store, waiters[0])

    async def test_queue_is_served_in_order_to_its_end(self, store: Store, group: str) -> None:
        owner, waiters = await _queue_up(store, group, waiters=5)
        for waiter in waiters:
            await owner.end()
            await _assert_becomes_holder(store, waiter)
            owner = Owner(store, await take(store, await store.get_run(group, waiter.id)))
        await owner.end()
        assert await holder(store, owner.run) is None

    async def test_waiter_that_was_cancelled_is_passed_over(self, store: Store, group: str) -> None:
        owner, waiters = await _queue_up(store, group, waiters=3)
        asked = await store.update_run(
            group, waiters[0].id, lambda r: control.request_cancel(r, by="ann", at=instant(20))
        )
        await Owner(store, await take(store, asked, "worker-2")).end(RunStatus.CANCELLED)
        assert await holder(store, owner.run) == owner.run.id
        await owner.end()
        await _assert_becomes_holder(store, waiters[1])

    @pytest.mark.parametrize("resting", [RunStatus.PAUSED, RunStatus.WAITING, RunStatus.INTERRUPTED])
    async def test_resting_run_keeps_its_branch(self, store: Store, group: str, resting: RunStatus) -> None:
        owner, _ = await _queue_up(store, group, waiters=1)
        await owner.rest(resting)
        assert await holder(store, owner.run) == owner.run.id
        assert await claim_one(store, "worker-2", WorkerLimits()) is None

    async def test_branch_is_free_after_the_last_run_ended(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        await Owner(store, await take(store, first.run)).end()
        second = await store.create_run(make_creation(group, after=first, at_s=1, may_wait=False))
        assert second.holds_branch

    async def test_runs_created_while_the_holder_ends_are_all_served(
        self, store: Store, other: Store, group: str
    ) -> None:
        """The race between letting go and queueing up: nobody may be left waiting for a free branch."""
        first = make_creation(group)
        await store.create_run(first)
        owner = Owner(store, await take(store, first.run))
        others = [make_creation(group, after=first, at_s=1 + i) for i in range(8)]
        await asyncio.gather(owner.end(), *(other.create_run(one) for one in others))
        served: set[str] = set()
        while len(served) < len(others):
            served.add(await _serve_next(store, owner.run))
        assert served == {one.run.id for one in others}
        assert await holder(store, owner.run) is None


async def _serve_next(store: Store, run: Run) -> str:
    """End whichever run holds the branch now; return its id."""

    async def held() -> bool:
        return await holder(store, run) is not None

    await eventually(held, "a waiting run to hold the free branch")
    (now,) = [one for one in await on_branch(store, run) if one.holds_branch]
    await Owner(store, await take(store, now, "worker-2")).end()
    return now.id


async def _queue_up(store: Store, group: str, *, waiters: int) -> tuple[Owner, list[Run]]:
    first = make_creation(group)
    await store.create_run(first)
    waiting = []
    for i in range(waiters):
        waiting.append(await store.create_run(make_creation(group, after=first, at_s=1 + i)))
        await tick()
    return Owner(store, await take(store, first.run)), waiting


async def _assert_becomes_holder(store: Store, run: Run) -> None:
    async def holds() -> bool:
        return (await store.get_run(run.group_id, run.id)).holds_branch

    await eventually(holds, "the run that waits longest to hold the branch")
    assert await holder(store, run) == run.id


def _attempt(run: Run, branch_id: str) -> Run:
    return control.request_attempt(
        run,
        by="ann",
        at=instant(30),
        branch_id=branch_id,
        from_checkpoint_id=None,
        base_step=0,
        allowed=TERMINAL,
    )
