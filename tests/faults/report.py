"""One page about a campaign."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.faults import figures
from tests.faults.history import History
from tests.faults.invariants import Break
from tests.faults.ledger import Fault, Ledger
from tests.faults.outcome import Outcome

SHOWN_BREAKS = 40


def write(outcome: Outcome) -> str:
    """Return the page, in Markdown."""
    evidence = outcome.evidence
    parts = [
        _head(outcome),
        _breaks(outcome.breaks),
        _times(outcome),
        _faults(evidence.ledger, evidence.history),
        _troubles(evidence.ledger),
        _warnings(outcome),
    ]
    return "\n\n".join(parts) + "\n"


def _head(outcome: Outcome) -> str:
    ledger, history = outcome.evidence.ledger, outcome.evidence.history
    ends = Counter(run.view["status"] for run in history.runs.values())
    events = sum(len(run.events) for run in history.runs.values())
    seen = sum(len(one.events) for one in ledger.transcripts)
    connections = sum(one.connections for one in ledger.transcripts)
    facts = {
        "seed": outcome.seed,
        "time": f"{outcome.seconds:.0f} s of faults",
        "workers, lease, drain": f"{outcome.size}, {outcome.evidence.lease_s:g} s, {outcome.drain_s:g} s",
        "a dead process is seen": "at once, by others of its machine" if outcome.store == "sqlite" else "by its lease",
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {outcome.load}",
        "runs": ", ".join(f"{count} {status}" for status, count in sorted(ends.items())),
        "events stored": f"{events:,}",
        "events seen by readers": f"{seen:,}, over {connections:,} connections of {len(ledger.transcripts):,} readers",
        "model requests": f"{outcome.model_requests:,}",
        "tool effects": f"{sum(map(len, outcome.evidence.effects.values())):,}",
        "commands": f"{len(ledger.commands):,}, {sum(c.status == 202 for c in ledger.commands):,} accepted (202)",
        "forks of live runs": len(ledger.forks),
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join([f"## Campaign on {outcome.store}", "", "| | |", "|---|---|", *rows])


def _breaks(breaks: Sequence[Break]) -> str:
    if not breaks:
        return "**0 invariant breaks.**"
    lines = [f"**{len(breaks)} invariant breaks:**", ""]
    for one in breaks[:SHOWN_BREAKS]:
        lines.append(f"- {one.invariant} {f'run `{one.run_id}`: ' if one.run_id else ''}{one.what}")
        if one.evidence:
            lines += ["", *(f"      {line}" for line in one.evidence), ""]
    if len(breaks) > SHOWN_BREAKS:
        lines.append(f"- … and {len(breaks) - SHOWN_BREAKS} more")
    return "\n".join(lines)


def _times(outcome: Outcome) -> str:
    ledger, history = outcome.evidence.ledger, outcome.evidence.history
    kills = ("kill_one", "kill_two")
    every = ("pause", "pause now", "cancel")
    crowd = [fault for fault in ledger.faults if fault.kind == "kill_among_many"]
    live = max((fault.facts.get("live", 0) for fault in crowd), default=0)
    rows = [
        ("takeover after `kill -9` of one worker or two", figures.takeovers(ledger, history, kills)),
        ("after `kill -9` of all workers, which must start first", figures.takeovers(ledger, history, ["kill_all"])),
        (
            f"after `kill -9` of one worker, with {live} live runs",
            figures.takeovers(ledger, history, ["kill_among_many"]),
        ),
        ("drain: let go of to first event of the next owner", figures.hand_overs(ledger, history, outcome.drain_s)),
        ("pause: 202 to its event, calm", figures.control(ledger, kinds=("pause", "pause now"), calm=True)),
        ("cancel: 202 to its event, calm", figures.control(ledger, kinds=("cancel",), calm=True)),
        ("cancel: 202 to closed model connection, calm", figures.upstream(ledger, outcome.closed, calm=True)),
        ("pause and cancel, faults included", figures.control(ledger, kinds=every, calm=False)),
    ]
    lines = ["| time in seconds | n | p50 | p95 | p99 | max |", "|---|---|---|---|---|---|"]
    for name, sample in rows:
        cells = [_seconds(sample.at(share)) for share in (0.5, 0.95, 0.99, 1.0)]
        lines.append(f"| {name} | {len(sample.values)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _faults(ledger: Ledger, history: History) -> str:
    lines = [
        "| fault | times | longest stall, s | whole again after, s | taken over | repeated by clients | facts |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, faults in _grouped(ledger.faults):
        stalls = ", ".join(f"{figures.stall(ledger, fault):.1f}" for fault in faults)
        whole = ", ".join(f"{fault.healthy - fault.began:.0f}" for fault in faults)
        taken = ", ".join(str(figures.taken_over(ledger, history, fault)) for fault in faults)
        facts = "; ".join(filter(None, (_facts(fault) for fault in faults)))
        repeated: Counter[str] = sum((Counter(figures.troubles(ledger, fault)) for fault in faults), Counter())
        said = ", ".join(f"{count} {what}" for what, count in repeated.most_common()) or "nothing"
        lines.append(f"| {kind} | {len(faults)} | {stalls} | {whole} | {taken} | {said} | {facts} |")
    return "\n".join(lines)


def _grouped(faults: Iterable[Fault]) -> list[tuple[str, list[Fault]]]:
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        found.setdefault(fault.kind, []).append(fault)
    return list(found.items())


def _facts(fault: Fault) -> str:
    hidden = ("wall", "struck", "runs", "orphans")
    shown = {name: value for name, value in fault.facts.items() if not name.endswith(hidden)}
    if "orphans" in fault.facts:
        shown["orphans"] = len(fault.facts["orphans"])
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _troubles(ledger: Ledger) -> str:
    kinds = Counter(trouble.what for trouble in ledger.troubles)
    said = ", ".join(f"{count} × {what}" for what, count in kinds.most_common()) or "none"
    return (
        f"Of {ledger.requests:,} requests every one got a final answer, the slowest after "
        f"{ledger.longest_request_s:.1f} s with its repetitions. What clients had to repeat or re-attach: {said}."
    )


def _warnings(outcome: Outcome) -> str:
    said = "; ".join(f"{count} × {text}" for text, count in outcome.warnings.most_common(12)) or "none"
    return f"Warnings in the server's log: {said}."
