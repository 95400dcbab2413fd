"""What a campaign came to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults.invariants import Break, Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that the report is written from."""

    store: str
    seed: int
    seconds: float
    size: int
    drain_s: float
    load: str
    """Of the machine, in words."""
    evidence: Evidence
    breaks: Sequence[Break]
    closed: Mapping[str, Sequence[float]]
    model_requests: int
    warnings: Counter[str]
    """In the server's log, by message."""
