"""Hands committed entries to the readers in this process.

A reader that falls behind loses its place in memory, not an event: it goes back to the store.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from agio.domain.journal import Entry

T = TypeVar("T")

HELD_ENTRIES = 16
"""How many entries of a run that began here are kept for readers that come at once."""


class Published:
    """A committed entry on its way to any number of readers."""

    __slots__ = ("_memo", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._memo: dict[str, Any] = {}

    def memo(self, key: str, make: Callable[[Entry], T]) -> T:
        """Return `make(entry)`, made once for all readers: events are encoded once."""
        if key not in self._memo:
            self._memo[key] = make(self.entry)
        made: T = self._memo[key]
        return made


class Subscription:
    """One reader's place in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: deque[Published] = deque()
        self._stale = False
        self._closing = False
        self._event = asyncio.Event()

    def push(self, published: Published) -> None:
        """Hand an entry over; a full place is given up instead."""
        if len(self._queue) >= self._limit:
            self._queue.clear()
            self._stale = True
        if not self._stale:
            self._queue.append(published)
        self._event.set()

    def poke(self) -> None:
        """Say that the store may have more."""
        self._stale = True
        self._event.set()

    def close(self) -> None:
        """Say that the reader shall end."""
        self._closing = True
        self._event.set()

    @property
    def is_closing(self) -> bool:
        """The process drains."""
        return self._closing

    async def take(self) -> list[Published] | None:
        """Wait and return what came, or None when the store must be read."""
        await self._event.wait()
        self._event.clear()
        batch = list(self._queue)
        self._queue.clear()
        if self._stale:
            self._stale = False
            return None
        return batch


class Hub:
    """All readers of a process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_run: dict[str, set[Subscription]] = {}
        self._by_group: dict[str, set[Subscription]] = {}
        self._heads: dict[str, int] = {}
        self._held: dict[str, list[Published]] = {}
        self._draining = False
        self.on_first_reader: Callable[[], None] = lambda: None
        """Called when a run gets its first reader here."""
        self.on_readers: Callable[[int], None] = lambda count: None
        """Called with the number of readers, when one comes or goes."""
        self._readers = 0

    @contextmanager
    def subscribe(self, run_ids: Iterable[str] = (), group_id: str | None = None) -> Iterator[Subscription]:
        """Register a reader of some runs, or of a whole group, before it reads the store."""
        subscription = Subscription(self._limit)
        runs = list(run_ids)
        for run_id in runs:
            self._by_run.setdefault(run_id, set()).add(subscription)
        if group_id is not None:
            self._by_group.setdefault(group_id, set()).add(subscription)
        if self._draining:
            subscription.close()
        self._count(1)
        self.on_first_reader()
        try:
            yield subscription
        finally:
            self._count(-1)
            for run_id in runs:
                self._drop(self._by_run, run_id, subscription)
                if run_id not in self._by_run:
                    self._heads.pop(run_id, None)
            if group_id is not None:
                self._drop(self._by_group, group_id, subscription)

    def _count(self, change: int) -> None:
        self._readers += change
        self.on_readers(self._readers)

    @staticmethod
    def _drop(table: dict[str, set[Subscription]], key: str, subscription: Subscription) -> None:
        readers = table[key]
        readers.discard(subscription)
        if not readers:
            del table[key]

    def hold(self, first: Entry) -> None:
        """Keep a run's entries from its first, committed one on, as long as they are few."""
        self._held[first.run_id] = [Published(first)]

    def held(self, group_id: str, run_id: str) -> list[Published]:
        """Return all entries of a run's journal so far; none where the store must be asked."""
        held = self._held.get(run_id, [])
        return list(held) if held and held[0].entry.group_id == group_id else []

    def release(self, run_id: str) -> None:
        """Keep the run's entries no more."""
        self._held.pop(run_id, None)

    def publish(self, entry: Entry) -> None:
        """Hand a committed entry to its readers."""
        readers = self._by_run.get(entry.run_id)
        watchers = self._by_group.get(entry.group_id)
        held = self._held.get(entry.run_id)
        if not readers and not watchers and not held:
            return
        published = Published(entry)
        if held:
            held.append(published)
            if len(held) > HELD_ENTRIES:
                self.release(entry.run_id)
        if readers:
            self._heads[entry.run_id] = entry.last_seq
            for subscription in readers:
                subscription.push(published)
        for subscription in watchers or ():
            subscription.push(published)

    def poke(self, run_id: str, *, by: Subscription | None = None) -> None:
        """Say that the store may have more of a run; `by` knows."""
        for subscription in self._by_run.get(run_id, ()):
            if subscription is not by:
                subscription.poke()

    def poke_groups(self) -> None:
        """Say to the readers of whole groups that the store may have more."""
        for readers in self._by_group.values():
            for subscription in readers:
                subscription.poke()

    def note_heads(self, heads: dict[str, int], *, by: Subscription | None = None) -> None:
        """Take note of how far journals reach in the store; wake the readers that lag. `by` read that far."""
        for run_id, head in heads.items():
            if run_id in self._by_run and head > self._heads.get(run_id, 0):
                self._heads[run_id] = head
                self.poke(run_id, by=by)

    @property
    def watched(self) -> list[str]:
        """Runs that have readers here."""
        return list(self._by_run)

    @property
    def has_group_readers(self) -> bool:
        """Some reader follows a whole group."""
        return bool(self._by_group)

    def count(self, run_id: str) -> int:
        """Return how many readers a run has here."""
        return len(self._by_run.get(run_id, ()))

    def drain(self) -> None:
        """End all readers, also those yet to come."""
        self._draining = True
        for table in (self._by_run, self._by_group):
            for readers in table.values():
                for subscription in readers:
                    subscription.close()
