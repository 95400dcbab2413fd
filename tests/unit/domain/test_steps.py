"""Steps, read back from a journal."""

from dataclasses import replace

import pytest

from agio.domain import events as ev
from agio.domain.journal import Entry, until
from agio.domain.metrics import Metrics, Usage
from agio.domain.status import RunStatus
from agio.domain.steps import ToolUse, last_whole, steps_of
from agio.testing.conformance.records import instant, last_event, make_entry
from tests.unit.domain.samples import a_checkpoint, answer, asks, result, run_in

RUN = run_in(RunStatus.RUNNING)
USAGE = Usage(total_tokens=5)
FAILURE = {"code": "tool_failed", "message": "no"}


def journal(*entries: tuple[ev.Event, ...], first_seq: int = 1, **fields) -> list[Entry]:
    """Return entries at seconds 1, 2, 3, …"""
    made: list[Entry] = []
    for events in entries:
        entry = make_entry(RUN, *events, first_seq=first_seq, at=instant(len(made) + 1), **fields)
        made.append(entry)
        first_seq = entry.last_seq + 1
    return made


def began(step: int = 1) -> ev.StepStarted:
    return ev.StepStarted(step=step)


def done(step: int = 1) -> ev.StepCompleted:
    return ev.StepCompleted(step=step, usage=USAGE, duration_ms=7)


def called(call_id: str = "c", step: int = 1) -> ev.ToolCallStarted:
    return ev.ToolCallStarted(step=step, tool_call_id=call_id, name="search", arguments={"q": 1})


def completed(call_id: str = "c", **fields) -> ev.ToolCallCompleted:
    return ev.ToolCallCompleted(step=1, tool_call_id=call_id, name="search", duration_ms=3, **fields)


def failed(call_id: str = "c") -> ev.ToolCallFailed:
    return ev.ToolCallFailed(step=1, tool_call_id=call_id, name="search", error=FAILURE, duration_ms=3)


def said(text: str, role: str = "assistant") -> ev.MessageCompleted:
    return ev.MessageCompleted(step=1, message_id="m", role=role, content=text)


def test_journal_without_steps_has_none():
    assert steps_of(journal((last_event(RunStatus.CANCELLED),))) == []


def test_step_under_way_runs():
    (step,) = steps_of(journal((began(),)))
    assert (step.step, step.attempt, step.status, step.started_at, step.ended_at) == (1, 1, "running", instant(1), None)


def test_completed_step_has_everything():
    (step,) = steps_of(journal((began(),), (said("hello"),), (done(),)))
    assert (step.status, step.content, step.usage, step.duration_ms) == ("completed", "hello", USAGE, 7)
    assert (step.started_at, step.ended_at) == (instant(1), instant(3))


def test_step_names_the_checkpoint_of_its_last_entry():
    checkpoint = a_checkpoint()
    entries = [*journal((began(),)), *journal((done(),), first_seq=2, checkpoint=checkpoint)]
    assert steps_of(entries)[0].checkpoint_id == checkpoint.id


def test_content_is_the_assistants():
    (step,) = steps_of(journal((said("question", "user"), began(), said("answer"), said("tool", "tool"))))
    assert step.content == "answer"


def test_messages_that_the_entry_carries_are_put_back():
    told = (answer("hello", "m"), result("c", "found"))
    stored = ev.MessageCompleted(step=1, message_id="m", role="assistant")
    (step,) = steps_of(journal((began(), called(), stored, completed()), messages=told))
    assert (step.content, step.tool_calls[0].result) == ("hello", "found")


def test_tool_calls_keep_their_order_and_answers():
    (step,) = steps_of(journal((began(), called("c1"), called("c2")), (failed("c2"),), (completed("c1", result="r"),)))
    first, second = step.tool_calls
    assert first == ToolUse(
        tool_call_id="c1",
        name="search",
        arguments={"q": 1},
        started_at=instant(1),
        status="completed",
        result="r",
        duration_ms=3,
        ended_at=instant(3),
    )
    assert (second.status, second.error, second.duration_ms) == ("failed", FAILURE, 3)


def test_call_without_an_answer_runs():
    (step,) = steps_of(journal((began(), called())))
    assert step.tool_calls[0].status == "running"


def test_call_id_used_again_in_a_later_step_is_another_call():
    entries = journal(
        (began(), called(), completed(result="one"), done()), (began(2), called(), completed(result="two"))
    )
    assert [step.tool_calls[0].result for step in steps_of(entries)] == ["one", "two"]


def test_step_begun_again_after_a_crash_is_the_same_step():
    reset = ev.ContentReset(message_id="m")
    (step,) = steps_of(journal((began(),), (reset, began()), (done(),)))
    assert (step.redone, step.status) == (1, "completed")


def test_call_made_again_after_a_crash_is_listed_once():
    (step,) = steps_of(journal((began(), called()), (called(),), (completed(result="r"),)))
    assert [(use.status, use.result) for use in step.tool_calls] == [("completed", "r")]


def test_call_that_was_unknown_and_made_again_has_no_error():
    (step,) = steps_of(journal((began(), called(), failed()), (called(),), (completed(result="r"),)))
    assert [(use.status, use.error) for use in step.tool_calls] == [("completed", None)]


def test_call_that_is_being_made_again_runs():
    (step,) = steps_of(journal((began(), called(), failed()), (called(),)))
    assert step.tool_calls[0].status == "running"


@pytest.mark.parametrize(
    "end",
    [
        last_event(RunStatus.COMPLETED),
        last_event(RunStatus.FAILED),
        last_event(RunStatus.CANCELLED),
        ev.RunRestored(attempt=2, by="ann"),
    ],
)
def test_step_in_whose_middle_the_run_ended_is_abandoned(end: ev.Event):
    (step,) = steps_of(journal((began(),), (end,)))
    assert (step.status, step.ended_at) == ("abandoned", instant(2))


def test_end_after_a_completed_step_leaves_it_completed():
    (step,) = steps_of(journal((began(), done()), (ev.RunCompleted(response="x", metrics=Metrics()),)))
    assert (step.status, step.ended_at) == ("completed", instant(1))


def test_steps_of_a_new_attempt_are_other_steps():
    first = journal((began(), done()), (began(2),))
    second = [
        replace(entry, attempt=2) for entry in journal((ev.RunRestored(attempt=2, by="ann"), began(2)), first_seq=4)
    ]
    assert [(s.step, s.attempt, s.status) for s in steps_of([*first, *second])] == [
        (1, 1, "completed"),
        (2, 1, "abandoned"),
        (2, 2, "running"),
    ]


def test_step_after_a_completed_one_with_its_number_is_another_step():
    entries = journal((began(), done()), (began(), done()))
    assert [(s.step, s.redone) for s in steps_of(entries)] == [(1, 0), (1, 0)]


def test_calls_of_a_message_are_not_steps():
    entries = journal((ev.MessageCompleted(step=1, message_id="asks", role="assistant"),), messages=(asks("c1"),))
    assert steps_of(entries) == []


# -- model calls


def planned() -> ev.PlanUpdated:
    return ev.PlanUpdated(step=1, plan="1.", revised=False, usage=USAGE)


def test_model_call_lasts_from_the_steps_beginning_to_the_message():
    (step,) = steps_of(journal((began(),), (said("hello"),), (called(),), (done(),)))
    (use,) = step.model_calls
    assert (use.purpose, use.status, use.started_at, use.ended_at) == ("answer", "completed", instant(1), instant(2))


def test_plan_is_a_model_call_of_its_own():
    (step,) = steps_of(journal((began(),), (planned(),), (said("hello"), done())))
    assert [(use.purpose, use.started_at, use.ended_at, use.usage) for use in step.model_calls] == [
        ("plan", instant(1), instant(2), USAGE),
        ("answer", instant(2), instant(3), None),
    ]


@pytest.mark.parametrize(
    ("end", "status"),
    [(last_event(RunStatus.FAILED), "failed"), (last_event(RunStatus.CANCELLED), "cancelled")],
)
def test_model_call_that_the_run_ended_in_is_told(end: ev.Event, status: str):
    (step,) = steps_of(journal((began(),), (end,)))
    (use,) = step.model_calls
    assert (use.status, use.ended_at, use.error is not None) == (status, instant(2), status == "failed")


def test_step_begun_again_asks_again():
    (step,) = steps_of(journal((began(),), (began(),), (said("hello"), done())))
    assert [(use.status, use.started_at) for use in step.model_calls] == [("completed", instant(2))]


def test_step_that_goes_on_with_earlier_tools_asks_no_model():
    (step,) = steps_of(journal((began(), called()), (completed(),), (done(),)))
    assert step.model_calls == []


def test_failure_while_tools_are_called_is_no_model_calls():
    (step,) = steps_of(journal((began(),), (said("hm"), called()), (last_event(RunStatus.FAILED),)))
    assert [use.status for use in step.model_calls] == ["completed"]


def test_a_journal_can_be_cut_where_a_step_is_whole():
    text = ev.Deltas(of="content", step=1, message_id="m", contents=("a", "b"))
    entries = journal((began(), text), (said("ab"), done(), began(2), text), (done(2), began(3)))
    assert last_whole(entries) == 9
    assert [last_whole(entries, enough_at=seq) for seq in (1, 5, 6, 9, 10)] == [5, 5, 9, 9, 9]
    assert last_whole(entries[:1]) is None
    assert until(entries[1], 5).events == (said("ab"), done())
    assert (until(entries[1], 5).last_seq, until(entries[1], 8)) == (5, entries[1])
    assert [step.step for step in steps_of([entries[0], until(entries[1], 5)])] == [1]
