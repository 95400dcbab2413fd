"""What Kawai's clients are told of a journal."""

import json
from typing import Any

import pytest

from agio.api.protocols.kawai.convert import NO_REASONING, closing, frames, translate
from agio.domain import events as ev
from agio.domain.events import Event
from agio.domain.messages import Message, ToolCall
from agio.domain.metrics import Metrics, Usage
from agio.testing.conformance.records import instant
from tests.unit.api.entries import entry

STARTED = ev.RunStarted(session_id="s", branch_id="b", agent_id="a", model="m-1", attempt=1)
SPENT = Metrics(steps=1)


def _told(event: Event, *messages: Message) -> list[tuple[str, dict[str, Any]]]:
    [(_, told)] = translate(entry(event, messages=messages), "why?")
    return told


def _said(*calls: str, content: str = "", reasoning: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    tool_calls = tuple(ToolCall(id=name, name=name, arguments="{}") for name in calls)
    message = Message(id="m", role="assistant", content=content, tool_calls=tool_calls, reasoning=reasoning)
    return _told(ev.MessageCompleted(step=1, message_id="m", role="assistant"), message)


def _call(**fields: Any) -> dict[str, Any]:
    return {"step": 1, "tool_call_id": "c", "name": "t", **fields}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (STARTED, [("run_start", {"prompt": "why?", "model": "m-1", "session_id": "s", "run_id": "r"})]),
        (ev.StepStarted(step=1), [("step_start", {"step_index": 0})]),
        (
            ev.PlanUpdated(step=1, plan="1. look", revised=True),
            [("planning", {"plan": "1. look", "updated_plan": True})],
        ),
        (
            ev.ToolCallStarted(**_call(arguments={"a": 1})),
            [("tool_call", {"tool_name": "t", "tool_arguments": {"a": 1}})],
        ),
        (
            ev.ToolCallStarted(**_call(arguments="{oops")),
            [("tool_call", {"tool_name": "t", "tool_arguments": {"arguments": "{oops"}})],
        ),
        (
            ev.ToolCallCompleted(**_call(duration_ms=1, result='{"n": [1]}')),
            [("tool_result", {"tool_name": "t", "tool_result": {"n": [1]}})],
        ),
        (
            ev.ToolCallCompleted(**_call(duration_ms=1, result="plain")),
            [("tool_result", {"tool_name": "t", "tool_result": "plain"})],
        ),
        (
            ev.ToolCallFailed(**_call(error={"code": "x", "message": "broke"})),
            [("tool_result", {"tool_name": "t", "tool_result": {"error": "broke"}})],
        ),
        (ev.Warned(code="max_steps", message="the limit"), [("warning", {"message": "the limit"})]),
        (ev.RunCompleted(response="42", metrics=SPENT), [("run_end", {"answer": "42"})]),
        (
            ev.RunFailed(error={"code": "provider_auth", "message": "no"}, metrics=SPENT),
            [("error", {"error": "no"}), ("run_end", {"answer": None})],
        ),
        (
            ev.RunFailed(error={"code": "max_steps", "message": "no answer after 2 steps"}, metrics=SPENT),
            [("warning", {"message": "no answer after 2 steps"}), ("run_end", {"answer": None})],
        ),
        (
            ev.RunCancelled(by="ann", metrics=SPENT),
            [("warning", {"message": "cancelled by ann"}), ("run_end", {"answer": None})],
        ),
        (ev.Deltas(of="content", step=1, message_id="m", contents=("a", "b")), []),
        (ev.StepCompleted(step=1, usage=Usage(), duration_ms=1), []),
        (ev.CheckpointCreated(checkpoint_id="r.1", step=1, branch_id="b"), []),
        (ev.RunPaused(by="ann"), []),
        (ev.RunResumed(by="ann"), []),
    ],
    ids=lambda value: value.type if hasattr(value, "type") else "",
)
def test_event_is_told_as_theirs(event: Event, told: list[Any]):
    assert _told(event) == told


def test_thoughts_are_told_once_a_step():
    assert _said("t", content="I look.", reasoning="Hm.") == [("reasoning", {"reasoning": "Hm."})]
    assert _said("t", content="I look.") == [("reasoning", {"reasoning": "I look."})]
    assert _said("t", "u") == [("warning", {"message": NO_REASONING})]
    assert _said(content="42", reasoning="Easy.") == [("reasoning", {"reasoning": "Easy."})]
    assert _said(content="42") == []


def test_frames_are_single_lines_of_data():
    text = frames(entry(STARTED, ev.StepStarted(step=1)), "a\u2028b\nc", with_ids=False).decode()
    lines = text.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["data", "", "data", ""]
    first = json.loads(lines[0].removeprefix("data: "))
    assert first["data"]["prompt"] == "a\u2028b\nc"
    assert first["timestamp"] == "2025-01-01T12:10:00.000Z"


def test_last_frame_of_an_event_carries_its_id():
    """Between the two frames of a failure a reader has no id of it yet, and gets both when it comes back."""
    failed = ev.RunFailed(error={"code": "x", "message": "no"}, metrics=SPENT)
    blocks = frames(entry(ev.StepStarted(step=1), failed, first=7), "", with_ids=True).decode().split("\n\n")
    assert [block.split("\n")[1:] for block in blocks] == [["id: r/7"], [], ["id: r/8"], []]


def test_reader_gets_what_is_behind_its_place():
    both = entry(ev.StepStarted(step=1), ev.RunCompleted(metrics=SPENT), first=7)
    assert frames(both, "", after=8, with_ids=True) == b""
    assert frames(both, "", after=7, with_ids=True).endswith(b"id: r/8\n\n")
    assert b"step_start" not in frames(both, "", after=7, with_ids=True)


def test_stream_that_cannot_go_on_is_closed_in_order():
    kinds = [json.loads(line[6:])["type"] for line in closing("stops", instant(0)).decode().split("\n\n") if line]
    assert kinds == ["warning", "run_end"]
