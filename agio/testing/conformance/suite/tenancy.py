"""Groups: what belongs to another group does not exist, in every method that names one."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agio.domain.errors import AgioError
from agio.domain.runs import RunFilter
from agio.storage.port import BRANCHES, KINDS, SESSIONS, Append, Catalog, Leases, RunStore, Store
from agio.storage.upkeep import Upkeep
from agio.testing.conformance.records import (
    Owner,
    make_approval,
    make_branch,
    make_creation,
    make_message,
    make_session,
    start,
)


@dataclass(frozen=True)
class _World:
    """The ids of everything that a group has; or of nothing at all."""

    run_id: str = "nobody"
    session_id: str = "nobody"
    branch_id: str = "nobody"
    checkpoint_id: str = "nobody.2"
    approval_id: str = "nobody"
    digest: str = "0" * 64


Call = Callable[[Store, str, _World], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "get_run": lambda s, g, w: s.get_run(g, w.run_id),
    "get_spec": lambda s, g, w: s.get_spec(g, w.run_id),
    "list_runs": lambda s, g, w: s.list_runs(g, RunFilter(session_id=w.session_id), limit=9),
    "update_run": lambda s, g, w: s.update_run(g, w.run_id, lambda r: replace(r, tags=("stolen",))),
    "delete_run": lambda s, g, w: s.delete_run(g, w.run_id),
    "dependents": lambda s, g, w: s.dependents(g, w.run_id),
    "head": lambda s, g, w: s.head(g, w.run_id),
    "read_entries": lambda s, g, w: s.read_entries(g, w.run_id),
    "read_messages": lambda s, g, w: s.read_messages(g, w.branch_id),
    "branch_end": lambda s, g, w: s.branch_end(g, w.branch_id),
    "lineage": lambda s, g, w: s.lineage(g, w.branch_id),
    "list_checkpoints": lambda s, g, w: s.list_checkpoints(g, w.run_id),
    "session_checkpoints": lambda s, g, w: s.session_checkpoints(g, w.session_id),
    "last_checkpoint": lambda s, g, w: s.last_checkpoint(g, w.run_id),
    "get_checkpoint": lambda s, g, w: s.get_checkpoint(g, w.checkpoint_id),
    "annotate_checkpoint": lambda s, g, w: s.annotate_checkpoint(g, w.checkpoint_id, label="stolen", tags=()),
    "get_approval": lambda s, g, w: s.get_approval(g, w.approval_id),
    "update_approval": lambda s, g, w: s.update_approval(
        g, w.approval_id, lambda a: replace(a, status="approved", by="thief")
    ),
    "list_approvals": lambda s, g, w: s.list_approvals(g, run_id=w.run_id),
    "get_snapshot": lambda s, g, w: s.get_snapshot(g, w.digest),
    "get": lambda s, g, w: s.get(SESSIONS, g, w.session_id),
    "find": lambda s, g, w: s.find(SESSIONS, g),
    "update": lambda s, g, w: s.update(SESSIONS, g, w.session_id, lambda x: replace(x, title="stolen")),
    "delete": lambda s, g, w: s.delete(SESSIONS, g, w.session_id),
}
"""One call of each method that names a group and reaches for a record of it."""

MAKES = {"put_snapshot"}
"""Methods that name a group to make something in it."""

DECLINES = {"delete_unneeded"}
"""Methods that answer alike where they may not and where there is nothing: tried in `TestDeleteUnneeded`."""


class TestTenancy:
    def test_every_method_that_names_a_group_is_tried(self) -> None:
        named = {
            name
            for port in (RunStore, Leases, Catalog, Upkeep)
            for name, method in inspect.getmembers(port, inspect.isfunction)
            if "group_id" in inspect.signature(method).parameters
        }
        assert named == set(CALLS) | MAKES | DECLINES

    @pytest.mark.parametrize("name", sorted(CALLS))
    async def test_foreign_record_is_answered_like_none(self, store: Store, group: str, name: str) -> None:
        mine = await _settle(store, group)
        foreign = await _outcome(CALLS[name](store, f"{group}-b", mine))
        absent = await _outcome(CALLS[name](store, f"{group}-b", _World()))
        assert foreign == absent

    @pytest.mark.parametrize("name", sorted(CALLS))
    async def test_own_record_is_answered(self, store: Store, group: str, name: str) -> None:
        """The other half of the proof: the same call reaches what is there."""
        mine = await _settle(store, group)
        foreign = await _outcome(CALLS[name](store, f"{group}-b", mine))
        assert await _outcome(CALLS[name](store, group, mine)) != foreign

    async def test_foreign_calls_change_nothing(self, store: Store, group: str) -> None:
        mine = await _settle(store, group)
        before = {name: await _outcome(CALLS[name](store, group, mine)) for name in _reads()}
        for name in sorted(CALLS):
            await _outcome(CALLS[name](store, f"{group}-b", mine))
        assert {name: await _outcome(CALLS[name](store, group, mine)) for name in _reads()} == before

    async def test_foreign_entry_shows_nowhere_and_changes_no_record(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        (message,) = await owner.say("mine")
        before = await store.get_run(group, owner.run.id)
        append = owner.write(messages=(make_message("theirs"),), checkpoint="step", step=9)
        entry = replace(append.entry, group_id=f"{group}-b", checkpoint=None)
        await _outcome(store.append([Append(entry=entry, update=append.update)]))
        assert await store.get_run(group, owner.run.id) == before
        assert await store.read_messages(group, owner.run.branch_id) == [message]
        assert [e.last_seq for e in await store.read_entries(group, owner.run.id)] == [1, 2]
        assert await store.head(group, owner.run.id) == 2

    async def test_branch_shows_nothing_of_a_foreign_parent(self, store: Store, group: str) -> None:
        mine = await _settle(store, group)
        thief = make_branch(f"{group}-b", "s", parent_id=mine.branch_id, fork_position=1)
        await store.insert(BRANCHES, thief)
        for look in (store.read_messages(f"{group}-b", thief.id), store.lineage(f"{group}-b", thief.id)):
            found = await _outcome(look)
            assert "mine" not in repr(found)
            assert group not in repr(found).replace(f"{group}-b", "")

    async def test_run_does_not_queue_behind_a_foreign_one(self, store: Store, group: str) -> None:
        mine = make_creation(group, branch_id="main", session_id="s")
        await store.create_run(mine)
        theirs = make_creation(f"{group}-b", branch_id="main", session_id="s", may_wait=False)
        assert (await store.create_run(theirs)).holds_branch

    async def test_ending_run_promotes_and_cancels_in_its_group_only(self, store: Store, group: str) -> None:
        owners = [await start(store, one, branch_id="main", session_id="s") for one in (group, f"{group}-b")]
        approval = make_approval(owners[1].run, id="same")
        await owners[1].append(approvals=(approval,))
        waiter = await store.create_run(
            replace(make_creation(f"{group}-b", branch_id="main", session_id="s", at_s=1), session=None, branch=None)
        )
        await owners[0].end()
        assert await store.get_run(f"{group}-b", waiter.id) == waiter
        assert await store.get_approval(f"{group}-b", "same") == approval

    @pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
    async def test_catalog_lists_stay_in_their_group(self, store: Store, group: str, kind: Any) -> None:
        session = make_session(group, id="same")
        await store.insert(SESSIONS, session)
        await store.insert(SESSIONS, replace(session, group_id=f"{group}-b"))
        assert [r.group_id for r in (await store.find(kind, group)).items] == [group] * (kind is SESSIONS)

    async def test_equal_snapshots_of_two_groups_are_two(self, store: Store, group: str) -> None:
        mine = make_creation(group)
        await store.create_run(mine)
        assert (await _outcome(store.get_snapshot(f"{group}-b", mine.snapshot.digest)))[0] == "NotFound"
        await store.put_snapshot(f"{group}-b", mine.snapshot)
        assert await store.get_snapshot(f"{group}-b", mine.snapshot.digest) == mine.snapshot


def _reads() -> list[str]:
    changing = ("update", "delete", "annotate")
    return [name for name in sorted(CALLS) if not name.startswith(changing)]


async def _settle(store: Store, group: str) -> _World:
    """Give the group one of everything, and return the ids."""
    owner = await start(store, group)
    approval = make_approval(owner.run)
    await owner.say("mine", checkpoint="step", approvals=(approval,))
    ended = await owner.end()
    branch = make_branch(group, ended.session_id, parent_id=ended.branch_id, fork_position=1)
    child = await store.create_run(make_creation(group, branch=branch, at_s=1))
    await Owner(store, child).append()
    checkpoint = await store.last_checkpoint(group, ended.id)
    assert checkpoint is not None
    return _World(
        run_id=ended.id,
        session_id=ended.session_id,
        branch_id=ended.branch_id,
        checkpoint_id=checkpoint.id,
        approval_id=approval.id,
        digest=ended.agent_digest,
    )


async def _outcome(call: Awaitable[Any]) -> Any:
    try:
        return "value", await call
    except AgioError as error:
        return type(error).__name__, getattr(error, "holder", None)
