"""Every engine test runs on every store."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agio.storage.mongo import MongoStore
from agio.storage.port import Store, StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.testing.provider import ScriptedProvider
from tests.engine.world import World, running_world

BACKENDS = ["sqlite", pytest.param("mongodb", marks=pytest.mark.mongo)]


@pytest.fixture(params=BACKENDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Makes any number of connections to one fresh database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/agio.db"
        return lambda: SQLiteStore(StoreSettings(url=url))
    uri = request.getfixturevalue("mongo_uri")
    return lambda: MongoStore(StoreSettings(url=uri))


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
async def world(open_store: Callable[[], Store], provider: ScriptedProvider) -> AsyncIterator[World]:
    async with running_world(open_store, provider) as made:
        yield made
