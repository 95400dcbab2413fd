"""The database file as coroutines see it: reads side by side, writes one after another."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from agio.domain.errors import StoreUnavailable
from agio.storage.port import Interest
from agio.storage.sqlite.connection import Connection, connect
from agio.storage.sqlite.faults import translate
from agio.storage.sqlite.readers import Readers
from agio.storage.sqlite.schema import check_library, prepare
from agio.storage.sqlite.wal import LogKeeper
from agio.storage.sqlite.watch import Watch
from agio.storage.sqlite.writer import Writer

T = TypeVar("T")

READERS = 3
"""Reading threads."""

LOCK_TIMEOUT_S = 30.0
"""How long a write waits for other processes."""


class Database:
    """One database file, open in this process."""

    def __init__(self, path: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = lock_timeout_s
        self._writer: Writer | None = None
        self._readers: Readers | None = None

    async def open(self) -> None:
        """Open the file; make it, its folder and its tables where they are missing."""
        if self._writer is not None:
            return
        check_library()
        writer, readers = await asyncio.to_thread(self._connect)
        writer.start()
        readers.start()
        self._writer, self._readers = writer, readers

    async def close(self) -> None:
        """Finish every read and write that was asked for, then close the file."""
        writer, readers = self._writer, self._readers
        self._writer = self._readers = None
        if readers is not None and writer is not None:
            writer.watch.end()
            await asyncio.to_thread(readers.stop)
            await asyncio.to_thread(writer.stop)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Return what `query` returns; it sees one state of the database."""
        if self._readers is None:
            raise StoreUnavailable("the store is not open")
        result: T = await self._readers.submit(query)
        return result

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, after its writes are durable; all of them or, if it raises, none.

        `work` may use nothing but the connection and what nobody else changes. It is carried out
        even when the caller is cancelled meanwhile.
        """
        if self._writer is None:
            raise StoreUnavailable("the store is not open")
        result: T = await self._writer.submit(work)
        return result

    def changes(self, interest: Interest) -> AsyncGenerator[None, None]:
        """Yield after other processes have written, until the database is closed."""
        if self._writer is None:
            raise StoreUnavailable("the store is not open")
        return self._writer.watch.listen(interest, self._writer.wake)

    def _connect(self) -> tuple[Writer, Readers]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as undo:
                first = self._another(undo, read_only=False)
                prepare(first, self._timeout_s)
                keeper = LogKeeper(self._path, self._another(undo, read_only=False))
                readers = Readers(self._path, [self._another(undo, read_only=True) for _ in range(READERS)])
                writer = Writer(self._path, first, keeper, Watch(first), self._timeout_s)
                undo.pop_all()
                return writer, readers
        except OSError as error:
            raise StoreUnavailable(f"the folder of {self._path} cannot be made ({error})") from error
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def _another(self, undo: ExitStack, *, read_only: bool) -> Connection:
        connection = connect(self._path, read_only=read_only, timeout_s=self._timeout_s)
        undo.callback(connection.close)
        return connection
