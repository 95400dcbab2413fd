"""Threads that read, each on a read-only connection of its own."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agio.storage.sqlite.connection import Connection, roll_back
from agio.storage.sqlite.delivery import Job, Outcome, deliver
from agio.storage.sqlite.faults import translate


class Readers:
    """Carries out queries side by side, each on one state of the database."""

    def __init__(self, path: Path, connections: Sequence[Connection]) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(connection,), name=f"agio-sqlite-reader-{n}", daemon=True)
            for n, connection in enumerate(connections, 1)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, query: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        """Queue a query."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put(Job(query, future))
        return future

    def stop(self) -> None:
        """Carry out what is queued, close the connections and end the threads. Blocks."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, connection: Connection) -> None:
        while (job := self._queue.get()) is not None:
            deliver([self._answer(connection, job)])
        connection.close()

    def _answer(self, connection: Connection, job: Job) -> Outcome:
        if job.future.cancelled():
            return Outcome(job.future)
        try:
            connection.execute("BEGIN")
            try:
                return Outcome(job.future, job.work(connection))
            finally:
                roll_back(connection)
        except Exception as error:  # noqa: BLE001 - goes to whoever waits for the query
            return Outcome(job.future, error=translate(error, self._path))
