"""What differs between two checkpoints."""

from agio.domain.diff import FieldChange, MessageChange, State, diff_states
from agio.domain.messages import Message
from agio.domain.metrics import Metrics
from tests.unit.domain.samples import a_checkpoint, a_snapshot, answer, asks, result, user

CHAT = [user("q1"), answer("a1"), user("q2")]


def state(messages: list[Message], *, snapshot=None, **checkpoint) -> State:
    return State(checkpoint=a_checkpoint(**checkpoint), messages=messages, snapshot=snapshot or a_snapshot())


def test_equal_states_differ_in_nothing():
    diff = diff_states(state(CHAT), state(list(CHAT)))
    assert (diff.common, diff.added, diff.removed, diff.changed) == (3, [], [], [])
    assert (diff.configuration, diff.metrics, diff.state) == ([], [], [])


def test_ids_of_messages_do_not_count():
    assert diff_states(state([user("q", "1")]), state([user("q", "2")])).common == 1


def test_longer_conversation_has_added_messages():
    more = [answer("a2"), user("q3")]
    diff = diff_states(state(CHAT), state(CHAT + more))
    assert (diff.common, diff.added, diff.removed, diff.changed) == (3, more, [], [])


def test_way_back_has_removed_messages():
    diff = diff_states(state(CHAT), state(CHAT[:1]))
    assert (diff.common, diff.removed, diff.added) == (1, CHAT[1:], [])


def test_other_content_of_the_same_role_is_a_change():
    diff = diff_states(state(CHAT), state([CHAT[0], answer("other"), CHAT[2]]))
    assert diff.common == 1
    assert diff.changed == [MessageChange(position=1, before=CHAT[1], after=answer("other"))]
    assert (diff.added, diff.removed) == ([], [])


def test_other_role_is_a_removal_and_an_addition():
    diff = diff_states(state([user("x")]), state([answer("x")]))
    assert (diff.removed, diff.added, diff.changed) == ([user("x")], [answer("x")], [])


def test_other_tool_calls_are_a_change():
    diff = diff_states(state([asks("c1")]), state([asks("c2")]))
    assert [change.position for change in diff.changed] == [0]


def test_result_of_another_call_is_a_change():
    assert diff_states(state([result("c1", "x")]), state([result("c2", "x")])).changed


def test_change_and_addition_at_once():
    diff = diff_states(state(CHAT), state([CHAT[0], answer("other"), CHAT[2], answer("a2")]))
    assert ([c.position for c in diff.changed], diff.added) == ([1], [answer("a2")])


def test_nothing_in_common_with_an_empty_conversation():
    assert diff_states(state([]), state(CHAT)).added == CHAT
    assert diff_states(state(CHAT), state([])).removed == CHAT


def test_configuration_metrics_and_state_are_compared_by_field():
    before = state([], step=1, metrics=Metrics(steps=1, total_tokens=5))
    after = state([], step=2, plan="p", metrics=Metrics(steps=2, total_tokens=5), snapshot=a_snapshot(model="x"))
    diff = diff_states(before, after)
    assert diff.configuration == [FieldChange(field="model", before="demo-1", after="x")]
    assert diff.metrics == [FieldChange(field="steps", before=1, after=2)]
    assert diff.state == [
        FieldChange(field="step", before=1, after=2),
        FieldChange(field="plan", before=None, after="p"),
    ]
