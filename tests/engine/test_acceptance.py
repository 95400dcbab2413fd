"""The process that accepts a run owns it from then on, if it has room."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from agio.domain.errors import StoreUnavailable
from agio.domain.status import RunStatus
from agio.engine.engine import Engine
from agio.testing.provider import Answer, Gate, ScriptedProvider
from agio.tools import tool
from tests.engine.world import (
    ANN,
    FAST,
    PATIENCE_S,
    Away,
    Hold,
    World,
    appends,
    become,
    check_sequence,
    faults,
    read,
    record_when,
    replay,
    settled,
    start,
    types,
)


async def test_a_run_needs_no_claim_where_it_is_accepted(world: World, provider: ScriptedProvider):
    provider.add("at once")
    engine = await world.add_process()
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)  # the worker has looked for others by now
    provider.add("at once")
    faults(engine).on("claim_ready", Hold())
    run = await start(engine)
    assert (run.status, run.owner, run.epoch) == (RunStatus.RUNNING, engine.worker.id, 1)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert (await settled(engine, run.id, RunStatus.COMPLETED)).epoch == 1


async def test_a_full_worker_leaves_a_run_to_whoever_has_room(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate()), "two")
    engine = await world.add_process(settings=replace(FAST, runs_per_worker=1))
    first = await start(engine)
    await gate.reached.wait()
    second = await start(engine)
    assert (second.status, second.owner) == (RunStatus.QUEUED, None)
    gate.open()
    await settled(engine, first.id, RunStatus.COMPLETED)
    await settled(engine, second.id, RunStatus.COMPLETED)


async def test_a_run_whose_caller_is_gone_goes_on(world: World, provider: ScriptedProvider):
    provider.add("nobody asked any more")
    engine = await world.add_process()
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    provider.add("nobody asked any more")
    hold = Hold(after=True)
    faults(engine).on("create_run", hold)
    asking = asyncio.create_task(start(engine, run_id="left"))
    await hold.reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    hold.release()
    ended = await settled(engine, "left", RunStatus.COMPLETED)
    assert (ended.epoch, ended.claims) == (1, 0)


async def test_a_run_whose_acceptance_got_no_answer_is_taken_up(world: World, provider: ScriptedProvider):
    provider.add("first", "second")
    engine = await world.add_process()
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    faults(engine).on("create_run", Away(1, applied=True))
    with pytest.raises(StoreUnavailable):
        await start(engine, run_id="lost")
    await settled(engine, "lost", RunStatus.COMPLETED)
    events = await read(engine, "lost")
    check_sequence(events)
    assert types(events)[-1] == "run_completed"


async def test_a_run_on_its_way_in_is_not_adopted(world: World, provider: ScriptedProvider):
    """Its record names this worker before the worker drives it: the look for such runs must not take it over."""
    provider.add("first", "second")
    engine = await world.add_process()
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    hold = Hold(after=True)
    faults(engine).on("create_run", hold)
    looks = 0

    async def count(call: Any, *args: Any) -> Any:
        nonlocal looks
        looks += 1
        return await call(*args)

    faults(engine).on("owned", count)
    asking = asyncio.create_task(start(engine, run_id="slow"))
    await hold.reached.wait()
    await record_when(engine, "slow", lambda run: looks > 2)
    hold.release()
    await asking
    assert (await settled(engine, "slow", RunStatus.COMPLETED)).epoch == 1


async def test_a_cancel_from_elsewhere_before_the_first_entry_is_heard(world: World, provider: ScriptedProvider):
    """No hint may tell of it: the answer to the owner's first append does."""
    provider.add("first", Answer("never ", Gate()))
    engine = await world.add_process(settings=replace(FAST, lease_s=600, scan_s=600))
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    desk = await world.add_process(worker=False)
    faults(engine).on("commands", Hold())
    hold = Hold()
    faults(engine).on("append", hold)
    run = await start(engine)
    await hold.reached.wait()
    await desk.commands.cancel(ANN, run.id)
    hold.release()
    assert (await settled(engine, run.id, RunStatus.CANCELLED)).owner is None


async def test_a_reader_that_does_not_follow_gets_all_that_is_stored(world: World, provider: ScriptedProvider):
    """Found by a campaign: a checkpoint that one process listed was not among the events that another one showed."""
    provider.add("here I am")
    engine = await world.add_process()
    await become(lambda: not engine.worker._has_backlog)
    unheard = Hold(after=True, when=appends("checkpoint_created"))
    faults(engine).on("append", unheard)
    run = await start(engine)
    async with asyncio.timeout(PATIENCE_S):
        await unheard.reached.wait()
    stored = await engine.store.read_entries("default", run.id)
    shown = await replay(engine, run.id)
    unheard.release()
    assert len(stored) > 1
    assert shown[-1]["seq"] == stored[-1].last_seq
    assert (await read(engine, run.id))[-1]["type"] == "run_completed"


@tool
async def look() -> str:
    """Look."""
    return "seen"


async def _with_stored_tools(engine: Engine, list_stored: Callable[[str], Awaitable[tuple[()]]]) -> None:
    """Let the engine, whose worker has looked for runs by now, ask this for stored tools."""
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    toolbox: Any = engine.toolbox
    toolbox._list_stored = list_stored


async def test_the_agents_tools_are_looked_up_once_while_its_run_is_accepted(world: World, provider: ScriptedProvider):
    provider.add("first", "second")
    engine = await world.add_process(tools=[look])
    asked: list[str] = []
    was_asked = asyncio.Event()

    async def list_stored(group_id: str) -> tuple[()]:
        asked.append(group_id)
        was_asked.set()
        return ()

    await _with_stored_tools(engine, list_stored)
    faults(engine).on("create_run", slow := Hold())
    starting = asyncio.create_task(start(engine))
    async with asyncio.timeout(PATIENCE_S):
        await slow.reached.wait()
        await was_asked.wait()
    slow.release()
    await settled(engine, (await starting).id, RunStatus.COMPLETED)
    assert asked == ["default"]
    assert [schema.name for schema in provider.requests[-1].tools] == ["look"]


async def test_a_run_goes_on_whose_tools_could_not_be_looked_up_as_it_was_accepted(
    world: World, provider: ScriptedProvider
):
    provider.add("first", "second")
    engine = await world.add_process(tools=[look])
    failures = [StoreUnavailable("away, says the test")]

    async def list_stored(group_id: str) -> tuple[()]:
        if failures:
            raise failures.pop()
        return ()

    await _with_stored_tools(engine, list_stored)
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert failures == []
    assert [schema.name for schema in provider.requests[-1].tools] == ["look"]
