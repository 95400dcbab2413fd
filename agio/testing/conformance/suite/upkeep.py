"""`ended_runs`, `uncompacted_runs`, `rewrite_entries`, `delete_unneeded` and `collect`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from agio.domain import control
from agio.domain.agents import AgentSnapshot
from agio.domain.compaction import Compactor, settled_epochs
from agio.domain.errors import AgioError, LeaseLost, NotFound
from agio.domain.events import Event, StepStarted
from agio.domain.journal import Entry, behind, unfold
from agio.domain.runs import Parent, Run
from agio.domain.status import TERMINAL, RunStatus
from agio.storage.port import BRANCHES, Append, Store
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.fixtures import OpenStore
from agio.testing.conformance.records import (
    Owner,
    instant,
    make_branch,
    make_creation,
    make_deltas,
    make_entry,
    make_message,
    start,
    take,
)

HOUR_S = 3600
LATER = instant(10**6)


class TestEndedRuns:
    async def test_they_come_by_status_from_the_one_that_ended_last(self, store: Store, group: str) -> None:
        ended = [await _ended(store, f"{group}-{n % 2}", messages=n + 1) for n in range(4)]
        await (await start(store, group)).end(RunStatus.FAILED)
        await start(store, group)
        assert await _ids(store, before=LATER) == [run.id for run in reversed(ended)]
        assert await _ids(store, before=_end(ended[2])) == [run.id for run in reversed(ended[:2])]
        assert await _ids(store, before=LATER, limit=2) == [run.id for run in reversed(ended[2:])]
        assert await _ids(store, before=LATER, behind=ended[2]) == [run.id for run in reversed(ended[:2])]

    async def test_runs_that_ended_at_once_are_told_apart(self, store: Store, group: str) -> None:
        ended = {(await _ended(store, group)).id for _ in range(5)}
        found: list[Run] = []
        while page := await store.ended_runs(
            RunStatus.COMPLETED, before=LATER, limit=2, behind=found[-1] if found else None
        ):
            found += page
        assert [run.id for run in found] == sorted(ended, reverse=True)

    async def test_run_with_a_new_attempt_has_not_ended(self, store: Store, group: str) -> None:
        run = await _ended(store, group)
        await _try_again(store, run)
        assert await _ids(store, before=LATER) == []
        assert await store.uncompacted_runs(before=LATER, limit=9) == []

    async def test_run_is_compacted_until_it_has_more(self, store: Store, group: str) -> None:
        run = await _ended(store, group)
        assert await store.uncompacted_runs(before=LATER, limit=9) == [run]
        assert await store.uncompacted_runs(before=_end(run), limit=9) == []
        assert await store.uncompacted_runs(before=LATER, limit=9, behind=run) == []
        noted = await store.update_run(group, run.id, lambda r: control.note_compaction(r, through=r.last_seq))
        assert noted.is_compacted
        assert await store.uncompacted_runs(before=LATER, limit=9) == []
        assert await _ids(store, before=LATER) == [run.id]
        again = await _try_again(store, noted)
        await Owner(store, await take(store, again), head=run.last_seq).end()
        assert [found.id for found in await store.uncompacted_runs(before=LATER, limit=9)] == [run.id]


class TestRewriteEntries:
    async def test_readers_find_every_event_from_everywhere(self, store: Store, group: str) -> None:
        run, before = await _talkative(store, group)
        assert await _compact(store, run, before) == 5
        after = await _entries(store, run)
        assert (len(before), len(after)) == (22, 5)
        for cursor in range(run.last_seq):
            assert _told(await _entries(store, run, cursor), cursor) == _told(before, cursor)
        assert await store.head(group, run.id) == run.last_seq
        assert await store.heads([run.id]) == {run.id: run.last_seq}
        assert len(await store.read_messages(group, run.branch_id)) == 2
        assert (await store.list_checkpoints(group, run.id)).total == 2

    async def test_doing_it_again_changes_nothing(self, store: Store, other: Store, group: str) -> None:
        run, before = await _talkative(store, group)
        await asyncio.gather(_compact(store, run, before), _compact(other, run, before))
        once = await _entries(store, run)
        await _compact(store, run, before)
        await _compact(store, run, once)
        assert await _entries(store, run) == once

    async def test_large_entries_go_through_chunks_and_leave_none_behind(
        self, open_store: OpenStore, backend: Backend, group: str
    ) -> None:
        store = await open_store(32)
        run, before = await _talkative(store, group, text="twenty characters or ")
        await _compact(store, run, before)
        for cursor in range(run.last_seq):
            assert _told(await _entries(store, run, cursor), cursor) == _told(before, cursor)
        await backend.age_contents(store, 2 * HOUR_S)
        await _collect(store)
        left = await backend.count_chunks(store)
        assert _told(await _entries(store, run), 0) == _told(before, 0)
        await store.delete_run(group, run.id)
        others = await backend.count_chunks(store)  # of the session, the branch and the agent
        assert others <= 3
        assert others < left < 22

    async def test_what_does_not_fit_changes_nothing(self, store: Store, group: str) -> None:
        run, before = await _talkative(store, group)
        made = _compacted(run, before)
        assert made[0].last_seq > made[0].first_seq
        for wrong in (
            replace(made[0], last_seq=made[0].last_seq + 1),
            replace(made[0], last_seq=made[0].last_seq + 2),
            replace(made[0], epoch=made[0].epoch + 1),
            replace(made[0], group_id=f"{group}-b"),
            replace(made[0], run_id="nobody"),
        ):
            await store.rewrite_entries([wrong])
            assert await _entries(store, run) == before

    async def test_writer_that_lost_the_run_is_still_refused(self, store: Store, group: str) -> None:
        """It wakes up after the run was taken over, ended and compacted."""
        owner = await start(store, group)
        await _say(owner, 9)
        frozen = owner.write(make_deltas("stale"), step=7)
        second = Owner(store, await take(store, await _abandon(store, owner.run)), head=owner.head - 1)
        await _say(second, 9)
        run = await second.end()
        await _compact(store, run, await _entries(store, run))
        before = await _entries(store, run)
        assert len(before) < 9
        (result,) = await store.append([frozen])
        assert isinstance(result, LeaseLost)
        assert await _entries(store, run) == before

    async def test_reader_who_pages_meanwhile_sees_no_gap(self, store: Store, other: Store, group: str) -> None:
        run, before = await _talkative(store, group, tokens=150)
        wanted = _told(before, 0)

        async def read(limit: int) -> None:
            found: list[Any] = []
            cursor = 0
            while page := await other.read_entries(group, run.id, after=cursor, limit=limit):
                for entry in page:
                    assert entry.first_seq <= cursor + 1 <= entry.last_seq
                    found += _told([entry], cursor)
                    cursor = entry.last_seq
            assert found == wanted

        readers = [asyncio.create_task(read(limit)) for limit in (1, 2, 7, 500) * 3]
        await _compact(store, run, before)
        await asyncio.gather(*readers)


class TestDeleteUnneeded:
    async def test_run_that_nobody_needs_is_gone(self, store: Store, group: str) -> None:
        run = await _ended(store, group)
        assert await store.delete_unneeded(group, run.id, ended_before=LATER)
        with pytest.raises(NotFound):
            await store.get_run(group, run.id)
        assert await store.read_entries(group, run.id) == []
        assert await store.read_messages(group, run.branch_id) == []
        assert not await store.delete_unneeded(group, run.id, ended_before=LATER)

    async def test_run_that_is_young_or_live_or_foreign_stays(self, store: Store, group: str) -> None:
        run = await _ended(store, group)
        live = (await start(store, group)).run
        assert not await store.delete_unneeded(group, run.id, ended_before=_end(run))
        assert not await store.delete_unneeded(group, live.id, ended_before=LATER)
        assert not await store.delete_unneeded(f"{group}-b", run.id, ended_before=LATER)
        assert await store.get_run(group, run.id) == run
        assert (await store.get_run(group, live.id)).is_live

    @pytest.mark.parametrize("kind", ["parent", "turn", "branch", "fork"])
    async def test_run_that_another_one_needs_stays_as_long_as_that_one(
        self, store: Store, group: str, kind: str
    ) -> None:
        run = await _ended(store, group)
        needs = await _dependent(store, run, kind)
        before = await store.get_run(group, run.id)
        assert not await store.delete_unneeded(group, run.id, ended_before=LATER)
        assert await store.get_run(group, run.id) == before
        assert len(await store.read_messages(group, run.branch_id)) == 1
        await Owner(store, await take(store, needs), position=1).end()
        assert await store.delete_unneeded(group, needs.id, ended_before=LATER)
        assert await store.delete_unneeded(group, run.id, ended_before=LATER)

    async def test_branch_that_was_made_just_now_may_get_its_run_yet(self, store: Store, group: str) -> None:
        run = await _ended(store, group)
        branch = make_branch(group, run.session_id, parent_id=run.branch_id, fork_position=1, kind="fork")
        old = replace(branch, id=f"{branch.id}-old")
        await store.insert(BRANCHES, old)
        await store.insert(BRANCHES, replace(branch, created_at=LATER.replace(year=2999)))
        assert not await store.delete_unneeded(group, run.id, ended_before=LATER)
        await store.delete(BRANCHES, group, branch.id)
        assert await store.delete_unneeded(group, run.id, ended_before=LATER)

    async def test_what_was_deleted_cannot_be_continued(self, store: Store, group: str) -> None:
        run = await _ended(store, group)
        turn = make_creation(group, branch=make_branch(group, run.session_id, id=run.branch_id))
        assert await store.delete_unneeded(group, run.id, ended_before=LATER)
        with pytest.raises(NotFound):
            await store.create_run(_fork(run))
        await store.delete(BRANCHES, group, run.branch_id)
        with pytest.raises(NotFound):
            await store.create_run(replace(turn, branch=None))

    async def test_of_a_fork_and_a_deletion_at_once_at_most_one_happens(
        self, store: Store, other: Store, group: str
    ) -> None:
        for _ in range(15):
            run = await _ended(store, group)
            fork = _fork(run)
            fork = replace(fork, branch=replace(fork.branch, created_at=LATER.replace(year=2999)))
            deleted, made = await asyncio.gather(
                store.delete_unneeded(group, run.id, ended_before=LATER), _outcome(other, fork)
            )
            assert made == "NotFound" or (made == "made" and not deleted)
            assert len(await store.read_messages(group, run.branch_id)) == (0 if deleted else 1)


class TestCollect:
    async def test_snapshot_goes_an_hour_after_its_last_run(self, store: Store, backend: Backend, group: str) -> None:
        kept = await _with_agent(store, group, "kept")
        lost = await _with_agent(store, group, "lost")
        await store.delete_run(group, lost.id)
        assert await _collect(store) == 1
        await backend.age_contents(store, HOUR_S / 2)
        assert await _collect(store) == 1
        await store.get_snapshot(group, lost.agent_digest)
        await backend.age_contents(store, HOUR_S)
        assert await _collect(store) == 1
        with pytest.raises(NotFound):
            await store.get_snapshot(group, lost.agent_digest)
        await store.get_snapshot(group, kept.agent_digest)
        assert await _collect(store) == 0

    async def test_snapshot_that_is_wanted_again_stays(self, store: Store, backend: Backend, group: str) -> None:
        run = await _with_agent(store, group, "a")
        await store.delete_run(group, run.id)
        await _collect(store)
        again = await _with_agent(store, group, "a")
        await backend.age_contents(store, 2 * HOUR_S)
        await _collect(store)
        await _collect(store)
        await store.get_snapshot(group, again.agent_digest)

    async def test_snapshot_that_somebody_stores_meanwhile_is_young_again(
        self, open_store: OpenStore, backend: Backend, group: str
    ) -> None:
        store, fresh = await open_store(), await open_store()
        snapshot = replace(make_creation(group).snapshot, agent_id="b")
        await store.put_snapshot(group, snapshot)
        await _collect(store)
        await backend.age_contents(store, 2 * HOUR_S)
        await fresh.put_snapshot(group, snapshot)
        await _collect(store)
        assert await store.get_snapshot(group, snapshot.digest) == snapshot

    async def test_snapshot_of_an_earlier_attempt_stays(self, store: Store, backend: Backend, group: str) -> None:
        run = await _with_agent(store, group, "a")
        other = replace(make_creation(group).snapshot, agent_id="b")
        await store.put_snapshot(group, other)
        await store.update_run(
            group, run.id, lambda r: replace(r, agent_digest=other.digest, former_digests=(r.agent_digest,))
        )
        for _ in range(2):
            await _collect(store)
            await backend.age_contents(store, 2 * HOUR_S)
        await store.get_snapshot(group, run.agent_digest)
        assert await store.get_snapshot(group, other.digest) == other

    async def test_chunks_of_what_was_refused_go_and_others_stay(
        self, open_store: OpenStore, backend: Backend, group: str
    ) -> None:
        store = await open_store(64)
        owner = await start(store, group)
        (kept,) = await owner.say("kept " * 50)
        stale = make_entry(
            replace(owner.run, epoch=0),
            StepStarted(step=1),
            first_seq=owner.head,
            messages=(make_message("stale " * 50),),
            branch_id=owner.run.branch_id,
            position=owner.position,
        )
        (result,) = await store.append([Append(entry=stale)])
        assert isinstance(result, LeaseLost)
        run = await owner.end()
        before = await backend.count_chunks(store)
        await _collect(store)
        assert await backend.count_chunks(store) == before  # it is young
        await backend.age_contents(store, 2 * HOUR_S)
        await _collect(store)
        assert await store.read_messages(group, run.branch_id) == [kept]
        await store.get_spec(group, run.id)
        await store.delete_run(group, run.id)
        await _collect(store)
        assert await backend.count_chunks(store) == await _chunks_of_snapshots(store, backend)

    async def test_it_looks_at_no_more_than_it_is_asked_to(self, store: Store, group: str) -> None:
        for name in "abcde":
            await store.delete_run(group, (await _with_agent(store, group, name)).id)
        first = await store.collect(limit=2)
        assert (first.count, first.next_cursor is not None) == (2, True)
        assert await _collect(store, limit=2) == 5


async def _chunks_of_snapshots(store: Store, backend: Backend) -> int:
    """Delete nothing more, and say how many chunks are left: those of agents, which nobody needs an hour yet."""
    await _collect(store)
    return await backend.count_chunks(store)


async def _collect(store: Store, *, limit: int = 100) -> int:
    found = await store.collect(limit=limit)
    count = found.count
    while found.next_cursor is not None:
        found = await store.collect(limit=limit, cursor=found.next_cursor)
        count += found.count
    return count


async def _ids(store: Store, *, limit: int = 9, **how: Any) -> list[str]:
    return [run.id for run in await store.ended_runs(RunStatus.COMPLETED, limit=limit, **how)]


def _end(run: Run) -> Any:
    assert run.ended_at is not None
    return run.ended_at


async def _ended(store: Store, group: str, *, messages: int = 1) -> Run:
    """Return a run that said something and completed; the more it said, the later."""
    owner = await start(store, group)
    for _ in range(messages):
        await owner.say("hello")
    return await owner.end()


async def _with_agent(store: Store, group: str, name: str) -> Run:
    owner = await start(store, group, snapshot=AgentSnapshot(agent_id=name, version=1, provider="p", model="m"))
    return await owner.end()


async def _try_again(store: Store, run: Run) -> Run:
    return await store.update_run(
        run.group_id,
        run.id,
        lambda r: control.request_attempt(
            r,
            by="ann",
            at=instant(99),
            branch_id=run.branch_id,
            from_checkpoint_id=None,
            base_step=0,
            allowed=TERMINAL,
        ),
    )


async def _abandon(store: Store, run: Run) -> Run:
    return await store.update_run(
        run.group_id, run.id, lambda r: replace(r, owner=None, owned_since=None, status=RunStatus.QUEUED)
    )


async def _say(owner: Owner, tokens: int, *, text: str = "tok", message_id: str = "m") -> None:
    for number in range(tokens):
        await owner.append(make_deltas(f"{text}{number}", "-", message_id=message_id))


async def _talkative(store: Store, group: str, *, tokens: int = 9, text: str = "tok") -> tuple[Run, list[Entry]]:
    """Return a run of two answers in many small entries, and its journal."""
    owner = await start(store, group)
    await _say(owner, tokens, text=text)
    await owner.say("one", checkpoint="step")
    await _say(owner, tokens, text=text, message_id="n")
    await owner.append(make_deltas("the end", message_id="n"), messages=(make_message("two"),), checkpoint="final")
    run = await owner.end()
    return run, await _entries(store, run)


async def _entries(store: Store, run: Run, after: int = 0) -> list[Entry]:
    return await store.read_entries(run.group_id, run.id, after=after, limit=1_000)


def _compacted(run: Run, entries: Sequence[Entry]) -> list[Entry]:
    compactor = Compactor(settled_epochs({entry.epoch for entry in entries}, run.epoch))
    return [*(made for entry in entries for made in compactor.feed(entry)), *compactor.finish()]


async def _compact(store: Store, run: Run, entries: Sequence[Entry]) -> int:
    made = _compacted(run, entries)
    await store.rewrite_entries(made)
    return len(await _entries(store, run))


def _told(entries: Sequence[Entry], after: int) -> list[tuple[int, Event | str]]:
    """Return what a reader behind `after` is told, each token by itself."""
    told: list[tuple[int, Event | str]] = []
    for entry in entries:
        if entry.last_seq <= after:
            continue
        for seq, event in unfold(behind(entry, after)):
            texts = getattr(event, "texts", None)
            told += [(seq, event)] if texts is None else list(enumerate(texts, seq))
    return told


def _fork(run: Run) -> Any:
    branch = make_branch(run.group_id, run.session_id, parent_id=run.branch_id, fork_position=1, kind="fork")
    parent = Parent(run_id=run.id, checkpoint_id=f"{run.id}.2", kind="fork")
    return make_creation(run.group_id, branch=branch, parent=parent, at_s=50)


async def _dependent(store: Store, run: Run, kind: str) -> Run:
    """Return a new run that needs this one, in one of the ways there are."""
    if kind == "fork":
        return await store.create_run(_fork(run))
    if kind == "parent":
        return await store.create_run(make_creation(run.group_id, parent=_fork(run).run.parent, at_s=50))
    if kind == "branch":
        branch = make_branch(run.group_id, run.session_id, parent_id=run.branch_id, fork_position=1)
        return await store.create_run(make_creation(run.group_id, branch=branch, at_s=50))
    own = make_branch(run.group_id, run.session_id, id=run.branch_id)
    return await store.create_run(replace(make_creation(run.group_id, branch=own, at_s=50), branch=None))


async def _outcome(store: Store, creation: Any) -> str:
    try:
        await store.create_run(creation)
    except AgioError as error:
        return type(error).__name__
    return "made"
