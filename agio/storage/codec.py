"""The stored form of entries and records: JSON text, the same in every database."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from agio.domain.checkpoints import Checkpoint
from agio.domain.events import EVENT_TYPES, Event, fields_of
from agio.domain.journal import Entry, slim
from agio.domain.messages import Message

T = TypeVar("T")

CHUNK_BYTES = 1024 * 1024
"""Size of a chunk of a part that is too large to be stored inline."""

_encode = msgspec.json.Encoder().encode
_decode_messages = msgspec.json.Decoder(tuple[Message, ...]).decode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode
_decode_events = {name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()}
"""Made here for what making them leaves behind: two threads that learn one class at the same time crash msgspec."""
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()
"""Held while a decoder is made; see above."""


@dataclass(slots=True, kw_only=True)
class EntryParts:
    """An entry, ready to be stored. `at` is in Unix microseconds."""

    run_id: str
    group_id: str
    first_seq: int
    last_seq: int
    epoch: int
    attempt: int
    at: int
    events: str
    branch_id: str | None = None
    position: int | None = None
    message_count: int = 0
    messages: str | None = None
    checkpoint: str | None = None
    checkpoint_seq: int | None = None
    session_id: str | None = None
    """Set where there is a checkpoint."""


def dump_entry(entry: Entry) -> EntryParts:
    """Return the stored form of an entry."""
    checkpoint = entry.checkpoint
    return EntryParts(
        run_id=entry.run_id,
        group_id=entry.group_id,
        first_seq=entry.first_seq,
        last_seq=entry.last_seq,
        epoch=entry.epoch,
        attempt=entry.attempt,
        at=to_micros(entry.at),
        events=dump_events(entry),
        branch_id=entry.branch_id if entry.messages else None,
        position=entry.position if entry.messages else None,
        message_count=len(entry.messages),
        messages=dump_messages(entry.messages) if entry.messages else None,
        checkpoint=dump_checkpoint(checkpoint) if checkpoint else None,
        checkpoint_seq=checkpoint.seq if checkpoint else None,
        session_id=checkpoint.session_id if checkpoint else None,
    )


def dump_events(entry: Entry) -> str:
    """Return the stored form of the events of one entry."""
    return _encode([{"type": e.type, **fields_of(slim(e, entry.messages))} for e in entry.events]).decode()


def load_entry(parts: EntryParts) -> Entry:
    """Return the entry that `parts` store."""
    return Entry(
        run_id=parts.run_id,
        group_id=parts.group_id,
        first_seq=parts.first_seq,
        last_seq=parts.last_seq,
        epoch=parts.epoch,
        attempt=parts.attempt,
        at=from_micros(parts.at),
        events=load_events(parts.events),
        branch_id=parts.branch_id,
        position=parts.position,
        messages=load_messages(parts.messages) if parts.messages else (),
        checkpoint=load_checkpoint(parts.checkpoint) if parts.checkpoint else None,
    )


def load_events(text: str) -> tuple[Event, ...]:
    """Return the events of one entry."""
    raw: list[dict[str, Any]] = msgspec.json.decode(text)
    return tuple(msgspec.convert(item, EVENT_TYPES[item["type"]]) for item in raw)


def dump_messages(messages: Sequence[Message]) -> str:
    """Return the stored form of the messages of one entry."""
    return _encode([_given(message) for message in messages]).decode()


def _given(record: Message | Checkpoint) -> dict[str, Any]:
    """Return the fields that differ from their defaults: most of them seldom do."""
    return {
        field.name: value
        for field in fields(record)
        if (value := getattr(record, field.name)) is not None and value != () and value != {} and value is not False
    }


def load_messages(text: str) -> tuple[Message, ...]:
    """Return the messages of one entry."""
    return _decode_messages(text)


def load_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of one entry."""
    return _decode_checkpoint(text)


def dump_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the stored form of a checkpoint."""
    return _encode({"parent_id": None} | _given(checkpoint)).decode()


def dump_record(record: Any) -> str:
    """Return the stored form of a domain dataclass."""
    return _encode(record).decode()


def load_record(text: str, record_type: type[T]) -> T:
    """Return the domain dataclass that `text` stores."""
    decoder = _decoders.get(record_type)
    if decoder is None:
        with _building:
            decoder = _decoders[record_type] = msgspec.json.Decoder(record_type)
    record: T = decoder.decode(text)
    return record


def to_micros(instant: datetime) -> int:
    """Return Unix microseconds."""
    return round(instant.timestamp() * 1_000_000)


def from_micros(micros: int) -> datetime:
    """Return the instant of Unix microseconds."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def cut(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield `(SHA-256 in hex, bytes)` of the chunks that `text` is stored in."""
    raw = text.encode()
    for start in range(0, len(raw), CHUNK_BYTES):
        chunk = raw[start : start + CHUNK_BYTES]
        yield hashlib.sha256(chunk).hexdigest(), chunk


def reference(hashes: list[str]) -> str:
    """Return what stands inline for a part that is stored in chunks."""
    return "@" + ",".join(hashes)


def referenced(text: str) -> list[str] | None:
    """Return the chunk hashes that `text` stands for, None when it is the part itself.

    JSON never begins with `@`.
    """
    return text[1:].split(",") if text.startswith("@") else None
