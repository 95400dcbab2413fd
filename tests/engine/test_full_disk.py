"""A SQLite file that cannot be written for a while: full disk, read-only, locked by another program."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.api.app import create_app
from agio.bootstrap import make_runtime
from agio.domain.errors import StoreFull, StoreReadOnly, StoreUnavailable
from agio.settings import Settings
from agio.storage.port import StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.storage.sqlite.database import Database
from agio.testing.conformance.records import make_creation
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.api.serving import Api, writer


async def _pragma(store: SQLiteStore, text: str) -> int:
    assert store._database._writer is not None
    connection = store._database._writer._connection
    return int((connection.execute(f"PRAGMA {text}").fetchone() or [0])[0])


@asynccontextmanager
async def full(store: SQLiteStore) -> AsyncIterator[None]:
    """No page more."""
    pages = await _pragma(store, "page_count")
    await _pragma(store, f"max_page_count = {pages}")
    try:
        yield
    finally:
        await _pragma(store, "max_page_count = 1000000")


@asynccontextmanager
async def read_only(store: SQLiteStore) -> AsyncIterator[None]:
    """As SQLite finds it when the file's permissions changed; root may write whatever they say."""
    await _pragma(store, "query_only = 1")
    try:
        yield
    finally:
        await _pragma(store, "query_only = 0")


@asynccontextmanager
async def locked(store: SQLiteStore) -> AsyncIterator[None]:
    """Another program is in a transaction."""
    with closing(
        sqlite3.connect(store._database._path, isolation_level=None, timeout=20, check_same_thread=False)
    ) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


TROUBLES = [
    pytest.param(full, StoreFull, "store_full", "the disk that holds agio.db is full", id="full"),
    pytest.param(read_only, StoreReadOnly, "store_read_only", "agio.db cannot be written", id="read-only"),
    pytest.param(locked, StoreUnavailable, "store_unavailable", "kept agio.db locked for too long", id="locked"),
]


def _store(path: Path) -> SQLiteStore:
    return SQLiteStore(StoreSettings(url=f"sqlite:///{path}/agio.db", options={"lock_timeout_s": 0.3}))


async def _write_until(store: SQLiteStore, error: type[Exception]) -> str:
    """Write until it fails; return what is said."""
    for _ in range(200):
        try:
            await store.create_run(make_creation("g", preview="x" * 10_000))
        except error as found:
            return str(found)
    raise AssertionError("it never failed")


@pytest.mark.parametrize(("trouble", "error", "code", "said"), TROUBLES)
async def test_trouble_has_a_name_and_leaves_nothing_half_written(
    tmp_path: Path, trouble: Any, error: type[StoreUnavailable], code: str, said: str
):
    store = _store(tmp_path)
    await store.open()
    kept = await store.create_run(make_creation("g"))
    async with trouble(store):
        assert said in await _write_until(store, error)
        assert (error.code, error.retryable) == (code, True)
        assert await store.get_run("g", kept.id) == kept
    again = await store.create_run(make_creation("g"))
    assert len(await store.read_entries("g", again.id)) == 1
    check = await store._database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone())
    orphans = "SELECT COUNT(*) FROM journal WHERE run_no NOT IN (SELECT no FROM runs)"
    left = await store._database.read(lambda c: c.execute(orphans).fetchone())
    assert (check, left) == (("ok",), (0,))
    await store.close()


@pytest.mark.parametrize(("trouble", "error", "code", "said"), TROUBLES)
async def test_requests_get_503_with_its_name_and_runs_wait_and_go_on(
    tmp_path: Path, trouble: Any, error: type[StoreUnavailable], code: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agio.storage.sqlite.store.Database", _impatient)
    gate = Gate()
    words = ["word " * 200] * 40
    provider = ScriptedProvider([Answer("begun ", gate, *words)], default="fine")
    settings = Settings(database_url=f"sqlite:///{tmp_path}/agio.db", drain_s=0.1)
    runtime = make_runtime(settings, agents=[writer()], providers=[provider])
    app = create_app(settings, runtime=runtime)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as client,
    ):
        api = Api(app, client, runtime.engine, provider)
        store: Any = runtime.engine.store
        run = await api.start()
        await gate.reached.wait()
        async with trouble(store):
            body = {"agent_id": "writer", "message": "x" * 20_000}
            async with asyncio.timeout(20):
                while (refused := await client.post("/api/runs", json=body)).status_code != 503:
                    assert refused.status_code == 202
            problem = refused.json()
            assert (problem["type"], problem["retryable"], refused.headers["Retry-After"]) == (code, True, "2")
            assert said in problem["detail"]
            assert str(tmp_path) not in problem["detail"]
            gate.open()
            assert (await client.get(f"/api/runs/{run['id']}")).status_code == 200
        await api.until(run["id"], "completed")
        events = await api.call("GET", f"/runs/{run['id']}/events?limit=1000", Accept="application/json")
        assert [event["seq"] for event in events["items"]] == list(range(1, events["total"] + 1))
        text = "".join(event["content"] for event in events["items"] if event["type"] == "content_delta")
        assert text == "begun " + "".join(words)


def _impatient(path: Path, *, lock_timeout_s: float = 0) -> Database:
    return Database(path, lock_timeout_s=0.3)
