"""What the harness noted while a campaign ran: what it asked, what it was answered, what its readers saw.

Instants are seconds of `time.monotonic()`, which all processes of a machine share.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TERMINAL = frozenset({"run_completed", "run_failed", "run_cancelled"})


class Seen(NamedTuple):
    """One event as a reader got it."""

    seq: int
    name: str
    digest: int
    """Of the bytes of its data."""
    at: float


@dataclass(slots=True)
class Transcript:
    """What one reader saw of one run, stitched over its connections."""

    run_id: str
    reader: str
    events: list[Seen] = field(default_factory=list)
    connections: int = 0
    farewells: int = 0
    """Streams that the server said goodbye to."""
    broken: int = 0
    """Streams that ended without a goodbye."""
    odd: list[str] = field(default_factory=list)
    """What no stream may hold."""

    @property
    def last_seq(self) -> int:
        return self.events[-1].seq if self.events else 0

    @property
    def is_over(self) -> bool:
        return bool(self.events) and self.events[-1].name in TERMINAL

    def first_at(self, names: Iterable[str], *, after: float) -> float | None:
        """Return when the first event of one of these names came after an instant."""
        wanted = set(names)
        return next((event.at for event in self.events if event.name in wanted and event.at > after), None)


@dataclass(slots=True, kw_only=True)
class Command:
    """A command that was answered for good."""

    run_id: str
    kind: str
    """`pause`, `pause now`, `resume`, `cancel`."""
    sent_at: float
    answered_at: float
    wall_at: float
    """Seconds of the wall clock when the answer was there."""
    status: int
    tries: int
    """Requests that it took."""


@dataclass(slots=True, kw_only=True)
class Fork:
    """A fork that was accepted."""

    run_id: str
    source: str
    checkpoint_id: str
    seq: int
    """The checkpoint's place in the source's journal."""
    before: list[tuple[int, str, int]]
    """The source's events up to there when it was forked: number, name, digest."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault, from its beginning until everything was well again."""

    kind: str
    began: float
    wall_began: float
    ended: float = 0.0
    healthy: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def covers(self, at: float) -> bool:
        """Say whether it, or its aftermath, was felt at an instant."""
        return self.began - 0.2 <= at <= (self.healthy or self.began + 3600)


@dataclass(slots=True, kw_only=True)
class RunNote:
    """A run that was accepted."""

    run_id: str
    story: str
    model: str
    accepted_at: float
    session_id: str | None = None
    tool: str | None = None
    """Name of the HTTP tool that it calls."""
    expects_end: bool = True


@dataclass(slots=True)
class Trouble:
    """A request that did not get a final answer at once."""

    at: float
    what: str
    """`connection`, `timeout`, `503`."""


@dataclass(slots=True)
class Ledger:
    """Everything that was noted."""

    began: float = field(default_factory=time.monotonic)
    runs: dict[str, RunNote] = field(default_factory=dict)
    transcripts: list[Transcript] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    """Answers that no request may get, and mistakes of the harness."""
    requests: int = 0
    longest_request_s: float = 0.0
    """Until its final answer, with all its tries."""

    def transcript(self, run_id: str, reader: str) -> Transcript:
        """Begin a transcript."""
        made = Transcript(run_id, reader)
        self.transcripts.append(made)
        return made

    def is_calm(self, begin: float, end: float) -> bool:
        """Say whether no fault was felt between two instants."""
        return not any(fault.covers(begin) or fault.covers(end) or begin < fault.began < end for fault in self.faults)
