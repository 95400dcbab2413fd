"""The write-ahead log: who writes it back, and how large it gets."""

import sqlite3
import threading
from pathlib import Path

import pytest

from agio.storage.sqlite import wal
from agio.storage.sqlite.connection import connect
from agio.storage.sqlite.database import Database
from agio.storage.sqlite.wal import LogKeeper


def _size(path: Path) -> int:
    return path.stat().st_size


async def _write(database: Database, start: int, rows: int = 50, width: int = 1000) -> None:
    values = [(start + n, "x" * width) for n in range(rows)]
    await database.write(lambda c: c.executemany("INSERT INTO numbers VALUES (?, ?)", values).rowcount)


async def test_log_is_written_back_and_used_anew(database: Database, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wal, "CHANGES", 200)
    sizes = []
    for turn in range(40):
        await _write(database, 50 * turn)
        sizes.append(_size(path.with_name("agio.db-wal")))
    assert max(sizes) < 1_000_000  # of two that were written
    assert _size(path) > 1_500_000


async def test_commit_alone_does_not_write_the_log_back(database: Database, path: Path):
    before = _size(path)
    for turn in range(40):
        await _write(database, 50 * turn)
    assert _size(path) == before


async def test_few_large_rows_make_it_due_too(database: Database, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wal, "GROWTH_BYTES", 500_000)
    before = _size(path)
    for turn in range(4):
        await _write(database, turn, rows=1, width=300_000)
    await database.write(lambda c: None)
    assert _size(path) > before + 300_000


async def test_reader_of_another_process_is_not_waited_for(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wal, "CHANGES", 100)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT COUNT(*) FROM numbers").fetchone() == (0,)
    for turn in range(10):
        await _write(database, 50 * turn)
    assert reader.execute("SELECT COUNT(*) FROM numbers").fetchone() == (0,)
    reader.execute("ROLLBACK")
    assert reader.execute("SELECT COUNT(*) FROM numbers").fetchone() == (500,)
    reader.close()


async def test_log_is_not_written_back_while_another_process_writes(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture
):
    await _write(database, 0)
    before = _size(path)
    writer, keeping, other = (connect(path, read_only=False, timeout_s=1) for _ in range(3))
    keeper = LogKeeper(path, keeping)
    other.execute("BEGIN IMMEDIATE")
    keeper.write_back(writer, timeout_s=0.05)
    assert _size(path) == before
    assert "could not write the log back" in caplog.text
    other.execute("ROLLBACK")
    keeper.write_back(writer, timeout_s=0.05)
    assert _size(path) > before
    for connection in (writer, keeping, other):
        connection.close()


async def test_short_read_under_way_does_not_keep_the_log(database: Database, path: Path):
    await _write(database, 0)
    reader, writer, keeping = (connect(path, read_only=False, timeout_s=1) for _ in range(3))
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM numbers").fetchall()
    await _write(database, 50)
    log = path.with_name("agio.db-wal")
    size = _size(log)
    reading = threading.Timer(0.004, reader.execute, ["ROLLBACK"])
    reading.start()
    LogKeeper(path, keeping).write_back(writer, timeout_s=1)
    reading.join()
    await _write(database, 100)
    assert _size(log) == size
    for connection in (reader, writer, keeping):
        connection.close()
