"""Faults of the database: nodes of a replica set that step down, die, freeze or answer with errors; a locked file."""

import asyncio
import signal
import sqlite3
import threading
import time
from contextlib import closing, suppress
from functools import partial
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.faults.inflict import Inflict, Scene
from tests.support.mongod import Mongod, ReplicaSet

WRITES = ["insert", "update", "findAndModify", "delete"]
CALLS = [*WRITES, "find", "aggregate", "getMore"]


def _servers(scene: Scene) -> ReplicaSet:
    assert scene.world.servers is not None
    return scene.world.servers


async def _primary(scene: Scene) -> Mongod:
    return await scene.world.do(_servers(scene).wait_primary)


async def step_down(scene: Scene) -> None:
    """F6: the primary steps down."""
    await scene.world.do(lambda: _servers(scene).step_down(for_s=5))


async def primary_killed(scene: Scene) -> None:
    """F7: SIGKILL to the primary, and its restart after the election."""
    primary = await _primary(scene)
    await scene.world.do(primary.kill)
    scene.note(struck=time.monotonic())
    await asyncio.sleep(6)
    await scene.world.do(primary.start)


async def primary_frozen(scene: Scene) -> None:
    """F8: the primary is frozen for 15 seconds: its connections stay open, and nobody answers."""
    primary = await _primary(scene)
    primary.freeze()
    scene.note(struck=time.monotonic())
    try:
        await asyncio.sleep(15)
    finally:
        primary.thaw()


async def majority_lost(scene: Scene) -> None:
    """F9: two of three nodes are killed for 20 seconds."""
    owned = await scene.world.owned()
    scene.note(lost_wall=time.time(), owned=sum(map(len, owned.values())))
    primary = await _primary(scene)
    others = [member for member in _servers(scene).members if member is not primary]
    down = [primary, scene.rng.choice(others)]
    for member in down:
        await scene.world.do(member.kill)
    scene.note(struck=time.monotonic())
    await asyncio.sleep(20)
    for member in down:
        await scene.world.do(member.start)


async def kill_during_election(scene: Scene) -> None:
    """F1 with F7: a worker dies while the set has no primary."""
    primary = await _primary(scene)
    victim = await scene.victim()
    scene.note(orphans=(await scene.world.owned()).get(victim, []))
    await scene.world.do(primary.kill)
    scene.note(struck=time.monotonic(), killed_wall=time.time())
    scene.world.send(victim, signal.SIGKILL)
    await asyncio.sleep(5)
    await scene.world.do(primary.start)


async def _fail(scene: Scene, commands: list[str], times: int, **how: Any) -> None:
    """Let the primary fail Agio's next calls in some way."""
    primary = await _primary(scene)
    data = {"failCommands": commands, "appName": "agio", **how}
    await scene.world.do(lambda: primary.ask("configureFailPoint", "failCommand", mode={"times": times}, data=data))
    await asyncio.sleep(3)
    await scene.world.do(lambda: primary.ask("configureFailPoint", "failCommand", mode="off"))


async def connections_closed(scene: Scene) -> None:
    """F11: the primary hangs up on calls, twice and more in a row, so that the driver's one retry fails too."""
    await _fail(scene, CALLS, scene.rng.choice([2, 6, 20]), closeConnection=True)


async def errors_told(scene: Scene) -> None:
    """F11: calls fail with "shutting down", "not writable primary", "interrupted"."""
    code = scene.rng.choice([91, 10107, 11600, 11602, 189])
    scene.note(code=code)
    await _fail(scene, CALLS, scene.rng.choice([2, 10]), errorCode=code)


async def applied_but_in_doubt(scene: Scene) -> None:
    """F11: writes are applied and answered with a write concern error."""
    code = scene.rng.choice([64, 91])
    scene.note(code=code)
    await _fail(scene, WRITES, 10, writeConcernError={"code": code, "errmsg": "says the campaign"})


async def calls_slow(scene: Scene) -> None:
    """F11: calls take two seconds."""
    await _fail(scene, CALLS, 20, blockConnection=True, blockTimeMS=2_000)


async def streams_killed(scene: Scene) -> None:
    """F12: every change stream is killed, three times."""
    killed = 0
    for _ in range(3):
        primary = await _primary(scene)
        killed += await scene.world.do(partial(_kill_streams, primary))
        await asyncio.sleep(1)
    scene.note(killed_streams=killed)


def _kill_streams(primary: Mongod) -> int:
    options: dict[str, Any] = {"directConnection": True, "serverSelectionTimeoutMS": 5_000}
    killed = 0
    with MongoClient[dict[str, Any]](primary.uri(), **options) as client, suppress(PyMongoError):
        stage = {"$currentOp": {"allUsers": True, "idleCursors": True}}
        found = client.admin.aggregate([stage, {"$match": {"appName": "agio", "cursor.tailable": True}}])
        for each in found:
            namespace = each["ns"].partition(".")
            with suppress(PyMongoError):
                client[namespace[0]].command("killCursors", namespace[2], cursors=[each["cursor"]["cursorId"]])
                killed += 1
    return killed


async def _spoil_link(scene: Scene, how: str, seconds: float) -> None:
    """Let the link between one worker and the primary go bad; all others are sound."""
    pid, primary = await scene.victim(), await _primary(scene)
    scene.note(bad_s=round(seconds, 1), owned=len((await scene.world.owned()).get(pid, [])))
    file = scene.world.folder / f"link-{pid}"
    file.write_text(f"{how} {primary.port}")
    try:
        await asyncio.sleep(seconds)
    finally:
        file.unlink()


async def link_cut(scene: Scene) -> None:
    """F10: a worker cannot reach the primary for one and a half leases, everybody else can."""
    await _spoil_link(scene, "cut", 1.5 * scene.world.lease_s)


async def link_silent(scene: Scene) -> None:
    """F10: the connections of a worker to the primary are half open for one and a half leases."""
    await _spoil_link(scene, "silent", 1.5 * scene.world.lease_s)


async def link_slow(scene: Scene) -> None:
    """F10: each call of a worker to the primary takes 0.2 s longer for a lease."""
    await _spoil_link(scene, "slow", scene.world.lease_s)


async def _lock(scene: Scene, seconds: float) -> None:
    """Hold the write lock of the file, as a second program would."""
    assert scene.world.store == "sqlite"
    scene.note(locked_s=round(seconds, 1), lost_wall=time.time())
    owned = await scene.world.owned()
    scene.note(owned=sum(map(len, owned.values())))
    release = threading.Event()
    path = scene.world.folder / "agio.db"

    def hold() -> None:
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            scene.note(struck=time.monotonic())
            release.wait(seconds)
            connection.execute("ROLLBACK")

    await asyncio.to_thread(hold)


async def locked_briefly(scene: Scene) -> None:
    """F17: another program has the file's write lock for half a lease."""
    await _lock(scene, scene.world.lease_s / 2)


async def locked_for_long(scene: Scene) -> None:
    """F17: another program has the write lock for two and a half leases."""
    await _lock(scene, 2.5 * scene.world.lease_s)


async def locked_now_and_then(scene: Scene) -> None:
    """F17: another program takes the write lock again and again."""
    for _ in range(5):
        await _lock(scene, scene.rng.uniform(0.2, 1.5))


MONGO_KINDS: dict[str, Inflict] = {
    each.__name__: each
    for each in (
        step_down,
        primary_killed,
        connections_closed,
        streams_killed,
        primary_frozen,
        errors_told,
        majority_lost,
        applied_but_in_doubt,
        kill_during_election,
        calls_slow,
        link_cut,
        link_silent,
        link_slow,
    )
}
SQLITE_KINDS: dict[str, Inflict] = {
    each.__name__: each for each in (locked_briefly, locked_for_long, locked_now_and_then)
}
