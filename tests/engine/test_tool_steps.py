"""What the step loop does with tool calls, good and bad."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agio.domain.errors import ToolError
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.providers.base import FinishPart, ToolCallPart
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.base import Tool, ToolContext
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    FAST,
    World,
    agent,
    become,
    check_request,
    check_sequence,
    read,
    replay,
    settled,
    start,
    types,
)


@tool(idempotent=True)
async def echo(text: str = "") -> str:
    """Say it again."""
    return text


async def _answered(world: World, provider: ScriptedProvider, tools: list[Tool], *calls: Call) -> list[Any]:
    """Let the model make calls; return the events, after checking that the model was answered."""
    provider.add(Answer(calls=calls), "fine")
    engine = await world.add_process(tools=tools)
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed", events[-1]
    check_request(provider.requests[1].messages)
    return events


def _told(provider: ScriptedProvider) -> list[tuple[Any, str | None]]:
    """What the model was told about its calls: content and error."""
    return [(m.content, m.error) for m in provider.requests[1].messages if m.role == "tool"]


async def test_calls_of_one_answer_run_side_by_side(world: World, provider: ScriptedProvider):
    together = asyncio.Barrier(3)

    @tool
    async def meet(name: str) -> str:
        """Wait for the others."""
        async with asyncio.timeout(20):
            await together.wait()
        return name

    events = await _answered(world, provider, [meet], *(Call("meet", {"name": name}) for name in "abc"))
    assert sorted(str(content) for content, _ in _told(provider)) == ["a", "b", "c"]
    kinds = [kind for kind in types(events) if kind.startswith("tool_call")]
    assert kinds == ["tool_call_started"] * 3 + ["tool_call_completed"] * 3


async def test_one_bad_call_does_not_spoil_the_others(world: World, provider: ScriptedProvider):
    @tool
    async def refuse() -> str:
        """Refuse."""
        raise ToolError("not on a Sunday")

    @tool
    async def crash() -> str:
        """Crash."""
        raise RuntimeError("postgres://user:secret@host")

    @tool(timeout_s=0.05)
    async def hang() -> str:
        """Hang."""
        await asyncio.Event().wait()
        return "never"

    @tool
    async def lose() -> str:
        """Be cancelled by something else."""
        raise asyncio.CancelledError

    @tool
    def sync(text: str) -> str:
        """Run in a thread."""
        return text.upper()

    calls = [Call(name, {}, id=name) for name in ("refuse", "crash", "hang", "lose", "nothing")]
    calls += [Call("sync", {"text": "ok"}, id="sync"), Call("echo", "{oops", id="echo"), Call("echo", "[1]", id="list")]
    events = await _answered(world, provider, [refuse, crash, hang, lose, sync, echo], *calls)
    told = {m.tool_call_id: m for m in provider.requests[1].messages if m.role == "tool"}
    assert {call_id: m.error for call_id, m in told.items()} == {
        "refuse": "tool_failed",
        "crash": "tool_failed",
        "hang": "tool_timeout",
        "lose": "tool_failed",
        "nothing": "unknown_tool",
        "sync": None,
        "echo": "invalid_arguments",
        "list": "invalid_arguments",
    }
    assert "not on a Sunday" in str(told["refuse"].content)
    assert "secret" not in str(provider.requests[1])
    assert "secret" not in str(events)
    assert "refuse, crash, hang, lose, sync, echo" in str(told["nothing"].content)
    assert told["sync"].content == "OK"
    warned = [event["code"] for event in events if event["type"] == "warning"]
    assert sorted(warned) == ["invalid_arguments", "invalid_arguments", "unknown_tool"]
    failed = {event["tool_call_id"]: event["error"]["code"] for event in events if event["type"] == "tool_call_failed"}
    assert failed == {call_id: m.error for call_id, m in told.items() if m.error}


async def test_a_tool_that_was_not_offered_is_not_called(world: World, provider: ScriptedProvider):
    called: list[str] = []

    @tool
    async def secret() -> str:
        """Exists, but not for this agent."""
        called.append("secret")
        return "x"

    provider.add(Answer(calls=[Call("secret", {})]), "fine")
    engine = await world.add_process(tools=[echo, secret], agents=[agent(tools=("echo",))])
    run = await start(engine)
    await read(engine, run.id)
    assert called == []
    assert provider.requests[1].messages[-1].error == "unknown_tool"


async def test_an_agents_tool_that_is_gone_is_told_once_per_step(world: World, provider: ScriptedProvider):
    provider.add("fine")
    engine = await world.add_process(tools=[echo], agents=[agent(tools=("echo", "gone"))])
    run = await start(engine)
    events = await read(engine, run.id)
    assert [event["code"] for event in events if event["type"] == "warning"] == ["unknown_tool"]
    assert [schema.name for schema in provider.requests[0].tools] == ["echo"]


@pytest.mark.parametrize(
    "ids",
    [("", ""), ("same", "same"), (None, None), ("same", "")],
    ids=["empty", "twice", "given", "mixed"],
)
async def test_calls_without_ids_of_their_own_get_some(world: World, provider: ScriptedProvider, ids: tuple[Any, ...]):
    parts = [
        ToolCallPart(index, call_id, "echo", '{"text": "%d"}' % index)  # noqa: UP031 - braces
        for index, call_id in enumerate(ids)
    ]
    provider.add(Answer(parts, [FinishPart("tool_calls")], finish=None), "fine")
    engine = await world.add_process(tools=[echo])
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    messages = provider.requests[1].messages
    check_request(messages)
    assert len({call.id for call in messages[1].tool_calls}) == 2
    assert all(call.id for call in messages[1].tool_calls)
    assert sorted(str(content) for content, _ in _told(provider)) == ["0", "1"]


async def test_an_id_that_comes_again_in_a_later_step_is_another_call(world: World, provider: ScriptedProvider):
    provider.add(
        Answer(calls=[Call("echo", {"text": "1"}, id="x")]), Answer(calls=[Call("echo", {"text": "2"}, id="x")]), "fine"
    )
    engine = await world.add_process(tools=[echo])
    run = await start(engine, session_id="s")
    await read(engine, run.id)
    check_request(provider.requests[2].messages)
    assert [m.content for m in provider.requests[2].messages if m.role == "tool"] == ["1", "2"]
    provider.add(Answer(calls=[Call("echo", {"text": "3"}, id="x")]), "fine")
    turn = await start(engine, session_id="s")
    await read(engine, turn.id)
    check_request(provider.requests[-1].messages)
    assert [m.content for m in provider.requests[-1].messages if m.role == "tool"] == ["1", "2", "3"]


async def test_a_call_may_come_in_pieces_between_others(world: World, provider: ScriptedProvider):
    pieces = [
        [ToolCallPart(0, "a", "ec", "")],
        [ToolCallPart(1, "b", "echo", '{"te'), ToolCallPart(0, None, "ho", '{"text": ')],
        [ToolCallPart(1, None, None, 'xt": "two"}'), ToolCallPart(0, None, None, '"one"}')],
    ]
    provider.add(Answer("I ", *pieces, [FinishPart("tool_calls")], finish=None), "fine")
    engine = await world.add_process(tools=[echo])
    run = await start(engine)
    await read(engine, run.id)
    calls = provider.requests[1].messages[1].tool_calls
    assert [(call.id, call.name, call.arguments) for call in calls] == [
        ("a", "echo", '{"text": "one"}'),
        ("b", "echo", '{"text": "two"}'),
    ]


@pytest.mark.parametrize(
    "arguments",
    ["", "  ", '{"text": "\\ud83d"}', '{"text": "\\u0000"}', '{"text": "' + "x" * 600_000 + '"}'],
    ids=["empty", "blank", "half a pair", "nul", "long"],
)
async def test_odd_arguments_do_not_stop_a_run(world: World, provider: ScriptedProvider, arguments: str):
    await _answered(world, provider, [echo], Call("echo", arguments))


@pytest.mark.parametrize("number", ["1" + "0" * 40, "1e400", "-0.0", "NaN"])
async def test_odd_numbers_do_not_stop_a_run(world: World, provider: ScriptedProvider, number: str):
    @tool
    async def double(value: float) -> float:
        """Double."""
        return value * 2

    await _answered(world, provider, [double], Call("double", '{"value": ' + number + "}"))


@pytest.mark.parametrize("result", ["\ud83d", "\x00", "y" * 700_000, {"a": float("inf")}, None, b"\xff"], ids=str)
async def test_odd_results_do_not_stop_a_run(world: World, provider: ScriptedProvider, result: Any):
    async def call(context: ToolContext, arguments: dict[str, Any]) -> Any:
        return result

    await _answered(
        world, provider, [Tool(name="odd", description="", parameters={"type": "object"}, call=call)], Call("odd", {})
    )


async def test_a_tool_knows_what_it_serves_and_hears_of_a_cancel(world: World, provider: ScriptedProvider):
    seen: list[ToolContext] = []

    @tool
    async def watch(context: ToolContext) -> str:
        """Wait until it is cancelled."""
        seen.append(context)
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(replace(context, step=-1 if context.is_cancelled() else 0))
        return "never"

    provider.add(Answer(calls=[Call("watch", {}, id="w1")]))
    engine = await world.add_process(tools=[watch])
    run = await start(engine, session_id="s")
    await read(engine, run.id, until="tool_call_started")
    await become(lambda: bool(seen))
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    assert types(events)[-1] == "run_cancelled"
    first = seen[0]
    assert (first.run_id, first.group_id, first.session_id) == (run.id, "default", "s")
    assert (first.step, first.tool_call_id, first.idempotency_key) == (1, "w1", f"{run.id}:w1")
    assert seen[1].step == -1


async def test_a_thread_that_cannot_be_stopped_does_not_hold_a_cancel_up(world: World, provider: ScriptedProvider):
    began, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @tool
    def stuck() -> str:
        """Block its thread."""
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        loop.call_soon_threadsafe(ended.set)
        return "late"

    provider.add(Answer(calls=[Call("stuck", {})]))
    engine = await world.add_process(tools=[stuck])
    run = await start(engine)
    await began.wait()
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    assert types(events)[-1] == "run_cancelled"
    go.set()
    await ended.wait()
    assert await replay(engine, run.id) == events


async def test_a_pause_between_the_question_and_the_tools_makes_no_call(world: World, provider: ScriptedProvider):
    called: list[str] = []

    @tool
    async def act() -> str:
        """Act."""
        called.append("act")
        return "acted"

    provider.add(Answer("I act", gate := Gate(), calls=[Call("act", {})]), "fine")
    engine = await world.add_process(tools=[act])
    run = await start(engine)
    await gate.reached.wait()
    await engine.commands.pause(ANN, run.id)
    gate.open()
    await settled(engine, run.id, RunStatus.PAUSED)
    assert called == []
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert called == ["act"]
    assert provider.calls == 2


async def test_a_pause_now_stops_an_idempotent_tool_and_a_resume_calls_it_again(
    world: World, provider: ScriptedProvider
):
    calls: list[str] = []

    @tool(idempotent=True)
    async def put(context: ToolContext) -> str:
        """Put."""
        calls.append(context.idempotency_key)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return "put"

    provider.add(Answer(calls=[Call("put", {})]), "fine")
    engine = await world.add_process(tools=[put], settings=FAST)
    run = await start(engine)
    await become(lambda: bool(calls))
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    failed = [event for event in await replay(engine, run.id) if event["type"] == "tool_call_failed"]
    assert [event["error"]["code"] for event in failed] == ["outcome_unknown"]
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert len(calls) == 2
    assert calls[0] == calls[1]
    steps = await engine.reading.steps(ANN, run.id)
    assert [(use.status, use.result) for use in steps[0].tool_calls] == [("completed", "put")]


async def test_calls_in_a_forced_final_answer_are_dropped(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("echo", {})]), Answer("enough", calls=[Call("echo", {})]))
    engine = await world.add_process(tools=[echo], agents=[agent(tools=("echo",), max_steps=1)])
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["response"] == "enough"
    messages = await engine.reading.messages(ANN, run.id)
    check_request(messages)
