"""Deleting in small steps, and files of the version before."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agio.domain.errors import NotFound
from agio.domain.runs import RunFilter
from agio.domain.status import RunStatus
from agio.storage.port import StoreSettings
from agio.storage.sqlite import SQLiteStore, removal
from agio.testing.conformance.records import Owner, instant, make_creation, start, take
from tests.unit.storage_sqlite.conftest import OpenStore


async def _long_run(store: SQLiteStore, entries: int) -> str:
    owner = await start(store, "g")
    for n in range(entries):
        await owner.say(f"{n}")
    return (await owner.end()).id


async def _count(store: SQLiteStore, table: str) -> int:
    return await store._database.read(lambda c: c.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


async def test_others_write_while_a_long_run_is_deleted(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch):
    run_id = await _long_run(store, 30)
    monkeypatch.setattr(removal, "ROWS_AT_ONCE", 4)
    left: list[int] = []
    original = removal._clear_some

    def watch(connection: sqlite3.Connection, no: int) -> int | None:
        left.append(connection.execute("SELECT COUNT(*) FROM journal").fetchone()[0])
        return original(connection, no)

    monkeypatch.setattr(removal, "_clear_some", watch)
    await store.delete_run("g", run_id)
    assert left == [32, 28, 24, 20, 16, 12, 8, 4, 0]
    assert (await _count(store, "journal"), await _count(store, "runs")) == (0, 0)


async def test_run_is_gone_at_once_its_id_free_and_the_rest_swept(
    store: SQLiteStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
):
    run_id = await _long_run(store, 10)
    branch_id = (await store.get_run("g", run_id)).branch_id
    monkeypatch.setattr(removal, "ROWS_AT_ONCE", 4)
    clearing = asyncio.create_task(store.delete_run("g", run_id))
    monkeypatch.setattr(SQLiteStore, "_clear", lambda self, no: asyncio.sleep(0))  # it dies here
    await clearing
    monkeypatch.undo()
    other = await open_store()
    assert await _count(other, "journal") == 8
    with pytest.raises(NotFound):
        await other.get_run("g", run_id)
    assert await other.read_messages("g", branch_id) == []
    assert (await other.list_runs("g", RunFilter(), limit=5)).total == 0
    again = Owner(other, await take(other, await other.create_run(make_creation("g", id=run_id))))
    await again.say("anew")
    await other.sweep()
    assert [entry.last_seq for entry in await other.read_entries("g", run_id)] == [1, 2]
    assert (await _count(other, "journal"), await _count(other, "runs")) == (2, 1)


def _make_older(file: Path) -> None:
    """Take out what version 2 brought."""
    with closing(sqlite3.connect(file)) as connection, connection:
        for index in ("runs_ended", "runs_loose"):
            connection.execute(f"DROP INDEX {index}")
        for table, column in (("runs", "ended_us"), ("runs", "loose_us"), ("snapshots", "unused_us")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("DROP TABLE run_snapshots")
        for no, text in connection.execute("SELECT no, doc FROM runs").fetchall():
            doc = {name: value for name, value in json.loads(text).items() if name != "former_digests"}
            connection.execute("UPDATE runs SET doc = ? WHERE no = ?", (json.dumps(doc), no))
        connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")


async def test_file_of_version_1_is_brought_up_to_date(store: SQLiteStore, path: Path):
    owner = await start(store, "g")
    await owner.say("hello", checkpoint="step")
    ended = await owner.end()
    live = (await start(store, "g", at_s=1)).run
    await store.close()
    await asyncio.to_thread(_make_older, path)
    for _ in range(2):
        later = SQLiteStore(StoreSettings(url=f"sqlite:///{path}"))
        await later.open()
        assert await later.get_run("g", ended.id) == ended
        assert await later.get_run("g", live.id) == live
        found = await later.ended_runs(RunStatus.COMPLETED, before=instant(10**6), limit=5)
        assert found == await later.uncompacted_runs(before=instant(10**6), limit=5) == [ended]
        assert (await later.collect(limit=9)).count == 0
        assert await _count(later, "run_snapshots") == 2
        await later.close()
