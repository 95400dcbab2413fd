"""The one thread of a process that writes: what is queued is committed as one group."""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agio.storage.sqlite.connection import Connection, begin, roll_back
from agio.storage.sqlite.delivery import Job, Outcome, deliver
from agio.storage.sqlite.faults import translate
from agio.storage.sqlite.wal import LogKeeper
from agio.storage.sqlite.watch import Watch

_log = logging.getLogger(__name__)

GROUP_LIMIT = 64
"""Jobs in one transaction: the write lock is given back before other processes wait long."""


class Writer:
    """Carries out jobs in the order they come in, each whole or not at all."""

    def __init__(self, path: Path, connection: Connection, keeper: LogKeeper, watch: Watch, timeout_s: float) -> None:
        self._path = path
        self._connection = connection
        self._keeper = keeper
        self.watch = watch
        self._timeout_s = timeout_s
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="agio-sqlite-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, work: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        """Queue a job. It is carried out even if nobody waits for the future any more."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put(Job(work, future))
        return future

    def wake(self) -> None:
        """Let the thread see that `Watch` has a new listener."""
        self._queue.put(None)

    def stop(self) -> None:
        """Carry out what is queued, close the connections and end the thread. Blocks."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while not (self._stopping.is_set() and self._queue.empty()):
            jobs = self._gather()
            if jobs:
                deliver(self._commit(jobs))
                if self._keeper.is_due(self._connection):
                    self._keeper.write_back(self._connection, self._timeout_s)
            self.watch.look(self._connection)
        self._keeper.write_back(self._connection, timeout_s=1)
        self._keeper.close()
        self._connection.close()

    def _gather(self) -> list[Job]:
        """Wait for the first job, then take all that are there."""
        jobs: list[Job] = []
        pause_s = self.watch.pause_s()
        while len(jobs) < GROUP_LIMIT:
            try:
                job = self._queue.get_nowait() if jobs else self._queue.get(timeout=pause_s)
            except queue.Empty:
                break
            if job is None:
                break
            jobs.append(job)
        return jobs

    def _commit(self, jobs: list[Job]) -> list[Outcome]:
        """Carry out the jobs in one transaction; where that fails, none of them happened."""
        try:
            begin(self._connection, self._timeout_s)
            outcomes = [self._attempt(job, alone=len(jobs) == 1) for job in jobs]
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
            return outcomes
        except sqlite3.Error as error:
            _log.warning("a transaction failed", extra={"error": str(error), "jobs": len(jobs)})
            roll_back(self._connection)
            return [Outcome(job.future, error=translate(error, self._path)) for job in jobs]

    def _attempt(self, job: Job, *, alone: bool) -> Outcome:
        """Carry out a job; one that fails takes its own writes back, but nobody else's.

        Raises:
            sqlite3.Error: SQLite gave up the whole transaction.
        """
        if not alone:
            self._connection.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:
            if alone:
                roll_back(self._connection)
            elif not self._connection.in_transaction:
                raise
            else:
                self._connection.execute("ROLLBACK TO job")
                self._connection.execute("RELEASE job")
            return Outcome(job.future, error=translate(error, self._path))
        if not alone:
            self._connection.execute("RELEASE job")
        return Outcome(job.future, result)
