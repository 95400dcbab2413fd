"""Hints by a change stream: which runs other processes changed.

One stream per process, on the whole database. The server leaves out what is not of interest, what this process
wrote, and everything but ids. A stream is never resumed by token: each time one is opened, `None` says that
anything may have happened before, so there is no token that could be too old.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from agio.storage.mongo import keys
from agio.storage.mongo.calls import Part
from agio.storage.mongo.database import Document
from agio.storage.mongo.failures import MONGO_ERRORS
from agio.storage.mongo.schema import JOURNAL, RUNS
from agio.storage.port import Interest

log = logging.getLogger(__name__)

LOOK_S = 0.05
"""How often it is looked whether the interest changed: nobody tells."""

LINGER_S = 5.0
"""How long journals stay watched after the last reader of one left: often another comes."""

AWAIT_MS = 1_000
"""How long the server holds an answer back that would be empty."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class HintMethods(Part):
    """Implements the hints of `Leases`."""

    async def hints(self, interest: Interest) -> AsyncGenerator[frozenset[str] | None, None]:
        if not self._database.has_change_streams:
            log.warning("no hints from other processes: this MongoDB is standalone, so they are found by polling")
            return
        watched, client = self._database.watcher()
        pause_s = _FIRST_PAUSE_S
        try:
            while self._database.is_open:
                try:
                    async with aclosing(self._watch(watched, interest)) as hints:
                        async for hint in hints:
                            pause_s = _FIRST_PAUSE_S
                            yield hint
                except MONGO_ERRORS as error:
                    if pause_s == _FIRST_PAUSE_S:
                        log.warning("change stream lost", extra={"error": type(error).__name__})
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        finally:
            if client is not None:
                await client.close()

    async def _watch(
        self, watched: AsyncDatabase[Document], interest: Interest
    ) -> AsyncGenerator[frozenset[str] | None, None]:
        """Yield hints of one stream; end when it watches too much or too little by now."""
        with_journals = interest.reads_remote
        pipeline = _pipeline(self._database.writer, with_journals=with_journals)
        async with await watched.watch(pipeline, max_await_time_ms=AWAIT_MS) as stream:
            pump = _Pump(stream)
            read_at = time.monotonic()
            try:
                yield None
                while self._database.is_open:
                    if ids := await pump.take():
                        yield ids
                    if interest.reads_remote:
                        read_at = time.monotonic()
                    if interest.reads_remote > with_journals:
                        return
                    if with_journals and time.monotonic() - read_at > LINGER_S:
                        return
            finally:
                await pump.stop()


class _Pump:
    """Takes changes as they come, so that however slow its user is, ids are all that piles up."""

    def __init__(self, stream: AsyncChangeStream[Document]) -> None:
        self._ids: set[str] = set()
        self._some = asyncio.Event()
        self._task = asyncio.create_task(self._run(stream))

    async def _run(self, stream: AsyncChangeStream[Document]) -> None:
        try:
            async for change in stream:
                self._ids.add(_run_id(change))
                self._some.set()
            raise PyMongoError("the change stream ended")
        finally:
            self._some.set()

    async def take(self) -> frozenset[str]:
        """Return the ids that came since the last call; wait a moment when there are none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._some.wait()
        if self._task.done():
            self._task.result()
        self._some.clear()
        ids, self._ids = self._ids, set()
        return frozenset(ids)

    async def stop(self) -> None:
        # More than once: the driver's wait_for loses a cancellation that comes with a change.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=LOOK_S)
        if not self._task.cancelled():
            self._task.exception()


def _pipeline(writer: str, *, with_journals: bool) -> list[Document]:
    changed = [{"ns.coll": RUNS, "operationType": {"$in": ["insert", "replace", "update"]}}]
    if with_journals:
        changed.append({"ns.coll": JOURNAL, "operationType": "insert"})
    return [
        {"$match": {"$or": changed, "fullDocument.by": {"$ne": writer}}},
        {"$project": {"ns.coll": 1, "documentKey": 1}},
    ]


def _run_id(change: Document) -> str:
    key: str = change["documentKey"]["_id"]
    return keys.split_entry(key)[0] if change["ns"]["coll"] == JOURNAL else key
