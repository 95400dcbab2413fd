"""The writing thread: groups, failures, cancelled callers, locks."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agio.domain.errors import StoreUnavailable
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.database import Database


def put(n: int, text: str = "") -> Callable[[Connection], int]:
    """Return a job that writes a number, and fails when it is there."""
    return lambda c: c.execute("INSERT INTO numbers VALUES (?, ?)", (n, text)).rowcount


async def numbers(database: Database) -> list[int]:
    rows = await database.read(lambda c: c.execute("SELECT n FROM numbers ORDER BY n").fetchall())
    return [n for (n,) in rows]


class Gate:
    """A job that keeps the writing thread busy until it is opened, so that other jobs gather behind it."""

    def __init__(self, database: Database) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        self._task = asyncio.create_task(database.write(self._wait))

    def _wait(self, connection: Connection) -> None:
        self._entered.set()
        assert self._open.wait(10)

    async def closed(self) -> None:
        """Return when the thread is at the gate."""
        await asyncio.to_thread(self._entered.wait)

    async def open(self) -> None:
        """Let the thread go on."""
        self._open.set()
        await self._task


async def test_jobs_that_gather_are_committed_together(database: Database):
    gate = Gate(database)
    await gate.closed()
    seen: list[int] = []

    def job(n: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            put(n)(connection)
            other = sqlite3.connect(connection.execute("PRAGMA database_list").fetchone()[2])
            seen.append(other.execute("SELECT COUNT(*) FROM numbers").fetchone()[0])
            other.close()

        return work

    tasks = [asyncio.create_task(database.write(job(n))) for n in range(10)]
    await asyncio.sleep(0)
    await gate.open()
    await asyncio.gather(*tasks)
    assert seen == [0] * 10
    assert await numbers(database) == list(range(10))


async def test_failing_job_takes_back_its_own_writes_only(database: Database):
    def half(connection: Connection) -> None:
        put(100)(connection)
        raise LookupError("in the middle")

    gate = Gate(database)
    await gate.closed()
    tasks = [asyncio.create_task(database.write(work)) for work in (put(1), half, put(2), put(1), put(3))]
    await asyncio.sleep(0)
    await gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [int, LookupError, int, sqlite3.IntegrityError, int]
    assert await numbers(database) == [1, 2, 3]


async def test_failing_job_alone_takes_back_its_writes(database: Database):
    def half(connection: Connection) -> None:
        put(100)(connection)
        raise LookupError("in the middle")

    with pytest.raises(LookupError):
        await database.write(half)
    await database.write(put(1))
    assert await numbers(database) == [1]


async def test_where_sqlite_gives_up_the_transaction_no_job_of_it_succeeded(database: Database):
    def lose(connection: Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO numbers VALUES (1, '')")

    gate = Gate(database)
    await gate.closed()
    tasks = [asyncio.create_task(database.write(work)) for work in (put(1), lose, put(2))]
    await asyncio.sleep(0)
    await gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, sqlite3.IntegrityError) for result in results)
    assert await numbers(database) == []
    await database.write(put(3))


async def test_write_goes_on_when_its_caller_is_cancelled(database: Database):
    gate = Gate(database)
    await gate.closed()
    task = asyncio.create_task(database.write(put(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gate.open()
    await database.write(put(2))
    assert await numbers(database) == [1, 2]


async def test_jobs_are_carried_out_in_order(database: Database):
    order: list[int] = []

    def note(n: int) -> Callable[[Connection], None]:
        return lambda _: order.append(n)

    await asyncio.gather(*(database.write(note(n)) for n in range(500)))
    assert order == list(range(500))


async def test_loop_runs_on_while_another_process_has_the_lock(database: Database, path: Path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(database.write(put(1)))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(StoreUnavailable, match=r"other processes kept agio\.db locked"):
        await task
    assert ticks >= 10
    other.execute("ROLLBACK")
    other.close()
    await database.write(put(2))
    assert await numbers(database) == [2]


async def test_reads_go_on_while_another_process_has_the_lock(database: Database, path: Path):
    await database.write(put(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await numbers(database) == [1]
    other.close()


async def test_full_disk_is_told_and_nothing_is_torn(database: Database):
    (pages,) = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone())
    await database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 20}").fetchall())

    def many(start: int) -> Callable[[Connection], int]:
        rows = [(start + n, "x" * 3000) for n in range(8)]
        return lambda c: c.executemany("INSERT INTO numbers VALUES (?, ?)", rows).rowcount

    results = await asyncio.gather(*(database.write(many(8 * n)) for n in range(10)), return_exceptions=True)
    refused = [result for result in results if result != 8]
    assert refused
    assert all("is full" in str(error) and isinstance(error, StoreUnavailable) for error in refused)
    there = await numbers(database)
    assert len(there) % 8 == 0
    assert len(there) == 8 * (10 - len(refused))
    await database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 200}").fetchall())
    await database.write(many(1000))


async def test_read_only_file_is_told(database: Database):
    await database.write(lambda c: c.execute("PRAGMA query_only = ON").fetchall())
    with pytest.raises(StoreUnavailable, match=r"agio\.db cannot be written"):
        await database.write(put(1))
    assert await numbers(database) == []


async def test_readers_cannot_write(database: Database):
    with pytest.raises(StoreUnavailable, match="read-only"):
        await database.read(put(1))


async def test_query_sees_one_state_whatever_is_written_meanwhile(database: Database):
    entered, go_on = threading.Event(), threading.Event()

    def query(connection: Connection) -> tuple[int, int]:
        count = "SELECT COUNT(*) FROM numbers"
        (before,) = connection.execute(count).fetchone()
        entered.set()
        go_on.wait(10)
        (after,) = connection.execute(count).fetchone()
        return before, after

    reading = asyncio.create_task(database.read(query))
    await asyncio.to_thread(entered.wait)
    await database.write(put(1))
    go_on.set()
    assert await reading == (0, 0)
    assert await numbers(database) == [1]
