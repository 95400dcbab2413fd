"""Agents written in Python: nothing that they emit is lost or there twice, and what they ask waits for an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from agio.api.protocols.a2a.push import read_task
from agio.domain.agents import PYTHON, Agent
from agio.domain.errors import Invalid
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.providers.python import PythonProvider, Turn
from agio.testing.provider import ScriptedProvider
from tests.engine.world import ANN, World, agent, become, check_sequence, read, record_when, settled, start, types

Function = Callable[[Turn], Awaitable[Any]]


async def add_process(world: World, function: Function) -> Engine:
    """Start a process whose agent a1 is this function."""
    provider = PythonProvider()
    provider.add("a1", function)
    made: Agent = agent(provider=PYTHON, model="a1")
    return await world.add_process(agents=[made], provider=cast(ScriptedProvider, provider))


async def artifacts(engine: Engine, run_id: str) -> dict[str, list[str]]:
    """Return what a client is told of a run's artifacts, chunk by chunk."""
    run = await engine.store.get_run("default", run_id)
    task = await read_task(engine, run)
    return {one.artifact_id: [part.text for part in one.parts] for one in task.artifacts}


async def test_a_crash_loses_and_doubles_no_artifact(world: World):
    calls: list[Turn] = []
    reached = asyncio.Event()

    async def function(turn: Turn) -> str:
        calls.append(turn)
        await turn.say("so ")
        await turn.emit("whole", name="done")
        await turn.emit("one ", name="long", last=False)
        if len(calls) == 1:
            reached.set()
            await asyncio.get_running_loop().create_future()
        await turn.emit("two", name="long", append=True)
        return "far"

    first = await add_process(world, function)
    run = await start(first)
    await reached.wait()
    assert await artifacts(first, run.id) == {"answer": ["so "], "done": ["whole"], "long": ["one "]}
    await world.kill(first)
    second = await add_process(world, function)
    events = await read(second, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert await artifacts(second, run.id) == {"answer": ["so far"], "done": ["whole"], "long": ["one ", "two"]}
    assert [turn.key for turn in calls] == [f"{run.id}:1"] * 2
    assert {turn.message.id for turn in calls} == {calls[0].message.id}
    resets = [event for event in events if event["type"] == "content_reset"]
    taken_back = {event["message_id"] for event in events if event["type"] == "artifact_emitted"}
    assert [event["message_id"] for event in resets] == [next(iter(taken_back - {_answer_id(events)}))]


def _answer_id(events: list[dict[str, Any]]) -> str:
    return next(event["message_id"] for event in reversed(events) if event["type"] == "message_completed")


async def test_a_question_waits_for_an_answer_and_survives_everybody(world: World):
    async def function(turn: Turn) -> Any:
        said = [one.content for one in turn.messages if one.role == "user"]
        return turn.ask("which?") if len(said) == 1 else f"{said[1]} it is"

    first = await add_process(world, function)
    run = await start(first)
    waiting = await settled(first, run.id, RunStatus.WAITING)
    assert (waiting.reason, waiting.owner) == ("input", None)
    await become(lambda: first.worker.run_count == 0)  # it holds nothing
    with pytest.raises(Invalid, match="message"):
        await first.commands.resume(ANN, run.id, ResumeRequest())
    await first.commands.pause(ANN, run.id)
    await settled(first, run.id, RunStatus.PAUSED)
    await first.commands.resume(ANN, run.id, ResumeRequest())  # what was paused waits again
    await settled(first, run.id, RunStatus.WAITING)
    await world.kill_all()
    second = await add_process(world, function)
    await second.commands.resume(ANN, run.id, ResumeRequest(message="red"))
    events = await read(second, run.id)
    check_sequence(events)
    assert events[-1]["response"] == "red it is"
    assert types(events).count("run_waiting") == 2
    assert [one.content for one in await second.reading.messages(ANN, run.id)] == [
        "hello",
        "which?",
        "red",
        "red it is",
    ]


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_restore_takes_back_what_came_behind_the_checkpoint(world: World):
    async def function(turn: Turn) -> Any:
        said = [str(one.content) for one in turn.messages if one.role == "user"]
        await turn.emit(said[-1], name="notes", append=True, last=False)
        return turn.ask("and?") if len(said) < 2 else None

    engine = await add_process(world, function)
    run = await start(engine, "one")
    waiting = await settled(engine, run.id, RunStatus.WAITING)
    asked_at = waiting.last_checkpoint_id
    assert asked_at is not None
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="two"))
    await settled(engine, run.id, RunStatus.COMPLETED)
    assert await artifacts(engine, run.id) == {"notes": ["one", "two"]}
    again = ForkRequest(checkpoint_id=asked_at, kind="restore")
    await engine.continuing.rewind(ANN, again)
    await record_when(engine, run.id, lambda record: record.attempt == 2 and record.status is RunStatus.WAITING)
    assert await artifacts(engine, run.id) == {"notes": ["one"]}
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="three"))
    await settled(engine, run.id, RunStatus.COMPLETED)
    assert await artifacts(engine, run.id) == {"notes": ["one", "three"]}


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_pause_now_takes_back_and_does_again(world: World):
    reached, gate = asyncio.Event(), asyncio.Event()

    async def function(turn: Turn) -> None:
        await turn.emit("one", name="a", last=False)
        reached.set()
        await gate.wait()
        await turn.emit("two", name="a", append=True)

    engine = await add_process(world, function)
    run = await start(engine)
    await reached.wait()
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    assert await artifacts(engine, run.id) == {}
    gate.set()
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    await settled(engine, run.id, RunStatus.COMPLETED)
    assert await artifacts(engine, run.id) == {"a": ["one", "two"]}


@pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
async def test_a_worker_without_the_function_says_so(world: World):
    engine = await add_process(world, _nothing)
    known = replace(agent(provider=PYTHON, model="elsewhere"), id="a2")
    engine.agents.register(known)
    run = await start(engine, agent_id="a2")
    failed = await settled(engine, run.id, RunStatus.FAILED)
    assert failed.error is not None
    assert failed.error["code"] == "provider_not_configured"


async def _nothing(turn: Turn) -> None:
    return None
