"""Noticing that another process has written, through SQLite's `data_version`."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from agio.storage.port import Interest
from agio.storage.sqlite.connection import Connection

EAGER_S = 0.02
"""Between two looks while somebody waits for what other processes write."""

CALM_S = 0.25
"""Between two looks otherwise."""

GLANCE_S = 0.05
"""Between two looks at whether somebody waits now."""


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    interest: Interest
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self.loop.call_soon_threadsafe(self.woken.set)


class Watch:
    """Wakes listeners when the database was changed by a connection other than the writer's.

    The writer's thread looks, so that the process's own writes do not count.
    """

    def __init__(self, writer: Connection) -> None:
        self._listeners: tuple[_Listener, ...] = ()  # replaced, never changed: two threads see it
        self._version = _version(writer)
        self._looked_at = 0.0
        self._ended = False

    async def listen(self, interest: Interest, wake_writer: Callable[[], None]) -> AsyncGenerator[None, None]:
        """Yield after changes, until `end`; many changes at once count as one."""
        listener = _Listener(interest)
        self._listeners += (listener,)
        wake_writer()
        try:
            while not self._ended:
                await listener.woken.wait()
                listener.woken.clear()
                if not self._ended:
                    yield None
        finally:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def end(self) -> None:
        """End all listening."""
        self._ended = True
        for listener in self._listeners:
            listener.wake()

    def pause_s(self) -> float | None:
        """Return after which time to look next; None: nobody listens."""
        if not self._listeners:
            return None
        until_due = self._looked_at + self._interval_s() - time.monotonic()
        return min(max(until_due, 0.0), GLANCE_S)

    def look(self, writer: Connection) -> None:
        """Wake the listeners if there was a change, and it is time to look."""
        now = time.monotonic()
        if not self._listeners or now < self._looked_at + self._interval_s():
            return
        self._looked_at = now
        with suppress(sqlite3.Error):  # away for the moment: the next look finds what changed
            version = _version(writer)
            if version != self._version:
                self._version = version
                for listener in self._listeners:
                    listener.wake()

    def _interval_s(self) -> float:
        eager = any(li.interest.owns_runs or li.interest.reads_remote for li in self._listeners)
        return EAGER_S if eager else CALM_S


def _version(writer: Connection) -> int:
    (version,) = writer.execute("PRAGMA data_version").fetchone()
    number: int = version
    return number
