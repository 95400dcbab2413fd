"""What the games of tests/model found, each as small as it can be."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agio.domain import control
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.clock import utc_now
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.storage.port import WorkerLimits
from agio.testing.conformance.records import claim_one
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    FAST,
    World,
    become,
    check_request,
    faults,
    read,
    record_when,
    settled,
    start,
    types,
)


class Held:
    """A tool that takes as long as the test says."""

    def __init__(self, *, needs_approval: bool = False) -> None:
        self.calls = 0
        self.go = asyncio.Event()

        @tool(requires_approval=needs_approval)
        async def work() -> str:
            """Work."""
            self.calls += 1
            await self.go.wait()
            return "worked"

        self.tool = work


async def test_a_run_that_never_began_leaves_the_calls_of_its_branchs_holder_alone(
    world: World, provider: ScriptedProvider
):
    held = Held()
    provider.add(Answer(calls=[Call("work")]), "done", "and two")
    engine = await world.add_process(tools=[held.tool])
    first = await start(engine, "one", session_id="s")
    await become(lambda: held.calls == 1)
    second = await start(engine, "two", session_id="s")
    await engine.commands.cancel(ANN, second.id)
    assert types(await read(engine, second.id)) == ["run_started", "run_cancelled"]
    entries = await engine.store.read_entries("default", second.id)
    assert [message for entry in entries for message in entry.messages] == []
    held.go.set()
    await read(engine, first.id)
    await read(engine, (await start(engine, "three", session_id="s")).id)
    check_request(provider.requests[-1].messages)
    said = [str(message.content) for message in await engine.reading.session_messages(ANN, "s")]
    assert said == ["one", "", "worked", "done", "three", "and two"]


async def _owing(world: World, held: Held, engine: Engine) -> tuple[str, Verdict]:
    """Return a run that was told something, but waits again before it could say it, and the approval that it needs."""
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    await engine.commands.resume(ANN, run.id, ResumeRequest(message="and quick"))
    await record_when(engine, run.id, lambda record: record.status is RunStatus.WAITING and record.epoch == 2)
    (approval,) = (await engine.store.list_approvals("default", run_id=run.id)).items
    return run.id, Verdict(approval_id=approval.id, decision="approve")


SAID = ["hello", "", "worked", "and quick", "heard"]


async def test_a_message_that_came_with_a_command_outlives_a_hand_over(world: World, provider: ScriptedProvider):
    held = Held(needs_approval=True)
    provider.add(Answer(calls=[Call("work")]), "heard")
    first = await world.add_process(tools=[held.tool])
    run_id, verdict = await _owing(world, held, first)
    await first.commands.decide(ANN, verdict)
    await become(lambda: held.calls == 1)
    stopping = asyncio.create_task(world.remove(first))
    await become(lambda: first.worker.is_draining)
    held.go.set()  # the step ends; what is to be said comes after it
    await stopping
    second = await world.add_process(tools=[held.tool])
    await read(second, run_id)
    assert [m.content for m in await second.reading.messages(ANN, run_id)] == SAID


async def test_a_message_that_came_with_a_command_outlives_a_run_that_cannot_be_loaded(
    world: World, provider: ScriptedProvider
):
    held = Held(needs_approval=True)
    held.go.set()
    provider.add(Answer(calls=[Call("work")]), "heard")
    engine = await world.add_process(tools=[held.tool], settings=replace(FAST, max_claims=0))
    run_id, verdict = await _owing(world, held, engine)

    async def refuse(call: Any, *args: Any) -> Any:
        raise ValueError("the test cannot read this")

    faults(engine).on("get_spec", refuse)
    await engine.commands.pause(ANN, run_id)
    await settled(engine, run_id, RunStatus.INTERRUPTED)
    faults(engine).on("get_spec", None)
    await engine.commands.resume(ANN, run_id, ResumeRequest(verdicts=(verdict,)))
    await read(engine, run_id)
    assert [m.content for m in await engine.reading.messages(ANN, run_id)] == SAID


async def test_a_run_that_follows_one_that_went_on_elsewhere_finds_no_open_calls(
    world: World, provider: ScriptedProvider
):
    held = Held()
    provider.add(Answer(calls=[Call("work")]))
    provider._default = "fine"
    dying = await world.add_process(tools=[held.tool])
    first = await start(dying, "one", session_id="s")
    await become(lambda: held.calls == 1)
    second = await start(dying, "two", session_id="s")
    await world.kill_all()
    engine = await world.add_process(tools=[held.tool], settings=replace(FAST, max_claims=0))
    await settled(engine, first.id, RunStatus.INTERRUPTED)
    (checkpoint,) = (await engine.store.list_checkpoints("default", first.id)).items
    await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=checkpoint.id, kind="restore"))
    for run in (first, second):
        assert types(await read(engine, run.id))[-1] == "run_completed"
    for request in provider.requests:
        check_request(request.messages)
    history = await engine.reading.messages(ANN, second.id)
    assert [(m.role, m.error) for m in history[1:3]] == [("assistant", None), ("tool", "tool_cancelled")]


@pytest.mark.parametrize("query", [None, "and now?"])
async def test_a_retry_of_an_attempt_that_never_began_begins_like_that_one(
    world: World, provider: ScriptedProvider, query: str | None
):
    provider._default = "fine"
    engine = await world.add_process()
    run = await start(engine, "one?")
    await read(engine, run.id)
    (checkpoint, _) = (await engine.store.list_checkpoints("default", run.id)).items
    await world.remove(engine)
    desk = await world.add_process(worker=False)
    modifications = {"modified_query": query} if query else {}
    request = ForkRequest(checkpoint_id=checkpoint.id, modifications=modifications, kind="restore")
    await desk.continuing.rewind(ANN, request)
    await claim_one(desk.store, "died at once", WorkerLimits())
    heir = await world.add_process(settings=replace(FAST, max_claims=0))
    await settled(heir, run.id, RunStatus.INTERRUPTED)
    await desk.continuing.retry(ANN, run.id)
    await settled(heir, run.id, RunStatus.COMPLETED)
    assert [m.content for m in await heir.reading.messages(ANN, run.id)] == [query or "one?", "fine"]


async def test_a_retry_takes_along_what_was_not_said_yet(world: World, provider: ScriptedProvider):
    provider._default = "fine"
    desk = await world.add_process(worker=False)
    run = await start(desk, "one?", start=False)
    engine = await world.add_process()
    await settled(engine, run.id, RunStatus.PAUSED)
    await world.remove(engine)
    await desk.commands.resume(ANN, run.id, ResumeRequest(message="and quick"))
    await claim_one(desk.store, "died at once", WorkerLimits())
    heir = await world.add_process(settings=replace(FAST, max_claims=0))
    await settled(heir, run.id, RunStatus.INTERRUPTED)
    await desk.continuing.retry(ANN, run.id)
    await settled(heir, run.id, RunStatus.COMPLETED)
    assert [m.content for m in await heir.reading.messages(ANN, run.id)] == ["one?", "and quick", "fine"]


async def test_a_worker_that_takes_a_run_back_keeps_hold_of_it(world: World, provider: ScriptedProvider):
    """Its own earlier work on the run is still held up somewhere, and ends later."""
    stuck, again = Gate(), Gate()
    provider.add(Answer("one ", stuck, "more"), Answer("two ", again))
    engine = await world.add_process()
    run = await start(engine)
    await stuck.reached.wait()

    def rob(record: Run) -> Run:
        return control.take_over(record, "died at once", living=(), at=utc_now()) or record

    await engine.store.update_run("default", run.id, rob)
    await again.reached.wait()
    stuck.open()
    await become(lambda: len(engine.worker._drives) == 1)
    assert engine.worker.run_count == 1
    await engine.commands.cancel(ANN, run.id)
    assert types(await read(engine, run.id))[-1] == "run_cancelled"
    assert provider.calls == 2


async def test_a_run_that_was_loaded_anew_is_let_go_at_its_end(world: World, provider: ScriptedProvider):
    held = Gate()
    provider.add(Answer("one ", held, "more"), "two")
    engine = await world.add_process()
    run = await start(engine)
    await held.reached.wait()
    engine.worker._tokens[run.id].lose()  # as a refused write does; the record still names this worker
    await settled(engine, run.id, RunStatus.COMPLETED)
    await become(lambda: not engine.worker._drives)
    assert engine.worker.run_count == 0
