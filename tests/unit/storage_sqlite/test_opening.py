"""Opening a database file, making it, and refusing what is none."""

import asyncio
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agio.domain.errors import StoreUnavailable, Unsupported
from agio.storage.port import SESSIONS, TOOLS, StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.storage.sqlite.schema import SCHEMA_VERSION
from agio.testing.conformance.records import make_creation, make_session
from tests.unit.storage_sqlite.conftest import OpenStore

OPENER = """
import asyncio, sys
from agio.storage.port import StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.testing.conformance.records import make_creation

async def main():
    store = SQLiteStore(StoreSettings(url=sys.argv[1]))
    sys.stdin.readline()
    await store.open()
    await store.create_run(make_creation("g"))
    await store.close()

print("ready", flush=True)
asyncio.run(main())
"""


def _store(path: Path | str) -> SQLiteStore:
    return SQLiteStore(StoreSettings(url=f"sqlite:///{path}"))


async def test_folder_is_made(tmp_path: Path):
    store = _store(tmp_path / "new" / "folder" / "agio.db")
    await store.open()
    await store.ping()
    await store.close()
    assert (tmp_path / "new" / "folder" / "agio.db").is_file()


async def test_relative_path_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    store = _store("agio #1%20.db")
    await store.open()
    await store.close()
    assert (tmp_path / "agio #1%20.db").is_file()


async def test_four_processes_may_make_one_file_at_once(path: Path):
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            OPENER,
            f"sqlite:///{path}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * 4
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT COUNT(*) FROM runs").fetchone() == (4,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_file_of_an_earlier_program_gets_what_it_lacks(store: SQLiteStore, path: Path):
    kept = await store.insert(SESSIONS, make_session("g"))
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP INDEX sessions_updated_at")
    connection.execute("ALTER TABLE sessions DROP COLUMN updated_at")
    connection.execute("DROP TABLE tools")
    connection.commit()
    connection.close()
    later = _store(path)
    await later.open()
    assert await later.get(SESSIONS, "g", kept.id) == kept
    await later.update(SESSIONS, "g", kept.id, lambda session: replace(session, title="used"))
    assert await later.count_since(SESSIONS, "updated_at", kept.updated_at) == 1
    assert (await later.find(TOOLS, "g")).items == []
    await later.close()


async def test_newer_schema_is_refused_with_both_versions(store: SQLiteStore, path: Path):
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '77' WHERE name = 'schema'")
    connection.commit()
    connection.close()
    with pytest.raises(Unsupported, match=f"version 77, this Agio knows version {SCHEMA_VERSION}; install"):
        await _store(path).open()


async def test_database_of_another_program_is_left_alone(path: Path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cookies (id)")
    connection.close()
    with pytest.raises(Unsupported, match="another program"):
        await _store(path).open()


@pytest.fixture
def story(path: Path) -> bytes:
    """A text where the database should be."""
    path.write_bytes(b"once upon a time " * 100)
    return path.read_bytes()


def _damage(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + b"\xff" * (len(raw) - 4096))


async def test_file_that_is_no_database_is_named(path: Path, story: bytes):
    with pytest.raises(StoreUnavailable, match=r"agio\.db is not a SQLite database"):
        await _store(path).open()
    assert await asyncio.to_thread(path.read_bytes) == story


async def test_folder_in_place_of_the_file_cannot_be_opened(tmp_path: Path):
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await _store(tmp_path).open()


async def test_file_in_place_of_the_folder_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="the folder of"):
        await _store(tmp_path / "file" / "agio.db").open()


async def test_damaged_file_is_told(store: SQLiteStore, path: Path):
    await store.create_run(make_creation("g"))
    await store.close()
    _damage(path)
    with pytest.raises(StoreUnavailable, match="is damaged; stop all processes and restore"):
        await _store(path).open()


async def test_library_too_old_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(Unsupported, match=r"3\.37\.0 or newer"):
        await _store(path).open()


async def test_store_that_is_not_open_says_so(path: Path):
    store = _store(path)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.put_snapshot("g", make_creation("g").snapshot)


async def test_store_opens_again_after_it_was_closed(open_store: OpenStore):
    store = await open_store()
    creation = make_creation("g")
    await store.create_run(creation)
    await store.close()
    await store.close()
    await store.open()
    assert (await store.get_run("g", creation.run.id)).id == creation.run.id


async def test_closing_finishes_what_was_asked_for_and_leaves_one_file(open_store: OpenStore, path: Path):
    store = await open_store()
    creations = [make_creation("g") for _ in range(200)]
    tasks = [asyncio.create_task(store.create_run(creation)) for creation in creations]
    await asyncio.sleep(0)
    await store.close()
    assert len(await asyncio.gather(*tasks)) == 200
    assert [file.name for file in path.parent.iterdir()] == ["agio.db"]
