"""Journal entries for tests of what the edge makes of them."""

from typing import Any

from agio.domain.events import Event, span
from agio.domain.journal import Entry
from agio.domain.messages import Message
from agio.testing.conformance.records import instant


def entry(*events: Event, first: int = 1, messages: tuple[Message, ...] = (), **fields: Any) -> Entry:
    """Return an entry of run `r`, ten minutes past noon."""
    last = first + sum(map(span, events)) - 1
    usual: dict[str, Any] = {"run_id": "r", "group_id": "g", "epoch": 1, "attempt": 1, "at": instant(600)}
    return Entry(first_seq=first, last_seq=last, events=events, messages=messages, **usual | fields)
