"""The checks find what they are there to find: each is shown a sound campaign, and one that is tampered with."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults import invariants
from tests.faults.history import History, RunHistory
from tests.faults.invariants import Evidence, check_all
from tests.faults.ledger import Command, Fork, Ledger, RunNote, Seen, Transcript
from tests.faults.neighbours import Asked, chained, open_calls, outline
from tests.faults.readers import digest_of
from tests.faults.stored import Stored, parse

CALL = {"id": "call_1", "name": "charge", "arguments": "{}"}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "go"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": '{"done": 1}', "tool_call_id": "call_1"},
    {"role": "assistant", "content": "well"},
]


def event(seq: int, name: str, at: str = "2026-01-01T00:00:00.000Z", **fields: Any) -> Stored:
    data = {"type": name, "seq": seq, "at": at, **fields}
    return Stored(seq, name, json.dumps(data).encode(), data)


EVENTS = [
    event(1, "run_started"),
    event(2, "checkpoint_created", checkpoint_id="r1.2", step=0),
    event(3, "step_started", step=1),
    event(4, "tool_call_started", step=1, tool_call_id="call_1"),
    event(5, "tool_call_completed", step=1, tool_call_id="call_1", result='{"done": 1}'),
    event(6, "step_completed", step=1),
    event(7, "checkpoint_created", checkpoint_id="r1.7", step=1),
    event(8, "run_completed", response="well"),
]


def sound() -> Evidence:
    """Return what a campaign of one run leaves behind in which nothing went wrong."""
    ledger = Ledger()
    ledger.runs["r1"] = RunNote(run_id="r1", story="tools", model="m1", accepted_at=0.0, tool="charge")
    seen = ledger.transcript("r1", "steady")
    seen.events += [Seen(one.seq, one.name, digest_of(one.raw), 1.0) for one in EVENTS]
    run = RunHistory(
        run_id="r1",
        view={"status": "completed", "attempt": 1},
        events=list(EVENTS),
        checkpoints=[{"id": "r1.2", "message_count": 1}, {"id": "r1.7", "message_count": 3}],
        messages=list(MESSAGES),
    )
    lines = outline(MESSAGES)
    asked = Asked(conversations=[(count, chained(lines)[count]) for count in (1, 3)])
    history = History(runs={"r1": run})
    return Evidence(ledger=ledger, history=history, effects={"r1:call_1": [1.0]}, asked={"m1": asked}, lease_s=1)


def test_a_sound_campaign_passes():
    assert check_all(sound()) == []


def _drop_event(evidence: Evidence) -> None:
    del evidence.history.runs["r1"].events[4]


def _go_on_after_the_end(evidence: Evidence) -> None:
    evidence.history.runs["r1"].events.append(event(9, "step_started", step=2))


def _record_lags(evidence: Evidence) -> None:
    evidence.history.runs["r1"].view["status"] = "running"


def _reader(evidence: Evidence) -> Transcript:
    return evidence.ledger.transcripts[0]


def _show_twice(evidence: Evidence) -> None:
    _reader(evidence).events.insert(3, _reader(evidence).events[2])


def _show_otherwise(evidence: Evidence) -> None:
    _reader(evidence).events[3] = _reader(evidence).events[3]._replace(digest=7)


def _hide_the_end(evidence: Evidence) -> None:
    del _reader(evidence).events[-1]


def _lose_the_run(evidence: Evidence) -> None:
    evidence.ledger.runs["r2"] = replace_note(evidence, "r2")


def replace_note(evidence: Evidence, run_id: str) -> RunNote:
    return replace(evidence.ledger.runs["r1"], run_id=run_id)


def _leave_busy(evidence: Evidence) -> None:
    evidence.history.busy["running"] = ["r1"]


def _leave_owned(evidence: Evidence) -> None:
    evidence.history.owned["w1"] = ["r1"]


def _turn_epochs(evidence: Evidence) -> None:
    claims = [event(2, "run_recovered", epoch=3), event(3, "run_recovered", epoch=2)]
    evidence.history.runs["r1"].events[1:3] = claims


def _repeat_a_step(evidence: Evidence) -> None:
    evidence.history.runs["r1"].events.insert(7, event(8, "step_started", step=1))


def _forget_a_checkpoint(evidence: Evidence) -> None:
    del evidence.history.runs["r1"].checkpoints[0]


def _command(evidence: Evidence, kind: str, wall_at: float) -> None:
    evidence.ledger.commands.append(
        Command(run_id="r1", kind=kind, sent_at=1, answered_at=2, wall_at=wall_at, status=202, tries=1)
    )


def _ignore_a_cancel(evidence: Evidence) -> None:
    _command(evidence, "cancel", wall_at=1_000.0)  # long before the run began its step


def _ignore_a_pause(evidence: Evidence) -> None:
    _command(evidence, "pause", wall_at=1_000.0)


def _have_the_effect_twice(evidence: Evidence) -> None:
    dict_of(evidence.effects)["r1:call_1"] = [1.0, 2.0]


def _have_no_effect(evidence: Evidence) -> None:
    dict_of(evidence.effects).clear()


def dict_of(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def _call_again(evidence: Evidence) -> None:
    evidence.history.runs["r1"].events.insert(5, event(6, "tool_call_started", tool_call_id="call_1"))


def _change_the_source(evidence: Evidence) -> None:
    before = [(one.seq, one.name, digest_of(one.raw) + (one.seq == 2)) for one in EVENTS[:2]]
    _fork(evidence, before, MESSAGES)


def _begin_a_fork_otherwise(evidence: Evidence) -> None:
    before = [(one.seq, one.name, digest_of(one.raw)) for one in EVENTS[:2]]
    _fork(evidence, before, [{"role": "user", "content": "something else"}, *MESSAGES[1:]])


def _fork(evidence: Evidence, before: list[tuple[int, str, int]], messages: list[dict[str, Any]]) -> None:
    evidence.ledger.runs["f1"] = replace(evidence.ledger.runs["r1"], run_id="f1", tool=None, model="m2")
    made = replace(
        evidence.history.runs["r1"], run_id="f1", messages=messages, view={"status": "completed", "attempt": 1}
    )
    evidence.history.runs["f1"] = made
    evidence.ledger.forks.append(Fork(run_id="f1", source="r1", checkpoint_id="r1.2", seq=2, before=before))


def _ask_otherwise(evidence: Evidence) -> None:
    evidence.asked["m1"].conversations.append((2, "another"))


def _send_torn_conversation(evidence: Evidence) -> None:
    evidence.asked["m1"].unanswered.append("calls ['call_1'] are not answered")


def _cannot_go_on(evidence: Evidence) -> None:
    evidence.history.unusable.append("r1: going on was answered with 409")


def _answer_oddly(evidence: Evidence) -> None:
    evidence.ledger.surprises.append("GET /runs: 500")


TAMPERED: list[tuple[Callable[[Evidence], None], str]] = [
    (_drop_event, "I2"),
    (_go_on_after_the_end, "I3"),
    (_record_lags, "I3"),
    (_show_twice, "I2"),
    (_show_otherwise, "I1"),
    (_hide_the_end, "I2"),
    (_lose_the_run, "accepted"),
    (_leave_busy, "accepted"),
    (_leave_owned, "accepted"),
    (_turn_epochs, "I4"),
    (_repeat_a_step, "I5"),
    (_forget_a_checkpoint, "I5"),
    (_ignore_a_cancel, "I6"),
    (_ignore_a_pause, "I6"),
    (_have_the_effect_twice, "I7"),
    (_have_no_effect, "I7"),
    (_call_again, "I7"),
    (_change_the_source, "forks"),
    (_begin_a_fork_otherwise, "forks"),
    (_ask_otherwise, "I5"),
    (_send_torn_conversation, "I12"),
    (_cannot_go_on, "I12"),
    (_answer_oddly, "answers"),
]


@pytest.mark.parametrize(("tamper", "invariant"), TAMPERED, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_wrong_is_found(tamper: Callable[[Evidence], None], invariant: str):
    evidence = sound()
    tamper(evidence)
    assert invariant in {one.invariant for one in check_all(evidence)}


def test_errors_in_the_log_are_found():
    found = check_all(replace(sound(), logged=["agio.engine.worker a run was dropped"]))
    assert [one.invariant for one in found] == ["log"]


def test_a_repetition_of_unknown_outcome_may_have_its_effect_again():
    evidence = sound()
    unknown = event(5, "tool_call_failed", tool_call_id="call_1", error={"code": "outcome_unknown"})
    started = event(6, "tool_call_started", tool_call_id="call_1")
    run = evidence.history.runs["r1"]
    run.events[4:4] = [unknown, started]
    dict_of(evidence.effects)["r1:call_1"] = [1.0, 2.0]
    assert list(invariants.effects(evidence)) == []
    assert list(invariants.twice_journalled(evidence)) == []


def test_evidence_shows_the_events_around():
    evidence = sound()
    _repeat_a_step(evidence)
    (found,) = [one for one in check_all(evidence) if one.invariant == "I5"]
    assert any("step_completed step=1" in line for line in found.evidence)


def test_streams_are_parsed_as_they_come():
    text = b"retry: 1000\n\n" + b"".join(
        b"event: %b\ndata: %b\nid: %d\n\n" % (one.name.encode(), one.raw, one.seq) for one in EVENTS
    )
    assert parse(text) == EVENTS


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [(MESSAGES, False), (MESSAGES[:3], False), (MESSAGES[:2], True), (MESSAGES[2:], True), (MESSAGES[:2] * 2, True)],
)
def test_open_calls_are_found(messages: list[dict[str, Any]], wrong: bool):
    assert (open_calls(messages) is not None) is wrong
