"""New attempts of the same run: in-place restore, retry."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agio.domain.errors import InvalidTransition, ProviderError
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.storage.port import SESSIONS
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.base import ToolContext
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    BOB,
    FAST,
    World,
    agent,
    become,
    check_request,
    check_sequence,
    entries_of,
    read,
    record_when,
    replay,
    settled,
    start,
    types,
)

ENDS = {"run_completed", "run_failed", "run_cancelled"}
REFUSED = ProviderError("no", code="provider_rejected")


@tool(idempotent=True)
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def _three_steps(world: World, provider: ScriptedProvider) -> tuple[Engine, Run]:
    provider.add(
        Answer("one ", calls=[Call("add", {"a": 1, "b": 1}, id="c1")]),
        Answer("two ", calls=[Call("add", {"a": 2, "b": 2}, id="c2")]),
        "the abandoned end",
    )
    engine = await world.add_process(tools=[add])
    run = await start(engine, "count", session_id="s")
    await read(engine, run.id)
    return engine, await settled(engine, run.id, RunStatus.COMPLETED)


async def _checkpoints(engine: Engine, run_id: str) -> list[str]:
    return [one.id for one in (await engine.store.list_checkpoints("default", run_id)).items]


async def _rewind(engine: Engine, checkpoint_id: str, **options: Any) -> Run:
    return await engine.continuing.rewind(BOB, ForkRequest(checkpoint_id=checkpoint_id, kind="restore", **options))


def _ends(events: list[dict[str, Any]]) -> list[str]:
    return [kind for kind in types(events) if kind in ENDS]


async def test_a_restored_run_goes_on_from_the_checkpoint(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    first = await replay(engine, run.id)
    ids = await _checkpoints(engine, run.id)
    following = asyncio.create_task(_follow_attempts(engine, run.id, first[-1]["seq"]))
    provider.add("a new end")
    made = await _rewind(engine, ids[1])
    assert made.attempt == 2
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[: len(first)] == first
    second = events[len(first) :]
    assert await following == second
    assert types(second) == [
        "run_restored",
        "checkpoint_created",
        "step_started",
        "content_delta",
        "message_completed",
        "step_completed",
        "checkpoint_created",
        "run_completed",
    ]
    assert (second[0]["attempt"], second[0]["from_checkpoint_id"], second[0]["by"]) == (2, ids[1], "bob")
    assert second[1]["parent_checkpoint_id"] == ids[1]
    assert _ends(events) == ["run_completed", "run_completed"]
    assert [m.role for m in provider.requests[-1].messages] == ["user", "assistant", "tool"]
    assert "abandoned" not in str(provider.requests[-1])
    ended = await settled(engine, run.id, RunStatus.COMPLETED)
    assert (ended.attempt, ended.step) == (2, 2)
    assert (await engine.reading.detail(ANN, run.id)).response == "a new end"


async def _follow_attempts(engine: Engine, run_id: str, after: int) -> list[dict[str, Any]]:
    """A reader that was there at the first end, and comes again when it hears of a new attempt."""
    await record_when(engine, run_id, lambda run: run.attempt == 2)
    return await read(engine, run_id, after=after)


async def test_what_was_left_behind_stays_readable_and_is_marked(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    ids = await _checkpoints(engine, run.id)
    provider.add("a new end", "next")
    await _rewind(engine, ids[1])
    await settled(engine, run.id, RunStatus.COMPLETED)
    page, superseded = await engine.reading.checkpoints(ANN, run.id)
    assert [one.id for one in page.items][: len(ids)] == ids
    assert superseded == set(ids[2:])
    old = await engine.reading.state_at(ANN, ids[-1])
    assert old.messages[-1].content == "the abandoned end"
    assert [m.content for m in await engine.reading.messages(ANN, run.id)] == ["count", "one ", "2", "a new end"]
    turn = await start(engine, "more", session_id="s")
    await read(engine, turn.id)
    assert [m.content for m in provider.requests[-1].messages] == ["count", "one ", "2", "a new end", "more"]


@pytest.mark.parametrize("at", [0, 1, 2, 3])
async def test_every_checkpoint_can_be_restored_in_place_one_after_the_other(
    world: World, provider: ScriptedProvider, at: int
):
    engine, run = await _three_steps(world, provider)
    ids = await _checkpoints(engine, run.id)
    for attempt in (2, 3):
        provider.add(f"end {attempt}")
        await _rewind(engine, ids[at])
        events = await read(engine, run.id)
        check_sequence(events)
        assert len(_ends(events)) == attempt
        assert events[-1]["response"] == f"end {attempt}"
        assert (await settled(engine, run.id, RunStatus.COMPLETED)).attempt == attempt
        expected = ["user", "assistant", "tool", "assistant", "tool"][: [1, 3, 5, 5][at]]
        assert [m.role for m in provider.requests[-1].messages] == expected
    messages = await engine.reading.messages(ANN, run.id)
    assert [m.content for m in messages][-1] == "end 3"


async def test_changes_reach_the_model_and_hold_for_the_attempt(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    ids = await _checkpoints(engine, run.id)
    provider.add(Answer("again ", Gate()), "after the crash")
    changes = {"system_prompt": "Be brief.", "modified_query": "count again", "temperature": 0.1, "tools": []}
    await _rewind(engine, ids[2], modifications=changes)
    await provider.wait_for_calls(4)
    await become(lambda: provider.open_streams == 1)
    await world.kill_all()
    heir = await world.add_process(tools=[add])
    events = await read(heir, run.id)
    check_sequence(events)
    assert len(_ends(events)) == 2
    for request in provider.requests[3:]:
        assert [m.content for m in request.messages] == ["Be brief.", "count again"]
        assert (request.temperature, list(request.tools)) == (0.1, [])
    ended = await settled(heir, run.id, RunStatus.COMPLETED)
    assert ended.attempt == 2
    assert [m.content for m in await heir.reading.messages(ANN, run.id)] == ["count again", "after the crash"]


async def test_a_crash_before_the_attempt_began_loses_nothing(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    ids = await _checkpoints(engine, run.id)
    idle = await world.add_process(worker=False)
    await world.kill(engine)
    await _rewind(idle, ids[1], modifications={"tool_results": {"c1": "two"}, "system_prompt": "x"})
    await world.kill_all()
    provider.add("a new end")
    heir = await world.add_process(tools=[add])
    events = await read(heir, run.id)
    check_sequence(events)
    assert types(events).count("run_restored") == 1
    assert [m.content for m in provider.requests[-1].messages] == ["x", "count", "one ", "two"]


async def test_a_restored_run_may_be_left_paused(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    ids = await _checkpoints(engine, run.id)
    await _rewind(engine, ids[1], start=False)
    paused = await settled(engine, run.id, RunStatus.PAUSED)
    assert (paused.attempt, paused.reason) == (2, "not_started")
    assert provider.calls == 3
    provider.add("a new end")
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events).count("run_restored") == 1
    assert [m.role for m in provider.requests[-1].messages] == ["user", "assistant", "tool"]


async def test_a_live_run_is_not_restored_in_place(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", calls=[Call("add", {"a": 1, "b": 1})]), Answer(Silence()))
    engine = await world.add_process(tools=[add])
    run = await start(engine)
    await provider.wait_for_calls(2)
    for checkpoint_id in await _checkpoints(engine, run.id):
        with pytest.raises(InvalidTransition) as refused:
            await _rewind(engine, checkpoint_id)
        assert refused.value.status == "running"
    with pytest.raises(InvalidTransition):
        await engine.continuing.retry(ANN, run.id)
    assert (await engine.store.get_run("default", run.id)).attempt == 1


async def test_two_attempts_asked_for_at_once_are_one(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    other = await world.add_process(worker=False)
    ids = await _checkpoints(engine, run.id)
    provider.add(Answer("a new ", gate := Gate(), "end"))
    outcomes = await asyncio.gather(_rewind(engine, ids[1]), _rewind(other, ids[2]), return_exceptions=True)
    gate.open()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvalidTransition", "Run"]
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events).count("run_restored") == 1
    assert provider.calls == 4


async def test_an_approval_of_an_abandoned_attempt_is_no_approval(world: World, provider: ScriptedProvider):
    """Models repeat the ids of their tool calls: what a person agreed to was another call."""
    keys: list[tuple[int, str]] = []

    @tool(requires_approval=True)
    async def pay(amount: int, context: ToolContext) -> str:
        """Pay."""
        keys.append((amount, context.idempotency_key))
        return f"paid {amount}"

    provider.add(
        Answer(calls=[Call("pay", {"amount": 1}, id="call_0")]),
        "paid one",
        Answer(calls=[Call("pay", {"amount": 1000}, id="call_0")]),
        "paid",
    )
    engine = await world.add_process(tools=[pay])
    run = await start(engine)
    for amount in (1, 1000):
        await settled(engine, run.id, RunStatus.WAITING)
        (pending,) = (await engine.store.list_approvals("default", run_id=run.id, status="pending")).items
        assert pending.arguments == {"amount": amount}
        await engine.commands.decide(ANN, Verdict(approval_id=pending.id, decision="approve"))
        await settled(engine, run.id, RunStatus.COMPLETED)
        if amount == 1:
            await _rewind(engine, (await _checkpoints(engine, run.id))[0])
    assert [amount for amount, _ in keys] == [1, 1000]
    assert keys[0][1] != keys[1][1]
    check_sequence(await replay(engine, run.id))


# -- retry


async def test_a_failed_run_is_retried_from_its_last_checkpoint(world: World, provider: ScriptedProvider):
    calls: list[str] = []

    @tool
    async def send() -> str:
        """Send."""
        calls.append("send")
        return "sent"

    provider.add(Answer(calls=[Call("send", {})]), Answer("half an answer", REFUSED), "whole")
    engine = await world.add_process(tools=[send])
    run = await start(engine, session_id="s")
    first = await read(engine, run.id)
    failed = await settled(engine, run.id, RunStatus.FAILED)
    assert failed.error == {"code": "provider_rejected", "message": "no", "retryable": False}
    made = await engine.continuing.retry(BOB, run.id)
    assert (made.attempt, made.error) == (2, None)
    events = await read(engine, run.id)
    check_sequence(events)
    assert calls == ["send"]
    assert _ends(events) == ["run_failed", "run_completed"]
    restored = events[len(first)]
    assert (restored["type"], restored["by"], restored["attempt"]) == ("run_restored", "bob", 2)
    assert [m.role for m in provider.requests[-1].messages] == ["user", "assistant", "tool"]
    provider.add("next")
    await read(engine, (await start(engine, "more", session_id="s")).id)
    assert [m.content for m in provider.requests[-1].messages] == ["hello", "", "sent", "whole", "more"]


async def test_a_run_that_failed_at_once_asks_its_question_again(world: World, provider: ScriptedProvider):
    provider.add(REFUSED, REFUSED, "at last")
    engine = await world.add_process()
    run = await start(engine, "well?")
    for _ in range(2):
        await settled(engine, run.id, RunStatus.FAILED)
        await engine.continuing.retry(ANN, run.id)
    events = await read(engine, run.id)
    check_sequence(events)
    assert [[m.content for m in request.messages] for request in provider.requests] == [["well?"]] * 3
    assert [m.content for m in await engine.reading.messages(ANN, run.id)] == ["well?", "at last"]


async def test_a_run_with_closed_calls_is_retried_with_a_valid_history(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("add", {"a": 1, "b": 1})]), "never mind")
    engine = await world.add_process(tools=[add], agents=[agent(tools=("add",))], settings=replace(FAST))
    run = await start(engine, force_final_answer=False, max_steps=1)
    await settled(engine, run.id, RunStatus.FAILED)
    await engine.continuing.retry(ANN, run.id)
    failed = await record_when(engine, run.id, lambda run: run.status is RunStatus.FAILED and run.attempt == 2)
    assert failed.reason == "max_steps"
    ids = await _checkpoints(engine, run.id)
    await _rewind(engine, ids[-1], modifications={"max_steps": 5})
    await settled(engine, run.id, RunStatus.COMPLETED)
    check_request(provider.requests[-1].messages)


async def test_only_what_failed_or_was_interrupted_is_retried(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    with pytest.raises(InvalidTransition):
        await engine.continuing.retry(ANN, run.id)
    provider.add(Answer(Silence()))
    cancelled = await start(engine)
    await engine.commands.cancel(ANN, cancelled.id)
    await settled(engine, cancelled.id, RunStatus.CANCELLED)
    with pytest.raises(InvalidTransition):
        await engine.continuing.retry(ANN, cancelled.id)


async def test_a_session_that_went_on_is_not_moved_by_a_retry(world: World, provider: ScriptedProvider):
    provider.add(REFUSED, "second", "first, again")
    engine = await world.add_process()
    first = await start(engine, "one", session_id="s")
    await settled(engine, first.id, RunStatus.FAILED)
    fork = await engine.continuing.branch_off(
        ANN, ForkRequest(checkpoint_id=(await _checkpoints(engine, first.id))[0], kind="restore")
    )
    await read(engine, fork.id)
    await engine.continuing.retry(ANN, first.id)
    await read(engine, first.id)
    session = await engine.store.get(SESSIONS, "default", "s")
    assert session.current_branch_id == fork.branch_id


async def test_metrics_count_all_attempts(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    before = (await engine.store.get_run("default", run.id)).metrics
    provider.add("a new end")
    await _rewind(engine, (await _checkpoints(engine, run.id))[1])
    events = await read(engine, run.id)
    after = events[-1]["metrics"]
    assert after.total_tokens == before.total_tokens + 1
    assert after.steps == before.steps + 1


async def test_a_reader_of_many_sees_the_attempts_in_order(world: World, provider: ScriptedProvider):
    engine, run = await _three_steps(world, provider)
    provider.add("a new end")
    await _rewind(engine, (await _checkpoints(engine, run.id))[1])
    seen: list[int] = []
    async for entry in entries_of(engine.tail(ANN, run.id)):
        seen.append(entry.attempt)
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}
