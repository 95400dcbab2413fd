"""The events of a run and of all its children as one stream.

An event's id names the place of every run of the tree that has not ended for the reader, so that who comes back
misses nothing and gets nothing twice.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi.responses import Response

from agio.api.native.attach import is_at_end
from agio.api.sse import (
    FAREWELL,
    RETRY,
    STORE_AWAY,
    EventStream,
    by_itself,
    last_id,
    one_line,
    parse_last_event_id,
    wire_events,
)
from agio.domain.errors import Invalid, StoreUnavailable
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.trees import Leaf

MAX_PLACES = 2000
"""How many runs one event id may name."""

_encode = msgspec.json.Encoder().encode

Head = Callable[[Leaf, Mapping[str, Any]], bytes | None]
"""Makes an event's frame, without its id; None: the stream does not tell of it."""


class Places:
    """Where a reader stands in each run that has not ended for it."""

    def __init__(self, root_id: str, given: Mapping[str, int]) -> None:
        self.by_run = {root_id: given.get(root_id, 0)} | dict(given)
        self._parents: dict[str, str] = {}

    def pass_on(self, leaf: Leaf, event: Mapping[str, Any]) -> str:
        """Take note of an event; return its id."""
        run_id = event["run_id"]
        if leaf.place is not None:
            self._parents[run_id] = leaf.place.parent_run_id
        self.by_run[run_id] = last_id(event)
        if event["type"] in ("task_completed", "task_failed"):
            self._forget(event["child_run_id"])
        others = (f"{one}/{seq}" for one, seq in self.by_run.items() if one != run_id)
        return ",".join((*others, f"{run_id}/{self.by_run[run_id]}"))

    def _forget(self, run_id: str) -> None:
        """A run has ended, and so has all below it."""
        self.by_run.pop(run_id, None)
        for below in [one for one, parent in self._parents.items() if parent == run_id]:
            del self._parents[below]
            self._forget(below)


def parse_places(text: str | None, root_id: str) -> dict[str, int]:
    """Return the places that an event id of a tree's stream names.

    Raises:
        Invalid: no stream of ours sends such an id.
    """
    places: dict[str, int] = {}
    parts = text.split(",") if text else []
    if len(parts) > MAX_PLACES:
        raise Invalid(f"an event id names at most {MAX_PLACES} runs", field="Last-Event-ID")
    for part in parts:
        place = parse_last_event_id(part)
        if place is None or (place[0] is None and len(parts) > 1):
            raise Invalid(f"{part[:80]!r} is not an event id of this stream", field="Last-Event-ID")
        places[place[0] or root_id] = place[1]
    return places


def whole_event(leaf: Leaf, event: Mapping[str, Any]) -> bytes | None:
    """Return the frame of a native event."""
    return b"event: %b\ndata: %b\n" % (event["type"].encode(), one_line(_encode({**_where(leaf), **event})))


async def attach_to_tree(
    engine: Engine, caller: Caller, run: Run, places: Mapping[str, int], head: Head = whole_event
) -> Response:
    """Answer with the events of a run and its children behind the places; 204 when none will follow.

    Raises:
        Invalid: a run has not come that far.
    """
    heads = await engine.store.heads(list(places)) if places else {}
    for run_id, seq in places.items():
        if seq > heads.get(run_id, 0):
            raise Invalid(f"event {seq} of run {run_id[:80]!r} does not exist", field="Last-Event-ID")
    if places.keys() == {run.id} and await is_at_end(engine, caller, run, places[run.id]):
        return Response(status_code=204)
    headers = {"X-Run-ID": run.id, "X-Session-ID": run.session_id, "Location": f"/api/workflows/{run.id}"}
    return EventStream(_stream(engine, caller, run, places, head), headers)


async def _stream(
    engine: Engine, caller: Caller, run: Run, given: Mapping[str, int], head: Head
) -> AsyncIterator[bytes]:
    yield RETRY
    places = Places(run.id, given)
    try:
        async with aclosing(engine.trees.follow(caller, run.id, given)) as items:
            async for chunk in _frames(items, places, head):
                yield chunk
    except StoreUnavailable:  # the answer has begun: it can only end, and be asked for again
        yield STORE_AWAY
    finally:
        by_itself(engine.leave(caller, run.id))


async def _frames(items: AsyncGenerator[Leaf | Draining, None], places: Places, head: Head) -> AsyncIterator[bytes]:
    async for item in items:
        if isinstance(item, Draining):
            yield FAREWELL
            return
        frames = []
        for event in wire_events(item.published.entry):
            made, place = head(item, event), places.pass_on(item, event)
            if made is not None:
                frames.append(b"%bid: %b\n\n" % (made, place.encode()))
        if frames:
            yield b"".join(frames)


def _where(leaf: Leaf) -> dict[str, Any]:
    """Return what every event of the stream says of its run's place in the tree."""
    place = leaf.place
    if place is None:
        return {"depth": 0}
    return {"depth": place.depth, "parent_run_id": place.parent_run_id, "task_id": place.task_id}
