"""Entries of a run's journal: what is appended at once becomes visible at once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agio.domain.checkpoints import Checkpoint
from agio.domain.events import Deltas, Event, MessageCompleted, TaskCompleted, ToolCallCompleted, span
from agio.domain.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One append. `(run_id, first_seq)` is unique: that is the fence between two owners."""

    run_id: str
    group_id: str
    first_seq: int
    last_seq: int
    epoch: int
    attempt: int
    at: datetime
    events: tuple[Event, ...]
    branch_id: str | None = None
    """Set when there are messages."""
    position: int | None = None
    """Position of the first message on the branch; set when there are messages."""
    messages: tuple[Message, ...] = ()
    checkpoint: Checkpoint | None = None


def slim(event: Event, messages: tuple[Message, ...]) -> Event:
    """Return the event without what the entry's own messages say already (see `unfold`)."""
    match event:
        case MessageCompleted() if any(m.id == event.message_id for m in messages):
            return replace(event, content=None, tool_calls=None)
        case ToolCallCompleted() if any(m.tool_call_id == event.tool_call_id for m in messages):
            return replace(event, result=None)
        case TaskCompleted() if any(m.tool_call_id == event.task_id for m in messages):
            return replace(event, result=None)
    return event


def unfold(entry: Entry) -> Iterator[tuple[int, Event]]:
    """Yield `(first sequence number, event)` with everything that `slim` took out put back."""
    seq = entry.first_seq
    for event in entry.events:
        yield seq, _filled(event, entry.messages)
        seq += span(event)


def _filled(event: Event, messages: tuple[Message, ...]) -> Event:
    """Return the event with what `slim` took out."""
    match event:
        case MessageCompleted():
            for message in messages:
                if message.id == event.message_id:
                    return replace(event, content=message.content, tool_calls=calls_as_wire(message))
        case ToolCallCompleted() | TaskCompleted():
            call = event.tool_call_id if isinstance(event, ToolCallCompleted) else event.task_id
            for message in messages:
                if message.tool_call_id == call:
                    return replace(event, result=message.content)
    return event


def behind(entry: Entry, after: int) -> Entry:
    """Return the part of an entry that has the events behind `after`, which is before its last one.

    Texts that compaction joined across that place are taken apart again.
    """
    if after < entry.first_seq:
        return entry
    events: list[Event] = []
    seq = entry.first_seq
    for event in entry.events:
        skipped = after + 1 - seq
        seq += span(event)
        if seq <= after + 1:
            continue
        if isinstance(event, Deltas) and skipped > 0:
            event = replace(event, contents=event.texts[skipped:], sizes=None)
        events.append(event)
    return replace(entry, first_seq=after + 1, events=tuple(events))


def until(entry: Entry, last_seq: int) -> Entry:
    """Return the part of an entry that has the events up to `last_seq`, which is the place of one of them."""
    if last_seq >= entry.last_seq:
        return entry
    events: list[Event] = []
    seq = entry.first_seq
    for event in entry.events:
        if seq > last_seq:
            break
        events.append(event)
        seq += span(event)
    return replace(entry, last_seq=last_seq, events=tuple(events))


def calls_as_wire(message: Message) -> list[dict[str, Any]] | None:
    """Return the message's tool calls as `[{id, name, arguments}]`, or None when it has none."""
    if not message.tool_calls:
        return None
    return [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in message.tool_calls]
