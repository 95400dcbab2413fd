"""Reaching a server, or saying clearly why not, without the password."""

import asyncio
import time
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.database import Database as SyncDatabase

from agio.domain.errors import AgioError, Invalid, StoreUnavailable, Unsupported
from agio.storage.mongo import MongoStore
from agio.storage.mongo.database import Database
from agio.storage.mongo.schema import SCHEMA_VERSION
from agio.storage.port import AGENTS, Store, StoreSettings
from agio.testing.conformance.records import make_creation
from tests.support.mongod import Mongod
from tests.unit.storage_mongo.conftest import OpenStore

GROUP = "g"
NOBODY = "127.0.0.1:1"
PASSWORD = "s3cret/pa:ss@word"
QUOTED = "s3cret%2Fpa%3Ass%40word"


def store_at(url: str, **options: Any) -> MongoStore:
    return MongoStore(StoreSettings(url=url, options=options))


def test_store_is_a_store() -> None:
    store: Store = store_at("mongodb://localhost")
    assert store.name == "mongodb"


async def test_nobody_answers() -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await store_at(f"mongodb://{NOBODY}").open()
    assert time.monotonic() - began < 8


async def test_calls_before_open_are_refused() -> None:
    store = store_at(f"mongodb://{NOBODY}")
    for call in (store.get_run(GROUP, "r"), store.ping(), store.find(AGENTS, GROUP), store.living(1)):
        with pytest.raises(StoreUnavailable, match="not open"):
            await call
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://ann:{PASSWORD}@{NOBODY}",
        f"mongodb://ann:{QUOTED}@{NOBODY}",
        f"mongodb://ann:{QUOTED}@host:port",
        f"mongodb://ann:{QUOTED}@{NOBODY}/?authSource=a&tls=perhaps",
        f"mongodb://ann:{QUOTED}@{NOBODY}/a.b",
    ],
)
async def test_password_is_in_no_message(url: str) -> None:
    with pytest.raises(AgioError) as caught:
        await store_at(url).open()
    error: BaseException | None = caught.value
    while error is not None:
        for secret in (PASSWORD, QUOTED, "s3cret", "word"):
            assert secret not in str(error).replace("password", "")
        error = error.__cause__


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://host:port", "mongodb://host/?maxPoolSize=many", "http://x"])
async def test_bad_url_is_named(url: str) -> None:
    with pytest.raises(Invalid, match="URL") as caught:
        await store_at(url).open()
    assert caught.value.field == "url"


def test_unknown_option_is_refused() -> None:
    with pytest.raises(Invalid, match="retries"):
        store_at("mongodb://localhost", retries=3)


@pytest.mark.mongo
class TestServer:
    async def test_database_without_a_name_is_called_agio(self, mongo_replica_set: Any) -> None:
        store = store_at(mongo_replica_set.uri())
        await store.open()
        try:
            assert store._database["runs"].database.name == "agio"
        finally:
            await store._database["runs"].database.client.drop_database("agio")
            await store.close()

    async def test_url_overrides_the_options_but_not_the_concerns(self, mongo_uri: str) -> None:
        store = store_at(f"{mongo_uri}&maxPoolSize=7&W=1&readConcernLevel=local&readPreference=secondary")
        await store.open()
        try:
            runs = store._database["runs"]
            assert runs.database.client.options.pool_options.max_pool_size == 7
            assert runs.write_concern.document == {"w": "majority"}
            assert (runs.read_concern.level, runs.read_preference.name) == ("majority", "Primary")
            assert runs.database.client.options.timeout == 10
        finally:
            await store.close()

    async def test_newer_schema_is_refused(self, open_store: OpenStore, raw: SyncDatabase[dict[str, Any]]) -> None:
        await open_store()
        raw["meta"].update_one({"_id": "schema"}, {"$inc": {"version": 1}})
        with pytest.raises(Unsupported, match=f"schema version {SCHEMA_VERSION + 1}"):
            await open_store()

    async def test_older_server_is_refused(self, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        async def say_hello(*_: Any) -> dict[str, Any]:
            return {"maxWireVersion": 13, "setName": "rs0"}

        monkeypatch.setattr(Database, "_say_hello", say_hello)
        with pytest.raises(Unsupported, match="MongoDB 6"):
            await store_at(mongo_uri).open()

    async def test_client_that_was_given_stays_open(self, mongo_uri: str) -> None:
        async with AsyncMongoClient[dict[str, Any]](mongo_uri) as client:
            store = MongoStore(StoreSettings(url=mongo_uri), client=client)
            await store.open()
            run = await store.create_run(make_creation(GROUP))
            assert store._database["runs"].write_concern.document == {"w": "majority"}
            await store.close()
            found = await client.get_default_database()["runs"].find_one({"_id": run.id})
            assert found is not None

    async def test_store_may_be_opened_again(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.close()
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.ping()
        await store.open()
        await store.ping()


@pytest.mark.mongo
@pytest.mark.faults
async def test_server_that_dies_and_comes_back_is_missed_and_found_again(mongo_own_server: Mongod) -> None:
    store = store_at(mongo_own_server.uri("own"), retry_s=0.3)
    await store.open()
    try:
        run = await store.create_run(make_creation(GROUP))
        mongo_own_server.kill()
        with pytest.raises(StoreUnavailable):
            await store.ping()
        await asyncio.to_thread(mongo_own_server.start)
        await store.ping()
        assert await store.get_run(GROUP, run.id) == run
    finally:
        await store.close()
