"""Stores on a fresh database, and faults on demand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import pytest
from pymongo import MongoClient
from pymongo.database import Database as SyncDatabase

from agio.storage.mongo import MongoStore
from agio.storage.port import StoreSettings
from tests.support.mongod import Mongod, find_mongod, running

OpenStore: TypeAlias = Callable[..., Awaitable[MongoStore]]
Fail: TypeAlias = Callable[..., AbstractContextManager[None]]


@pytest.fixture
async def open_store(mongo_uri: str) -> AsyncIterator[OpenStore]:
    """Opens stores on one database of a replica set, as several processes would."""
    opened: list[MongoStore] = []

    async def open_one(*, inline_limit: int = 256 * 1024, uri: str = mongo_uri, **options: Any) -> MongoStore:
        store = MongoStore(StoreSettings(url=uri, inline_limit=inline_limit, options=options))
        await store.open()
        opened.append(store)
        return store

    yield open_one
    for store in reversed(opened):
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> MongoStore:
    """A store on an empty database."""
    return await open_store()


@pytest.fixture
async def other(open_store: OpenStore) -> MongoStore:
    """A second store on the database of `store`."""
    return await open_store()


@pytest.fixture
def raw(mongo_uri: str) -> Iterator[SyncDatabase[dict[str, Any]]]:
    """The database itself."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client.get_default_database()


@pytest.fixture
def fail(raw: SyncDatabase[dict[str, Any]]) -> Fail:
    """Makes commands of stores fail: `with fail("insert", on="journal", closeConnection=True): ...`."""

    @contextmanager
    def failing(*commands: str, on: str, times: int = 1, skip: int = 0, **how: Any) -> Iterator[None]:
        mode = {"skip": skip} if skip else {"times": times}
        data = {"failCommands": list(commands), "namespace": f"{raw.name}.{on}", "appName": "agio", **how}
        raw.client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
        try:
            yield
        finally:
            raw.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    return failing


@pytest.fixture
def mongo_own_server() -> Iterator[Mongod]:
    """A server of the test's own, to kill."""
    binary = find_mongod()
    if binary is None:
        pytest.skip("no mongod")
    with running(Mongod(binary)) as server:
        yield server
