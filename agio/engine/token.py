"""The control token: how a run's step loop hears of commands.

One per owned run, in the owning process. Not responsible for durability: commands are on the run's
record, the token only carries them to the loop at once.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from agio.domain.runs import Run

T = TypeVar("T")

log = logging.getLogger(__name__)

ONCE_MORE_S = 1.0
"""A cancellation that had no effect for so long is repeated: it may have been swallowed."""
STUBBORN_S = 5.0
"""How long cancelled work may take to end before the run goes on without it."""


class Stop(Enum):
    """Why the loop must stop, strongest first."""

    LOST = auto()
    """The lease is gone: write nothing any more."""
    CANCEL = auto()
    SPENT = auto()
    """The budget of seconds is used up."""
    PAUSE = auto()
    HAND_OVER = auto()
    """The worker drains."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The guarded work ended by itself."""

    value: T


class ControlToken:
    """What is asked of one run now."""

    def __init__(self, run: Run) -> None:
        self.run = run
        """The run's record as last observed."""
        self._lost = False
        self._draining = False
        self._drain_now = False
        self._spent = False
        self._changed = asyncio.Event()
        self.on_change: Callable[[Run, Run], None] = lambda before, after: None
        """Called with the record before and after, whenever a newer one is observed."""

    def observe(self, run: Run) -> None:
        """Take note of a newer record of the run."""
        if run.epoch > self.run.epoch:
            self.lose()
            return
        if run.epoch < self.run.epoch or run.control_seq <= self.run.control_seq:
            return
        before, self.run = self.run, run
        self.on_change(before, run)
        self._changed.set()

    def lose(self) -> None:
        """Say that another worker owns the run."""
        self._lost = True
        self._changed.set()

    def drain(self, *, now: bool) -> None:
        """Say that the worker stops; `now`: do not finish the step."""
        self._draining = True
        self._drain_now = self._drain_now or now
        self._changed.set()

    def expire(self) -> None:
        """Say that the budget of seconds is used up."""
        self._spent = True
        self._changed.set()

    @property
    def stop(self) -> Stop | None:
        """What holds at a safe point."""
        if self._lost:
            return Stop.LOST
        if self.run.cancel is not None:
            return Stop.CANCEL
        if self._spent:
            return Stop.SPENT
        if self.run.pause is not None:
            return Stop.PAUSE
        return Stop.HAND_OVER if self._draining else None

    @property
    def urgent(self) -> Stop | None:
        """What does not wait for a safe point."""
        stop = self.stop
        if stop is Stop.PAUSE:
            now = self.run.pause is not None and self.run.pause.mode == "now"
            return stop if now else (Stop.HAND_OVER if self._drain_now else None)
        if stop is Stop.HAND_OVER and not self._drain_now:
            return None
        return stop

    async def guard(self, work: Coroutine[Any, Any, T]) -> Done[T] | Stop:
        """Do `work` unless something urgent comes: then it is cancelled and awaited.

        Work that ended at the same moment counts as done.
        """
        task = asyncio.create_task(work)
        try:
            while not task.done():
                if self.urgent is not None:
                    break
                self._changed.clear()
                change = asyncio.create_task(self._changed.wait())
                try:
                    await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        urgent = self.urgent
        for patience_s in (ONCE_MORE_S, STUBBORN_S):
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=patience_s)
        if not task.done():
            log.error("work ignores its cancellation; it is left behind", extra={"run_id": self.run.id})
            return urgent or Stop.LOST
        if task.cancelled():
            return urgent or Stop.LOST
        return Done(task.result())

    async def sleep(self, seconds: float) -> Stop | None:
        """Wait, but no longer than until something must stop the run at a safe point."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.stop is None:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return None
        return self.stop
