"""Runs from start to end through the engine's public seam."""

from agio.domain.status import RunStatus
from agio.testing.provider import Answer, Call, Reasoning, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.world import ANN, World, agent, check_sequence, read, settled, start, text_of, types


@tool(idempotent=True)
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_an_answer_is_streamed_checkpointed_and_completed(world: World, provider: ScriptedProvider):
    provider.add(Answer(Reasoning("hm"), "Hello ", "there."))
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events) == [
        "run_started",
        "checkpoint_created",
        "step_started",
        "reasoning_delta",
        "content_delta",
        "content_delta",
        "message_completed",
        "step_completed",
        "checkpoint_created",
        "run_completed",
    ]
    assert text_of(events) == "Hello there."
    assert events[-1]["response"] == "Hello there."
    ended = await settled(engine, run.id, RunStatus.COMPLETED)
    assert ended.owner is None
    assert not ended.holds_branch
    messages = await engine.reading.messages(ANN, run.id)
    assert [m.role for m in messages] == ["user", "assistant"]


async def test_tools_run_and_their_results_reach_the_model(world: World, provider: ScriptedProvider):
    provider.add(
        Answer(calls=[Call("add", {"a": 1, "b": 2}), Call("add", {"a": 3, "b": 4})]),
        Answer("3 and 7"),
    )
    engine = await world.add_process(tools=[add])
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events).count("tool_call_completed") == 2
    assert [e["result"] for e in events if e["type"] == "tool_call_completed"] == ["3", "7"]
    assert [m.role for m in provider.requests[1].messages] == ["user", "assistant", "tool", "tool"]
    assert types(events).count("checkpoint_created") == 3
    assert types(events)[-1] == "run_completed"


async def test_a_second_turn_sees_the_first(world: World, provider: ScriptedProvider):
    provider.add("one", "two")
    engine = await world.add_process()
    first = await start(engine, "first", session_id="s")
    await read(engine, first.id)
    second = await start(engine, "second", session_id="s")
    await read(engine, second.id)
    assert [m.content for m in provider.requests[1].messages] == ["first", "one", "second"]
    assert second.branch_id == first.branch_id


async def test_the_step_limit_forces_a_final_answer(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("add", {"a": 1, "b": 1})]), Answer("so it is 2"))
    engine = await world.add_process(tools=[add], agents=[agent(tools=("add",), max_steps=1)])
    run = await start(engine)
    events = await read(engine, run.id)
    assert "warning" in types(events)
    assert events[-1]["response"] == "so it is 2"
    assert provider.requests[1].tools == ()
