"""`delete_run` and `dependents`."""

from dataclasses import replace
from typing import Any

import pytest

from agio.domain import control
from agio.domain.errors import NotFound
from agio.domain.runs import Parent, Run, RunFilter
from agio.domain.status import TERMINAL, RunStatus
from agio.storage.port import BRANCHES, SESSIONS, Store, WorkerLimits
from agio.testing.conformance.fixtures import OpenStore
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    instant,
    make_approval,
    make_branch,
    make_creation,
    make_message,
    start,
    take,
)


class TestDeleteRun:
    async def test_run_is_gone_with_its_spec_journal_and_approvals(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        approval = make_approval(owner.run)
        await owner.say("a", checkpoint="step", approvals=(approval,))
        await owner.end(checkpoint="final")
        checkpoint = await store.last_checkpoint(group, owner.run.id)
        assert checkpoint is not None
        await store.delete_run(group, owner.run.id)
        run_id = owner.run.id
        for gone in (
            store.get_run(group, run_id),
            store.get_spec(group, run_id),
            store.get_approval(group, approval.id),
            store.get_checkpoint(group, checkpoint.id),
        ):
            with pytest.raises(NotFound):
                await gone
        assert await store.read_entries(group, run_id) == []
        assert await store.head(group, run_id) == 0
        assert (await store.list_runs(group, RunFilter(), limit=5)).total == 0
        assert (await store.list_approvals(group)).total == 0
        assert (await store.list_checkpoints(group, run_id)).total == 0
        assert await store.session_checkpoints(group, owner.run.session_id) == []
        assert await store.last_checkpoint(group, run_id) is None
        assert await store.read_messages(group, owner.run.branch_id) == []

    async def test_session_and_branch_stay(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.end()
        await store.delete_run(group, owner.run.id)
        assert (await store.get(SESSIONS, group, owner.run.session_id)).id == owner.run.session_id
        assert (await store.get(BRANCHES, group, owner.run.branch_id)).id == owner.run.branch_id

    async def test_unknown_run_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.delete_run(group, "nobody")

    async def test_second_deletion_finds_nothing(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.end()
        await store.delete_run(group, owner.run.id)
        with pytest.raises(NotFound):
            await store.delete_run(group, owner.run.id)

    async def test_other_runs_keep_everything(self, open_store: OpenStore, group: str) -> None:
        """The two share a branch, and a large text that is stored once."""
        store = await open_store(100)
        first = make_creation(group)
        await store.create_run(first)
        owner = Owner(store, await take(store, first.run))
        message = make_message("same " * 100)
        await owner.append(messages=(message,))
        await owner.end()
        second = Owner(
            store, await take(store, await store.create_run(make_creation(group, after=first, at_s=1))), position=1
        )
        again = replace(message, id="again")
        kept = second.write(messages=(message, again), checkpoint="step")
        await store.append([kept])
        await store.delete_run(group, owner.run.id)
        entries = await store.read_entries(group, second.run.id)
        assert entries[-1].messages == (message, again)
        assert await store.last_checkpoint(group, second.run.id) == kept.entry.checkpoint
        assert (await store.get_spec(group, second.run.id)).input == "Why is the sky blue?"
        assert (await store.get_snapshot(group, second.run.agent_digest)).digest == second.run.agent_digest

    async def test_branch_serves_the_next_run_afterwards(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        await Owner(store, await take(store, first.run)).end()
        await store.delete_run(group, first.run.id)
        second = await store.create_run(make_creation(group, after=first, at_s=1, may_wait=False))
        claimed = await claim_one(store, "worker-1", WorkerLimits())
        assert claimed is not None
        assert claimed.id == second.id

    async def test_id_of_a_deleted_run_may_be_used_again(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.say("a")
        await owner.end()
        await store.delete_run(group, owner.run.id)
        again = await store.create_run(make_creation(group, id=owner.run.id))
        assert await store.head(group, again.id) == 1
        await Owner(store, await take(store, again)).append()
        assert await store.head(group, again.id) == 2


class TestDependents:
    async def test_lonely_run_has_none(self, store: Store, group: str) -> None:
        source = await _source(store, group)
        await _source(store, group)
        assert await store.dependents(group, source.id) == []

    async def test_unknown_run_has_none(self, store: Store, group: str) -> None:
        await _source(store, group)
        assert await store.dependents(group, "nobody") == []

    @pytest.mark.parametrize("kind", ["restore", "fork"])
    async def test_runs_made_from_it_depend_on_it(self, store: Store, group: str, kind: Any) -> None:
        source = await _source(store, group)
        parent = Parent(run_id=source.id, checkpoint_id=f"{source.id}.2", kind=kind)
        child = await _on_child_branch(store, source, 0, parent=parent)
        assert await store.dependents(group, source.id) == [child.id]

    async def test_run_on_a_branch_that_takes_its_messages_depends_on_it(self, store: Store, group: str) -> None:
        source = await _source(store, group)
        child = await _on_child_branch(store, source, 1)
        assert await store.dependents(group, source.id) == [child.id]

    async def test_run_on_a_branch_that_leaves_before_its_messages_does_not(self, store: Store, group: str) -> None:
        """The second run of a branch begins at position 2; a branch that leaves there shows nothing of it."""
        first = make_creation(group)
        await store.create_run(first)
        await _work(store, first.run, position=0)
        second = await store.create_run(make_creation(group, after=first, at_s=1))
        await _work(store, second, position=2)
        before = await _on_child_branch(store, second, 2)
        after = await _on_child_branch(store, second, 3)
        assert await store.dependents(group, second.id) == [after.id]
        assert sorted(await store.dependents(group, first.run.id)) == sorted([second.id, before.id, after.id])

    async def test_later_runs_of_its_branch_depend_on_it_and_earlier_ones_do_not(
        self, store: Store, group: str
    ) -> None:
        first = make_creation(group)
        await store.create_run(first)
        await _work(store, first.run, position=0)
        second = await store.create_run(make_creation(group, after=first, at_s=1))
        await _work(store, second, position=2)
        third = await store.create_run(make_creation(group, after=first, at_s=2))
        assert sorted(await store.dependents(group, first.run.id)) == sorted([second.id, third.id])
        assert await store.dependents(group, second.id) == [third.id]
        assert await store.dependents(group, third.id) == []

    async def test_forks_of_its_forks_are_not_named(self, store: Store, group: str) -> None:
        source = await _source(store, group)
        child = await _on_child_branch(
            store, source, 2, parent=Parent(run_id=source.id, checkpoint_id="c", kind="fork")
        )
        await _work(store, child, position=2)
        await _on_child_branch(store, child, 3, parent=Parent(run_id=child.id, checkpoint_id="c", kind="fork"))
        assert await store.dependents(group, source.id) == [child.id]

    async def test_run_that_depends_in_two_ways_is_named_once(self, store: Store, group: str) -> None:
        source = await _source(store, group)
        parent = Parent(run_id=source.id, checkpoint_id=f"{source.id}.2", kind="fork")
        child = await _on_child_branch(store, source, 2, parent=parent)
        assert await store.dependents(group, source.id) == [child.id]

    async def test_branches_of_its_later_attempts_count_and_it_does_not_name_itself(
        self, store: Store, group: str
    ) -> None:
        source = await _source(store, group)
        branch = make_branch(group, source.session_id, parent_id=source.branch_id, fork_position=1, kind="retry")
        await store.insert(BRANCHES, branch)
        again = await store.update_run(
            group,
            source.id,
            lambda r: control.request_attempt(
                r,
                by="ann",
                at=instant(9),
                branch_id=branch.id,
                from_checkpoint_id=None,
                base_step=0,
                allowed=TERMINAL,
            ),
        )
        await _work(store, again, position=1, head=3)
        child = await _on_child_branch(store, await store.get_run(group, source.id), 2)
        assert await store.dependents(group, source.id) == [child.id]


async def _source(store: Store, group: str) -> Run:
    """Return an ended run with two messages and a checkpoint."""
    run = await store.create_run(make_creation(group))
    return await _work(store, run, position=0)


async def _work(store: Store, run: Run, *, position: int, head: int = 1) -> Run:
    """Let a run say two things and end."""
    owner = Owner(store, await take(store, run), position=position, head=head)
    await owner.say("question", "answer", checkpoint="final")
    return await owner.end(RunStatus.COMPLETED)


async def _on_child_branch(store: Store, source: Run, fork_position: int, **fields: Any) -> Run:
    """Make a run on a new branch that leaves the source's branch."""
    branch = make_branch(
        source.group_id, source.session_id, parent_id=source.branch_id, fork_position=fork_position, kind="fork"
    )
    return await store.create_run(make_creation(source.group_id, branch=branch, at_s=50, **fields))
