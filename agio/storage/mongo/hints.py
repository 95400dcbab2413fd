"""Hints by a change stream: which runs other processes changed.

One stream per process, on the whole database. The server leaves out what is not of interest, what this process
wrote, and everything but ids. A stream is never resumed by token: each time one is opened, `None` says that
anything may have happened before, so there is no token that could be too old.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import suppress

from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from agio.storage.mongo import keys
from agio.storage.mongo.calls import Part
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.failures import MONGO_ERRORS
from agio.storage.mongo.schema import JOURNAL, RUNS
from agio.storage.port import Interest

log = logging.getLogger(__name__)

LOOK_S = 0.05
"""How often it is looked whether the interest changed: nobody tells."""

LINGER_S = 5.0
"""How long journals stay watched after the last reader of one left: often another comes."""

AWAIT_MS = 1_000
"""How long the server holds back an answer that would be empty."""

_PATIENCE_S = 3.0
_AGAIN_S = 0.5
"""Between two cancellations: PyMongo may swallow one; one that meets it while it closes its socket leaves that open."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class HintMethods(Part):
    """Implements the hints of `Leases`."""

    _told = False

    async def hints(self, interest: Interest) -> AsyncGenerator[frozenset[str] | None, None]:
        if not self._database.has_change_streams:
            if not self._told:
                self._told = True
                log.warning("this MongoDB is standalone and gives no hints; other processes are polled")
            return
        listener = _Listener(self._database, interest)
        task = asyncio.create_task(listener.run())
        task.add_done_callback(lambda _: listener.some.set())
        try:
            while not task.done():
                await listener.some.wait()
                for hint in listener.take():
                    yield hint
        finally:
            listener.stopped = True
            # PyMongo leaves sockets behind when it is cancelled while it connects: first let it end by itself.
            await asyncio.wait([task], timeout=_PATIENCE_S)
            await _end(task)


class _Listener:
    """Keeps a stream open and collects what it says.

    It has a task of its own: on Python 3.11 PyMongo may swallow the cancellation of a task that waits for it,
    and the tasks that use the hints have to end when they are told.
    """

    def __init__(self, database: Database, interest: Interest) -> None:
        self._database = database
        self._interest = interest
        self._ids: set[str] = set()
        self._any = False
        self.some = asyncio.Event()
        """There are hints, or there will be no more."""
        self.stopped = False
        self._pause_s = _FIRST_PAUSE_S

    def take(self) -> list[frozenset[str] | None]:
        """Return what was collected since the last call."""
        self.some.clear()
        anything, self._any = self._any, False
        ids, self._ids = self._ids, set()
        return [*([None] if anything else []), *([frozenset(ids)] if ids else [])]

    async def run(self) -> None:
        """Listen until the store is closed."""
        watched, client = self._database.watcher()
        try:
            while self._wanted():
                try:
                    await self._watch(watched)
                except MONGO_ERRORS as error:
                    if self._pause_s == _FIRST_PAUSE_S:
                        log.warning("change stream lost", extra={"error": type(error).__name__})
                    await asyncio.sleep(self._pause_s)
                    self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        finally:
            if client is not None:
                await client.close()

    def _wanted(self) -> bool:
        return self._database.is_open and not self.stopped

    async def _watch(self, watched: AsyncDatabase[Document]) -> None:
        """Collect from one stream; return when it watches too much or too little by now."""
        with_journals = self._interest.reads_remote
        pipeline = hint_pipeline(self._database.writer, with_journals=with_journals)
        async with await watched.watch(pipeline, max_await_time_ms=AWAIT_MS) as stream:
            self._pause_s = _FIRST_PAUSE_S
            self._any = True
            self.some.set()
            pump = asyncio.create_task(self._pump(stream))
            read_at = time.monotonic()
            try:
                while self._wanted() and not pump.done():
                    await asyncio.wait([pump], timeout=LOOK_S)
                    if self._interest.reads_remote:
                        read_at = time.monotonic()
                    if self._interest.reads_remote > with_journals:
                        return
                    if with_journals and time.monotonic() - read_at > LINGER_S:
                        return
            finally:
                await _end(pump)
            pump.result()

    async def _pump(self, stream: AsyncChangeStream[Document]) -> None:
        async for change in stream:
            self._ids.add(_run_id(change))
            self.some.set()
        raise PyMongoError("the change stream ended")


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task of ours until it hears it."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)
    with suppress(asyncio.CancelledError, *MONGO_ERRORS):
        task.result()


def hint_pipeline(writer: str, *, with_journals: bool) -> list[Document]:
    """Return what a stream looks for: what others than `writer` wrote, in records and, if wanted, in journals."""
    changed: list[Document] = [{"ns.coll": RUNS, "operationType": {"$in": ["insert", "replace", "update"]}}]
    if with_journals:
        changed.append({"ns.coll": JOURNAL, "operationType": "insert"})
    return [
        {"$match": {"$or": changed, "fullDocument.by": {"$ne": writer}}},
        {"$project": {"ns.coll": 1, "documentKey": 1}},
    ]


def _run_id(change: Document) -> str:
    key: str = change["documentKey"]["_id"]
    return keys.split_entry(key)[0] if change["ns"]["coll"] == JOURNAL else key
