"""Two workers that both believe they own a run, at the narrowest moments: what the journal has stays whole."""

import asyncio
from typing import Any

import pytest

from agio.domain.status import RunStatus
from agio.engine.engine import Engine
from agio.engine.tasks import end
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    PATIENCE_S,
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


async def silence(engine: Engine) -> None:
    """Let a process beat, claim and hear no more, while its runs go on."""
    await end(engine.worker._loops)


async def reached(hold: Hold) -> None:
    """Return when a call is held."""
    async with asyncio.timeout(PATIENCE_S):
        await hold.reached.wait()


async def check_epochs(engine: Engine, run_id: str) -> None:
    """I4: nothing of an earlier owner stands behind a later one's."""
    epochs = [entry.epoch for entry in await engine.store.read_entries("default", run_id)]
    assert epochs == sorted(epochs)


async def test_an_owner_that_reads_its_successors_entries_writes_nothing(
    world: World, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
):
    gate = Gate()
    provider.add(Answer("the heir ", gate, "answers"))
    provider._default = lambda request: Answer("a zombie")
    first = await world.add_process()
    slow = Hold()
    faults(first).on("get_spec", slow)
    run = await start(first)
    await reached(slow)
    await silence(first)
    heir = await world.add_process()
    await read(heir, run.id, until="content_delta")
    slow.release()
    await become(lambda: first.worker.run_count == 0)
    gate.open()
    events = await read(heir, run.id)
    check_sequence(events)
    await check_epochs(heir, run.id)
    assert text_of(events) == "the heir answers"
    assert provider.calls == 1
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_what_an_owner_wrote_while_its_successor_read_is_not_overlooked(world: World, provider: ScriptedProvider):
    calls = 0

    @tool(idempotent=True)
    async def count() -> str:
        """Count."""
        nonlocal calls
        calls += 1
        return str(calls)

    gate = Gate()
    provider.add(Answer("let me ", gate, "see", calls=[Call("count", {})]), Answer("seen"))
    provider._default = lambda request: Answer("the same question again")
    first = await world.add_process(tools=[count])
    run = await start(first)
    await read(first, run.id, until="content_delta")
    await silence(first)
    heir = await world.add_process(worker=False, tools=[count])
    late = Hold()
    faults(heir).on("read_entries", late)
    await heir.worker.start()
    await reached(late)
    gate.open()
    await become(lambda: first.worker.run_count == 0)
    late.release()
    events = await read(heir, run.id)
    check_sequence(events)
    await check_epochs(heir, run.id)
    assert types(events)[-1] == "run_completed"
    messages = await heir.reading.messages(ANN, run.id)
    check_request(messages)
    assert [m.role for m in messages] == ["user", "assistant", "tool", "assistant"]
    for request in provider.requests:
        sent = [m.content for m in request.messages if m.role != "system"]
        assert sent == [m.content for m in messages][: len(sent)]


async def test_an_owner_that_froze_between_intent_and_effect_has_no_effect(world: World, provider: ScriptedProvider):
    paid: list[str] = []

    def till(name: str) -> Any:
        @tool
        async def pay() -> str:
            """Pay."""
            paid.append(name)
            return "paid"

        return pay

    provider.add(Answer("a", calls=[Call("pay", {})]))
    first = await world.add_process(tools=[till("first")])
    frozen = Hold(after=True, when=appends("tool_call_started"))
    faults(first).on("append", frozen)
    run = await start(first)
    await reached(frozen)
    await silence(first)
    heir = await world.add_process(tools=[till("heir")])
    waiting = await settled(heir, run.id, RunStatus.WAITING)
    assert waiting.reason == "needs_attention"
    frozen.release()
    await become(lambda: first.worker.run_count == 0)
    assert paid == [], "the heir said that nobody knows, and a person is about to decide"
    assert types(await replay(heir, run.id))[-1] == "run_waiting"


async def test_a_database_that_hangs_for_longer_than_the_lease_costs_no_take_over(
    world: World, provider: ScriptedProvider
):
    gate = Gate()
    provider._default = lambda request: Answer("one ", gate, "two")
    first, second = await world.add_process(), await world.add_process()
    runs = [await start(engine) for engine in (first, second, first, second)]
    for run in runs:
        await read(first, run.id, until="content_delta")
    back = {engine: asyncio.Event() for engine in (first, second)}

    async def stuck(engine: Engine, call: Any, *args: Any) -> Any:
        await back[engine].wait()
        return await call(*args)

    for engine in (first, second):
        for method in ("beat", "claim_ready", "claim_abandoned", "commands", "owned", "sweep"):
            faults(engine).on(method, lambda call, *args, engine=engine: stuck(engine, call, *args))
    await asyncio.sleep(2 * first.settings.lease_s)
    for engine in (first, second):  # they do not come back at the same moment
        back[engine].set()
        await asyncio.sleep(0.3)
    await asyncio.sleep(first.settings.lease_s)
    gate.open()
    for run in runs:
        events = await read(second, run.id)
        check_sequence(events)
        assert "run_recovered" not in types(events)
        assert text_of(events) == "one two"
