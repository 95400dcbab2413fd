"""Writes that finish whatever happens to the task that asked for them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pymongo
from pymongo.errors import PyMongoError

from agio.storage.mongo.failures import leaves_open

T = TypeVar("T")

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


class Unsettled(PyMongoError):
    """The write is there, but not yet in what a majority has."""


class Commits:
    """Runs writes in tasks of their own, and repeats those whose outcome is unknown."""

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self.attempt_s = 10.0
        """How long one attempt may take."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T], *, tell: bool = False) -> T:
        """Await `work`; when the awaiting task is cancelled, `work` goes on without it.

        A cancelled write of PyMongo closes its connection and may have been applied all the same.
        `tell`: log it when `work` fails without anyone to hear it.
        """
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_tell if tell else _ignore)
            raise

    async def repeat(self, attempt: Callable[[bool], Awaitable[T]]) -> T:
        """Call `attempt` until its outcome is known, or raise its last error when the time is up.

        Args:
            attempt: does the write, with the same keys each time; its argument says whether an earlier
                call may have been applied.
        """
        deadline = time.monotonic() + self._retry_s
        pause_s = _FIRST_PAUSE_S
        again = False
        while True:
            try:
                # An attempt gets less than all the time: a dead connection must leave some for a live one.
                left_s = max(deadline - time.monotonic(), _FIRST_PAUSE_S)
                with pymongo.timeout(min(left_s, self.attempt_s)):
                    return await attempt(again)
            except PyMongoError as error:
                open_outcome = isinstance(error, Unsettled) or leaves_open(error)
                if not open_outcome or time.monotonic() + pause_s > deadline:
                    raise
            again = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def drain(self) -> None:
        """Return when nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def together(*works: Awaitable[Any]) -> list[Any]:
    """Await all of them, return what they return; or raise the first error, with none left running behind."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("write failed after its caller was cancelled", extra={"error": type(error).__name__})


def _ignore(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
