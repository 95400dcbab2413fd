"""Per database: a server that lives, and servers that die at a named place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agio.testing.openai_server import running_server
from tests.crashes.nursery import Nursery
from tests.crashes.shelter import Shelter
from tests.e2e.client import Client
from tests.e2e.neighbours import Effects, running_effects
from tests.support.mongod import fresh_database

DATABASES = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("crashes-sqlite")),
    pytest.param("mongo", marks=[pytest.mark.mongo, pytest.mark.xdist_group("crashes-mongo")]),
]


@pytest.fixture(scope="session", params=DATABASES)
def shared_shelter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelter]:
    """One for all tests on a database."""
    folder = tmp_path_factory.mktemp("crashes")
    with running_server() as openai:
        variables = {
            "AGIO_OPENAI_API_KEY": "sk-test",
            "AGIO_OPENAI_BASE_URL": openai.url,
            "AGIO_ALLOW_PRIVATE_HTTP": "true",
            "AGIO_LEASE_S": "1",
            "AGIO_DRAIN_S": "0.3",
            "AGIO_EXAMPLES": "false",
        }
        if request.param == "mongo":
            with fresh_database(request.getfixturevalue("mongo_replica_set")) as uri:
                yield from _sheltering(folder, {**variables, "AGIO_MONGO_URI": uri})
        else:
            yield from _sheltering(folder, {**variables, "AGIO_DATABASE_URL": f"sqlite:///{folder}/agio.db"})


def _sheltering(folder: Path, variables: dict[str, str]) -> Iterator[Shelter]:
    nursery = Nursery(folder)
    try:
        yield Shelter(nursery, variables)
    finally:
        nursery.close()


@pytest.fixture
def shelter(shared_shelter: Shelter) -> Iterator[Shelter]:
    """The server that lives; whoever is doomed is dead after the test."""
    yield shared_shelter
    shared_shelter.flee()


@pytest.fixture
def client(shelter: Shelter) -> Client:
    """A client that goes where the shelter says."""
    return shelter.client


@pytest.fixture
def effects() -> Iterator[Effects]:
    """The endpoint that tools call."""
    with running_effects() as endpoint:
        yield endpoint
