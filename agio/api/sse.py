"""Runs as event streams: frames, cursors, responses.

A frame is made once per event, whatever the number of readers; frames of one commit are sent at once.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import anyio
import msgspec
from pydantic import WithJsonSchema
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from agio import crashes
from agio.domain.errors import Invalid, StoreUnavailable
from agio.domain.events import Deltas, Event, fields_of
from agio.domain.journal import Entry, unfold
from agio.engine.hub import Published
from agio.engine.tail import Draining

log = logging.getLogger(__name__)

IdStyle = Literal["seq", "run/seq"]
"""`seq` where the URL names the run, `run/seq` where it does not."""

KEEP_ALIVE_S = 3
"""Clients with a read time-out of 5 s live through silent steps (seed conflict C6)."""
SEND_TIMEOUT_S = 30
"""A reader that takes nothing for so long is dropped; the run does not notice."""
RETRY = b"retry: 1000\n\n"
FAREWELL = b": server closing, read on from the last id\nretry: 500\n\n"
STORE_AWAY = b": the store is away, read on from the last id\nretry: 2000\n\n"

_encode = msgspec.json.Encoder().encode
_ODD_BREAKS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def instant(at: datetime) -> str:
    """Return an instant as it stands on the wire: ISO 8601, UTC, milliseconds, `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wire_event(entry: Entry, seq: int, event: Event) -> dict[str, Any]:
    """Return the `data` object of an event (not of `Deltas`)."""
    return {"type": event.type, "run_id": entry.run_id, "seq": seq, "at": instant(entry.at), **fields_of(event)}


def wire_events(entry: Entry) -> list[dict[str, Any]]:
    """Return the `data` objects of all events of an entry."""
    found = []
    for seq, event in unfold(entry):
        if isinstance(event, Deltas):
            found += [_delta(entry, seq + offset, event, offset) for offset in range(len(event.contents))]
        else:
            found.append(wire_event(entry, seq, event))
    return found


def _delta(entry: Entry, seq: int, event: Deltas, offset: int) -> dict[str, Any]:
    wire = {
        "type": f"{event.of}_delta",
        "run_id": entry.run_id,
        "seq": seq,
        "at": instant(entry.at),
        "step": event.step,
        "message_id": event.message_id,
        "content": event.contents[offset],
    }
    if event.sizes is not None:
        wire["compacted"] = {"through_seq": seq + len(event.sizes) - 1}
    return wire


def last_id(wire: Mapping[str, Any]) -> int:
    """Return the last event id that a `data` object stands for."""
    through: int = wire["compacted"]["through_seq"] if "compacted" in wire else wire["seq"]
    return through


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one entry, without their id lines."""

    ids: list[int]
    """The last event that each stands for: who has it reads on behind that."""
    heads: list[bytes]


def make_frames(entry: Entry) -> Frames:
    """Encode an entry's events."""
    ids: list[int] = []
    heads: list[bytes] = []
    for seq, event in unfold(entry):
        if isinstance(event, Deltas) and event.sizes is None:
            _add_deltas(entry, seq, event, ids, heads)
            continue
        data = _delta(entry, seq, event, 0) if isinstance(event, Deltas) else wire_event(entry, seq, event)
        ids.append(last_id(data))
        heads.append(f"event: {data['type']}\ndata: ".encode() + one_line(_encode(data)) + b"\n")
    return Frames(ids, heads)


def _add_deltas(entry: Entry, seq: int, event: Deltas, ids: list[int], heads: list[bytes]) -> None:
    """The hot path: what a message's tokens share is encoded once per entry."""
    name = f"{event.of}_delta"
    common = {"type": name, "run_id": entry.run_id, "at": instant(entry.at), "step": event.step}
    shared = _encode({**common, "message_id": event.message_id})[:-1]
    start = f"event: {name}\ndata: ".encode() + shared + b',"seq":'
    for offset, content in enumerate(event.contents):
        ids.append(seq + offset)
        heads.append(b'%b%d,"content":%b}\n' % (start, seq + offset, one_line(_encode(content))))


def one_line(data: bytes) -> bytes:
    """Escape what some readers take for a line break though JSON does not."""
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        for raw, escaped in _ODD_BREAKS:
            data = data.replace(raw, escaped)
    return data


def data_line(value: Any) -> bytes:
    """Return `data: <JSON on one line>` with its line end; a frame is this and an empty line at least."""
    return b"data: %b\n" % one_line(_encode(value))


def stream_bytes(published: Published, style: IdStyle) -> bytes:
    """Return the frames of an entry, joined."""
    return published.memo(style, lambda entry: _join(published.memo("frames", make_frames), entry, style))


def _join(frames: Frames, entry: Entry, style: IdStyle) -> bytes:
    prefix = b"id: " if style == "seq" else f"id: {entry.run_id}/".encode()
    return b"".join(b"%b%b%d\n\n" % (head, prefix, seq) for seq, head in zip(frames.ids, frames.heads, strict=True))


EVENT_SCHEMA: dict[str, Any] = {
    "description": "One event of the stream.",
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "Its name, as in `data.type`."},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string", "description": "Give it as `Last-Event-ID` to read on behind it."},
        "retry": {"type": "integer"},
    },
}
LastEventIdText = Annotated[
    str | None, WithJsonSchema({"type": "string", "pattern": r"^(([A-Za-z0-9_-]{1,64}/)?[0-9]{1,15})?$"})
]
"""The pattern is for readers: what does not fit is answered with 400, and an empty id is none."""


def parse_last_event_id(text: str | None) -> tuple[str | None, int] | None:
    """Return `(run id or None, seq)` of a `Last-Event-ID`, None when there is none.

    Raises:
        Invalid: no stream of ours sends such an id.
    """
    if text is None or text == "":
        return None
    run_id, _, seq = text.rpartition("/")
    if not seq.isascii() or not seq.isdigit() or len(seq) > 15:
        raise Invalid(f"{text[:80]!r} is not an event id of this stream", field="Last-Event-ID")
    return run_id or None, int(seq)


async def stream(
    tail: AsyncGenerator[Published | Draining, None],
    *,
    style: IdStyle = "seq",
    on_leave: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[bytes]:
    """Yield a tail as bytes of an event stream."""
    yield RETRY
    left = True
    try:
        async with aclosing(tail) as items:
            async for item in items:
                if isinstance(item, Draining):
                    left = False  # it was sent away, and reads on elsewhere
                    yield FAREWELL
                    return
                yield stream_bytes(item, style)
        left = False  # the run is over
        crashes.at("close")
    except StoreUnavailable:  # the answer has begun: it can only end, and be asked for again
        yield STORE_AWAY
    finally:
        if left and on_leave is not None:
            by_itself(on_leave())


def by_itself(work: Awaitable[None]) -> None:
    """Do the rest of a response's work after it has ended, even where it was cancelled."""
    leaving = asyncio.ensure_future(work)
    _leaving.add(leaving)
    leaving.add_done_callback(_leaving.discard)


_leaving: set[asyncio.Future[None]] = set()


KEEP_ALIVE = ServerSentEvent(comment="keep-alive", sep="\n")
"""A comment, which readers pass over."""


class EventStream(EventSourceResponse):
    """An event stream with Agio's line ends, keep-alives and time limits.

    A reader that takes nothing for `SEND_TIMEOUT_S` is left; that is its affair and no failure of ours.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        headers: dict[str, str] | None = None,
        keep_alive: ServerSentEvent = KEEP_ALIVE,
    ) -> None:
        super().__init__(
            content,
            headers={"X-Accel-Buffering": "no", **(headers or {})},
            ping=KEEP_ALIVE_S,
            ping_message_factory=lambda: keep_alive,
            sep="\n",
            send_timeout=SEND_TIMEOUT_S,
            shutdown_event=anyio.Event(),
            shutdown_grace_period=2,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except* SendTimeoutError:
            log.info("left a reader that takes nothing", extra={"path": scope["path"]})
            await _hang_up(scope)


async def _hang_up(scope: Scope) -> None:
    """Drop the connection with what waits in it; closing would wait for the reader to take it.

    Only our own protocol can (`bootstrap.protocol`); elsewhere the server closes it and logs an early end.
    """
    hang_up = scope.get("extensions", {}).get("agio.hang_up")
    if hang_up is not None:
        hang_up["call"]()
        await asyncio.sleep(0)  # let the server hear of it before the answer ends
