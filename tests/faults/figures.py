"""How long things took, from what was noted and what is stored. All pure; seconds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults.history import History
from tests.faults.invariants import wall
from tests.faults.ledger import TERMINAL, Command, Fault, Ledger, Transcript

ACKS = {
    "pause": ("run_pause_requested", "run_paused", *TERMINAL),
    "pause now": ("run_pause_requested", "run_paused", *TERMINAL),
    "cancel": tuple(TERMINAL),
}
STALL_S = 45.0
"""How long after a fault a silence may still be its consequence."""


@dataclass(slots=True)
class Sample:
    """Measured values of one thing."""

    name: str
    values: list[float] = field(default_factory=list)
    note: str = ""

    def at(self, share: float) -> float | None:
        """Return a quantile; None when there are no values."""
        if not self.values:
            return None
        if len(self.values) == 1:
            return self.values[0]
        return sorted(self.values)[min(len(self.values) - 1, round(share * (len(self.values) - 1)))]


def takeovers(ledger: Ledger, history: History, kinds: Iterable[str]) -> Sample:
    """From the SIGKILL of a worker to the first event of the run's next owner, for each run that it owned."""
    sample = Sample("takeover")
    wanted = set(kinds)
    for fault in ledger.faults:
        if fault.kind not in wanted or "killed_wall" not in fault.facts:
            continue
        at = fault.facts["killed_wall"]
        for run_id in fault.facts["orphans"]:
            run = history.runs.get(run_id)
            if run is None:
                continue
            heard = [
                wall(event) - at
                for event in run.events
                if event.name == "run_recovered" and event.data["reason"] == "crashed" and wall(event) > at
            ]
            if heard:
                sample.values.append(heard[0])
    return sample


def hand_overs(ledger: Ledger, history: History, drain_s: float) -> Sample:
    """From when a draining owner let go of a run to the first event of the next owner.

    That it let go cannot be seen: it did with its last event, or, in the middle of a slow answer, when the drain
    time was over. Where SIGTERMs follow each other (rolling restart) the last event counts.
    """
    sample = Sample("hand-over")
    for fault in ledger.faults:
        if fault.kind not in ("drain_one", "rolling_restart"):
            continue
        cut = fault.wall_began + drain_s if fault.kind == "drain_one" else 0.0
        for run in history.runs.values():
            for before, event in pairwise(run.events):
                if event.name == "run_recovered" and event.data["reason"] == "drained":
                    if fault.wall_began <= wall(event) <= _wall_healthy(fault):
                        let_go = max(wall(before), cut) if wall(event) > cut else wall(before)
                        sample.values.append(max(0.0, wall(event) - let_go))
    return sample


def _wall_healthy(fault: Fault) -> float:
    return fault.wall_began + (fault.healthy - fault.began)


def troubles(ledger: Ledger, fault: Fault) -> dict[str, int]:
    """What clients had to repeat while a fault was felt, by kind."""
    return dict(Counter(trouble.what for trouble in ledger.troubles if fault.covers(trouble.at)))


def control(ledger: Ledger, *, kinds: Sequence[str], calm: bool) -> Sample:
    """From the 202 to the event that acknowledges the command, as a reader on any worker got it."""
    sample = Sample("control")
    readers = _by_run(ledger.transcripts)
    for command in ledger.commands:
        if command.status != 202 or command.kind not in kinds:
            continue
        at = _acknowledged(command, readers.get(command.run_id, ()))
        if at is not None and (not calm or ledger.is_calm(command.sent_at, at)):
            sample.values.append(max(0.0, at - command.answered_at))
    return sample


def _acknowledged(command: Command, readers: Iterable[Transcript]) -> float | None:
    found = [reader.first_at(ACKS[command.kind], after=command.sent_at) for reader in readers]
    return min((at for at in found if at is not None), default=None)


def _by_run(transcripts: Iterable[Transcript]) -> dict[str, list[Transcript]]:
    found: dict[str, list[Transcript]] = {}
    for transcript in transcripts:
        found.setdefault(transcript.run_id, []).append(transcript)
    return found


def upstream(ledger: Ledger, closed: Mapping[str, Sequence[float]], *, calm: bool) -> Sample:
    """From the 202 of a cancel to the end of the connection to the model."""
    sample = Sample("upstream")
    for command in ledger.commands:
        note = ledger.runs.get(command.run_id)
        if command.status != 202 or command.kind != "cancel" or note is None:
            continue
        at = next((at for at in closed.get(note.model, ()) if at > command.sent_at), None)
        if at is not None and (not calm or ledger.is_calm(command.sent_at, at)):
            sample.values.append(max(0.0, at - command.answered_at))
    return sample


def stall(ledger: Ledger, fault: Fault) -> float:
    """The longest time after a fault in which no reader of any run got any event."""
    begin = fault.facts.get("struck", fault.began)
    end = max(fault.healthy or begin, begin + 5)
    instants = sorted(
        event.at
        for transcript in ledger.transcripts
        for event in transcript.events
        if begin - 1 <= event.at <= min(end, begin + STALL_S)
    )
    return max((b - a for a, b in pairwise(instants)), default=end - begin)


def taken_over(ledger: Ledger, history: History, fault: Fault) -> int:
    """How many runs were taken over as abandoned in the course of a fault."""
    begin, end = fault.wall_began, _wall_healthy(fault)
    return sum(
        event.name == "run_recovered" and event.data["reason"] == "crashed" and begin <= wall(event) <= end
        for run in history.runs.values()
        for event in run.events
    )
