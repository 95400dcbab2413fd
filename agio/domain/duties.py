"""Duties: work for the whole installation that one worker at a time is entrusted with."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One such work. Nothing depends on there being one holder: two of them do it twice."""

    id: str
    group_id: str
    """Empty: it is nobody's."""
    holder: str
    """Id of the worker."""
    created_at: datetime


def entrust(duty: Duty, worker: str, *, living: Collection[str]) -> Duty:
    """Return the duty in the hands of `worker`, unless its holder lives."""
    return duty if duty.holder in living else replace(duty, holder=worker)
