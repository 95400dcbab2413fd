"""Every write to MongoDB that is applied and not acknowledged: done once, and told so.

`AGIO_FAULTS=full` adds lost connections and a server that shuts down, after which the driver waits a second or two;
`tests/unit/storage_mongo/test_faults.py` has these for the writes that runs live on.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient

from agio.storage.port import Store
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.deeds import DEEDS, Preparation
from tests.support.mongod import SharedDatabase

pytestmark = [pytest.mark.mongo, pytest.mark.faults]

#: The driver repeats a write once by itself; twice in a row is for the store to deal with.
FAULTS = [pytest.param({"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}}, 2, id="not-acknowledged")]
if os.environ.get("AGIO_FAULTS") == "full":
    FAULTS += [
        pytest.param({"closeConnection": True}, 1, id="connection-lost-once"),
        pytest.param({"closeConnection": True}, 2, id="connection-lost-twice"),
        pytest.param({"errorCode": 91}, 2, id="shutting-down"),
    ]


@contextmanager
def _failing(client: MongoClient[dict[str, Any]], fault: Mapping[str, Any], times: int) -> Iterator[None]:
    data = {"failCommands": ["insert", "update", "delete", "findAndModify"], "appName": "agio", **fault}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data})
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.mark.parametrize("backend", ["replica_set"], indirect=True)
@pytest.mark.parametrize(("fault", "times"), FAULTS)
@pytest.mark.parametrize("prepare", DEEDS, ids=lambda prepare: prepare.__name__)
async def test_it_is_done_once(
    store: Store,
    backend: Backend,
    group: str,
    shared_on_replica_set: SharedDatabase,
    prepare: Preparation,
    fault: Mapping[str, Any],
    times: int,
):
    deed = await prepare(store, backend, group)
    with _failing(shared_on_replica_set.client, fault, times):
        await deed.call()
    assert await deed.seen() == deed.once
