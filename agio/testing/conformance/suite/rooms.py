"""Limits where runs have children: how many of a group's runs are under way, whoever works for them."""

import asyncio

from agio.domain import control
from agio.domain.runs import Run
from agio.domain.status import RunStatus, StopReason
from agio.domain.workflow import Place
from agio.storage.port import Store, WorkerLimits
from agio.testing.conformance.records import Owner, claim_one, instant, make_creation

ONE = WorkerLimits(runs_per_group=1)


async def _create(store: Store, group: str, at_s: float, parent: Run | None = None) -> Run:
    place = Place(root_run_id=parent.id, parent_run_id=parent.id, task_id="a", depth=1) if parent else None
    return await store.create_run(make_creation(group, at_s=at_s, place=place))


async def _claim(store: Store, wanted: Run) -> Owner:
    claimed = await claim_one(store, "worker-1", ONE)
    assert claimed is not None
    assert claimed.id == wanted.id
    return Owner(store, claimed)


async def _begin(store: Store, group: str) -> Run:
    """Let a run wait for its child, behind which a second one is queued."""
    run = await _create(store, group, 0)
    await _create(store, group, 1)
    owner = await _claim(store, run)
    return await owner.rest(RunStatus.WAITING, reason=StopReason.CHILDREN)


class TestRooms:
    async def test_run_takes_room_while_its_child_works_for_it(self, store: Store, group: str) -> None:
        run = await _begin(store, group)
        assert await claim_one(store, "worker-1", ONE) is None
        child = await _claim(store, await _create(store, group, 2, run))
        assert await claim_one(store, "worker-1", ONE) is None
        await child.end()
        assert await claim_one(store, "worker-1", ONE) is None

    async def test_run_whose_child_ended_takes_room_and_goes_on_first(self, store: Store, group: str) -> None:
        run = await _begin(store, group)
        woken = await store.update_run(group, run.id, lambda record: control.note_child(record, at=instant(9)))
        assert woken.status is RunStatus.QUEUED
        owner = await _claim(store, woken)
        owner.head = 2
        assert await claim_one(store, "worker-1", ONE) is None
        await owner.end()
        assert await claim_one(store, "worker-1", ONE) is not None

    async def test_run_that_rests_for_a_person_makes_room(self, store: Store, group: str) -> None:
        for number, (status, reason) in enumerate(
            [(RunStatus.PAUSED, StopReason.OPERATOR), (RunStatus.WAITING, StopReason.APPROVAL)]
        ):
            mine = f"{group}-{number}"
            first, second = [await _create(store, mine, at_s) for at_s in (0, 1)]
            owner = await _claim(store, first)
            assert await claim_one(store, "worker-1", ONE) is None
            await owner.rest(status, reason=reason)
            await (await _claim(store, second)).end()

    async def test_cancel_of_a_waiting_run_makes_room(self, store: Store, group: str) -> None:
        run = await _begin(store, group)
        await store.update_run(group, run.id, lambda r: control.request_cancel(r, by="ann", at=instant(9)))
        owner = await _claim(store, run)
        assert await claim_one(store, "worker-1", ONE) is None
        owner.head = 2
        await owner.end(RunStatus.CANCELLED)
        assert await claim_one(store, "worker-1", ONE) is not None

    async def test_waiting_group_does_not_stand_in_the_way_of_others(self, store: Store, group: str) -> None:
        await _begin(store, f"{group}-a")
        free = await _create(store, f"{group}-b", 50)
        await _claim(store, free)

    async def test_room_holds_though_many_claim_at_once(self, store: Store, other: Store, group: str) -> None:
        limits = WorkerLimits(runs_per_group=3)
        for number in range(12):
            await _create(store, group, number)
        claimed: list[Run] = []
        for _ in range(3):  # those that were claimed rest for their children, so that nobody is owned
            found = await asyncio.gather(
                *(claim_one(one, f"worker-{i}", limits) for i, one in enumerate([store, other] * 4))
            )
            fresh = [run for run in found if run is not None]
            claimed += fresh
            for run in fresh:
                await Owner(store, run).rest(RunStatus.WAITING, reason=StopReason.CHILDREN)
        assert len(claimed) == 3
