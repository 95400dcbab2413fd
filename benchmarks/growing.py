"""How figures grow with what there is more of: runs at once, and readers of one run."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.write_concern import WriteConcern

from agio.storage.mongo.hints import hint_pipeline
from benchmarks.crowds import crowd
from benchmarks.load import Stream, many
from benchmarks.processes import Server, cpu_s_of
from benchmarks.report import Table, percentile
from benchmarks.setting import Setting
from benchmarks.streaming import lateness
from tests.support.mongod import fresh_database

RUNS = (1, 20, 100, 200)
READERS = (10, 100, 1_000)
PACE = 50


@dataclass
class _Written:
    """What a database had written at an instant."""

    entries: int
    records: int
    """Writes of the documents or rows of runs; 0: not known."""
    calls: int
    """Calls that write; 0: not known."""


def runs(setting: Setting) -> Table:
    """Runs of 50 tokens a second: what more of them cost, and what they write."""
    table = Table(
        f"Growth with runs: each of {PACE} tokens/s, one worker",
        [
            "store",
            "runs",
            "late p99 ms",
            "cores",
            "entries/s of a run",
            "writes of its record/s",
            "write calls/s in all",
        ],
    )
    tokens = 250 if setting.quick else 400
    for store in setting.stores:
        for count in RUNS:
            with setting.agio(store) as server:
                table.add(store, count, *_streams(server, count, tokens))
    table.notes.append(
        "Late: behind the schedule of the stream's own first token. Entries of the run's beginning count too."
    )
    return table


def _streams(server: Server, count: int, tokens: int) -> list[object]:
    asyncio.run(many(server.port, "fake?tokens=20", min(count, 20)))
    before, cpu = _written(server), server.cpu_s()
    streams, took_s = asyncio.run(many(server.port, f"fake?tokens={tokens}&pace={PACE}", count, keep_arrivals=True))
    after, spent_s = _written(server), server.cpu_s() - cpu
    late = [value for stream in streams for value in lateness(stream, PACE)]
    each_s = took_s * count
    return [
        percentile(late, 0.99),
        spent_s / took_s,
        (after.entries - before.entries) / each_s,
        (after.records - before.records) / each_s if after.records else None,
        (after.calls - before.calls) / took_s if after.calls else None,
    ]


def steps(setting: Setting) -> Table:
    """Runs of ten tool steps: what a step writes."""
    table = Table(
        "Growth with runs: tool steps as fast as they go, one worker",
        ["store", "runs", "steps/s", "entries of a step", "writes of the run's record", "write calls of a step"],
    )
    for store in setting.stores:
        for count in RUNS[:3]:
            with setting.agio(store) as server:
                asyncio.run(many(server.port, "fake?tokens=5&tool_rounds=10", 2))
                before = _written(server)
                streams, took_s = asyncio.run(many(server.port, "fake?tokens=5&tool_rounds=10", count))
                after, made = _written(server), 11 * sum(stream.ended for stream in streams)
                calls = (after.calls - before.calls) / made if after.calls else None
                records = (after.records - before.records) / made if after.records else None
                table.add(store, count, made / took_s, (after.entries - before.entries) / made, records, calls)
    table.notes.append("A run has ten steps with a tool call and one with the answer; its beginning is counted in.")
    return table


def _written(server: Server) -> _Written:
    assert server.database is not None
    variables = server.database.variables
    uri = variables.get("AGIO_MONGO_URI") or variables.get("AGIO_DATABASE_URL", "")
    if not uri.startswith("mongodb"):
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
            (entries,) = connection.execute("SELECT COUNT(*) FROM journal").fetchone()
        return _Written(entries, 0, 0)
    with MongoClient(uri) as client:  # type: ignore[var-annotated]
        status = client.admin.command("serverStatus")
        database = client.get_default_database()
        calls = sum(
            status["metrics"]["commands"][name]["total"] for name in ("insert", "update", "delete", "findAndModify")
        )
        revisions = list(database["runs"].aggregate([{"$group": {"_id": None, "sum": {"$sum": "$rev"}}}]))
        written = revisions[0]["sum"] if revisions else 0
        return _Written(database["journal"].count_documents({}), written, calls)


def readers(setting: Setting) -> Table:
    """More and more readers of one run."""
    table = Table(
        "Growth with readers: of one run of 100 tokens at 20 tokens/s, one worker",
        ["store", "readers", "saw all", "delivery p50 ms", "p99 ms", "CPU s per 1,000 deliveries"],
    )
    for store in setting.stores:
        for count in READERS:
            with setting.agio(store) as server:
                complete, spread, cpu = asyncio.run(crowd(server.url, server.port, server.cpu_s, count))
            table.add(store, count, complete, percentile(spread, 0.5), percentile(spread, 0.99), cpu)
    return table


def workers(setting: Setting) -> Table:
    """The same flood on one, two and three workers."""
    table = Table(
        "Growth with workers: 100 runs of 200 tokens at once",
        ["store", "workers", "events/s", "CPU s per 1,000 events"],
    )
    for store in setting.stores:
        for count in (1, 2, 3):
            with setting.agio(store, workers=count) as server:
                asyncio.run(many(server.port, "fake?tokens=200", 10))
                before = server.cpu_s()
                streams, took_s = asyncio.run(many(server.port, "fake?tokens=200", 100))
                events = _events(streams)
                table.add(store, count, events / took_s, (server.cpu_s() - before) / events * 1000)
    table.notes.append("Client, provider and database share the machine's cores with the workers.")
    return table


def _events(streams: list[Stream]) -> int:
    return sum(stream.events for stream in streams)


def streams(setting: Setting) -> Table:
    """What the change streams of many processes cost the server, by what it writes."""
    table = Table(
        "Growth with processes: change streams on one mongod, 10,000 journal entries written in batches of 50",
        ["streams", "watching", "mongod CPU s", "µs per stream and entry"],
    )
    if setting.replica_set is None:
        return table
    base = asyncio.run(_watched(setting, 0, with_journals=False))
    table.add(0, "–", base, None)
    for with_journals, what in ((False, "records"), (True, "records and journals")):
        for count in (5, 20):
            spent = asyncio.run(_watched(setting, count, with_journals=with_journals))
            table.add(count, what, spent, max(0.0, spent - base) / count / 10_000 * 1e6)
    return table


async def _watched(setting: Setting, count: int, *, with_journals: bool) -> float:
    assert setting.replica_set is not None
    (member,) = setting.replica_set.members
    with fresh_database(setting.replica_set) as uri:
        async with AsyncMongoClient(uri) as client:  # type: ignore[var-annotated]
            database = client.get_default_database(write_concern=WriteConcern("majority"))
            await database["journal"].insert_one({"_id": "first", "by": "w"})
            pipeline = hint_pipeline("nobody", with_journals=with_journals)
            opened = [await database.watch(pipeline, max_await_time_ms=1_000) for _ in range(count)]
            readers = [asyncio.create_task(_consume(stream)) for stream in opened]
            before = cpu_s_of(member.pid)
            for first in range(0, 10_000, 50):
                batch = [{"_id": f"run:{first + n:012d}", "by": "w", "events": "x" * 200} for n in range(50)]
                await database["journal"].insert_many(batch, ordered=False)
            await asyncio.sleep(1.5)
            spent = cpu_s_of(member.pid) - before
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
    return spent


async def _consume(stream: AsyncChangeStream[Any]) -> None:
    async for _ in stream:
        pass
