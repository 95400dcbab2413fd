"""Messages on branches: a branch shows its ancestors' part, its own edits, and nothing of anyone else's."""

import asyncio
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agio.domain.branches import Branch, MessageEdit
from agio.domain.errors import NotFound
from agio.domain.ids import new_id
from agio.domain.messages import Message
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.port import BRANCHES, Store
from agio.testing.conformance.records import Owner, make_branch, make_creation, make_message, start, take


class TestReadMessages:
    async def test_messages_of_many_entries_come_in_order(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        said = [message for i in range(40) for message in await owner.say(*(f"{i}.{j}" for j in range(1 + i % 3)))]
        assert await store.read_messages(group, owner.run.branch_id) == said

    @pytest.mark.parametrize("end", [0, 1, 2, 3, 4, 5, 6, 7, 100])
    async def test_end_may_lie_anywhere(self, store: Store, group: str, end: int) -> None:
        owner = await start(store, group)
        said = [*await owner.say("a", "b", "c"), *await owner.say("d"), *await owner.say("e", "f")]
        assert await store.read_messages(group, owner.run.branch_id, end=end) == said[:end]

    @pytest.mark.parametrize("start_at", [0, 1, 3, 4, 5, 6, 7, 100])
    async def test_start_may_lie_anywhere(self, store: Store, group: str, start_at: int) -> None:
        owner = await start(store, group)
        said = [*await owner.say("a", "b", "c"), *await owner.say("d"), *await owner.say("e", "f")]
        branch_id = owner.run.branch_id
        assert await store.read_messages(group, branch_id, start=start_at) == said[start_at:]
        for end in range(8):
            assert await store.read_messages(group, branch_id, start=start_at, end=end) == said[start_at:end]

    async def test_branch_without_messages_is_empty(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))
        assert await store.read_messages(group, run.branch_id) == []

    async def test_unknown_branch_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.read_messages(group, "nowhere")

    async def test_second_run_of_a_branch_goes_on_where_the_first_ended(self, store: Store, group: str) -> None:
        first = make_creation(group)
        await store.create_run(first)
        owner = Owner(store, await take(store, first.run))
        said = await owner.say("a", "b")
        await owner.end()
        second = await store.create_run(make_creation(group, after=first, at_s=1))
        said += await Owner(store, await take(store, second), position=2).say("c")
        assert await store.read_messages(group, first.run.branch_id) == said

    async def test_equal_branch_ids_of_two_groups_do_not_mix(self, store: Store, group: str) -> None:
        for one in (group, f"{group}-b"):
            owner = await start(store, one, branch_id="main", session_id="s")
            await owner.say(one)
        for one in (group, f"{group}-b"):
            assert [m.content for m in await store.read_messages(one, "main")] == [one]
            assert await store.branch_end(one, "main") == 1

    async def test_messages_of_an_ended_run_stay(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        said = await owner.say("a")
        await owner.end(RunStatus.CANCELLED)
        assert await store.read_messages(group, owner.run.branch_id) == said


class TestBranchEnd:
    async def test_end_of_an_empty_root_is_zero(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))
        assert await store.branch_end(group, run.branch_id) == 0

    async def test_end_is_the_position_after_the_last_message(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.say("a", "b")
        await owner.say("c")
        await owner.append()
        assert await store.branch_end(group, owner.run.branch_id) == 3

    async def test_end_of_a_branch_without_own_messages_is_its_fork_position(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.say("a", "b", "c")
        child = await _fork(store, owner.run, 2)
        assert await store.branch_end(group, child.id) == 2

    async def test_messages_of_a_child_do_not_move_the_parents_end(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.say("a", "b", "c")
        child = await _fork(store, owner.run, 1)
        await _write_on(store, child, "x", "y", "z", "u")
        assert await store.branch_end(group, owner.run.branch_id) == 3
        assert await store.branch_end(group, child.id) == 5

    async def test_unknown_branch_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.branch_end(group, "nowhere")


class TestLineage:
    async def test_root_is_its_own_lineage(self, store: Store, group: str) -> None:
        creation = make_creation(group)
        await store.create_run(creation)
        assert await store.lineage(group, creation.run.branch_id) == [creation.branch]

    async def test_lineage_runs_from_the_branch_to_the_root(self, store: Store, group: str) -> None:
        tree = await _grow(store, group, [_Twig(fork_position=i, messages=1) for i in range(5)])
        lineage = await store.lineage(group, tree[-1].branch.id)
        assert lineage == [node.branch for node in reversed(tree)]

    async def test_unknown_branch_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.lineage(group, "nowhere")

    async def test_lineage_may_be_very_long(self, store: Store, group: str) -> None:
        branches = [make_branch(group, "s", id=f"branch-{i * 7 % 100}", fork_position=i) for i in range(100)]
        branches = [branches[0], *(replace(b, parent_id=a.id) for a, b in pairwise(branches))]
        await asyncio.gather(*(store.insert(BRANCHES, branch) for branch in branches))
        assert await store.lineage(group, branches[-1].id) == branches[::-1]
        assert await store.branch_end(group, branches[-1].id) == 99

    async def test_every_field_of_a_branch_is_kept(self, store: Store, group: str) -> None:
        edit = MessageEdit(position=0, message=make_message([{"type": "text", "text": "ü"}], metadata={"a": [1]}))
        branch = make_branch(
            group,
            "s",
            parent_id=None,
            fork_position=1,
            edits=(edit,),
            kind="fork",
            from_checkpoint_id="r.7",
            name="étude",
            created_by="ann",
        )
        await store.insert(BRANCHES, branch)
        assert await store.lineage(group, branch.id) == [branch]


@dataclass(frozen=True)
class _Twig:
    """A branch to grow on the one before it."""

    fork_position: int
    messages: int
    edits: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Grown:
    """A branch, and what it must show."""

    branch: Branch
    shows: tuple[Message, ...]


class TestSharedPast:
    async def test_child_shows_the_parents_part_up_to_its_fork(self, store: Store, group: str) -> None:
        tree = await _grow(store, group, [_Twig(0, 4), _Twig(2, 2)])
        await _assert_shown(store, tree)

    async def test_parent_goes_on_without_changing_the_child(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        past = await owner.say("a", "b")
        child = await _fork(store, owner.run, 2)
        await owner.say("c")
        assert await store.read_messages(group, child.id) == past

    async def test_child_that_leaves_at_the_very_start_shares_nothing(self, store: Store, group: str) -> None:
        tree = await _grow(store, group, [_Twig(0, 3), _Twig(0, 2)])
        await _assert_shown(store, tree)

    async def test_five_generations_with_edits(self, store: Store, group: str) -> None:
        twigs = [
            _Twig(0, 6),
            _Twig(5, 3, edits=(0, 4)),
            _Twig(7, 0, edits=(0, 6)),
            _Twig(6, 4, edits=(1,)),
            _Twig(9, 2, edits=(0, 8)),
        ]
        await _assert_shown(store, await _grow(store, group, twigs))

    async def test_grandchild_may_leave_inside_its_grandparents_part(self, store: Store, group: str) -> None:
        twigs = [_Twig(0, 6), _Twig(5, 3, edits=(1, 4)), _Twig(2, 2)]
        await _assert_shown(store, await _grow(store, group, twigs))

    async def test_edit_leaves_the_parents_own_message_alone(self, store: Store, group: str) -> None:
        tree = await _grow(store, group, [_Twig(0, 2), _Twig(2, 0, edits=(0,))])
        assert tree[0].shows[0] != tree[1].shows[0]
        await _assert_shown(store, tree)

    @given(data=st.data())
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_any_lineage_shows_what_it_should(self, store: Store, group: str, data: st.DataObject) -> None:
        twigs, length = [_Twig(0, data.draw(st.integers(0, 5)))], 0
        length = twigs[0].messages
        for _ in range(data.draw(st.integers(0, 5))):
            fork = data.draw(st.integers(0, length))
            edits = data.draw(st.sets(st.integers(0, fork - 1), max_size=2)) if fork else set()
            twigs.append(_Twig(fork, data.draw(st.integers(0, 4)), tuple(sorted(edits))))
            length = fork + twigs[-1].messages
        await _assert_shown(store, await _grow(store, group, twigs))


async def _grow(store: Store, group: str, twigs: list[_Twig]) -> list[_Grown]:
    """Make branches, each on the one before, and remember by plain lists what each must show."""
    session_id = new_id()
    grown: list[_Grown] = []
    for number, twig in enumerate(twigs):
        parent = grown[-1] if grown else None
        shown = list(parent.shows[: twig.fork_position]) if parent else []
        edits = []
        for position in twig.edits:
            shown[position] = make_message(f"edit {number}.{position}", role=shown[position].role)
            edits.append(MessageEdit(position=position, message=shown[position]))
        branch = make_branch(
            group,
            session_id,
            parent_id=parent.branch.id if parent else None,
            fork_position=twig.fork_position,
            edits=tuple(edits),
            at_s=number,
        )
        await store.insert(BRANCHES, branch)
        own = await _write_on(store, branch, *(f"own {number}.{i}" for i in range(twig.messages)))
        grown.append(_Grown(branch, (*shown, *own)))
    return grown


async def _write_on(store: Store, branch: Branch, *contents: str) -> list[Message]:
    """Let a run write on a branch that is there; two messages to an entry."""
    creation = replace(make_creation(branch.group_id, branch=branch), branch=None)
    owner = Owner(store, await take(store, await store.create_run(creation)), position=branch.fork_position)
    said = []
    for start_at in range(0, len(contents), 2):
        said += await owner.say(*contents[start_at : start_at + 2])
    return said


async def _fork(store: Store, run: Run, position: int) -> Branch:
    branch = make_branch(run.group_id, run.session_id, parent_id=run.branch_id, fork_position=position, kind="fork")
    return await store.insert(BRANCHES, branch)


async def _assert_shown(store: Store, tree: list[_Grown]) -> None:
    for node in tree:
        group, branch_id = node.branch.group_id, node.branch.id
        wanted = list(node.shows)
        assert await store.read_messages(group, branch_id) == wanted
        assert await store.branch_end(group, branch_id) == len(wanted)
    for i in range(len(wanted) + 2):
        assert await store.read_messages(group, branch_id, end=i) == wanted[:i]
        assert await store.read_messages(group, branch_id, start=i) == wanted[i:]
        assert await store.read_messages(group, branch_id, start=i, end=i + 2) == wanted[i : i + 2]
