"""The databases that the conformance suite runs over."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mongomock.collection import Collection
from mongomock_motor import AsyncMongoMockClient
from pymongo import IndexModel
from pymongo.database import Database

from agio.storage.port import Store, StoreSettings
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.fixtures import declared, group, open_store, other, store
from tests.support.mongod import SharedDatabase

__all__ = ["declared", "group", "open_store", "other", "store"]

NO_BULK = "mongomock's bulk writes do not take the `sort` that PyMongo hands them"
NO_LOOKUP = "mongomock has no $lookup with a pipeline"
MOCK_CANNOT: Mapping[str, str] = {
    "TestClaimingAtOnce.test_no_abandoned_run_is_claimed_twice": NO_BULK,
    "TestClaimingSeveral.test_so_many_are_claimed_in_one_call": NO_BULK,
    "TestClaimingSeveral.test_groups_take_turns_from_call_to_call": NO_BULK,
    "TestClaimingSeveral.test_only_those_with_commands_where_no_others_are_allowed": NO_BULK,
    "TestClaimingSeveral.test_no_run_is_claimed_twice": NO_BULK,
    "TestAppend.test_results_of_a_batch_are_in_its_order": NO_BULK,
    "TestAppend.test_batch_spans_groups": NO_BULK,
    "TestAppend.test_batch_of_two_hundred_runs_is_appended_whole": NO_LOOKUP,
    "TestFence.test_one_refused_among_many_stops_no_other": NO_BULK,
    "TestFence.test_own_batch_again_is_taken_for_done_beside_new_entries": NO_BULK,
    "TestHead.test_heads_of_a_thousand_runs": NO_LOOKUP,
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a mock's faults out: it is never slow, never away, and proves nothing of a server that is."""
    left_out = [item for item in items if "::TestWritesAgain::" in item.nodeid and "[mongomock-" in item.nodeid]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        names = {item.nodeid for item in left_out}
        items[:] = [item for item in items if item.nodeid not in names]


BACKENDS = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("standalone", id="mongo-standalone", marks=pytest.mark.mongo),
    pytest.param("replica_set", id="mongo-replica-set", marks=pytest.mark.mongo),
    pytest.param("mock", id="mongomock"),
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each database in turn, with nothing in it."""
    made: Backend = request.getfixturevalue(f"{request.param}_backend")
    return made


@pytest.fixture
def sqlite_backend(tmp_path: Path) -> Backend:
    """A file of the test's own."""
    from agio.storage.sqlite import SQLiteStore  # noqa: PLC0415 - one adapter may be missing

    file = tmp_path / "agio.db"

    def make(inline_limit: int) -> Store:
        return SQLiteStore(StoreSettings(url=f"sqlite:///{file}", inline_limit=inline_limit))

    async def age_worker(_: Store, worker_id: str, seconds: float) -> None:
        _execute(file, "UPDATE workers SET beat_us = beat_us - ? WHERE id = ?", seconds * 1_000_000, worker_id)

    async def lose_hold(_: Store, group_id: str, run_id: str) -> None:
        change = "json_set(doc, '$.status', 'cancelled', '$.holds_branch', json('false'), '$.ended_at', ?)"
        _execute(
            file,
            f"UPDATE runs SET status = 'cancelled', holds = NULL, queue = NULL, doc = {change} "
            "WHERE id = ? AND group_id = ?",
            ENDED_AT,
            run_id,
            group_id,
        )

    async def age_contents(_: Store, seconds: float) -> None:
        with closing(sqlite3.connect(file, timeout=10)) as connection, connection:
            connection.execute("UPDATE snapshots SET unused_us = unused_us - ?", (seconds * 1_000_000,))

    async def count_chunks(_: Store) -> int:
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM chunks").fetchone()[0])

    @asynccontextmanager
    async def slow(_: Store, seconds: float) -> AsyncIterator[None]:
        """Holds the write lock for so long."""
        with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            until = asyncio.get_running_loop().time() + seconds
            yield
            await asyncio.sleep(until - asyncio.get_running_loop().time())
            connection.execute("ROLLBACK")

    return Backend(
        slow=slow,
        name="sqlite",
        store_factory=make,
        age_worker=age_worker,
        lose_hold=lose_hold,
        age_contents=age_contents,
        count_chunks=count_chunks,
        hint_source="data_version",
    )


ENDED_AT = "2025-01-01T12:00:00Z"


def _execute(file: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(file, timeout=10)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


@pytest.fixture
def standalone_backend(shared_on_standalone: SharedDatabase) -> Backend:
    """A server without replication."""
    return _mongo("mongo-standalone", shared_on_standalone, hint_source="none")


@pytest.fixture
def replica_set_backend(shared_on_replica_set: SharedDatabase) -> Backend:
    """A replica set of one."""
    return _mongo("mongo-replica-set", shared_on_replica_set, hint_source="change_stream")


def _mongo(name: str, shared: SharedDatabase, *, hint_source: Any) -> Backend:
    from agio.storage.mongo import MongoStore  # noqa: PLC0415 - one adapter may be missing

    shared.empty()

    def make(inline_limit: int) -> Store:
        return MongoStore(StoreSettings(url=shared.uri, inline_limit=inline_limit))

    return _with_hooks(name, make, shared.database, hint_source=hint_source)


def _with_hooks(
    name: str,
    make: Callable[[int], Store],
    database: Database[dict[str, Any]],
    *,
    hint_source: Any,
    cannot: Mapping[str, str] | None = None,
) -> Backend:
    async def age_worker(_: Store, worker_id: str, seconds: float) -> None:
        found = database["workers"].find_one({"_id": worker_id})
        assert found is not None
        older = found["beat_at"].timestamp() - seconds
        database["workers"].update_one({"_id": worker_id}, {"$set": {"beat_at": _at(older)}})

    async def lose_hold(_: Store, group_id: str, run_id: str) -> None:
        found = database["runs"].find_one({"_id": run_id, "group_id": group_id})
        assert found is not None
        run = json.loads(found["doc"]) | {"status": "cancelled", "holds_branch": False, "ended_at": ENDED_AT}
        gone = dict.fromkeys(("holds", "ready", "ready_at", "urgent"), "")
        change = {"$set": {"status": "cancelled", "doc": json.dumps(run)}, "$unset": gone}
        database["runs"].update_one({"_id": run_id}, change)

    async def age_contents(_: Store, seconds: float) -> None:
        for collection, field in (("snapshots", "unused_since"), ("blobs", "at"), ("specs", "at")):
            older = {"$inc": {field: -int(seconds * 1_000_000)}}
            database[collection].update_many({field: {"$exists": True}}, older)

    async def count_chunks(_: Store) -> int:
        return database["blobs"].count_documents({})

    @asynccontextmanager
    async def slow(_: Store, seconds: float) -> AsyncIterator[None]:
        """Lets the server sit on each command that writes."""
        data = {
            "failCommands": ["insert", "update", "delete", "findAndModify"],
            "blockConnection": True,
            "blockTimeMS": int(seconds * 1_000),
            "appName": "agio",
        }
        database.client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        try:
            yield
        finally:
            database.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    return Backend(
        slow=slow,
        name=name,
        store_factory=make,
        age_worker=age_worker,
        lose_hold=lose_hold,
        age_contents=age_contents,
        count_chunks=count_chunks,
        hint_source=hint_source,
        cannot=cannot or {},
    )


def _at(timestamp: float) -> Any:
    return datetime.fromtimestamp(timestamp, UTC)


@pytest.fixture
def mock_backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """mongomock through mongomock-motor, in this process's memory."""
    from agio.storage.mongo import MongoStore  # noqa: PLC0415 - one adapter may be missing

    monkeypatch.setattr(Collection, "create_indexes", _create_indexes)
    client: Any = AsyncMongoMockClient()

    def make(inline_limit: int) -> Store:
        return MongoStore(StoreSettings(url="mongodb://mock/agio", inline_limit=inline_limit), client=client)

    database = client["agio"].delegate
    return _with_hooks("mongomock", make, database, hint_source="none", cannot=MOCK_CANNOT)


def _create_indexes(collection: Collection, indexes: list[IndexModel]) -> list[str]:
    """Make indexes with all their options: mongomock forgets `partialFilterExpression` where it makes many."""
    return [
        collection.create_index(list(options.pop("key").items()), **options)
        for options in (dict(index.document) for index in indexes)
    ]
