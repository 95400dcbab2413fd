"""The invariants, checked over stored history, transcripts, effects and model requests. All pure.

Numbers are those of `docs/reliability.md`. A check yields a `Break` for each violation, with the events around it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise, zip_longest
from typing import TypeAlias

from tests.faults.history import History, RunHistory
from tests.faults.ledger import TERMINAL, Command, Fork, Ledger, Transcript
from tests.faults.neighbours import Asked, chained, outline
from tests.faults.readers import digest_of
from tests.faults.stored import Stored

AROUND = 4
"""Events that are shown on each side of a place."""
ODD_SLACK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """An invariant that did not hold."""

    invariant: str
    run_id: str
    what: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the checks look at."""

    ledger: Ledger
    history: History
    effects: Mapping[str, Sequence[float]]
    asked: Mapping[str, Asked]
    lease_s: float
    logged: Sequence[str] = ()
    """Errors in the server's log."""


Check: TypeAlias = Callable[[Evidence], Iterator[Break]]


def check_all(evidence: Evidence) -> list[Break]:
    """Return every violation of every invariant."""
    return [found for check in CHECKS for found in check(evidence)]


def around(events: Sequence[Stored], seq: int) -> tuple[str, ...]:
    """Return the events around a place, a line each."""
    near = [event for event in events if abs(event.seq - seq) <= AROUND]
    return tuple(f"{event.seq} {event.data.get('at', '')} {event.name} {_gist(event)}".rstrip() for event in near)


def _gist(event: Stored) -> str:
    keep = ("step", "by", "reason", "worker", "epoch", "tool_call_id", "checkpoint_id", "message_id", "error")
    return " ".join(f"{name}={event.data[name]}" for name in keep if name in event.data)


def sequence(evidence: Evidence) -> Iterator[Break]:
    """I2: stored events are 1, 2, 3 ... without gap or duplicate."""
    for run in evidence.history.runs.values():
        for place, event in enumerate(run.events, start=1):
            if event.seq != place:
                yield Break(
                    invariant="I2",
                    run_id=run.run_id,
                    what=f"event {place} in the store has number {event.seq}",
                    evidence=around(run.events, event.seq),
                )
                break


def one_end(evidence: Evidence) -> Iterator[Break]:
    """I3: one terminal event, and it is the last; the record agrees."""
    for run in evidence.history.runs.values():
        ends = [event for event in run.events if event.name in TERMINAL]
        last = run.events[-1] if run.events else None
        if len(ends) != 1 or last is not ends[0]:
            what = f"terminal events at {[event.seq for event in ends]}, the last event is {last and last.seq}"
            shown = around(run.events, (ends[0] if ends else last).seq) if last else ()
            yield Break(invariant="I3", run_id=run.run_id, what=what, evidence=shown)
        elif run.view["status"] != last.name.removeprefix("run_"):
            what = f"the record says {run.view['status']}, the journal {last.name}"
            yield Break(invariant="I3", run_id=run.run_id, what=what, evidence=around(run.events, last.seq))


def transcripts(evidence: Evidence) -> Iterator[Break]:
    """I1, I2: every reader saw exactly what is stored, from the first event on."""
    digests = {
        run.run_id: {event.seq: digest_of(event.raw) for event in run.events} for run in evidence.history.runs.values()
    }
    for seen in evidence.ledger.transcripts:
        run = evidence.history.runs.get(seen.run_id)
        if run is not None:
            yield from _transcript(seen, run, digests[seen.run_id])


def _transcript(seen: Transcript, run: RunHistory, stored: Mapping[int, int]) -> Iterator[Break]:
    who = f"reader {seen.reader!r} of {seen.connections} connections"
    for odd in seen.odd:
        yield Break(invariant="I2", run_id=run.run_id, what=f"{who}: {odd}")
    for place, event in enumerate(seen.events, start=1):
        if event.seq != place:
            what = f"{who}: its event {place} has number {event.seq}"
            yield Break(invariant="I2", run_id=run.run_id, what=what, evidence=around(run.events, place))
            return
        if stored.get(event.seq) != event.digest:
            kept = "is not stored" if event.seq not in stored else "is stored otherwise"
            what = f"{who}: event {event.seq} ({event.name}) that it was shown {kept}"
            yield Break(invariant="I1", run_id=run.run_id, what=what, evidence=around(run.events, event.seq))
            return
    if seen.events and not seen.is_over and run.events and run.events[-1].name in TERMINAL:
        what = f"{who}: never saw the end; it has {seen.last_seq} of {run.events[-1].seq} events"
        yield Break(invariant="I2", run_id=run.run_id, what=what, evidence=around(run.events, seen.last_seq))


def accepted(evidence: Evidence) -> Iterator[Break]:
    """Every accepted run is there and has ended; nothing is owned."""
    for run_id in evidence.ledger.runs:
        if run_id not in evidence.history.runs:
            yield Break(invariant="accepted", run_id=run_id, what="an accepted run is gone")
    for status, runs in evidence.history.busy.items():
        for run_id in runs:
            run = evidence.history.runs.get(run_id)
            what = f"still {status} when everything was over"
            shown = around(run.events, run.events[-1].seq) if run and run.events else ()
            yield Break(invariant="accepted", run_id=run_id, what=what, evidence=shown)
    for owner, runs in evidence.history.owned.items():
        for run_id in runs:
            yield Break(invariant="accepted", run_id=run_id, what=f"still owned by {owner}")


def epochs(evidence: Evidence) -> Iterator[Break]:
    """I4: epochs only grow along the journal."""
    for run in evidence.history.runs.values():
        claims = [event for event in run.events if event.name == "run_recovered"]
        for before, after in pairwise(claims):
            if after.data["epoch"] <= before.data["epoch"]:
                what = f"epoch {after.data['epoch']} at {after.seq} after {before.data['epoch']} at {before.seq}"
                yield Break(invariant="I4", run_id=run.run_id, what=what, evidence=around(run.events, after.seq))


def steps(evidence: Evidence) -> Iterator[Break]:
    """I5: a step that is complete has its checkpoint right behind it, and is not done again."""
    for run in evidence.history.runs.values():
        if run.view["attempt"] > 1:
            continue
        done: set[int] = set()
        announced = {event.data["checkpoint_id"] for event in run.events if event.name == "checkpoint_created"}
        stored = {checkpoint["id"] for checkpoint in run.checkpoints}
        if announced != stored:
            what = f"checkpoints announced and stored differ: {sorted(announced ^ stored)}"
            yield Break(invariant="I5", run_id=run.run_id, what=what)
        for event in run.events:
            if event.name == "step_completed":
                if event.data["step"] in done:
                    what = f"step {event.data['step']} was completed twice"
                    yield Break(invariant="I5", run_id=run.run_id, what=what, evidence=around(run.events, event.seq))
                done.add(event.data["step"])
            if event.name == "step_started" and event.data["step"] in done:
                what = f"step {event.data['step']} began again after it was complete"
                yield Break(invariant="I5", run_id=run.run_id, what=what, evidence=around(run.events, event.seq))


def commands(evidence: Evidence) -> Iterator[Break]:
    """I6: a command that was answered 202 took effect, or lost the race against the end."""
    for command in evidence.ledger.commands:
        run = evidence.history.runs.get(command.run_id)
        if command.status == 202 and run is not None and run.events and (what := _unheard(command, run, evidence)):
            yield Break(
                invariant="I6",
                run_id=run.run_id,
                what=f"{command.kind} answered 202 at {command.wall_at:.3f}: {what}",
                evidence=around(run.events, run.events[-1].seq),
            )


def _unheard(command: Command, run: RunHistory, evidence: Evidence) -> str | None:
    later = [
        other
        for other in evidence.ledger.commands
        if other.run_id == command.run_id and other.status == 202 and other.answered_at > command.sent_at
    ]
    end = run.events[-1]
    if command.kind == "cancel":
        if end.name == "run_cancelled":
            return None
        late = command.wall_at + _race_s(evidence)
        went_on = [event for event in run.events if event.name == "step_started" and wall(event) > late]
        return f"the run went on with step {went_on[0].data['step']}" if went_on else None
    if command.kind.startswith("pause"):
        if any(other is not command for other in later):
            return None  # resumed or cancelled since, or paused again: it may never have rested
        names = {"run_pause_requested", "run_paused"}
        heard = any(event.name in names and wall(event) > command.wall_at - ODD_SLACK_S for event in run.events)
        ended = wall(end) < command.wall_at + _race_s(evidence)
        return None if heard or ended else "no event says that it was heard"
    return None


def _race_s(evidence: Evidence) -> float:
    """How long a command may take to be heard of when the hint is lost: until the next beat, or a takeover."""
    return evidence.lease_s + ODD_SLACK_S


def wall(event: Stored) -> float:
    """Return an event's instant in seconds of the wall clock."""
    return datetime.fromisoformat(event.data["at"]).timestamp()


def effects(evidence: Evidence) -> Iterator[Break]:
    """I7: a tool's effect happened once; twice only where a call's outcome was reported unknown."""
    for run in evidence.history.runs.values():
        note = evidence.ledger.runs[run.run_id]
        if note.tool is None:
            continue
        unknown: dict[str, int] = {}
        for event in run.events:
            if event.is_unknown_outcome:
                unknown[event.data["tool_call_id"]] = unknown.get(event.data["tool_call_id"], 0) + 1
        for event in run.events:
            if event.name == "tool_call_completed":
                yield from _effect(run, event, unknown.get(event.data["tool_call_id"], 0), evidence)


def _effect(run: RunHistory, event: Stored, unknown: int, evidence: Evidence) -> Iterator[Break]:
    call_id = event.data["tool_call_id"]
    times = len(evidence.effects.get(f"{run.run_id}:{call_id}", ()))
    was_called = '"done"' in str(event.data.get("result"))
    if times > 1 + unknown:
        what = f"{times} effects of call {call_id}, whose outcome was unknown {unknown} times"
        yield Break(invariant="I7", run_id=run.run_id, what=what, evidence=around(run.events, event.seq))
    if was_called and times == 0 and not _inherited(run, call_id, evidence):
        what = f"call {call_id} has a result but had no effect"
        yield Break(invariant="I7", run_id=run.run_id, what=what, evidence=around(run.events, event.seq))


def _inherited(run: RunHistory, call_id: str, evidence: Evidence) -> bool:
    return any(key.endswith(f":{call_id}") for key in evidence.effects)


def twice_journalled(evidence: Evidence) -> Iterator[Break]:
    """I7: a call has one result, and is not called again after it."""
    for run in evidence.history.runs.values():
        answered: set[str] = set()
        for event in run.events:
            call_id = event.data.get("tool_call_id", "")
            if call_id in answered and event.name in ("tool_call_completed", "tool_call_started"):
                what = f"{event.name} of {call_id}, which has its result already"
                yield Break(invariant="I7", run_id=run.run_id, what=what, evidence=around(run.events, event.seq))
            if event.name == "tool_call_completed":
                answered.add(call_id)


def forks(evidence: Evidence) -> Iterator[Break]:
    """A fork leaves its source as it was, and begins with the source's messages."""
    for fork in evidence.ledger.forks:
        source, made = evidence.history.runs.get(fork.source), evidence.history.runs.get(fork.run_id)
        if source is None or made is None:
            continue
        now = [(e.seq, e.name, digest_of(e.raw)) for e in source.events if e.seq <= fork.seq]
        if now != fork.before:
            changed = next((a for a, b in zip(now, fork.before, strict=False) if a != b), None)
            what = f"the source of fork {fork.run_id} changed before event {fork.seq}: {changed}"
            yield Break(invariant="forks", run_id=fork.source, what=what, evidence=around(source.events, fork.seq))
        yield from _beginning(fork, source, made)


def _beginning(fork: Fork, source: RunHistory, made: RunHistory) -> Iterator[Break]:
    count = next((c["message_count"] for c in source.checkpoints if c["id"] == fork.checkpoint_id), 0)
    if count and source.messages[count - 1]["role"] == "assistant":
        count -= 1  # a fork behind an answer answers anew
    theirs, ours = outline(source.messages)[:count], outline(made.messages)[:count]
    if "modified_query" in (made.view.get("modifications") or {}):
        return
    if ours != theirs:
        what = f"its first {count} messages are not those of {fork.source} at {fork.checkpoint_id}"
        pairs = zip_longest(theirs, ours, fillvalue="(none)")
        shown = tuple(f"{place}: {a} | {b}" for place, (a, b) in enumerate(pairs) if a != b)[:AROUND]
        yield Break(invariant="forks", run_id=fork.run_id, what=what, evidence=shown)


def requests(evidence: Evidence) -> Iterator[Break]:
    """I5, I12: a model is only asked what is, to this day, the beginning of the conversation; all calls answered."""
    for run in evidence.history.runs.values():
        asked = evidence.asked.get(evidence.ledger.runs[run.run_id].model)
        if asked is None:
            continue
        for wrong in asked.unanswered[:1]:
            yield Break(invariant="I12", run_id=run.run_id, what=f"the model was sent a torn conversation: {wrong}")
        beginnings = chained(outline(run.messages))
        for count, digest in asked.conversations:
            if count >= len(beginnings) or beginnings[count] != digest:
                what = f"the model was asked with {count} messages that are not the beginning of the conversation"
                shown = tuple(outline(run.messages)[max(0, count - AROUND) : count + 1])
                yield Break(invariant="I5", run_id=run.run_id, what=what, evidence=shown)
                break


def branches(evidence: Evidence) -> Iterator[Break]:
    """I12: conversations can be gone on with."""
    for what in evidence.history.unusable:
        yield Break(invariant="I12", run_id=what.partition(":")[0], what=what)


def answers(evidence: Evidence) -> Iterator[Break]:
    """No request got an answer that it may not get, and the harness made no mistake."""
    for what in _unlike(evidence.ledger.surprises):
        yield Break(invariant="answers", run_id="", what=what)


def logs(evidence: Evidence) -> Iterator[Break]:
    """No process logged an error: what a fault causes is a warning."""
    for line in _unlike(evidence.logged):
        yield Break(invariant="log", run_id="", what=line)


def _unlike(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


CHECKS: tuple[Check, ...] = (
    answers,
    logs,
    accepted,
    sequence,
    one_end,
    transcripts,
    epochs,
    steps,
    commands,
    effects,
    twice_journalled,
    forks,
    requests,
    branches,
)
