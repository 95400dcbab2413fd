"""The database is away for a while: runs wait and go on, and nothing is doubled."""

import asyncio
from typing import Any

import pytest

from agio.domain.errors import StoreUnavailable
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.storage.port import WorkerLimits
from agio.testing.conformance.records import claim_one
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    Away,
    Hold,
    World,
    appends,
    become,
    check_request,
    check_sequence,
    faults,
    read,
    replay,
    settled,
    start,
    text_of,
    types,
)


class Counter:
    """A tool that counts."""

    def __init__(self) -> None:
        self.calls = 0

        @tool
        async def count() -> str:
            """Count."""
            self.calls += 1
            return str(self.calls)

        self.tool = count


def _script(provider: ScriptedProvider) -> None:
    provider.add(Answer("a", calls=[Call("count", {})]), Answer("b", "c"))


EXPECTED = [
    "run_started",
    "checkpoint_created",
    "step_started",
    "content_delta",
    "message_completed",
    "tool_call_started",
    "tool_call_completed",
    "step_completed",
    "checkpoint_created",
    "step_started",
    "content_delta",
    "content_delta",
    "message_completed",
    "step_completed",
    "checkpoint_created",
    "run_completed",
]


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "applied"])
@pytest.mark.parametrize(
    "at", ["checkpoint_created", "deltas", "message_completed", "tool_call_started", "tool_call_completed"]
)
async def test_appends_wait_and_are_not_doubled(world: World, provider: ScriptedProvider, at: str, applied: bool):
    _script(provider)
    counter = Counter()
    engine = await world.add_process(tools=[counter.tool])
    away = Away(2, applied=applied, when=appends(at))
    faults(engine).on("append", away)
    run = await start(engine)
    events = await read(engine, run.id)
    assert away.left == 0
    check_sequence(events)
    assert types(events) == EXPECTED
    assert counter.calls == 1
    assert provider.calls == 2
    assert await replay(engine, run.id) == events
    ended = await settled(engine, run.id, RunStatus.COMPLETED)
    assert (ended.last_seq, ended.step, ended.owner) == (len(EXPECTED), 2, None)
    messages = await engine.reading.messages(ANN, run.id)
    assert [m.role for m in messages] == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "applied"])
async def test_the_end_is_written_once(world: World, provider: ScriptedProvider, applied: bool):
    _script(provider)
    counter = Counter()
    engine = await world.add_process(tools=[counter.tool])
    faults(engine).on("append", Away(2, applied=applied, when=appends("run_completed")))
    run = await start(engine, session_id="s")
    second = await start(engine, session_id="s")
    provider.add("second")
    events = await read(engine, run.id)
    assert types(events) == EXPECTED
    assert types(await read(engine, second.id))[-1] == "run_completed"
    check_request(provider.requests[-1].messages)


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "applied"])
@pytest.mark.parametrize(
    "method",
    [
        "claim_ready",
        "claim_abandoned",
        "owned",
        "beat",
        "commands",
        "sweep",
        "get_spec",
        "get_snapshot",
        "read_messages",
        "read_entries",
        "get_run",
        "heads",
    ],
)
async def test_a_worker_survives_any_call_that_fails(
    world: World, provider: ScriptedProvider, method: str, applied: bool
):
    _script(provider)
    counter = Counter()
    engine = await world.add_process(tools=[counter.tool])
    desk = await world.add_process(worker=False, tools=[counter.tool])
    faults(engine).on(method, Away(3, applied=applied))
    run = await start(desk)
    await settled(desk, run.id, RunStatus.COMPLETED)
    events = await replay(desk, run.id)
    check_sequence(events)
    assert [kind for kind in types(events) if kind != "run_recovered"] == EXPECTED
    assert counter.calls == 1
    assert provider.calls == 2


async def test_a_run_goes_on_when_its_tools_cannot_be_looked_up_for_a_while(world: World, provider: ScriptedProvider):
    _script(provider)
    counter = Counter()
    engine = await world.add_process(tools=[counter.tool])
    left = 2

    async def list_stored(group_id: str) -> Any:
        nonlocal left
        left -= 1
        if left in (0, -2):
            raise StoreUnavailable("away, says the test")
        return ()

    toolbox: Any = engine.toolbox
    toolbox._list_stored = list_stored
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="and quick"))
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert types(events).count("run_resumed") == 1
    assert counter.calls == 1
    messages = await engine.reading.messages(ANN, run.id)
    assert [m.content for m in messages if m.role == "user"] == ["hello", "and quick"]


async def test_a_take_over_is_told_once_though_the_store_goes_away_behind_it(world: World, provider: ScriptedProvider):
    """Found by a campaign: an owner that read its run anew said once more that it had taken it over."""
    _script(provider)
    counter = Counter()
    desk = await world.add_process(worker=False, tools=[counter.tool])
    run = await start(desk)
    await claim_one(desk.store, "dead", WorkerLimits())
    engine = await world.add_process(worker=False, tools=[counter.tool])
    outages = 1

    async def list_stored(group_id: str) -> Any:
        nonlocal outages
        outages -= 1
        if outages == 0:
            raise StoreUnavailable("away, says the test")
        return ()

    toolbox: Any = engine.toolbox
    toolbox._list_stored = list_stored
    await engine.worker.start()
    events = await read(engine, run.id)
    check_sequence(events)
    assert outages < 0
    assert types(events).count("run_recovered") == 1
    assert types(events)[-1] == "run_completed"
    assert counter.calls == 1


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "applied"])
async def test_a_command_that_failed_can_be_given_again(world: World, provider: ScriptedProvider, applied: bool):
    provider.add(Answer("one", Gate()), "two")
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    faults(engine).on("update_run", Away(1, applied=applied))
    with pytest.raises(StoreUnavailable):
        await engine.commands.pause(ANN, run.id, mode="now")
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    faults(engine).on("update_run", Away(1, applied=applied))
    with pytest.raises(StoreUnavailable):
        await engine.commands.resume(ANN, run.id, ResumeRequest())
    if not applied:
        await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    for kind in ("run_pause_requested", "run_paused", "run_resumed"):
        assert types(events).count(kind) == 1
    assert text_of(events) == "two"


async def test_a_hand_over_waits_for_the_store(world: World, provider: ScriptedProvider):
    provider.add(Answer("half", Gate()), "whole")
    first = await world.add_process()
    run = await start(first)
    await read(first, run.id, until="content_delta")
    faults(first).on("update_run", Away(2))
    second = await world.add_process()
    await world.remove(first)
    events = await read(second, run.id)
    check_sequence(events)
    assert text_of(events) == "whole"
    assert types(events).count("run_recovered") == 1


async def test_an_entry_that_cannot_be_stored_stops_its_run_only(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider._default = lambda request: Answer("go", gate, "od")
    engine = await world.add_process()
    together = Hold()
    faults(engine).on("append", together)
    good = [await start(engine, f"good {number}") for number in range(3)]
    bad = await start(engine, "bad")
    await together.reached.wait()

    async def refuse(call: Any, batch: Any) -> Any:
        if any(item.entry.run_id == bad.id and item.entry.epoch for item in batch):
            raise ValueError("the test cannot store this")
        return await call(batch)

    faults(engine).on("append", refuse)
    together.release()
    gate.open()
    for run in good:
        events = await read(engine, run.id)
        check_sequence(events)
        assert types(events)[-1] == "run_completed"
    faults(engine).on("append", None)
    ended = await settled(engine, bad.id, RunStatus.COMPLETED, RunStatus.INTERRUPTED)
    check_sequence(await replay(engine, bad.id))
    assert ended.owner is None


async def test_a_run_that_cannot_be_loaded_ends_interrupted(world: World, provider: ScriptedProvider):
    provider.add("at last")
    engine = await world.add_process()
    desk = await world.add_process(worker=False)  # what a worker accepts itself it need not load
    broken = True

    async def load(call: Any, *args: Any) -> Any:
        if broken:
            raise ValueError("the test cannot read this")
        return await call(*args)

    faults(engine).on("get_spec", load)
    run = await start(desk)
    stuck = await settled(engine, run.id, RunStatus.INTERRUPTED)
    assert (stuck.reason, stuck.owner) == ("poison", None)
    events = await replay(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_interrupted"
    other = await start(desk)
    await settled(engine, other.id, RunStatus.INTERRUPTED)
    await engine.commands.cancel(ANN, other.id, reason="enough")
    cancelled = await read(engine, other.id)
    assert (types(cancelled)[-1], cancelled[-1]["by"]) == ("run_cancelled", "ann")
    broken = False
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"


async def test_a_store_that_is_away_for_longer_than_the_lease_costs_one_take_over_at_most(
    world: World, provider: ScriptedProvider
):
    gate = Gate()
    provider._default = lambda request: Answer("one ", gate, "two")
    owner = await world.add_process()
    run = await start(owner)
    await read(owner, run.id, until="content_delta")
    for method in ("append", "beat", "commands", "claim_ready", "claim_abandoned", "owned"):
        faults(owner).on(method, Away(10_000))
    heir = await world.add_process()
    await read(heir, run.id, until="run_recovered")
    gate.open()
    events = await read(heir, run.id)
    check_sequence(events)
    assert types(events).count("run_completed") == 1
    assert text_of(events) == "one two"
    for method in ("append", "beat", "commands", "claim_ready", "claim_abandoned", "owned"):
        faults(owner).on(method, None)
    async with asyncio.timeout(20):
        while owner.worker.run_count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    assert await replay(heir, run.id) == events


async def test_readers_are_told_that_the_store_is_away(world: World, provider: ScriptedProvider):
    provider.add(Answer(Silence()))
    engine = await world.add_process()
    run = await start(engine)
    await become(lambda: provider.calls == 1)  # its owner has read what it reads
    faults(engine).on("read_entries", Away(1))
    with pytest.raises(StoreUnavailable):
        await read(engine, run.id)
    assert engine.worker.hub.watched == []
