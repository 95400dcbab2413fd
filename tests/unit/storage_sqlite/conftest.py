"""Stores on a fresh file."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from agio.storage.port import StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.storage.sqlite.database import Database

OpenStore: TypeAlias = Callable[..., Awaitable[SQLiteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database file is to be."""
    return tmp_path / "agio.db"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Opens stores on the file, as several processes would."""
    opened: list[SQLiteStore] = []

    async def open_one(inline_limit: int = 256 * 1024, **options: Any) -> SQLiteStore:
        settings = StoreSettings(url=f"sqlite:///{path}", inline_limit=inline_limit, options=options)
        store = SQLiteStore(settings)
        await store.open()
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> SQLiteStore:
    """An open store."""
    return await open_store()


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    """An open database without the store around it, with a table for numbers."""
    database = Database(path, lock_timeout_s=0.3)
    await database.open()
    await database.write(lambda c: c.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, text TEXT)").rowcount)
    yield database
    await database.close()
