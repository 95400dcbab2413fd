"""Follows journals: what is stored first, then what is committed, each event once and in order.

The one way to read a run, whatever the wire.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from agio.domain.errors import NotFound
from agio.domain.events import TERMINAL_EVENTS
from agio.domain.journal import Entry, behind
from agio.domain.runs import RunFilter
from agio.domain.status import LIVE, RunStatus
from agio.engine.caller import Caller
from agio.engine.hub import Hub, Published, Subscription
from agio.storage.port import Store

PAGE = 500
"""Entries read at a time."""
NEWEST = 100
"""How many of the newest runs a reader of many looks through for ones that it has not seen."""
OUTSIDE = 1_000
"""Up to so many runs of other sessions are remembered as such."""
EXECUTING = frozenset({RunStatus.QUEUED, RunStatus.RUNNING})
"""Runs that will have more events though nobody commands them."""


@dataclass(frozen=True, slots=True)
class Draining:
    """Last item of a tail that ends because this process stops: read on elsewhere."""


async def tail(
    store: Store, hub: Hub, caller: Caller, run_id: str, *, after: int = 0, follow: bool = True
) -> AsyncGenerator[Published | Draining, None]:
    """Yield the run's entries from the one with sequence number `after + 1` on.

    Ends after the terminal entry of the run's present attempt. Each entry begins behind the one before it, the
    first one behind `after`: of one that does not, the part that does is handed out.

    Raises:
        NotFound: no such run.
    """
    with hub.subscribe([run_id]) as subscription:
        cursor, last = after, None
        # What this process holds may lag behind the store by a commit; who follows gets the rest in a moment.
        held = hub.held(caller.group_id, run_id) if follow else []
        if not held:
            await store.get_run(caller.group_id, run_id)
        while True:
            began = cursor
            async for published in _given(held, cursor) if held else _stored(store, caller, run_id, cursor):
                yield published
                last, cursor = published.entry, published.entry.last_seq
            held = []
            if last is not None:  # what the caller says it has may be made up
                hub.note_heads({run_id: last.last_seq}, by=subscription)
            goes_on = cursor > began and last is not None and not _ends(last)
            if not follow or (not goes_on and await _is_over(store, caller, run_id, cursor, last)):
                return
            async for live in _live(subscription, cursor):
                yield live
                if isinstance(live, Draining):
                    return
                last, cursor = live.entry, live.entry.last_seq
                if _ends(last) and await _is_over(store, caller, run_id, cursor, last):
                    return


async def _given(held: list[Published], cursor: int) -> AsyncGenerator[Published, None]:
    """Yield what is behind `cursor` of the entries given."""
    for published in held:
        if published.entry.last_seq > cursor:
            yield published if published.entry.first_seq > cursor else Published(behind(published.entry, cursor))


async def _stored(store: Store, caller: Caller, run_id: str, cursor: int) -> AsyncGenerator[Published, None]:
    """Yield what the store has behind `cursor` by now."""
    entries: list[Entry] | None = None
    while entries is None or len(entries) == PAGE:
        entries = await store.read_entries(caller.group_id, run_id, after=cursor, limit=PAGE)
        for entry in entries:
            yield Published(behind(entry, cursor))
            cursor = entry.last_seq


async def _live(subscription: Subscription, cursor: int) -> AsyncGenerator[Published | Draining, None]:
    """Yield what is published, until the store must be asked."""
    while True:
        if subscription.is_closing:
            yield Draining()
            return
        batch = await subscription.take()
        if batch is None:
            return
        for published in batch:
            if published.entry.first_seq > cursor + 1:
                return
            if published.entry.last_seq > cursor:
                yield _behind(published, cursor)
                cursor = published.entry.last_seq
            elif _ends(published.entry):
                return


def _behind(published: Published, cursor: int) -> Published:
    """Return the part behind the cursor: nearly always all of it, which is encoded once for all readers."""
    return published if published.entry.first_seq > cursor else Published(behind(published.entry, cursor))


def _ends(entry: Entry) -> bool:
    return isinstance(entry.events[-1], TERMINAL_EVENTS)


async def _is_over(store: Store, caller: Caller, run_id: str, cursor: int, last: Entry | None) -> bool:
    """Say whether nothing will follow: the journal ends, and no newer attempt was asked for."""
    try:
        run = await store.get_run(caller.group_id, run_id)
    except NotFound:
        return True
    if last is None:
        cursor = min(cursor, await store.head(caller.group_id, run_id))
        before = await store.read_entries(caller.group_id, run_id, after=cursor - 1, limit=1)
        last = before[0] if before else None
    return last is not None and _ends(last) and last.attempt >= run.attempt


@dataclass(slots=True, kw_only=True)
class Selection:
    """Which runs a reader of many follows."""

    run_ids: tuple[str, ...] = ()
    session_id: str | None = None
    everything: bool = False
    cursors: dict[str, int] = field(default_factory=dict)
    """Last sequence number that the reader has, by run id; those it does not name start at 0."""

    @property
    def is_open(self) -> bool:
        """Runs may join it later."""
        return self.everything or self.session_id is not None


class _Outside:
    """Runs of other sessions: each is asked for once, and forgotten when it ends."""

    def __init__(self) -> None:
        self._runs: set[str] = set()

    def has(self, entry: Entry) -> bool:
        """Say whether an entry is of such a run."""
        found = entry.run_id in self._runs and entry.first_seq > 1
        if found and _ends(entry):
            self._runs.discard(entry.run_id)
        return found

    def add(self, run_id: str) -> None:
        """Note one; many that end in other processes are forgotten together, and asked for again."""
        if len(self._runs) >= OUTSIDE:
            self._runs.clear()
        self._runs.add(run_id)


async def tail_many(
    store: Store, hub: Hub, caller: Caller, selection: Selection
) -> AsyncGenerator[Published | Draining, None]:
    """Yield the entries of several runs as they come, each run's in order; never ends by itself."""
    group = caller.group_id if selection.is_open else None
    cursors = dict(selection.cursors)
    outside = _Outside()
    with hub.subscribe(selection.run_ids, group) as subscription:
        for run_id in selection.run_ids:
            await store.get_run(caller.group_id, run_id)
            cursors.setdefault(run_id, 0)
        await _join(store, caller, selection, cursors, LIVE)
        while True:
            async for published in _catch_up(store, hub, subscription, caller, cursors):
                yield published
            async for item in _live_many(store, caller, subscription, selection, cursors, outside):
                yield item
                if isinstance(item, Draining):
                    return
            await _join(store, caller, selection, cursors, EXECUTING)


async def _join(
    store: Store, caller: Caller, selection: Selection, cursors: dict[str, int], statuses: frozenset[RunStatus]
) -> None:
    """Add the newest runs that the selection takes in, and all of them that have one of the statuses."""
    if not selection.is_open:
        return
    where = RunFilter(session_id=selection.session_id)
    page = await store.list_runs(caller.group_id, where, limit=NEWEST)
    cursors |= {run.id: 0 for run in page.items if run.id not in cursors}
    where, place = replace(where, statuses=statuses), None
    while True:
        page = await store.list_runs(caller.group_id, where, limit=PAGE, cursor=place)
        cursors |= {run.id: 0 for run in page.items if run.id not in cursors}
        place = page.next_cursor
        if place is None:
            return


async def _catch_up(
    store: Store, hub: Hub, subscription: Subscription, caller: Caller, cursors: dict[str, int]
) -> AsyncGenerator[Published, None]:
    heads = await store.heads(list(cursors))
    for run_id, head in heads.items():
        while cursors[run_id] < head:
            entries = await store.read_entries(caller.group_id, run_id, after=cursors[run_id], limit=PAGE)
            if not entries:
                break
            for entry in entries:
                yield Published(behind(entry, cursors[run_id]))
                cursors[run_id] = entry.last_seq
    hub.note_heads({run_id: cursors[run_id] for run_id in heads}, by=subscription)


async def _live_many(
    store: Store,
    caller: Caller,
    subscription: Subscription,
    selection: Selection,
    cursors: dict[str, int],
    outside: _Outside,
) -> AsyncGenerator[Published | Draining, None]:
    """Yield what is published, until the store must be asked; note in `outside` the runs of other sessions."""
    while True:
        if subscription.is_closing:
            yield Draining()
            return
        batch = await subscription.take()
        if batch is None:
            return
        for published in batch:
            entry = published.entry
            if outside.has(entry):
                continue
            if entry.run_id not in cursors and not await _is_inside(store, caller, selection, entry.run_id):
                outside.add(entry.run_id)
                continue
            cursor = cursors.setdefault(entry.run_id, 0)
            if entry.first_seq > cursor + 1:
                return
            if entry.last_seq > cursor:
                cursors[entry.run_id] = entry.last_seq
                yield _behind(published, cursor)


async def _is_inside(store: Store, caller: Caller, selection: Selection, run_id: str) -> bool:
    """Say whether a run that is not followed yet shall be; the session of a run never changes."""
    if selection.everything or selection.session_id is None:
        return selection.everything
    try:
        return (await store.get_run(caller.group_id, run_id)).session_id == selection.session_id
    except NotFound:
        return False
