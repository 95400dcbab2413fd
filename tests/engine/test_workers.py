"""Processes that start, stop, die, and die in between two writes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agio.domain.errors import ProviderError
from agio.domain.runs import Budget
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.worker import Worker
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    FAST,
    Away,
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


@tool(requires_approval=True)
async def pay() -> str:
    """Pay."""
    return "paid"


# -- between two writes


class Half:
    """Stores the entry that `when` picks, but not what it changes on the run's record; then nothing more."""

    def __init__(self, event_type: str) -> None:
        self.reached = asyncio.Event()
        self._when = appends(event_type)

    async def __call__(self, call: Any, batch: Any) -> Any:
        if self._when(batch):
            await call([replace(item, update=None) for item in batch])
            self.reached.set()
            await asyncio.Event().wait()
        return await call(batch)


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        ("run_completed", RunStatus.COMPLETED, "answered"),
        ("run_failed", RunStatus.FAILED, "provider_rejected"),
        ("run_cancelled", RunStatus.CANCELLED, None),
    ],
)
async def test_an_end_that_only_the_journal_knows_is_the_end(
    world: World, provider: ScriptedProvider, event: str, status: RunStatus, reason: str | None
):
    second = {
        "run_completed": Answer("done"),
        "run_failed": Answer("half", ProviderError("no", code="provider_rejected")),
        "run_cancelled": Answer("half", Silence()),
    }
    provider.add(Answer("a", calls=[Call("look", {})]), second[event], "next")

    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    engine = await world.add_process(tools=[look])
    half = Half(event)
    faults(engine).on("append", half)
    run = await start(engine, session_id="s")
    if event == "run_cancelled":
        await provider.wait_for_calls(2)
        await engine.commands.cancel(ANN, run.id)
    await half.reached.wait()
    await world.kill_all()
    heir = await world.add_process(tools=[look])
    ended = await settled(heir, run.id, status)
    events = await replay(heir, run.id)
    check_sequence(events)
    assert types(events)[-1] == event
    assert "run_recovered" not in types(events)
    assert provider.calls == 2
    made = (await heir.store.list_checkpoints("default", run.id)).items
    assert (ended.last_checkpoint_id, ended.step) == (made[-1].id, made[-1].step)
    assert (ended.owner, ended.last_seq, ended.metrics) == (None, len(events), events[-1]["metrics"])
    assert reason is None or ended.reason == reason
    assert ended.error == (events[-1]["error"] if event == "run_failed" else None)
    turn = await start(heir, "more", session_id="s")
    assert types(await read(heir, turn.id))[-1] == "run_completed"
    check_request(provider.requests[-1].messages)


async def test_a_rest_that_only_the_journal_knows_is_found_again(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("pay", {})]), "thanks")
    engine = await world.add_process(tools=[pay])
    half = Half("run_waiting")
    faults(engine).on("append", half)
    run = await start(engine)
    await half.reached.wait()
    await world.kill_all()
    heir = await world.add_process(tools=[pay])
    waiting = await settled(heir, run.id, RunStatus.WAITING)
    (approval,) = (await heir.store.list_approvals("default", run_id=run.id)).items
    assert waiting.pending_approvals == (approval.id,)
    await heir.commands.decide(ANN, Verdict(approval_id=approval.id, decision="approve"))
    events = await read(heir, run.id)
    check_sequence(events)
    assert types(events).count("approval_required") == 1
    assert types(events)[-1] == "run_completed"


async def test_a_pause_that_only_the_journal_knows_holds(world: World, provider: ScriptedProvider):
    provider.add(Answer("half", Gate()), "whole")
    engine = await world.add_process()
    half = Half("run_paused")
    faults(engine).on("append", half)
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await engine.commands.pause(ANN, run.id, mode="now")
    await half.reached.wait()
    await world.kill_all()
    heir = await world.add_process()
    await settled(heir, run.id, RunStatus.PAUSED)
    assert provider.calls == 1
    await heir.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(heir, run.id)
    check_sequence(events)
    assert text_of(events) == "whole"


# -- stopping


async def test_a_stopping_process_lets_a_step_finish_and_the_next_one_goes_on(world: World, provider: ScriptedProvider):
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait."""
        await gate._pass()
        return "done"

    provider.add(Answer("I look. ", calls=[Call("slow", {})]), "seen")
    first = await world.add_process(tools=[slow])
    run = await start(first)
    await gate.reached.wait()
    second = await world.add_process(tools=[slow])
    stopping = asyncio.create_task(world.remove(first))
    await become(lambda: first.worker.is_draining)
    gate.open()
    await stopping
    events = await read(second, run.id)
    check_sequence(events)
    assert text_of(events) == "I look. seen"
    assert provider.calls == 2
    assert types(events).count("tool_call_started") == 1
    assert [event["reason"] for event in events if event["type"] == "run_recovered"] == ["drained"]
    assert (await settled(second, run.id, RunStatus.COMPLETED)).claims == 0


async def test_a_stopping_process_claims_nothing_more(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    first = await world.add_process()
    await first.worker.drain()
    run = await start(first)
    for _ in range(5):
        await first.store.ping()
    assert (await first.store.get_run("default", run.id)).owner is None
    second = await world.add_process()
    assert types(await read(second, run.id))[-1] == "run_completed"


async def test_a_process_can_stop_though_the_store_stays_away(
    world: World, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
):
    provider.add(Answer("half", Gate()), "whole")
    first = await world.add_process(settings=replace(FAST, drain_s=0.2))
    run = await start(first)
    await read(first, run.id, until="content_delta")
    for method in ("append", "update_run"):
        faults(first).on(method, Away(10_000))
    _hurry(monkeypatch, first.worker)
    await world.remove(first)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("run-", "worker-", "journal-"))]
    second = await world.add_process()
    events = await read(second, run.id)
    check_sequence(events)
    assert text_of(events) == "whole"


def _hurry(monkeypatch: pytest.MonkeyPatch, worker: Worker) -> None:
    """Do not wait as long as a real process would."""
    wait, stop = asyncio.wait, worker._writer.stop

    async def short(tasks: Any, *, timeout: float | None = None, **more: Any) -> Any:
        return await wait(tasks, timeout=None if timeout is None else min(timeout, 0.2), **more)

    monkeypatch.setattr(asyncio, "wait", short)
    monkeypatch.setattr(worker._writer, "stop", lambda: stop(0.2))


async def test_after_a_restart_runs_may_be_cancelled_instead_of_resumed(world: World, provider: ScriptedProvider):
    provider.add(Answer("half", Gate()), "next")
    settings = replace(FAST, on_restart="cancel")
    first = await world.add_process(settings=settings)
    run = await start(first, session_id="s")
    resting = await start(first, start=False)
    await settled(first, resting.id, RunStatus.PAUSED)
    await read(first, run.id, until="content_delta")
    await world.kill_all()
    second = await world.add_process(settings=settings)
    events = await read(second, run.id)
    check_sequence(events)
    assert (types(events)[-1], events[-1]["by"]) == ("run_cancelled", "system")
    assert "restarted" in events[-1]["reason"]
    assert (await settled(second, run.id, RunStatus.CANCELLED)).reason == "restart"
    assert (await second.store.get_run("default", resting.id)).status is RunStatus.PAUSED
    await read(second, (await start(second, "more", session_id="s")).id)
    check_request(provider.requests[-1].messages)


# -- time


@pytest.mark.parametrize("where", ["model", "tool", "back-off"])
async def test_a_budget_of_seconds_ends_what_takes_longer(world: World, provider: ScriptedProvider, where: str):
    @tool
    async def hang() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return "never"

    script: dict[str, Any] = {
        "model": Answer("half", Silence()),
        "tool": Answer(calls=[Call("hang", {})]),
        "back-off": ProviderError("later", retryable=True),
    }
    provider.add(script[where], "next")
    settings = replace(FAST, retry_base_s=600.0, retry_cap_s=600.0)
    engine = await world.add_process(tools=[hang], settings=settings)
    run = await start(engine, budget=Budget(max_seconds=0.3), session_id="s")
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["type"] == "run_failed"
    assert events[-1]["error"]["code"] == "budget_exceeded"
    assert provider.open_streams == 0
    assert text_of(events) == ""
    await read(engine, (await start(engine, "more", session_id="s")).id)
    check_request(provider.requests[-1].messages)


async def test_rest_does_not_count_as_seconds(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    run = await start(engine, budget=Budget(max_seconds=20), start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    await gate.reached.wait()
    gate.open()
    events = await read(engine, run.id)
    assert types(events)[-1] == "run_completed"
    assert events[-1]["metrics"].duration_ms < 20_000
