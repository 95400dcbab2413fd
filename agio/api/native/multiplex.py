"""Many runs in one event stream, for a UI that has one connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from agio.api.context import CallerDep, EngineDep
from agio.api.problems import documented
from agio.api.sse import (
    EVENT_SCHEMA,
    FAREWELL,
    RETRY,
    STORE_AWAY,
    EventStream,
    LastEventIdText,
    parse_last_event_id,
    stream_bytes,
)
from agio.domain.errors import Invalid, NotFound, StoreUnavailable
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.creation import get_run
from agio.engine.engine import Engine
from agio.engine.tail import Draining, Selection

router = APIRouter(tags=["events"])

OVERLAP = timedelta(seconds=5)
"""How far a reconnect goes back in the runs that its `Last-Event-ID` does not name."""
NEWEST = 500
"""How many of the newest runs, besides all live ones, a reader of everything is given a place in."""

_ID = r"[A-Za-z0-9_-]{1,64}"

_EXAMPLE = """retry: 1000

event: content_delta
data: {"type":"content_delta","run_id":"r1","at":"2026-11-21T12:00:00.000Z","step":1,"seq":2,"content":"42"}
id: r1/2

"""
FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events of all these runs as they come; the stream does not end by itself.",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": _EXAMPLE}},
    }
}


@router.get(
    "/events",
    operation_id="followEvents",
    summary="Follow several runs",
    response_model=None,
    responses=FOLLOWED | documented(404),
)
async def follow_events(
    engine: EngineDep,
    caller: CallerDep,
    runs: Annotated[
        str | None, Query(pattern=f"^{_ID}(,{_ID})*$", max_length=6500, description="Ids, with commas between.")
    ] = None,
    session_id: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    everything: Annotated[bool, Query(alias="all", description="Every run, from now on.")] = False,
    after: Annotated[
        str | None,
        Query(pattern=f"^{_ID}:[0-9]{{1,15}}(,{_ID}:[0-9]{{1,15}})*$", max_length=8200, examples=["run-1:5,run-2:9"]),
    ] = None,
    last_event_id: Annotated[LastEventIdText, Header(description="`<run>/<seq>`; wins over `after`.")] = None,
) -> Response:
    """Of `runs` and of a session everything, of `all` what comes; then live. Ids are `<run>/<seq>`.

    A reconnect repeats the last seconds of the runs that its id does not name: apply each `(run_id, seq)` once.
    """
    selection = _select(runs, session_id, everything=everything)
    start = await _start(engine, caller, selection, after, last_event_id)
    return EventStream(_stream(engine, caller, selection, start))


def _select(runs: str | None, session_id: str | None, *, everything: bool) -> Selection:
    if (runs is not None) + (session_id is not None) + everything != 1:
        raise Invalid("name either runs, or a session_id, or all=true", field="runs")
    run_ids = tuple(dict.fromkeys(runs.split(","))) if runs else ()
    return Selection(run_ids=run_ids, session_id=session_id, everything=everything)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a reader of many begins."""

    since: datetime | None
    """Nothing older is sent of runs that join later; None: everything."""


async def _start(
    engine: Engine, caller: Caller, selection: Selection, after: str | None, last_event_id: str | None
) -> _Start:
    """Give the selection its cursors.

    Raises:
        NotFound: a run or the session that is asked for.
        Invalid: `after` or `Last-Event-ID` names a place that is not in this stream.
    """
    known = {run.id: run for run in await _known_runs(engine, caller, selection)}
    last = await _last_place(engine, caller, selection, known, last_event_id)
    given = await _given_places(engine, caller, selection, known, after)
    heads = await engine.store.heads(list(known))
    _check_heads(heads, given, "after")
    _check_heads(heads, last, "Last-Event-ID")
    since = utc_now() - OVERLAP
    if last:
        [(run_id, seq)] = last.items()
        since = await _time_of(engine, caller, run_id, seq) - OVERLAP
        for run in known.values():
            place = await _place_before(engine, caller, run, heads.get(run.id, 0), since)
            selection.cursors[run.id] = max(place, given.get(run.id, 0))
        selection.cursors |= last
    else:
        present = heads if selection.everything else dict.fromkeys(known, 0)
        selection.cursors |= present | given
    return _Start(since if selection.everything else None)


async def _known_runs(engine: Engine, caller: Caller, selection: Selection) -> Sequence[Run]:
    if selection.session_id is not None:
        await engine.sessions.get(caller, selection.session_id)
        return await engine.sessions.runs(caller, selection.session_id)
    if not selection.everything:
        return [await get_run(engine.store, caller, run_id) for run_id in selection.run_ids]
    return await engine.sessions.present_runs(caller, newest=NEWEST)


async def _last_place(
    engine: Engine, caller: Caller, selection: Selection, known: dict[str, Run], last_event_id: str | None
) -> dict[str, int]:
    place = parse_last_event_id(last_event_id)
    if place is None:
        return {}
    run_id, seq = place
    if run_id is None or seq == 0:
        raise Invalid(
            f"{last_event_id!r} is not an event id of this stream: it has the form <run>/<seq>", field="Last-Event-ID"
        )
    await _admit(engine, caller, selection, known, run_id, "Last-Event-ID")
    return {run_id: seq}


async def _given_places(
    engine: Engine, caller: Caller, selection: Selection, known: dict[str, Run], after: str | None
) -> dict[str, int]:
    places: dict[str, int] = {}
    for part in after.split(",") if after else ():
        run_id, _, seq = part.rpartition(":")
        await _admit(engine, caller, selection, known, run_id, "after")
        places[run_id] = int(seq)
    return places


async def _admit(
    engine: Engine, caller: Caller, selection: Selection, known: dict[str, Run], run_id: str, field: str
) -> None:
    """Refuse a place in a run that is not in the stream; an old run may be, though it is not known yet."""
    if run_id in known:
        return
    try:
        run = await engine.store.get_run(caller.group_id, run_id) if selection.everything else None
    except NotFound:
        run = None
    if run is None:
        raise Invalid(f"this stream has no run {run_id[:80]!r}", field=field)
    known[run_id] = run


def _check_heads(heads: dict[str, int], places: dict[str, int], field: str) -> None:
    for run_id, seq in places.items():
        if seq > heads.get(run_id, 0):
            raise Invalid(f"event {seq} of run {run_id!r} does not exist", field=field)


async def _time_of(engine: Engine, caller: Caller, run_id: str, seq: int) -> datetime:
    entries = await engine.store.read_entries(caller.group_id, run_id, after=seq - 1, limit=1)
    return entries[0].at if entries else utc_now()


async def _place_before(engine: Engine, caller: Caller, run: Run, head: int, since: datetime) -> int:
    """Return the sequence number of the run's last event before `since`, 0 when there is none."""
    if run.created_at >= since:
        return 0
    if run.is_terminal and run.ended_at is not None and run.ended_at < since:
        return head
    low, high = 0, head
    while low < high:
        middle = (low + high) // 2
        entries = await engine.store.read_entries(caller.group_id, run.id, after=middle, limit=1)
        if entries and entries[0].at < since:
            low = entries[0].last_seq
        else:
            high = middle
    return low


async def _stream(engine: Engine, caller: Caller, selection: Selection, start: _Start) -> AsyncIterator[bytes]:
    yield RETRY
    returned: set[str] = set()
    try:
        async with aclosing(engine.tail_many(caller, selection)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    yield FAREWELL
                    return
                entry = item.entry
                is_new = entry.run_id not in selection.cursors
                if is_new and start.since is not None and entry.at < start.since:
                    # A run from before that was taken up again: what it did then is not news. New runs are told
                    # from it by their first entry, so that a worker whose clock is late loses nothing.
                    if entry.first_seq == 1:
                        returned.add(entry.run_id)
                    if entry.run_id in returned:
                        continue
                yield stream_bytes(item, "run/seq")
    except StoreUnavailable:
        yield STORE_AWAY
    finally:
        leaving = asyncio.ensure_future(_leave(engine, caller, selection.run_ids))
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)


_leaving: set[asyncio.Future[None]] = set()


async def _leave(engine: Engine, caller: Caller, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        await engine.leave(caller, run_id)
