"""Processes die; runs go on elsewhere, and nothing is lost, doubled or shown twice."""

import asyncio
from functools import partial

from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    Hold,
    World,
    appends,
    check_sequence,
    faults,
    read,
    record_when,
    settled,
    start,
    text_of,
    types,
)


async def test_a_run_goes_on_elsewhere_when_its_process_dies_in_mid_stream(world: World, provider: ScriptedProvider):
    provider.add(Answer("half an ", Gate()), Answer("whole answer"))
    first = await world.add_process()
    run = await start(first)
    await read(first, run.id, until="content_delta")
    second = await world.add_process()
    reader = asyncio.create_task(read(second, run.id))
    await world.kill(first)
    events = await reader
    check_sequence(events)
    kinds = types(events)
    assert kinds.count("run_recovered") == 1
    assert kinds.count("content_reset") == 1
    assert kinds[-1] == "run_completed"
    assert text_of(events) == "whole answer"
    assert [e["reason"] for e in events if e["type"] == "run_recovered"] == ["crashed"]


async def test_a_finished_tool_call_is_not_repeated_after_a_crash(world: World, provider: ScriptedProvider):
    calls: list[str] = []
    gate = Gate()

    @tool
    async def quick() -> str:
        """Leave a trace."""
        calls.append("quick")
        return "q"

    @tool(idempotent=True)
    async def stuck() -> str:
        """Hang the first time."""
        calls.append("stuck")
        if calls.count("stuck") == 1:
            await gate._pass()
        return "s"

    provider.add(Answer(calls=[Call("quick", {}), Call("stuck", {})]), Answer("fine"))
    first = await world.add_process(tools=[quick, stuck])
    run = await start(first)
    await read(first, run.id, until="tool_call_completed")
    await gate.reached.wait()
    second = await world.add_process(tools=[quick, stuck])
    await world.kill(first)
    events = await read(second, run.id)
    check_sequence(events)
    assert sorted(calls) == ["quick", "stuck", "stuck"]
    unknown = [e for e in events if e["type"] == "tool_call_failed"]
    assert [e["error"]["code"] for e in unknown] == ["outcome_unknown"]
    assert types(events)[-1] == "run_completed"
    assert provider.calls == 2


async def test_a_step_whose_calls_are_all_answered_is_closed_after_a_crash(world: World, provider: ScriptedProvider):
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    provider.add(Answer(calls=[Call("look", {})]), "done")
    first = await world.add_process(tools=[look])
    answered = Hold(after=True, when=appends("tool_call_completed"))
    faults(first).on("append", answered)
    run = await start(first)
    await answered.reached.wait()
    await world.kill(first)
    second = await world.add_process(tools=[look])
    events = await read(second, run.id)
    check_sequence(events)
    assert [event["step"] for event in events if event["type"] == "step_started"] == [1, 2]
    assert [event["step"] for event in events if event["type"] == "step_completed"] == [1, 2]
    assert (events[-1]["type"], events[-1]["metrics"].steps) == ("run_completed", 2)
    made = (await second.store.list_checkpoints("default", run.id)).items
    assert [checkpoint.step for checkpoint in made] == [0, 1, 2]


async def test_a_call_of_unknown_outcome_waits_for_a_person(world: World, provider: ScriptedProvider):
    calls: list[str] = []

    @tool
    async def pay() -> str:
        """Pay once."""
        calls.append("pay")
        await asyncio.Event().wait()
        return "paid"

    provider.add(Answer(calls=[Call("pay", {}, id="c1")]), Answer("thank you"))
    first = await world.add_process(tools=[pay])
    run = await start(first)
    await read(first, run.id, until="tool_call_started")
    second = await world.add_process(tools=[pay])
    await world.kill(first)
    waiting = await settled(second, run.id, RunStatus.WAITING)
    assert waiting.reason == "needs_attention"
    await second.commands.resume(ANN, run.id, ResumeRequest(tool_results={"c1": "it was paid"}))
    events = await read(second, run.id)
    check_sequence(events)
    assert calls == ["pay"]
    assert provider.requests[1].messages[-1].content == "it was paid"
    assert types(events)[-1] == "run_completed"


async def test_a_stopping_process_hands_its_runs_over(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider.add(Answer("half ", gate), Answer("whole"))
    first = await world.add_process()
    run = await start(first)
    await read(first, run.id, until="content_delta")
    second = await world.add_process()
    reader = asyncio.create_task(read(second, run.id))
    await world.remove(first)
    events = await reader
    check_sequence(events)
    assert [e["reason"] for e in events if e["type"] == "run_recovered"] == ["drained"]
    assert text_of(events) == "whole"
    assert (await settled(second, run.id, RunStatus.COMPLETED)).claims == 0


async def test_a_frozen_owner_cannot_write_after_it_was_replaced(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider.add(Answer("zombie ", gate, "says more"), Answer("the heir answers"))
    first = await world.add_process()
    run = await start(first)
    await read(first, run.id, until="content_delta")
    for task in first.worker._loops:
        task.cancel()  # it beats no more, but its run goes on
    second = await world.add_process()
    events = asyncio.create_task(read(second, run.id))
    await read(second, run.id, until="run_recovered")
    gate.open()
    found = await events
    check_sequence(found)
    assert types(found).count("run_completed") == 1
    assert text_of(found) == "the heir answers"
    await asyncio.gather(*first.worker._drives, return_exceptions=True)
    assert await read(second, run.id, follow=False) == found


async def test_a_poison_run_ends_interrupted_and_retry_gives_it_a_new_budget(world: World, provider: ScriptedProvider):
    silent = ScriptedProvider(default=Answer(Silence()))
    process = await world.add_process(provider=silent)
    run = await start(process)
    await read(process, run.id, until="step_started")
    for _ in range(6):
        await record_when(process, run.id, partial(_is_owner, process.worker.id))
        await world.kill(process)
        process = await world.add_process(provider=silent)
    stuck = await settled(process, run.id, RunStatus.INTERRUPTED)
    assert stuck.reason == "poison"
    await world.kill(process)
    provider.add("at last")
    healthy = await world.add_process()
    await healthy.continuing.retry(ANN, run.id)
    events = await read(healthy, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert [e["type"] for e in events].count("run_interrupted") == 1


def _is_owner(worker_id: str, run: Run) -> bool:
    return run.owner == worker_id
