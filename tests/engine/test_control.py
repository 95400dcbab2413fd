"""Pause, resume, cancel: in every status, from any process, and never lost."""

import asyncio

import pytest

from agio.domain.errors import InvalidTransition
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import ANN, World, check_sequence, read, settled, start, text_of, types


async def test_cancel_closes_a_silent_models_stream(world: World, provider: ScriptedProvider):
    provider.add(Answer(Silence()))
    engine = await world.add_process()
    run = await start(engine)
    await provider.wait_for_calls(1)
    await engine.commands.cancel(ANN, run.id, reason="enough")
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["type"] == "run_cancelled"
    assert (events[-1]["by"], events[-1]["reason"]) == ("ann", "enough")
    assert provider.open_streams == 0


async def test_cancel_in_mid_answer_keeps_what_was_shown(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider.add(Answer("Once upon ", gate, "a time"), "next")
    engine = await world.add_process()
    run = await start(engine, session_id="s")
    await read(engine, run.id, until="content_delta")
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    assert events[-1]["partial_response"] == "Once upon "
    again = await start(engine, "and then?", session_id="s")
    await read(engine, again.id)
    assert [m.content for m in provider.requests[1].messages] == ["hello", "Once upon ", "and then?"]


async def test_cancel_twice_is_one_cancel_and_cancel_after_the_end_says_so(world: World, provider: ScriptedProvider):
    provider.add(Answer(Silence()), "fine")
    engine = await world.add_process()
    run = await start(engine)
    await provider.wait_for_calls(1)
    await engine.commands.cancel(ANN, run.id)
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    assert types(events).count("run_cancelled") == 1
    assert (await engine.commands.cancel(ANN, run.id)).status is RunStatus.CANCELLED
    done = await start(engine)
    await read(engine, done.id)
    with pytest.raises(InvalidTransition) as refused:
        await engine.commands.cancel(ANN, done.id)
    assert refused.value.status == "completed"


async def test_cancel_of_a_queued_run_executes_nothing(world: World, provider: ScriptedProvider):
    idle = await world.add_process(worker=False)
    run = await start(idle)
    await idle.commands.cancel(ANN, run.id)
    engine = await world.add_process()
    events = await read(engine, run.id)
    assert types(events) == ["run_started", "run_cancelled"]
    assert provider.calls == 0


async def test_a_safe_pause_rests_at_the_step_boundary_and_resume_goes_on(world: World, provider: ScriptedProvider):
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait for the test."""
        await gate._pass()
        return "done"

    provider.add(Answer(calls=[Call("slow", {})]), Answer("all done"))
    engine = await world.add_process(tools=[slow])
    run = await start(engine)
    await gate.reached.wait()
    await engine.commands.pause(ANN, run.id)
    await read(engine, run.id, until="run_pause_requested")
    gate.open()
    paused = await settled(engine, run.id, RunStatus.PAUSED)
    assert paused.owner is None
    assert engine.worker.run_count == 0
    events = await read(engine, run.id, follow=False)
    assert types(events)[-1] == "run_paused"
    announced = [e["checkpoint_id"] for e in events if e["type"] == "checkpoint_created"]
    assert events[-1]["checkpoint_id"] == announced[-1]
    assert provider.calls == 1
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert "run_resumed" in types(events)
    assert types(events)[-1] == "run_completed"
    assert types(events).count("tool_call_started") == 1


async def test_a_pause_in_the_last_answer_takes_effect_before_the_end(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider.add(Answer("one ", gate, "two"))
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await engine.commands.pause(ANN, run.id)
    gate.open()
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert text_of(events) == "one two"
    assert provider.calls == 1


async def test_pause_now_drops_the_step_and_resume_does_it_again(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider.add(Answer("first try", gate), Answer("second try"))
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    assert provider.open_streams == 0
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert "content_reset" in types(events)
    assert text_of(events) == "second try"


async def test_commands_reach_the_owner_in_another_process(world: World, provider: ScriptedProvider):
    provider.add(Answer("here", Silence()))
    owner = await world.add_process()
    other = await world.add_process(worker=False)
    await other.worker.start()
    other.worker._draining = True  # serves and listens, claims nothing
    run = await start(owner)
    seen = asyncio.create_task(read(other, run.id))
    await read(other, run.id, until="content_delta")
    await other.commands.cancel(ANN, run.id)
    events = await seen
    check_sequence(events)
    assert types(events)[-1] == "run_cancelled"


async def test_pause_while_queued_rests_without_executing(world: World, provider: ScriptedProvider):
    provider.add("later")
    engine = await world.add_process()
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    assert provider.calls == 0
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"


async def test_cancel_while_paused_and_while_waiting(world: World, provider: ScriptedProvider):
    @tool(requires_approval=True)
    async def pay() -> str:
        """Pay."""
        return "paid"

    provider.add(Answer(calls=[Call("pay", {})]), "thanks")
    engine = await world.add_process(tools=[pay])
    waiting = await start(engine, session_id="s")
    await settled(engine, waiting.id, RunStatus.WAITING)
    await engine.commands.cancel(ANN, waiting.id)
    events = await read(engine, waiting.id)
    assert types(events)[-1] == "run_cancelled"
    approvals = await engine.store.list_approvals("default", run_id=waiting.id)
    assert [a.status for a in approvals.items] == ["cancelled"]
    paused = await start(engine, start=False)
    await settled(engine, paused.id, RunStatus.PAUSED)
    await engine.commands.cancel(ANN, paused.id)
    assert types(await read(engine, paused.id))[-1] == "run_cancelled"
    # I12: the branch is usable: the open call was closed
    turn = await start(engine, "go on", session_id="s")
    await read(engine, turn.id)
    roles = [m.role for m in provider.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "user"]


async def test_resume_after_a_pause_in_the_last_step_ends_the_run_at_once(world: World, provider: ScriptedProvider):
    for _ in range(5):
        gate = Gate()
        provider.add(Answer("one ", gate, "two"))
        engine = await world.add_process()
        run = await start(engine)
        await read(engine, run.id, until="content_delta")
        await engine.commands.pause(ANN, run.id)
        gate.open()
        await settled(engine, run.id, RunStatus.PAUSED)
        await world.remove(engine)
        engine = await world.add_process()
        await engine.commands.resume(ANN, run.id, ResumeRequest())
        assert types(await read(engine, run.id))[-1] == "run_completed"
        assert (await settled(engine, run.id, RunStatus.COMPLETED)).owner is None
        await world.remove(engine)
