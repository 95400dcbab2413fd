"""`append`: the fence between owners, batches, projections, and what an ending run lets go of."""

import asyncio
from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.errors import LeaseLost, NotFound
from agio.domain.events import StepStarted
from agio.domain.journal import Entry
from agio.domain.runs import Mark, Run
from agio.domain.status import TERMINAL, RunStatus
from agio.storage.port import Append, Store
from agio.testing.conformance.fixtures import OpenStore
from agio.testing.conformance.records import (
    Owner,
    instant,
    make_approval,
    make_creation,
    make_deltas,
    make_entry,
    make_message,
    start,
)


class TestAppend:
    async def test_entry_without_an_update_answers_none(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write()
        assert await store.append([append]) == [None]
        assert (await store.read_entries(group, owner.run.id))[-1] == append.entry
        assert await store.get_run(group, owner.run.id) == owner.run

    async def test_entry_with_an_update_answers_the_run_after_it(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        (after,) = await store.append([owner.write(step=1, status=RunStatus.RUNNING)])
        assert isinstance(after, Run)
        assert (after.step, after.last_seq, after.owner) == (1, 2, "worker-1")
        assert await store.get_run(group, owner.run.id) == after

    async def test_entry_is_durable_for_another_process(self, store: Store, other: Store, group: str) -> None:
        owner = await start(store, group)
        (message,) = await owner.say("a", checkpoint="step")
        assert await other.head(group, owner.run.id) == 2
        assert await other.read_messages(group, owner.run.branch_id) == [message]
        checkpoint = await other.last_checkpoint(group, owner.run.id)
        assert checkpoint is not None
        assert (await other.get_run(group, owner.run.id)).last_checkpoint_id == checkpoint.id

    async def test_empty_batch_has_no_results(self, store: Store) -> None:
        assert await store.append([]) == []

    async def test_results_of_a_batch_are_in_its_order(self, store: Store, group: str) -> None:
        owners = [await start(store, group, at_s=i) for i in range(20)]
        batch = [owner.write(step=i) if i % 2 else owner.write() for i, owner in enumerate(owners)]
        results = await store.append(batch)
        ids = [result.id if isinstance(result, Run) else None for result in results]
        assert ids == [owner.run.id if i % 2 else None for i, owner in enumerate(owners)]
        assert [run.step for run in results if isinstance(run, Run)] == list(range(1, 20, 2))

    async def test_batch_spans_groups(self, store: Store, group: str) -> None:
        owners = [await start(store, f"{group}-{i}") for i in range(3)]
        await store.append([owner.write(step=1) for owner in owners])
        for owner in owners:
            assert (await store.get_run(owner.run.group_id, owner.run.id)).step == 1
            assert await store.head(owner.run.group_id, owner.run.id) == 2

    async def test_batch_of_two_hundred_runs_is_appended_whole(self, store: Store, group: str) -> None:
        creations = [make_creation(group, at_s=i) for i in range(200)]
        await asyncio.gather(*(store.create_run(one) for one in creations))
        owners = [Owner(store, one.run) for one in creations]
        assert await store.append([owner.write() for owner in owners]) == [None] * 200
        heads = await store.heads([owner.run.id for owner in owners])
        assert heads == {owner.run.id: 2 for owner in owners}

    async def test_many_entries_of_a_run_count_without_gap(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        for i in range(30):
            await owner.append(make_deltas(*"abc"[: i % 3 + 1]))
        entries = await store.read_entries(group, owner.run.id)
        assert [e.first_seq for e in entries] == [1, *(e.last_seq + 1 for e in entries[:-1])]
        assert entries[-1].last_seq == await store.head(group, owner.run.id) == owner.head


class TestFence:
    async def test_taken_number_is_refused_to_another_epoch(self, store: Store, group: str) -> None:
        owner, stale = await _taken_over(store, group)
        winner = owner.write(step=1)
        await store.append([winner])
        (result,) = await store.append([stale.write(step=9)])
        assert isinstance(result, LeaseLost)
        await _assert_only(store, winner.entry)
        assert (await store.get_run(group, owner.run.id)).step == 1

    async def test_taken_number_with_another_end_is_refused(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        winner = owner.write(make_deltas("a", "b"))
        await store.append([winner])
        loser = make_entry(owner.run, make_deltas("a"), first_seq=2)
        (result,) = await store.append([Append(entry=loser)])
        assert isinstance(result, LeaseLost)
        await _assert_only(store, winner.entry)

    async def test_refused_entry_leaves_nothing_behind(self, store: Store, group: str) -> None:
        owner, stale = await _taken_over(store, group)
        await owner.say("mine", checkpoint="step")
        before = await store.get_run(group, owner.run.id)
        approval = make_approval(stale.run)
        (result,) = await store.append(
            [
                stale.write(
                    StepStarted(step=1),
                    StepStarted(step=2),
                    messages=(make_message("not mine"),),
                    checkpoint="step",
                    approvals=(approval,),
                    status=RunStatus.FAILED,
                )
            ]
        )
        assert isinstance(result, LeaseLost)
        assert await store.get_run(group, owner.run.id) == before
        assert [m.content for m in await store.read_messages(group, owner.run.branch_id)] == ["mine"]
        assert (await store.list_checkpoints(group, owner.run.id)).total == 1
        with pytest.raises(NotFound):
            await store.get_approval(group, approval.id)

    async def test_one_refused_among_many_stops_no_other(self, store: Store, group: str) -> None:
        owners = [await start(store, group, at_s=i) for i in range(9)]
        _, stale = await _taken_over(store, group, append=True)
        batch = [owner.write(step=1) for owner in owners]
        results = await store.append([*batch[:4], stale.write(step=1), *batch[4:]])
        assert [type(result) for result in results] == [Run] * 4 + [LeaseLost] + [Run] * 5
        for owner in owners:
            assert await store.head(group, owner.run.id) == 2

    async def test_of_two_owners_at_once_one_is_taken(self, store: Store, other: Store, group: str) -> None:
        for i in range(10):
            owner, stale = await _taken_over(store, group, at_s=i)
            mine, theirs = owner.write(), stale.write()
            results = [r for (r,) in await asyncio.gather(store.append([mine]), other.append([theirs]))]
            assert sorted(type(r).__name__ for r in results) == ["LeaseLost", "NoneType"]
            await _assert_only(store, mine.entry if results[0] is None else theirs.entry)

    async def test_own_entry_again_is_taken_for_done(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(make_deltas("a", "b"))
        assert await store.append([append]) == [None]
        assert await store.append([append]) == [None]
        await _assert_only(store, append.entry)

    async def test_own_entry_again_answers_the_run(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(messages=(make_message("a"),), checkpoint="step", step=1)
        (first,) = await store.append([append])
        (again,) = await store.append([append])
        assert isinstance(first, Run)
        assert isinstance(again, Run)
        assert replace(again, revision=0) == replace(first, revision=0)
        assert len(await store.read_messages(group, owner.run.branch_id)) == 1
        assert (await store.list_checkpoints(group, owner.run.id)).total == 1

    async def test_own_terminal_entry_again_answers_the_ended_run(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(status=RunStatus.COMPLETED)
        (first,) = await store.append([append])
        (again,) = await store.append([append])
        assert isinstance(first, Run)
        assert isinstance(again, Run)
        assert (again.status, again.owner, again.holds_branch) == (RunStatus.COMPLETED, None, False)

    async def test_own_entry_again_takes_no_second_mark(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        for label in ("one", "two", "three"):
            await _mark(store, owner.run, label)
        append = owner.write(marks_done=1)
        await store.append([append])
        await store.append([append])
        run = await store.get_run(group, owner.run.id)
        assert [mark.label for mark in run.marks] == ["two", "three"]

    async def test_own_entry_again_undoes_nothing_that_came_since(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(status=RunStatus.PAUSED)
        await store.append([append])
        resumed = await store.update_run(
            group, owner.run.id, lambda r: control.request_resume(r, by="ann", at=instant(9))
        )
        await store.append([append])
        assert replace(await store.get_run(group, owner.run.id), revision=0) == replace(resumed, revision=0)

    async def test_own_entry_again_resets_no_decided_approval(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        approval = make_approval(owner.run)
        append = owner.write(approvals=(approval,), status=RunStatus.WAITING)
        await store.append([append])
        decided = await store.update_approval(group, approval.id, lambda a: replace(a, status="approved", by="ann"))
        await store.append([append])
        assert await store.get_approval(group, approval.id) == decided

    async def test_own_batch_again_is_taken_for_done_beside_new_entries(self, store: Store, group: str) -> None:
        owners = [await start(store, group, at_s=i) for i in range(4)]
        old = [owner.write(step=1) for owner in owners[:2]]
        await store.append(old)
        results = await store.append([*old, *(owner.write(step=2) for owner in owners[2:])])
        assert [result.step for result in results if isinstance(result, Run)] == [1, 1, 2, 2]


class TestProjection:
    async def test_update_of_a_lost_lease_is_refused_and_its_entry_stays(self, store: Store, group: str) -> None:
        owner, stale = await _taken_over(store, group)
        append = stale.write(messages=(make_message("kept"),), checkpoint="step", status=RunStatus.COMPLETED)
        (result,) = await store.append([append])
        assert isinstance(result, LeaseLost)
        await _assert_only(store, append.entry)
        assert await store.get_run(group, owner.run.id) == owner.run
        assert [m.content for m in await store.read_messages(group, owner.run.branch_id)] == ["kept"]
        assert await store.last_checkpoint(group, owner.run.id) == append.entry.checkpoint

    async def test_command_that_came_meanwhile_survives(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await store.update_run(group, owner.run.id, lambda r: control.request_cancel(r, by="ann", at=instant(5)))
        after = await owner.rest(RunStatus.WAITING)
        assert after.cancel is not None
        assert after.is_ready

    async def test_commands_and_updates_at_once_lose_none(self, store: Store, other: Store, group: str) -> None:
        owner = await start(store, group)

        async def work() -> None:
            for step in range(1, 16):
                await owner.append(step=step)

        async def command() -> None:
            for i in range(15):
                await _mark(other, owner.run, str(i))

        await asyncio.gather(work(), command())
        run = await store.get_run(group, owner.run.id)
        assert (run.step, [mark.label for mark in run.marks]) == (15, [str(i) for i in range(15)])

    async def test_update_follows_the_rules_of_the_domain(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(step=2, pending_approvals=("a",), status=RunStatus.WAITING, reason="approval")
        (after,) = await store.append([append])
        assert append.update is not None
        expected = control.project(owner.run, append.update, epoch=1, at=append.entry.at)
        assert isinstance(after, Run)
        assert replace(after, revision=0) == replace(expected, revision=0)

    async def test_update_of_a_deleted_run_stops_no_other(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        gone = await start(store, group, at_s=1)
        await gone.end()
        await store.delete_run(group, gone.run.id)
        late = gone.write(step=3)
        results = await store.append([late, owner.write(step=1)])
        assert isinstance(results[0], LeaseLost)
        assert isinstance(results[1], Run)
        with pytest.raises(NotFound):
            await store.get_run(group, gone.run.id)


class TestEndingRun:
    @pytest.mark.parametrize("ending", sorted(TERMINAL))
    async def test_pending_approvals_are_cancelled(self, store: Store, group: str, ending: RunStatus) -> None:
        owner = await start(store, group)
        approvals = [make_approval(owner.run, tool_call_id=f"call-{i}", at_s=i) for i in range(3)]
        await owner.append(approvals=tuple(approvals))
        decided = await store.update_approval(
            group, approvals[0].id, lambda a: replace(a, status="approved", by="ann", resolved_at=instant(5))
        )
        await owner.end(ending)
        assert await store.get_approval(group, decided.id) == decided
        page = await store.list_approvals(group, run_id=owner.run.id)
        assert [a.status for a in page.items] == ["approved", "cancelled", "cancelled"]
        assert (await store.list_approvals(group, status="pending")).total == 0

    async def test_approvals_of_other_runs_stay_pending(self, store: Store, group: str) -> None:
        owner, bystander = await start(store, group), await start(store, group, at_s=1)
        approval = make_approval(bystander.run)
        await bystander.append(approvals=(approval,))
        await owner.end()
        assert await store.get_approval(group, approval.id) == approval

    async def test_approval_made_with_the_terminal_entry_is_cancelled(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        approval = make_approval(owner.run)
        await owner.end(RunStatus.CANCELLED, approvals=(approval,))
        assert (await store.get_approval(group, approval.id)).status == "cancelled"

    @pytest.mark.parametrize("resting", [RunStatus.PAUSED, RunStatus.WAITING, RunStatus.INTERRUPTED])
    async def test_resting_run_keeps_its_approvals_pending(self, store: Store, group: str, resting: RunStatus) -> None:
        owner = await start(store, group)
        approval = make_approval(owner.run)
        await owner.rest(resting, approvals=(approval,))
        assert (await store.get_approval(group, approval.id)).status == "pending"

    @pytest.mark.parametrize("ending", sorted(TERMINAL))
    async def test_record_says_how_it_ended(self, store: Store, group: str, ending: RunStatus) -> None:
        owner = await start(store, group)
        after = await owner.end(ending, reason="because")
        assert (after.status, after.reason, after.owner, after.is_ready) == (ending, "because", None, False)
        assert after.ended_at is not None


class TestAtomicEntry:
    @pytest.mark.parametrize("size", [10, 5_000], ids=["inline", "chunks"])
    async def test_readers_see_events_messages_and_checkpoint_together(
        self, open_store: OpenStore, group: str, size: int
    ) -> None:
        store, other = await open_store(1_000), await open_store(1_000)
        owner = await start(store, group)
        rounds = 25
        done = asyncio.Event()

        async def write() -> None:
            for i in range(rounds):
                text = str(i).ljust(size, ".")
                await owner.append(make_deltas(text), messages=(make_message(text),), checkpoint="step")
            done.set()

        async def read() -> int:
            looks = 0
            while True:
                last_look = done.is_set()
                await _look(other, owner.run)
                looks += 1
                if last_look:
                    return looks

        looks, _ = await asyncio.gather(read(), write())
        assert looks > 1
        assert len(await other.read_messages(group, owner.run.branch_id)) == rounds


async def _look(store: Store, run: Run) -> None:
    """Whatever a part of an entry shows must be shown by every other part that is read after it."""
    group, run_id = run.group_id, run.id
    head = await store.head(group, run_id)
    entries = await store.read_entries(group, run_id)
    assert entries[-1].last_seq >= head
    messages = await store.read_messages(group, run.branch_id)
    shown = [message for entry in entries for message in entry.messages]
    assert messages[: len(shown)] == shown
    last = await store.last_checkpoint(group, run_id)
    page = await store.list_checkpoints(group, run_id)
    if messages:
        assert last is not None
        assert last.position >= len(messages)
        assert page.total >= last.position
    if last is not None:
        again = await store.read_messages(group, run.branch_id, end=last.position)
        assert len(again) == last.position
        entries = await store.read_entries(group, run_id, after=last.seq - 1, limit=1)
        assert entries[0].checkpoint == last


async def _taken_over(store: Store, group: str, *, append: bool = False, at_s: float = 0) -> tuple[Owner, Owner]:
    """Return the present owner of a run, and the one before it, who does not know that it lost the run."""
    stale = await start(store, group, at_s=at_s)
    run = await store.update_run(
        group,
        stale.run.id,
        lambda r: control.take_over(r, "worker-2", living=(), at=instant(2)) or r,
    )
    owner = Owner(store, run)
    if append:
        await owner.append()
    return owner, stale


async def _assert_only(store: Store, entry: Entry) -> None:
    """The journal is the first entry and this one."""
    entries = await store.read_entries(entry.group_id, entry.run_id)
    assert entries[1:] == [entry]
    assert await store.head(entry.group_id, entry.run_id) == entry.last_seq


async def _mark(store: Store, run: Run, label: str) -> None:
    mark = Mark(by="ann", label=label)
    await store.update_run(run.group_id, run.id, lambda r: control.request_mark(r, mark, at=instant(5)))
