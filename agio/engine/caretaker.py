"""The caretaker of a process: does the upkeep of the database now and then, slowly, if it is entrusted with it."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta

from agio.domain.errors import StoreUnavailable
from agio.domain.status import RunStatus
from agio.engine.clock import utc_now
from agio.engine.duties import is_entrusted
from agio.engine.upkeep import collect_garbage, compact_runs, delete_expired
from agio.storage.port import Store

log = logging.getLogger(__name__)

DUTY = "upkeep"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings:
    """What is kept, and how much the upkeep may disturb."""

    compact_after: timedelta | None = None
    """Since the end of a run; None: journals stay as they were written."""
    retain: Mapping[RunStatus, timedelta] = field(default_factory=dict)
    """How long runs are kept after their end, by the status that they ended with; others are kept for ever."""
    pause_s: float = 60.0
    """Between two passes."""
    collect_every_s: float = 6 * 3600.0
    """Between two looks through all stored contents; the first comes after a tenth of it."""
    share: float = 0.2
    """Of the time of a pass in which it works; it rests in between."""
    piece_s: float = 30.0
    """A piece of work that takes longer ends the pass."""


class Caretaker:
    """Runs the upkeep for as long as it is not cancelled."""

    def __init__(self, store: Store, settings: UpkeepSettings, worker_id: str, lease_s: float) -> None:
        self._store = store
        self._settings = settings
        self._worker_id = worker_id
        self._lease_s = lease_s
        self._next_collection = 0.0

    async def work(self) -> None:
        """Do one pass after the other."""
        self._next_collection = time.monotonic() + self._settings.collect_every_s / 10
        while True:
            await asyncio.sleep(self._settings.pause_s)
            try:
                if await is_entrusted(self._store, DUTY, self._worker_id, self._lease_s):
                    await self._pass()
            except StoreUnavailable as error:
                log.warning("store away, upkeep waits", extra={"error": str(error)})
            except Exception:
                log.exception("upkeep failed; it is tried again in the next pass")

    async def _pass(self) -> None:
        now = utc_now()
        for status, kept in self._settings.retain.items():
            await self._do(delete_expired(self._store, status, now - kept), f"runs deleted ({status})")
        if self._settings.compact_after is not None:
            await self._do(compact_runs(self._store, now - self._settings.compact_after), "runs compacted")
        if time.monotonic() >= self._next_collection:
            self._next_collection = time.monotonic() + self._settings.collect_every_s
            await self._do(collect_garbage(self._store), "unused contents found")

    async def _do(self, work: AsyncGenerator[int, None], what: str) -> None:
        """Do the work piece by piece, with rests in between; say what came of it."""
        count = 0
        async with aclosing(work) as pieces:
            while True:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(self._settings.piece_s):
                        count += await anext(pieces)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    log.warning("a piece of upkeep took too long; the rest waits for the next pass")
                    break
                await asyncio.sleep((time.monotonic() - began) * (1 / self._settings.share - 1))
        if count:
            log.info(what, extra={"count": count})
