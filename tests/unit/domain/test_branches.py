"""Lineages: where messages are stored, and which edits a branch sees."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.domain.branches import Branch, MessageEdit, Segment, lineage_edits, lineage_segments
from agio.domain.messages import Message
from tests.unit.domain.samples import T0, user


def a_branch(name: str, fork_position: int = 0, *edited: int) -> Branch:
    edits = tuple(MessageEdit(position=p, message=user(f"{name} edits {p}")) for p in edited)
    return Branch(id=name, group_id="g", session_id="s", fork_position=fork_position, edits=edits, created_at=T0)


class TestSegments:
    def test_root_holds_all_of_its_messages(self):
        assert lineage_segments([a_branch("root")]) == [Segment(branch_id="root", start=0, end=None)]

    def test_child_takes_its_past_from_its_parent(self):
        assert lineage_segments([a_branch("child", 3), a_branch("root")]) == [
            Segment(branch_id="root", start=0, end=3),
            Segment(branch_id="child", start=3, end=None),
        ]

    def test_grandchild_that_leaves_inside_the_grandparents_part_skips_its_parent(self):
        lineage = [a_branch("grandchild", 2), a_branch("child", 5), a_branch("root")]
        assert lineage_segments(lineage) == [
            Segment(branch_id="root", start=0, end=2),
            Segment(branch_id="grandchild", start=2, end=None),
        ]

    def test_child_that_leaves_at_the_start_shares_nothing(self):
        assert lineage_segments([a_branch("child", 0), a_branch("root")]) == [
            Segment(branch_id="child", start=0, end=None)
        ]

    @pytest.mark.parametrize("end", [0, 1, 3])
    def test_end_before_the_fork_leaves_the_child_out(self, end: int):
        segments = lineage_segments([a_branch("child", 3), a_branch("root")], end)
        assert segments == ([Segment(branch_id="root", start=0, end=end)] if end else [])

    def test_start_behind_the_fork_leaves_the_parent_out(self):
        segments = lineage_segments([a_branch("child", 3), a_branch("root")], 9, start=4)
        assert segments == [Segment(branch_id="child", start=4, end=9)]

    def test_start_and_end_inside_the_parent(self):
        segments = lineage_segments([a_branch("child", 3), a_branch("root")], 2, start=1)
        assert segments == [Segment(branch_id="root", start=1, end=2)]


class TestEdits:
    def test_branch_sees_its_own_edits(self):
        assert lineage_edits([a_branch("child", 3, 0, 2), a_branch("root")]) == {
            0: user("child edits 0"),
            2: user("child edits 2"),
        }

    def test_edit_of_the_nearest_branch_wins(self):
        lineage = [a_branch("grandchild", 4, 1), a_branch("child", 3, 1, 2), a_branch("root")]
        assert lineage_edits(lineage) == {1: user("grandchild edits 1"), 2: user("child edits 2")}

    def test_edit_behind_the_childs_fork_does_not_count(self):
        lineage = [a_branch("grandchild", 2), a_branch("child", 5, 1, 2, 4), a_branch("root")]
        assert lineage_edits(lineage) == {1: user("child edits 1")}

    def test_edits_from_the_end_on_do_not_count(self):
        assert lineage_edits([a_branch("child", 3, 0, 1, 2), a_branch("root")], 1) == {0: user("child edits 0")}


@dataclass
class Line:
    """A branch, and the conversation that it shows."""

    branch: Branch
    shown: list[Message]


@st.composite
def lineages(draw: st.DrawFn) -> tuple[list[Branch], dict[str, list[Message]], list[Message]]:
    """Return a lineage, each branch's own messages, and what its first branch must show."""
    lines: list[Line] = []
    stored: dict[str, list[Message]] = {}
    for number in range(draw(st.integers(1, 6))):
        past = lines[-1].shown if lines else []
        fork = draw(st.integers(0, len(past))) if lines else 0
        edited = draw(st.sets(st.integers(0, fork - 1), max_size=3)) if fork else set()
        branch = a_branch(f"b{number}", fork, *sorted(edited))
        shown = [user(f"{branch.id} edits {i}") if i in edited else past[i] for i in range(fork)]
        stored[branch.id] = [user(f"{branch.id} says {i}") for i in range(draw(st.integers(0, 4)))]
        lines.append(Line(branch, shown + stored[branch.id]))
    return [line.branch for line in reversed(lines)], stored, lines[-1].shown


@given(lineage=lineages(), data=st.data())
def test_segments_and_edits_together_show_the_conversation(lineage, data):
    branches, stored, shown = lineage
    start = data.draw(st.integers(0, len(shown) + 1))
    end = data.draw(st.none() | st.integers(0, len(shown) + 1))
    by_id = {branch.id: branch for branch in branches}
    found: dict[int, Message] = {}
    for segment in lineage_segments(branches, end, start=start):
        own, fork = stored[segment.branch_id], by_id[segment.branch_id].fork_position
        stop = fork + len(own) if segment.end is None else segment.end
        found |= {p: own[p - fork] for p in range(segment.start, min(stop, fork + len(own)))}
    edits = lineage_edits(branches, end)
    assert [edits.get(p, message) for p, message in sorted(found.items())] == shown[start:end]
