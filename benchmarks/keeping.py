"""What is kept costs: bytes of runs, steps and tokens in each store, and the time to read a long run again."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta

import httpx
from pymongo import MongoClient

from agio.bootstrap import make_store
from agio.domain.agents import Agent
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.settings import EngineSettings
from agio.engine.starting import StartRequest
from agio.engine.upkeep import compact_runs
from agio.settings import Settings
from agio.storage.port import Store
from agio.testing.conformance.records import Owner, make_creation, make_deltas
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools.registry import ToolRegistry
from benchmarks.report import Table, median
from benchmarks.setting import Setting
from benchmarks.stepping import Only, look
from tests.support.databases import Database

Size = Callable[[], tuple[int, int]]
"""Returns bytes of tables or documents, and bytes of indexes."""


def sizes(setting: Setting) -> Table:
    """Bytes that are kept of a run, of a tool step and of a token."""
    table = Table(
        "Kept: bytes in tables or documents + bytes in indexes",
        [
            "store",
            "a run without steps",
            "a tool step",
            "a token by itself",
            "a token of 20 at once",
            "the same, compacted",
        ],
    )
    for store in setting.stores:
        with ExitStack() as stack:
            table.add(store, *asyncio.run(_sizes(_settings(setting.database(stack, store)))))
    table.notes.append(
        "A run: accepted, claimed, completed, in a session of its own, with spec and branch. A step: a tool call with "
        "a result of 100 characters. A token: 5 characters. SQLite: whole pages. MongoDB: documents before WiredTiger "
        "compresses them; indexes as they are on disk."
    )
    return table


def _settings(database: Database) -> Settings:
    return Settings(**{name.removeprefix("AGIO_").lower(): value for name, value in database.variables.items()})


async def _sizes(settings: Settings) -> list[str]:
    size = _measure(settings)
    store = make_store(settings)
    await store.open()
    provider = ScriptedProvider(default="done")
    now = utc_now()
    agent = Agent(
        id="bench", group_id="default", name="bench", provider="scripted", model="m", tools=("look",), max_steps=2_000,
        source="code", created_at=now, updated_at=now,
    )  # fmt: skip
    engine = Engine(store, Only(provider), ToolRegistry([look]), EngineSettings(lease_s=3600), [agent])
    await engine.worker.start()

    async def runs(count: int) -> None:
        for _ in range(count):
            await _follow(engine, await engine.starting.start(Caller(), StartRequest(agent_id="bench", message="go")))

    async def steps(count: int) -> None:
        for number in range(count):
            provider.add(Answer(calls=[Call("look", {"number": number}, id=f"c{number}")]))
        await runs(1)

    async def tokens(count: int, *, at_once: int, at_s: float) -> None:
        await store.beat("worker-1", {})  # the owner that the records speak of: nobody shall take over from it
        owner = Owner(store, await store.create_run(replace(make_creation("other", at_s=at_s), owner="worker-1")))
        for _ in range(count // at_once):
            await owner.append(make_deltas(*["word "] * at_once))
        await owner.end()

    found = [await _each(size, runs, 300), await _each(size, steps, 600)]
    found.append(await _each(size, lambda n: tokens(n, at_once=1, at_s=1), 6_000))
    await _compact(store)
    before = size()
    await tokens(60_000, at_once=20, at_s=2)
    found.append(_shown(before, size(), 60_000))
    await _compact(store)
    found.append(_shown(before, size(), 60_000))
    await engine.worker.stop()
    await store.close()
    return found


async def _each(size: Size, make: Callable[[int], Awaitable[None]], count: int) -> str:
    before = size()
    await make(count)
    return _shown(before, size(), count)


def _shown(before: tuple[int, int], after: tuple[int, int], count: int) -> str:
    data, indexes = ((new - old) / count for old, new in zip(before, after, strict=True))
    return f"{data:,.0f} + {indexes:,.0f}" if data >= 10 else f"{data:.1f} + {indexes:.1f}"


async def _follow(engine: Engine, run: Run) -> None:
    async for _ in engine.tail(Caller(), run.id):
        pass


def _measure(settings: Settings) -> Size:
    if settings.mongo_uri is not None:
        return lambda: _mongo_size(str(settings.mongo_uri))
    return lambda: _sqlite_size(settings.store_url.removeprefix("sqlite:///"))


def _sqlite_size(path: str) -> tuple[int, int]:
    query = """
    SELECT m.type = 'index' OR m.name LIKE 'sqlite_autoindex%', SUM(d.pgsize)
    FROM dbstat AS d JOIN sqlite_master AS m ON m.name = d.name GROUP BY 1
    """
    with closing(sqlite3.connect(path)) as connection:
        found = dict(connection.execute(query).fetchall())
    return found.get(0, 0), found.get(1, 0)


def _mongo_size(uri: str) -> tuple[int, int]:
    with MongoClient(uri) as client:  # type: ignore[var-annotated]
        client.admin.command("fsync")
        stats = client.get_default_database().command("dbStats")
    return int(stats["dataSize"]), int(stats["indexSize"])


def replay(setting: Setting) -> Table:
    """Read a run of 10,000 tokens again, over HTTP."""
    table = Table(
        "Replay: a finished run of 10,000 tokens read from the start, one reader",
        ["store", "events", "ms p50", "MB", "compacted: events", "ms p50", "MB"],
    )
    for store in setting.stores:
        with setting.agio(store) as server:
            assert server.database is not None
            table.add(store, *asyncio.run(_replay(server.url, _settings(server.database))))
    table.notes.append("Compacted beside the running server, as `agio db prune --compact 0s` does.")
    return table


async def _replay(url: str, settings: Settings) -> list[object]:
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        body = {"agent_id": "assistant", "message": "hi", "modifications": {"model": "fake?tokens=10000&pace=2000"}}
        run_id = (await client.post("/api/runs", json=body)).json()["id"]
        await _read(client, run_id)
        plain = await _rounds(client, run_id)
        await _compact_beside(settings)
        return [*plain, *await _rounds(client, run_id)]


async def _compact_beside(settings: Settings) -> None:
    store = make_store(settings)
    await store.open()
    await _compact(store)
    await store.close()


async def _compact(store: Store) -> None:
    async for _ in compact_runs(store, utc_now() + timedelta(seconds=1)):
        pass


async def _rounds(client: httpx.AsyncClient, run_id: str) -> list[object]:
    times, size, events = [], 0, 0
    for _ in range(5):
        began = time.perf_counter()
        text = await _read(client, run_id)
        times.append((time.perf_counter() - began) * 1000)
        size, events = len(text), text.count(b"\nid: ")
    return [events, median(times), size / 1e6]


async def _read(client: httpx.AsyncClient, run_id: str) -> bytes:
    return (await client.get(f"/api/runs/{run_id}/events")).content
