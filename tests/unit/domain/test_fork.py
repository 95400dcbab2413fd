"""Fork plans: every modification, and what is refused."""

from typing import Any

import pytest

from agio.domain.branches import Branch, MessageEdit, lineage_edits
from agio.domain.errors import Invalid
from agio.domain.fork import AGENT_KEYS, MODIFICATION_KEYS, ForkPlan, plan_fork
from agio.domain.messages import Message
from tests.unit.domain.samples import T0, a_checkpoint, a_snapshot, answer, asks, result, user

CHAT = [user("q1", "u1"), answer("a1", "a1"), user("q2", "u2"), answer("a2", "a2")]
"""Two turns, both answered."""
TOOLS = [user("q", "u"), asks("c1", "c2"), result("c1", "r1"), result("c2", "r2")]
"""A question, and two calls that are answered."""
OPEN = TOOLS[:3]
"""The second call has no answer yet."""


def plan(messages: list[Message], *, step: int = 2, **modifications: Any) -> ForkPlan:
    return plan_fork(a_checkpoint(step=step, position=len(messages)), messages, a_snapshot(), modifications)


def shown(made: ForkPlan, messages: list[Message]) -> list[Message]:
    """Return the past that a branch made by the plan shows."""
    branch = Branch(
        id="b2",
        group_id="g",
        session_id="s",
        parent_id="b",
        fork_position=made.fork_position,
        edits=made.edits,
        created_at=T0,
    )
    edits = lineage_edits([branch], made.fork_position)
    return [edits.get(i, message) for i, message in enumerate(messages[: made.fork_position])]


class TestWithoutModifications:
    def test_everything_is_taken_over_in_the_middle_of_a_run(self):
        made = plan(TOOLS)
        assert made == ForkPlan(fork_position=4, snapshot=a_snapshot(), base_step=2)

    def test_last_answer_is_left_out_so_that_it_is_made_again(self):
        made = plan(CHAT)
        assert (made.fork_position, made.dropped, made.base_step) == (3, 1, 1)
        assert shown(made, CHAT) == CHAT[:3]

    def test_step_never_falls_below_zero(self):
        assert plan(CHAT, step=0).base_step == 0

    def test_message_that_calls_tools_is_not_an_answer(self):
        assert plan(TOOLS[:2]).fork_position == 2

    def test_nothing_is_taken_over_from_an_empty_conversation(self):
        assert plan([]).fork_position == 0


class TestQuery:
    def test_query_takes_the_place_of_the_last_question(self):
        made = plan(CHAT, modified_query="better q2")
        assert (made.fork_position, made.query, made.base_step, made.dropped) == (2, "better q2", 0, 2)

    def test_question_may_lie_behind_tool_calls(self):
        assert plan(TOOLS, modified_query="better").fork_position == 0

    def test_query_without_an_earlier_question_is_added_at_the_end(self):
        made = plan([answer("hello", "a")], modified_query="q")
        assert (made.fork_position, made.dropped) == (1, 0)

    def test_query_may_have_parts(self):
        parts = [{"type": "text", "text": "q"}]
        assert plan(CHAT, modified_query=parts).query == parts

    def test_edits_before_the_query_are_kept_and_others_left_out(self):
        edits = [{"index": 0, "content": "better q1"}, {"index": 3, "content": "gone"}]
        made = plan(CHAT, modified_query="q", modified_messages=edits)
        assert [(e.position, e.message.content) for e in made.edits] == [(0, "better q1")]


class TestEdits:
    @pytest.mark.parametrize(
        ("which", "position"),
        [({"index": 0}, 0), ({"index": 2}, 2), ({"index": -2}, 2), ({"index": -4}, 0), ({"message_id": "u2"}, 2)],
    )
    def test_message_is_named_by_index_or_id(self, which: dict[str, Any], position: int):
        made = plan(CHAT, modified_messages=[which | {"content": "new"}])
        assert [(e.position, e.message.content, e.message.id) for e in made.edits] == [
            (position, "new", CHAT[position].id)
        ]

    @pytest.mark.parametrize(
        "which", [{"index": 4}, {"index": -5}, {"index": "1"}, {"index": None}, {"message_id": "x"}, {}]
    )
    def test_message_that_is_not_there_is_refused(self, which: dict[str, Any]):
        with pytest.raises(Invalid) as caught:
            plan(CHAT, modified_messages=[{"index": 0, "content": "ok"}, which | {"content": "new"}])
        assert caught.value.field == "modifications.modified_messages.1"

    def test_message_of_an_empty_conversation_is_refused(self):
        with pytest.raises(Invalid):
            plan([], modified_messages=[{"index": 0, "content": "x"}])

    def test_edited_message_keeps_its_calls(self):
        made = plan(TOOLS, modified_messages=[{"index": 1, "content": "let me see"}])
        assert made.edits[0].message.tool_calls == TOOLS[1].tool_calls

    def test_last_of_two_edits_of_one_message_is_shown(self):
        made = plan(TOOLS, modified_messages=[{"index": 0, "content": "one"}, {"index": -4, "content": "two"}])
        assert shown(made, TOOLS)[0].content == "two"

    def test_no_edits_are_no_modification(self):
        assert plan(TOOLS, modified_messages=[]) == plan(TOOLS)

    def test_source_is_left_alone(self):
        before = list(TOOLS)
        plan(TOOLS, modified_messages=[{"index": 0, "content": "x"}], tool_results={"c1": "y"})
        assert before == TOOLS


class TestFullList:
    def test_list_of_the_same_length_edits_what_differs(self):
        wanted = [{"role": m.role, "content": m.content} for m in TOOLS]
        wanted[0]["content"] = "better"
        made = plan(TOOLS, modified_messages=wanted)
        assert [(e.position, e.message.content, e.message.id) for e in made.edits] == [(0, "better", "u")]
        assert made.fork_position == 4

    def test_shorter_list_cuts_the_conversation(self):
        made = plan(TOOLS, modified_messages=[{"role": "user", "content": "only this"}])
        assert (made.fork_position, made.dropped) == (1, 3)
        assert [m.content for m in shown(made, TOOLS)] == ["only this"]

    def test_other_role_makes_another_message(self):
        made = plan(TOOLS, modified_messages=[{"role": "system", "content": "q"}])
        (edit,) = made.edits
        assert (edit.message.role, edit.message.content) == ("system", "q")
        assert edit.message.id != "u"

    def test_answer_at_its_end_is_made_again(self):
        wanted = [{"role": m.role, "content": m.content} for m in CHAT]
        assert plan(CHAT, modified_messages=wanted).fork_position == 3

    def test_longer_list_is_refused(self):
        wanted = [{"role": "user", "content": "x"}] * 5
        with pytest.raises(Invalid, match="modified_query") as caught:
            plan(CHAT, modified_messages=wanted)
        assert caught.value.field == "modifications.modified_messages"


class TestToolResults:
    def test_result_of_an_open_call_is_handed_to_the_run(self):
        made = plan(OPEN, tool_results={"c2": "mine"})
        assert (made.tool_results, made.edits) == ({"c2": "mine"}, ())

    def test_result_of_an_answered_call_is_an_edit(self):
        made = plan(TOOLS, tool_results={"c1": "mine"})
        assert made.tool_results == {}
        assert [m.content for m in shown(made, TOOLS)] == ["q", "", "mine", "r2"]

    def test_error_of_the_old_answer_is_dropped(self):
        failed = [*TOOLS[:2], result("c1", "error: x", error="tool_failed"), TOOLS[3]]
        (edit,) = plan(failed, tool_results={"c1": "mine"}).edits
        assert (edit.message.content, edit.message.error) == ("mine", None)

    def test_both_kinds_at_once(self):
        made = plan(OPEN, tool_results={"c1": "one", "c2": "two"})
        assert made.tool_results == {"c2": "two"}
        assert [e.position for e in made.edits] == [2]

    def test_result_wins_over_an_edit_of_the_same_message(self):
        made = plan(TOOLS, tool_results={"c1": "mine"}, modified_messages=[{"index": 2, "content": "edited"}])
        assert shown(made, TOOLS)[2].content == "mine"

    @pytest.mark.parametrize("messages", [CHAT, TOOLS, OPEN])
    def test_call_that_is_not_there_is_refused(self, messages: list[Message]):
        with pytest.raises(Invalid) as caught:
            plan(messages, tool_results={"c9": "x"})
        assert caught.value.field == "modifications.tool_results.c9"

    def test_call_that_the_query_leaves_out_is_refused(self):
        with pytest.raises(Invalid):
            plan(OPEN, tool_results={"c2": "x"}, modified_query="other")


class TestAgent:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("system_prompt", "Be brief."),
            ("model", "other"),
            ("provider", "openai"),
            ("temperature", 0.2),
            ("temperature", None),
            ("max_tokens", 10),
            ("max_steps", 3),
        ],
    )
    def test_field_of_the_snapshot_is_replaced(self, key: str, value: Any):
        made = plan(TOOLS, **{key: value})
        assert made.snapshot == a_snapshot(**{key: value})
        assert made.fork_position == 4

    def test_tools_become_a_tuple(self):
        assert plan(TOOLS, tools=["read"]).snapshot.tools == ("read",)

    def test_every_key_is_a_field_of_the_snapshot(self):
        assert set(a_snapshot().__slots__) >= AGENT_KEYS

    def test_metadata_is_handed_on(self):
        assert plan(TOOLS, metadata={"why": "test"}).metadata == {"why": "test"}

    def test_empty_values_are_no_modification(self):
        assert plan(TOOLS, metadata=None, tool_results=None, modified_messages=None) == plan(TOOLS)


def test_unknown_modification_is_refused():
    with pytest.raises(Invalid, match="'surprise'") as caught:
        plan(TOOLS, surprise=1, model="x")
    assert caught.value.field == "modifications.surprise"


def test_known_modifications():
    more = {"modified_query", "modified_messages", "tool_results", "metadata"}
    assert AGENT_KEYS | more == MODIFICATION_KEYS


def test_position_is_edited_once():
    made = plan(
        TOOLS,
        modified_messages=[{"index": 2, "content": "a"}, {"index": 2, "content": "b"}],
        tool_results={"c1": "c"},
    )
    assert made.edits == (MessageEdit(position=2, message=result("c1", "c")),)
