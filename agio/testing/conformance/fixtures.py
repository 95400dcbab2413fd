"""Fixtures of the suite; a `conftest.py` imports them beside its own fixture `backend`."""

from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

import pytest

from agio.domain.ids import new_id
from agio.storage.port import Store
from agio.testing.conformance.backend import Backend

__all__ = ["declared", "group", "open_store", "other", "store"]


class OpenStore(Protocol):
    """Opens another store on the database under test; it is closed after the test."""

    def __call__(self, inline_limit: int = 256 * 1024) -> Awaitable[Store]: ...


@pytest.fixture
async def open_store(backend: Backend) -> AsyncIterator[OpenStore]:
    """Opens stores on one database, as several processes would."""
    opened: list[Store] = []

    async def open_one(inline_limit: int = 256 * 1024) -> Store:
        one = backend.store_factory(inline_limit)
        await one.open()
        opened.append(one)
        return one

    yield open_one
    for one in reversed(opened):
        await one.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    """A store on an empty database."""
    return await open_store()


@pytest.fixture
async def other(open_store: OpenStore) -> Store:
    """A second store on the database of `store`: another process, as far as either can tell."""
    return await open_store()


@pytest.fixture
def group() -> str:
    """The id of a group."""
    return f"group-{new_id()}"


@pytest.fixture(autouse=True)
def declared(request: pytest.FixtureRequest, backend: Backend) -> None:
    """Expect the failures that the backend declares."""
    suite = request.cls.__name__ if request.cls else ""
    test = getattr(request.node, "originalname", request.node.name)
    reason = backend.cannot.get(f"{suite}.{test}", backend.cannot.get(suite))
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
