"""A process of the same machine that is gone: nobody waits for its lease to run out."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from subprocess import Popen
from typing import Any

import pytest

from agio.domain.status import RunStatus
from agio.engine.neighbours import about_me, is_gone
from agio.storage.port import WorkerLimits
from agio.testing.conformance.records import claim_one
from agio.testing.provider import ScriptedProvider
from tests.engine.world import FAST, PATIENCE_S, World, check_sequence, faults, read, settled, start, types

UNENDING = replace(FAST, lease_s=3600)


@pytest.fixture
def neighbour() -> Iterator[Popen[bytes]]:
    """Another process of this machine."""
    process = Popen(["sleep", "600"])
    yield process
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()


def about(process: Popen[bytes]) -> dict[str, str]:
    """Return what a worker in that process would say."""
    with open(f"/proc/{process.pid}/stat") as file:
        born = file.read().rpartition(")")[2].split()[19]
    return {**about_me(), "pid": str(process.pid), "born": born}


async def test_its_runs_are_taken_over_at_once_and_not_before(
    world: World, provider: ScriptedProvider, neighbour: Popen[bytes]
):
    provider.add("here I am")
    desk = await world.add_process(worker=False)
    run = await start(desk)
    await claim_one(desk.store, "neighbour", WorkerLimits())
    await desk.store.beat("neighbour", about(neighbour))
    heir = await world.add_process(settings=UNENDING)
    looked = asyncio.Event()
    left = 3

    async def count(call: Any) -> Any:
        nonlocal left
        left -= 1
        if left <= 0:
            looked.set()
        return await call()

    faults(heir).on("workers", count)
    async with asyncio.timeout(PATIENCE_S):
        await looked.wait()
    assert (await desk.store.get_run("default", run.id)).owner == "neighbour"
    neighbour.kill()
    events = await read(heir, run.id)
    check_sequence(events)
    assert "run_recovered" in types(events)
    await settled(heir, run.id, RunStatus.COMPLETED)
    assert "neighbour" not in await desk.store.workers()


async def test_where_it_is_not_wanted_the_lease_decides(world: World, neighbour: Popen[bytes]):
    desk = await world.add_process(worker=False)
    run = await start(desk)
    await claim_one(desk.store, "neighbour", WorkerLimits())
    neighbour.kill()
    neighbour.wait()
    await desk.store.beat("neighbour", {**about_me(), "pid": str(neighbour.pid)})
    other = await world.add_process(settings=replace(UNENDING, local_takeover=False))
    looked = asyncio.Event()

    async def owned(call: Any, *args: Any) -> Any:  # the last thing that a scan does
        looked.set()
        return await call(*args)

    faults(other).on("owned", owned)
    async with asyncio.timeout(PATIENCE_S):
        await looked.wait()
    assert (await desk.store.get_run("default", run.id)).owner == "neighbour"


def test_a_living_process_is_not_gone(neighbour: Popen[bytes]):
    assert not is_gone(about_me(), about_me())
    assert not is_gone(about(neighbour), about_me())


def test_a_killed_process_is_gone_even_before_its_parent_knows(neighbour: Popen[bytes]):
    said = about(neighbour)
    neighbour.kill()
    os.waitid(os.P_PID, neighbour.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(said, about_me())
    neighbour.wait()
    assert is_gone(said, about_me())


def test_another_process_with_its_number_does_not_stand_for_it(neighbour: Popen[bytes]):
    assert is_gone({**about(neighbour), "born": "1"}, about_me())


def test_a_frozen_process_is_not_gone(neighbour: Popen[bytes]):
    neighbour.send_signal(signal.SIGSTOP)
    assert not is_gone(about(neighbour), about_me())


@pytest.mark.parametrize(
    "said", [{"host": "h", "pid": "1"}, {"pid": "999999999", "machine": "another boot/1", "born": "1"}, {}]
)
def test_of_processes_elsewhere_nothing_is_known(said: dict[str, str]):
    assert not is_gone(said, about_me())
    assert not is_gone({**about_me(), "pid": "999999999"}, {"host": "h", "pid": "1"})
