"""One cluster per database, shared by the tests; whole again before each."""

from collections.abc import Iterator

import pytest

from agio.testing.openai_server import FakeOpenAI, RunningServer, running_server
from tests.e2e.client import Client
from tests.e2e.cluster import Cluster
from tests.e2e.neighbours import Effects, running_effects
from tests.support.databases import MongoDatabase, SQLiteFile
from tests.support.mongod import fresh_database

LEASE_S = 3

DATABASES = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("e2e-sqlite")),
    pytest.param("mongo", marks=[pytest.mark.mongo, pytest.mark.xdist_group("e2e-mongo")]),
]


@pytest.fixture(scope="session")
def openai_server() -> Iterator[RunningServer]:
    """The provider: a local server that does what a model's name says."""
    with running_server() as server:
        yield server


@pytest.fixture
def provider(openai_server: RunningServer) -> FakeOpenAI:
    """What it has recorded."""
    return openai_server.app


@pytest.fixture
def effects() -> Iterator[Effects]:
    """The endpoint that tools call."""
    with running_effects() as endpoint:
        yield endpoint


@pytest.fixture(scope="session", params=DATABASES)
def shared_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, openai_server: RunningServer
) -> Iterator[Cluster]:
    """Four processes on one port, and their database."""
    folder = tmp_path_factory.mktemp("cluster")
    variables = {
        "AGIO_OPENAI_API_KEY": "sk-test",
        "AGIO_OPENAI_BASE_URL": openai_server.url,
        "AGIO_DEFAULT_MODEL": "fake",
        "AGIO_ALLOW_PRIVATE_HTTP": "true",
        "AGIO_LEASE_S": str(LEASE_S),
        "AGIO_DRAIN_S": "3",
        "AGIO_WIRES": "aipartnerupflow",  # to import all of them is a quarter of the time that a process takes to start
    }
    if request.param == "mongo":
        with fresh_database(request.getfixturevalue("mongo_replica_set")) as uri:
            yield from _running(Cluster(folder, MongoDatabase(uri), variables))
    else:
        yield from _running(Cluster(folder, SQLiteFile(folder / "agio.db"), variables))


def _running(cluster: Cluster) -> Iterator[Cluster]:
    try:
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """The cluster, all of its processes at work."""
    shared_cluster.ensure()
    return shared_cluster


@pytest.fixture
def client(cluster: Cluster) -> Client:
    """A client of it."""
    return Client(cluster)
