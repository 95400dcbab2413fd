"""Sliding windows: how many within the last seconds, in a state that is small however many they are.

A window is cut into slots. All slots that the window touches are counted whole, so no window of that length, wherever
it begins, holds more than the limit; what is let in again comes late by one slot at most.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

SLOTS = 60
"""Slots that a window is cut into."""

Counts: TypeAlias = tuple[tuple[int, int], ...]
"""`(slot number, count)`, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many within so many seconds."""

    count: int
    window_s: float

    @property
    def slot_s(self) -> float:
        """Seconds of one slot."""
        return self.window_s / SLOTS

    def __str__(self) -> str:
        return f"{self.count}/{self.window_s:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The stored state of one window."""

    id: str
    group_id: str
    counts: Counts = ()
    created_at: datetime
    """When it was last changed: whoever prunes goes by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What came of asking a window."""

    granted: int
    """How many of those asked for may pass."""
    remaining: int
    """How many more would have."""
    retry_after_s: float
    """Seconds until the next one may pass; 0 while some may."""


def live_counts(counts: Counts, limit: Limit, at_s: float) -> Counts:
    """Return the slots that the window that ends now touches. Instants are Unix seconds."""
    newest = _slot(limit, at_s)
    return tuple((slot, count) for slot, count in counts if slot >= newest - SLOTS)


def admit(counts: Counts, limit: Limit, at_s: float, wanted: int = 1) -> tuple[Counts, Admission]:
    """Let in as many of those `wanted` as the limit allows; return the state after it.

    A clock that goes back, another machine's say, counts into the newest slot there is.
    """
    at_s = _not_before(counts, limit, at_s)
    live = live_counts(counts, limit, at_s)
    free = max(0, limit.count - sum(count for _, count in live))
    granted = min(free, wanted)
    after = _add(live, _slot(limit, at_s), granted) if granted else live
    left = free - granted
    return after, Admission(granted=granted, remaining=left, retry_after_s=0.0 if left else _wait_s(after, limit, at_s))


def add(counts: Counts, limit: Limit, at_s: float, amount: int) -> Counts:
    """Count what has been spent already, beyond the limit too."""
    at_s = _not_before(counts, limit, at_s)
    return _add(live_counts(counts, limit, at_s), _slot(limit, at_s), amount)


def look(counts: Counts, limit: Limit, at_s: float) -> Admission:
    """Return how the window stands, asking for nothing."""
    return admit(counts, limit, at_s, 0)[1]


def _slot(limit: Limit, at_s: float) -> int:
    return math.floor(at_s / limit.slot_s)


def _not_before(counts: Counts, limit: Limit, at_s: float) -> float:
    newest = counts[-1][0] * limit.slot_s if counts else at_s
    return newest + limit.slot_s / 2 if _slot(limit, at_s) < (counts[-1][0] if counts else 0) else at_s


def _add(counts: Counts, slot: int, amount: int) -> Counts:
    if counts and counts[-1][0] == slot:
        return (*counts[:-1], (slot, counts[-1][1] + amount))
    return (*counts, (slot, amount))


def _wait_s(counts: Counts, limit: Limit, at_s: float) -> float:
    """Return when enough old slots have left the window for one more to pass."""
    total = sum(count for _, count in counts)
    for slot, count in counts:
        total -= count
        if total < limit.count:
            return max(0.0, (slot + SLOTS + 1) * limit.slot_s - at_s)
    return limit.window_s
