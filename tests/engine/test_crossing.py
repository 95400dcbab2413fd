"""Commands that cross something else on its way: none is lost, none is carried out twice."""

import asyncio
from dataclasses import replace

from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.starting import StartRequest
from agio.storage.port import SESSIONS
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    FAST,
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

DEAF = replace(FAST, lease_s=600.0, scan_s=600.0, sweep_s=600.0)
"""What is not heard at once is not heard within a test."""


@tool(requires_approval=True)
async def pay() -> str:
    """Pay."""
    return "paid"


async def test_a_cancel_that_crosses_a_checkpoint_is_not_forgotten(world: World, provider: ScriptedProvider):
    provider.add(Answer(Silence()))
    engine = await world.add_process(settings=DEAF)
    hold = Hold(after=True, when=appends("checkpoint_created"))
    faults(engine).on("append", hold)
    run = await start(engine)
    await hold.reached.wait()
    await record_when(engine, run.id, lambda run: run.last_checkpoint_id is not None)
    await engine.commands.cancel(ANN, run.id)
    hold.release()
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_cancelled"


async def test_the_news_of_a_run_may_come_after_its_claim(world: World, provider: ScriptedProvider):
    provider.add("one", Answer("two ", gate := Gate(), "three"))
    engine = await world.add_process()
    await read(engine, (await start(engine, session_id="s")).id)
    hold = Hold(when=lambda kind, *rest: kind is SESSIONS)
    faults(engine).on("update", hold)
    starting = asyncio.create_task(
        engine.starting.start(ANN, StartRequest(agent_id="a1", message="more", session_id="s"))
    )
    await hold.reached.wait()
    await gate.reached.wait()  # a scan found the run before its creator told the worker
    hold.release()
    run = await starting
    gate.open()
    events = await read(engine, run.id)
    check_sequence(events)
    assert provider.calls == 2
    assert "content_reset" not in types(events)


async def test_a_resume_that_crosses_coming_to_rest_is_not_lost(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    hold = Hold(when=appends("run_paused"))
    faults(engine).on("append", hold)
    await engine.commands.pause(ANN, run.id)
    gate.open()
    await hold.reached.wait()
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    hold.release()
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert types(events).count("run_resumed") >= 1


async def test_a_pause_that_is_taken_back_while_it_takes_effect_does_not_rest(world: World, provider: ScriptedProvider):
    stopping, may_stop = asyncio.Event(), asyncio.Event()

    @tool(idempotent=True)
    async def stubborn() -> str:
        """Take its time to stop."""
        if stopping.is_set():
            return "at once"
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await may_stop.wait()
        return "never"

    provider.add(Answer(calls=[Call("stubborn", {})]), "fine")
    engine = await world.add_process(tools=[stubborn])
    run = await start(engine)
    await read(engine, run.id, until="tool_call_started")
    await engine.commands.pause(ANN, run.id, mode="now")
    await stopping.wait()
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    may_stop.set()
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert "run_paused" not in types(events)


async def test_what_is_said_while_a_pause_is_taken_back_reaches_the_model(world: World, provider: ScriptedProvider):
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait."""
        await gate._pass()
        return "done"

    provider.add(Answer(calls=[Call("slow", {})]), "all right")
    engine = await world.add_process(tools=[slow])
    run = await start(engine)
    await gate.reached.wait()
    await engine.commands.pause(ANN, run.id)
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="hurry up"))
    gate.open()
    events = await read(engine, run.id)
    check_sequence(events)
    said = [(m.role, m.content) for m in provider.requests[1].messages]
    assert said[-2:] == [("tool", "done"), ("user", "hurry up")]


async def test_what_is_said_during_the_last_answer_is_answered_too(world: World, provider: ScriptedProvider):
    provider.add(Answer("an ", gate := Gate(), "answer"), "another")
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await engine.commands.pause(ANN, run.id)
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="wait, one more thing"))
    gate.open()
    events = await read(engine, run.id)
    check_sequence(events)
    assert [m.content for m in provider.requests[-1].messages] == ["hello", "an answer", "wait, one more thing"]
    assert events[-1]["response"] == "another"


async def test_what_is_said_before_the_start_comes_after_the_question(world: World, provider: ScriptedProvider):
    provider.add("fine")
    engine = await world.add_process()
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="and be brief"))
    await read(engine, run.id)
    assert [m.content for m in provider.requests[0].messages] == ["hello", "and be brief"]


async def test_what_is_said_with_a_decision_comes_after_the_tools_result(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("pay", {}, id="c1")]), "thanks")
    engine = await world.add_process(tools=[pay])
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    (approval,) = (await engine.store.list_approvals("default", run_id=run.id)).items
    verdict = Verdict(approval_id=approval.id, decision="approve")
    await engine.commands.resume(ANN, run.id, ResumeRequest(verdicts=(verdict,), message="keep the receipt"))
    events = await read(engine, run.id)
    check_sequence(events)
    said = [(m.role, m.content) for m in provider.requests[1].messages]
    assert said[-2:] == [("tool", "paid"), ("user", "keep the receipt")]


async def test_what_is_said_while_an_approval_is_pending_waits_for_the_result(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("pay", {}, id="c1")]), "thanks")
    engine = await world.add_process(tools=[pay])
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="well?"))
    await record_when(engine, run.id, lambda run: run.epoch == 2 and run.status is RunStatus.WAITING)
    assert provider.calls == 1
    (approval,) = (await engine.store.list_approvals("default", run_id=run.id)).items
    await engine.commands.decide(ANN, Verdict(approval_id=approval.id, decision="approve"))
    events = await read(engine, run.id)
    check_sequence(events)
    said = [(m.role, m.content) for m in provider.requests[1].messages]
    assert said == [("user", "hello"), ("assistant", ""), ("tool", "paid"), ("user", "well?")]


async def test_a_decision_that_crosses_coming_to_wait_is_not_lost(world: World, provider: ScriptedProvider):
    """The owner reads approvals, a person decides, the owner rests: who looks at the decision?"""
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait."""
        await gate._pass()
        return "done"

    provider.add(Answer(calls=[Call("pay", {}, id="c1"), Call("slow", {}, id="c2")]), "thanks")
    engine = await world.add_process(tools=[pay, slow])
    run = await start(engine)
    await gate.reached.wait()
    (approval,) = (await engine.store.list_approvals("default", run_id=run.id)).items
    hold = Hold(after=True)
    faults(engine).on("list_approvals", hold)
    gate.open()
    await hold.reached.wait()
    await become(lambda: True)
    await asyncio.sleep(0)
    await engine.commands.decide(ANN, Verdict(approval_id=approval.id, decision="approve"))
    hold.release()
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert provider.requests[1].messages[-2].role == "tool"


async def test_a_result_given_by_a_person_survives_a_crash_of_the_run_that_took_it(
    world: World, provider: ScriptedProvider
):
    @tool
    async def stuck() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return "never"

    provider.add(Answer(calls=[Call("stuck", {}, id="c1")]), "thank you")
    first = await world.add_process(tools=[stuck])
    run = await start(first)
    await read(first, run.id, until="tool_call_started")
    await first.commands.pause(ANN, run.id, mode="now")
    await settled(first, run.id, RunStatus.PAUSED)
    hold = Hold(when=appends("tool_call_completed"))
    faults(first).on("append", hold)
    await first.commands.resume(ANN, run.id, ResumeRequest(tool_results={"c1": "it was done"}))
    await hold.reached.wait()
    await world.kill(first)
    second = await world.add_process(tools=[stuck])
    events = await read(second, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert provider.requests[1].messages[-1].content == "it was done"


async def test_a_permission_to_call_again_is_good_for_one_call(world: World, provider: ScriptedProvider):
    calls: list[str] = []

    @tool
    async def stuck() -> str:
        """Never end."""
        calls.append("stuck")
        await asyncio.Event().wait()
        return "never"

    provider.add(Answer(calls=[Call("stuck", {}, id="c1")]), "thank you")
    first = await world.add_process(tools=[stuck])
    run = await start(first)
    await become(lambda: len(calls) == 1)
    await first.commands.pause(ANN, run.id, mode="now")
    await settled(first, run.id, RunStatus.PAUSED)
    await first.commands.resume(ANN, run.id, ResumeRequest(retry_tools=("c1",)))
    await become(lambda: len(calls) == 2)
    await world.kill(first)
    second = await world.add_process(tools=[stuck])
    waiting = await settled(second, run.id, RunStatus.WAITING)
    assert waiting.reason == "needs_attention"
    assert len(calls) == 2


async def test_a_pause_taken_back_behind_another_run_waits_its_turn(world: World, provider: ScriptedProvider):
    provider.add(Answer("first ", gate := Gate(), "done"), "second")
    engine = await world.add_process()
    first = await start(engine, "one", session_id="s")
    await gate.reached.wait()
    hold = Hold(when=lambda group, run_id: run_id != first.id)
    faults(engine).on("get_spec", hold)
    second = await start(engine, "two", session_id="s", start=False)
    await hold.reached.wait()  # claimed to be paused
    await engine.commands.resume(ANN, second.id, ResumeRequest())
    hold.release()
    await settled(engine, second.id, RunStatus.QUEUED)
    assert provider.calls == 1
    gate.open()
    await read(engine, second.id)
    assert [m.content for m in provider.requests[1].messages] == ["one", "first done", "two"]


async def test_a_pause_that_crosses_the_claim_is_acknowledged(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    hold = Hold()
    faults(engine).on("get_spec", hold)
    run = await start(engine)
    await hold.reached.wait()
    await engine.commands.pause(ANN, run.id, reason="not yet")
    hold.release()
    await settled(engine, run.id, RunStatus.PAUSED)
    events = await replay(engine, run.id)
    assert types(events) == ["run_started", "run_pause_requested", "run_paused"]
    assert {event.get("by") for event in events[1:]} == {"ann"}
    assert {event.get("reason") for event in events[1:]} == {"not yet"}


async def test_a_pause_that_crosses_a_hand_over_holds(world: World, provider: ScriptedProvider):
    provider.add(Answer("half", Gate()))
    first = await world.add_process()
    run = await start(first)
    await read(first, run.id, until="content_delta")
    hold = Hold(when=lambda group, run_id, change: run_id == run.id)
    faults(first).on("update_run", hold)
    removing = asyncio.create_task(world.remove(first))
    await hold.reached.wait()
    second = await world.add_process()
    await second.commands.pause(ANN, run.id)
    hold.release()
    await removing
    await settled(second, run.id, RunStatus.PAUSED)
    events = await replay(second, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_paused"
    assert provider.calls == 1


async def test_the_same_command_twice_is_one_event(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    for _ in range(3):
        await engine.commands.pause(ANN, run.id)
    gate.open()
    await settled(engine, run.id, RunStatus.PAUSED)
    assert (await engine.commands.pause(ANN, run.id)).status is RunStatus.PAUSED
    kinds = types(await replay(engine, run.id))
    assert kinds.count("run_pause_requested") == 1
    assert kinds.count("run_paused") == 1


async def test_a_sharper_pause_overtakes_a_safe_one(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", Silence()), "again")
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await engine.commands.pause(ANN, run.id)
    await read(engine, run.id, until="run_pause_requested")
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
