"""Sliding windows that all processes of an installation share through the store."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agio.domain.access import EVERYWHERE
from agio.domain.errors import AlreadyExists, NotFound, StoreUnavailable
from agio.domain.windows import Admission, Counts, Limit, Window, add, admit, look
from agio.security.clock import Clock, utc_now
from agio.storage.port import WINDOWS, Catalog

log = logging.getLogger(__name__)

MOST_KEYS = 10_000
"""Windows that a process remembers by itself."""


@dataclass(slots=True)
class _Batch:
    """What asked while the last write was under way, in order."""

    asking: list[asyncio.Future[Admission]] = field(default_factory=list)


class Windows:
    """Counts per key within a limit's window.

    Whoever asks at once for one key is answered by one write. A window that is full is remembered, so that asking
    again and again costs nothing. Without a store, or while it is away, this process counts by itself.
    """

    def __init__(self, store: Catalog | None, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._gathering: dict[tuple[str, Limit], _Batch] = {}
        self._writers: set[asyncio.Task[None]] = set()
        self._full_until: dict[str, float] = {}
        self._own: dict[str, Counts] = {}
        self._said = False

    async def admit(self, key: str, limit: Limit) -> Admission:
        """Let one more in, if the limit allows."""
        name = _name(key, limit)
        until, now = self._full_until.get(name, 0.0), self._now()
        if now < until:
            return Admission(granted=0, remaining=0, retry_after_s=until - now)
        batch = self._gathering.get((name, limit))
        future: asyncio.Future[Admission] = asyncio.get_running_loop().create_future()
        if batch is not None:
            batch.asking.append(future)
        else:
            self._gathering[name, limit] = _Batch([future])
            writer = asyncio.create_task(self._write(name, limit), name="window-write")
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        return await future

    async def look(self, key: str, limit: Limit) -> Admission:
        """Return how the window stands."""
        name = _name(key, limit)
        until, now = self._full_until.get(name, 0.0), self._now()
        if now < until:
            return Admission(granted=0, remaining=0, retry_after_s=until - now)
        return look(await self._read(name), limit, now)

    async def add(self, key: str, limit: Limit, amount: int) -> None:
        """Count what was spent, beyond the limit too."""
        now = self._now()
        await self._change(_name(key, limit), lambda counts: add(counts, limit, now, amount))

    async def clear(self, key: str, limit: Limit) -> None:
        """Forget what was counted."""
        name = _name(key, limit)
        self._full_until.pop(name, None)
        await self._change(name, lambda counts: ())

    async def _write(self, name: str, limit: Limit) -> None:
        """Answer those who ask for one key, batch by batch, until nobody does any more."""
        while True:
            await asyncio.sleep(0)  # those who ask in the same turn of the loop are answered together
            asking = self._gathering[name, limit].asking
            self._gathering[name, limit] = _Batch()
            try:
                admission = await self._take(name, limit, len(asking))
            except BaseException as error:  # whoever waits must hear of it, a cancellation too
                del self._gathering[name, limit]
                for future in asking:
                    if not future.done():
                        future.set_exception(error if isinstance(error, Exception) else StoreUnavailable())
                raise
            _answer(asking, admission)
            if not self._gathering[name, limit].asking:
                del self._gathering[name, limit]
                return

    async def _take(self, name: str, limit: Limit, wanted: int) -> Admission:
        now = self._now()
        outcome: list[Admission] = []

        def change(counts: Counts) -> Counts:
            after, admission = admit(counts, limit, now, wanted)
            outcome[:] = [admission]
            return after if admission.granted else counts

        await self._change(name, change)
        [admission] = outcome
        if not admission.remaining:
            self._remember_full(name, now + admission.retry_after_s)
        return admission

    async def _read(self, name: str) -> Counts:
        if self._store is not None:
            try:
                return (await self._store.get(WINDOWS, EVERYWHERE, name)).counts
            except NotFound:
                return ()
            except StoreUnavailable:
                self._say_alone()
        return self._own.get(name, ())

    async def _change(self, name: str, change: Callable[[Counts], Counts]) -> None:
        if self._store is not None:
            try:
                await self._change_stored(self._store, name, change)
            except StoreUnavailable:
                self._say_alone()
            else:
                self._said = False
                return
        _make_room(self._own)
        self._own[name] = change(self._own.get(name, ()))

    async def _change_stored(self, store: Catalog, name: str, change: Callable[[Counts], Counts]) -> None:
        def changed(window: Window) -> Window:
            counts = change(window.counts)
            return window if counts == window.counts else replace(window, counts=counts, created_at=self._clock())

        while True:
            try:
                await store.update(WINDOWS, EVERYWHERE, name, changed)
            except NotFound:
                fresh = Window(id=name, group_id=EVERYWHERE, counts=change(()), created_at=self._clock())
                try:
                    await store.insert(WINDOWS, fresh)
                except AlreadyExists:
                    continue
            return

    def _remember_full(self, name: str, until: float) -> None:
        _make_room(self._full_until)
        self._full_until[name] = until

    def _say_alone(self) -> None:
        if not self._said:
            log.warning("the store is away: this process counts requests by itself until it is back")
        self._said = True

    def _now(self) -> float:
        return self._clock().timestamp()


def _answer(asking: list[asyncio.Future[Admission]], admission: Admission) -> None:
    """Tell each what it got: the first ones pass, the rest do not."""
    for number, future in enumerate(asking):
        passes = number < admission.granted
        left = admission.remaining + (admission.granted - number - 1 if passes else 0)
        if not future.done():
            future.set_result(replace(admission, granted=int(passes), remaining=left))


def _make_room(known: dict[str, object] | dict[str, float] | dict[str, Counts]) -> None:
    while len(known) >= MOST_KEYS:
        known.pop(next(iter(known)))


def _name(key: str, limit: Limit) -> str:
    """Return the id of a window: no address and no name of a user is stored."""
    return hashlib.sha256(f"{limit}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()[:40]
