"""The harness itself: real servers come up, can be broken, and never outlive the tests."""

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

from tests.support.mongod import Mongod, ReplicaSet, find_mongod, fresh_database, mongod_is_required

pytestmark = pytest.mark.mongo

ROOT = Path(__file__).resolve().parents[2]


async def test_standalone_answers_and_is_no_replica_set(mongo_standalone_uri: str):
    async with AsyncMongoClient[dict[str, Any]](mongo_standalone_uri) as client:
        hello = await client.admin.command("hello")
        assert "setName" not in hello
        assert (await client.server_info())["version"] == "6.0.5"


async def test_replica_set_of_one_has_a_primary(mongo_uri: str):
    async with AsyncMongoClient[dict[str, Any]](mongo_uri) as client:
        hello = await client.admin.command("hello")
        assert hello["isWritablePrimary"]
        assert hello["setName"] == "rs0"
        await client.get_default_database()["things"].insert_one({"_id": 1})


async def test_replica_set_of_one_has_change_streams(mongo_uri: str):
    async with AsyncMongoClient[dict[str, Any]](mongo_uri) as client:
        things = client.get_default_database()["things"]
        async with await things.watch() as changes:
            await things.insert_one({"_id": "seen"})
            change = await changes.next()
    assert change["operationType"] == "insert"
    assert change["fullDocument"] == {"_id": "seen"}


def test_fresh_database_is_empty_and_gone_afterwards(mongo_replica_set: ReplicaSet):
    with fresh_database(mongo_replica_set) as uri, MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        assert database.list_collection_names() == []
        database["things"].insert_one({})
    with MongoClient[dict[str, Any]](mongo_replica_set.uri()) as client:
        assert database.name not in client.list_database_names()


@pytest.mark.faults
@pytest.mark.xdist_group("mongo_faults")
def test_three_nodes_replace_a_killed_primary_and_take_it_back(mongo_three_nodes: ReplicaSet):
    first = mongo_three_nodes.wait_primary()
    first.kill()
    assert mongo_three_nodes.wait_primary() is not first
    first.start()
    mongo_three_nodes.wait_steady()


@pytest.mark.faults
def test_server_dies_with_the_process_that_started_it(mongo_standalone: Mongod):
    crash = (
        "import os, sys; from tests.support.mongod import Mongod, find_mongod;"
        "server = Mongod(find_mongod()); server.start();"
        "print(server.pid, server.directory, flush=True); os.kill(os.getpid(), 9)"
    )
    crashed = subprocess.run([sys.executable, "-c", crash], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid, directory = crashed.stdout.split()
    assert _ended(int(pid))

    binary = find_mongod()
    assert binary is not None
    Mongod(binary).close()
    assert not Path(directory).exists(), "the next server removes what the crash left"


@pytest.mark.parametrize(
    ("environ", "required"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"AGIO_REQUIRE_MONGO": "1"}, True),
        ({"CI": "true", "AGIO_REQUIRE_MONGO": "0"}, False),
    ],
)
def test_missing_mongod_fails_only_where_it_is_required(environ: dict[str, str], required: bool):
    assert mongod_is_required(environ) is required


def _ended(pid: int) -> bool:
    """Wait up to ten seconds for a process that is not our child; a zombie has ended."""
    fd = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else None
    if fd is None:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)
