"""Callers' model keys: in one process's memory, and what becomes of their runs elsewhere and after it."""

import asyncio
from dataclasses import replace

import pytest

from agio.domain.errors import KeyMissing
from agio.domain.llm_keys import CallersKey
from agio.domain.status import RunStatus
from agio.engine import keys
from agio.engine.caller import Caller
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.engine import Engine
from agio.engine.workflows import WorkflowRequest
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools import tool
from tests.engine.crews import ENDS, FALLBACK, answering, crew, statuses, task
from tests.engine.world import (
    ANN,
    BOB,
    FAST,
    Hold,
    World,
    become,
    check_sequence,
    dump,
    faults,
    read,
    record_when,
    settled,
    start,
    text_of,
    types,
)

KEY = CallersKey("key-of-ann-0123456789")
OTHER = CallersKey("another-key-9876543210")
WITH_KEY = replace(ANN, llm_key=KEY)


@tool(idempotent=True, requires_approval=True)
async def careful() -> str:
    """Do what a person must allow."""
    return "done"


async def _waits_for_a_key(engine: Engine, run_id: str) -> None:
    waiting = await settled(engine, run_id, RunStatus.WAITING)
    assert (waiting.reason, waiting.owner) == ("llm_key_missing", None)


async def test_run_whose_key_died_with_its_process_says_so_and_goes_on_with_a_new_one(
    world: World, provider: ScriptedProvider
):
    provider.add(Answer("one ", Silence()), "fine")
    first = await world.add_process()
    run = await start(first, caller=WITH_KEY)
    await provider.wait_for_calls(1)
    await world.kill(first)
    second = await world.add_process()
    await _waits_for_a_key(second, run.id)
    events = await read(second, run.id, until="run_waiting")
    assert events[-1]["reason"] == "llm_key_missing"
    assert [event["code"] for event in events if event["type"] == "warning"] == ["llm_key_missing"]
    with pytest.raises(KeyMissing):
        await second.commands.resume(ANN, run.id, ResumeRequest())
    assert provider.calls == 1
    await second.commands.resume(replace(ANN, llm_key=OTHER), run.id, ResumeRequest())
    assert types(await read(second, run.id))[-1] == "run_completed"
    assert [request.api_key for request in provider.requests] == [KEY.secret, OTHER.secret]
    stored = str(await dump(second, run.id))
    assert KEY.secret not in stored
    assert OTHER.secret not in stored


async def test_run_goes_on_in_the_process_that_holds_its_key(world: World, provider: ScriptedProvider):
    """A worker that cannot execute it, because the key is elsewhere, does what needs none and passes it on."""
    provider.add(Answer(calls=[Call("careful", {})]), "fine")
    holder = await world.add_process(tools=[careful])
    run = await start(holder, caller=WITH_KEY)
    waiting = await settled(holder, run.id, RunStatus.WAITING)
    holder.worker._draining = True  # claims no more for now
    other = await world.add_process(tools=[careful])
    verdict = Verdict(approval_id=waiting.pending_approvals[0], decision="approve")
    await other.commands.resume(ANN, run.id, ResumeRequest(verdicts=(verdict,)))
    passed = await record_when(other, run.id, lambda record: record.passed_on)
    assert passed.owner == holder.worker.id
    holder.worker._draining = False
    events = await read(other, run.id)
    assert types(events)[-1] == "run_completed"
    assert "tool_call_completed" in types(events)
    assert "run_recovered" not in types(events)
    assert [request.api_key for request in provider.requests] == [KEY.secret] * 2
    await become(lambda: not holder.worker.keys._held)  # forgotten at the end


async def test_run_that_was_passed_on_to_a_process_that_dies_waits_for_a_key(world: World, provider: ScriptedProvider):
    provider.add("fine")
    holder = await world.add_process(settings=replace(FAST, runs_per_worker=0))
    run = await start(holder, caller=WITH_KEY)  # no room here: whoever claims it
    holder.worker._draining = True
    other = await world.add_process()
    await record_when(other, run.id, lambda record: record.passed_on)
    await world.kill(holder)
    await _waits_for_a_key(other, run.id)
    assert provider.calls == 0
    await other.commands.cancel(ANN, run.id)
    await settled(other, run.id, RunStatus.CANCELLED)


async def test_run_that_was_taken_from_its_living_owner_comes_back_to_the_key(world: World, provider: ScriptedProvider):
    """The owner was silent for longer than its lease; the heir has no key, the owner still has it."""
    gate, silent = Gate(), Hold()
    provider.add(Answer("one ", gate, "two"), "fine")
    owner = await world.add_process()
    run = await start(owner, caller=WITH_KEY)
    await gate.reached.wait()
    faults(owner).on("beat", silent)
    heir = await world.add_process()
    await _waits_for_a_key(heir, run.id)
    silent.release()
    gate.open()
    events = await read(heir, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert text_of(events) == "fine"
    assert [event["by"] for event in events if event["type"] == "run_resumed"] == ["system"]
    assert [request.api_key for request in provider.requests] == [KEY.secret] * 2
    await become(lambda: not owner.worker.keys._held)


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_full_worker_still_executes_what_only_it_can(world: World, provider: ScriptedProvider):
    provider.add("fine")
    holder = await world.add_process(settings=replace(FAST, runs_per_worker=0))
    run = await start(holder, caller=WITH_KEY)
    other = await world.add_process()
    assert types(await read(other, run.id))[-1] == "run_completed"
    assert provider.requests[0].api_key == KEY.secret


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_key_of_another_provider_is_not_sent_and_not_waited_for(world: World, provider: ScriptedProvider):
    provider.add("fine")
    engine = await world.add_process()
    run = await start(engine, caller=replace(ANN, llm_key=CallersKey("key-of-elsewhere", "elsewhere")))
    assert run.llm_key is None
    assert types(await read(engine, run.id))[-1] == "run_completed"
    assert provider.requests[0].api_key is None


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_refused_run_leaves_no_key_behind_and_takes_none_away(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", Silence()))
    engine = await world.add_process()
    run = await start(engine, caller=WITH_KEY)
    await provider.wait_for_calls(1)
    with pytest.raises(Exception, match="already"):
        await start(engine, run_id=run.id, caller=replace(ANN, llm_key=OTHER))
    assert [held.key for held in engine.worker.keys._held.values()] == [KEY]
    await engine.commands.cancel(ANN, run.id)
    await settled(engine, run.id, RunStatus.CANCELLED)


PLAN = crew(
    replace(task("one"), description="one for {who}"),
    replace(task("two", "one", agent="bob"), description="two for {who}"),
    replace(task("three", "one", agent="eve"), description="three for {who}"),
    process="graph",
)


async def _commission(engine: Engine, caller: Caller, who: str) -> str:
    request = WorkflowRequest(crew=PLAN, fallback=FALLBACK, inputs={"who": who})
    return (await engine.workflows.start(caller, request)).id


async def test_child_runs_call_with_the_key_of_whoever_started_them_and_keys_never_mix(
    world: World, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
):
    """Any worker claims any child; the keys stay in the process that was asked."""
    provider._default = answering
    first, second = [await world.add_process() for _ in range(2)]
    callers = {
        f"{name}{n}": replace(who, llm_key=CallersKey(f"key-of-{name}{n}-0123456789"))
        for n in range(3)
        for name, who in (("ann", ANN), ("bob", BOB))
    }
    begun = [await _commission((first, second)[n % 2], caller, who) for n, (who, caller) in enumerate(callers.items())]
    await asyncio.gather(*(settled(first, run_id, *ENDS) for run_id in begun))
    for request in provider.requests:
        who = str(request.messages[-1].content).split(" for ")[1].split()[0]
        assert request.api_key == callers[who].llm_key.secret  # type: ignore[union-attr]
    assert provider.calls == 3 * len(callers)
    for run_id in begun:
        tree = await first.trees.read(ANN, run_id)
        assert set(statuses(tree).values()) == {"completed"}
        for one in (run_id, *(str(state.run_id) for state in tree.tasks)):
            assert "0123456789" not in str(await dump(first, one))
    monkeypatch.setattr(keys, "LOOK_AGAIN_S", 0.0)
    for engine in (first, second):  # who ended a workflow may not be who holds its key
        await engine.worker.keys.forget_ended(engine.worker._has_ended)
        assert not engine.worker.keys._held


async def test_workflow_whose_key_died_goes_on_with_the_key_that_it_is_resumed_with(
    world: World, provider: ScriptedProvider
):
    provider.add("one is done", Answer("two ", Silence()), Answer("three ", Silence()))
    first = await world.add_process()
    run_id = await _commission(first, WITH_KEY, "ann")
    await provider.wait_for_calls(3)
    await world.kill(first)
    provider._default = answering
    second = await world.add_process()
    tree = await second.trees.read(ANN, run_id)
    for state in tree.tasks:
        if state.status != "completed":
            await _waits_for_a_key(second, str(state.run_id))
    assert provider.calls == 3
    await settled(second, run_id, RunStatus.WAITING)
    await second.commands.resume(replace(ANN, llm_key=OTHER), run_id, ResumeRequest())
    await settled(second, run_id, RunStatus.COMPLETED)
    assert [request.api_key for request in provider.requests] == [KEY.secret] * 3 + [OTHER.secret] * 2


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_child_of_another_provider_does_not_wait_for_a_key_that_is_not_for_it(
    world: World, provider: ScriptedProvider
):
    provider._default = answering
    first = await world.add_process(worker=False)
    run_id = await _commission(first, replace(ANN, llm_key=CallersKey("key-of-elsewhere", "elsewhere")), "ann")
    assert (await first.store.get_run("default", run_id)).llm_key is not None
    second = await world.add_process()
    await settled(second, run_id, RunStatus.COMPLETED)
    assert {request.api_key for request in provider.requests} == {None}
