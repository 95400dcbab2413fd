"""Messages for a session that is busy: one run at a time on a branch, whatever the policy."""

import asyncio
from typing import Any

import pytest

from agio.domain.errors import AlreadyExists, BranchBusy, NotFound
from agio.domain.runs import Run
from agio.domain.sessions import OnBusy
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.engine import Engine
from agio.storage.port import BRANCHES
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    PATIENCE_S,
    World,
    check_request,
    check_sequence,
    faults,
    read,
    replay,
    settled,
    start,
    types,
)


def _echo(request: Any) -> str:
    return f"re: {request.messages[-1].content}"


async def _history(engine: Engine, session_id: str = "s") -> list[str]:
    return [str(m.content) for m in await engine.reading.session_messages(ANN, session_id)]


async def _held(world: World, provider: ScriptedProvider) -> tuple[Engine, Run, Gate]:
    """A session whose first run is in the middle of its answer."""
    provider._default = _echo
    provider.add(Answer("re: ", gate := Gate(), "one"))
    engine = await world.add_process()
    run = await start(engine, "one", session_id="s")
    await gate.reached.wait()
    return engine, run, gate


async def test_five_messages_wait_their_turn(world: World, provider: ScriptedProvider):
    engine, first, gate = await _held(world, provider)
    names = ["two", "three", "four", "five", "six"]
    runs = [await start(engine, name, session_id="s") for name in names]
    assert all(not run.holds_branch for run in runs)
    for run in runs:
        assert (await engine.store.get_run("default", run.id)).status is RunStatus.QUEUED
    assert provider.calls == 1
    gate.open()
    for run in (first, *runs):
        events = await read(engine, run.id)
        check_sequence(events)
        assert types(events)[-1] == "run_completed"
    assert await _history(engine) == [text for name in ["one", *names] for text in (name, f"re: {name}")]
    assert provider.calls == 6
    for request in provider.requests:
        check_request(request.messages)


async def test_ten_messages_at_once_from_two_processes_are_answered_one_by_one(
    world: World, provider: ScriptedProvider
):
    provider._default = _echo
    engines = [await world.add_process(), await world.add_process()]
    await read(engines[0], (await start(engines[0], "zero", session_id="s")).id)
    runs = await asyncio.gather(*(start(engines[n % 2], f"m{n}", session_id="s") for n in range(10)))
    for run in runs:
        events = await read(engines[0], run.id)
        check_sequence(events)
        assert types(events)[-1] == "run_completed"
    history = await _history(engines[0])
    assert len(history) == 22
    assert all(answer == f"re: {question}" for question, answer in zip(history[::2], history[1::2], strict=True))
    assert set(history[::2]) == {"zero", *(f"m{n}" for n in range(10))}
    assert (await engines[0].store.find(BRANCHES, "default", {"session_id": "s"})).total == 1


@pytest.mark.parametrize("on_busy", list(OnBusy))
async def test_two_first_messages_at_once_make_one_session(world: World, provider: ScriptedProvider, on_busy: OnBusy):
    """Both find that there is no such session, in two processes."""
    gate = Gate()
    provider._default = lambda request: Answer("re: ", gate, str(request.messages[-1].content))
    one, two = await world.add_process(), await world.add_process()
    meet = _Meeting(2)
    for engine in (one, two):
        faults(engine).on("create_run", meet)
    outcomes = await asyncio.gather(
        start(one, "left", session_id="s", on_busy=on_busy),
        start(two, "right", session_id="s", on_busy=on_busy),
        return_exceptions=True,
    )
    runs = [outcome for outcome in outcomes if isinstance(outcome, Run)]
    if on_busy is OnBusy.INTERRUPT:
        (holder,) = [run for run in runs if run.holds_branch]
        await settled(one, holder.id, RunStatus.CANCELLED)
    gate.open()
    errors = [outcome for outcome in outcomes if not isinstance(outcome, Run)]
    assert [type(error) for error in errors] == ([BranchBusy] if on_busy is OnBusy.REJECT else [])
    ends = [(await read(one, run.id))[-1] for run in runs]
    completed = [end for end in ends if end["type"] == "run_completed"]
    assert len(completed) == (1 if on_busy in (OnBusy.REJECT, OnBusy.INTERRUPT) else 2)
    assert {run.session_id for run in runs} == {"s"}
    history = await _history(one)
    branches = (await one.store.find(BRANCHES, "default", {"session_id": "s"})).items
    assert len(branches) == (2 if on_busy is OnBusy.FORK else 1)
    if on_busy is OnBusy.QUEUE:
        assert sorted(history) == ["left", "re: left", "re: right", "right"]
        assert history[1] == f"re: {history[0]}"
    for request in provider.requests:
        check_request(request.messages)


class _Meeting:
    """Lets calls go on when all have come."""

    def __init__(self, number: int) -> None:
        self._missing = number
        self._all = asyncio.Event()

    async def __call__(self, call: Any, *args: Any) -> Any:
        self._missing -= 1
        if self._missing == 0:
            self._all.set()
        async with asyncio.timeout(PATIENCE_S):
            await self._all.wait()
        return await call(*args)


async def test_a_message_is_refused_while_the_session_is_busy(world: World, provider: ScriptedProvider):
    engine, first, gate = await _held(world, provider)
    with pytest.raises(BranchBusy) as refused:
        await start(engine, "two", session_id="s", on_busy=OnBusy.REJECT, run_id="two")
    assert refused.value.holder == first.id
    with pytest.raises(NotFound):
        await engine.reading.detail(ANN, "two")
    gate.open()
    await read(engine, first.id)
    await settled(engine, first.id, RunStatus.COMPLETED)
    again = await start(engine, "two", session_id="s", on_busy=OnBusy.REJECT, run_id="two")
    await read(engine, again.id)
    assert await _history(engine) == ["one", "re: one", "two", "re: two"]


async def test_a_newer_message_interrupts_the_run(world: World, provider: ScriptedProvider):
    provider._default = _echo
    provider.add(Answer("well, ", Silence()))
    engine = await world.add_process()
    first = await start(engine, "one", session_id="s")
    await read(engine, first.id, until="content_delta")
    second = await start(engine, "two", session_id="s", on_busy=OnBusy.INTERRUPT)
    events = await read(engine, first.id)
    assert types(events)[-1] == "run_cancelled"
    assert (events[-1]["by"], events[-1]["reason"]) == ("ann", "interrupted_by_message")
    assert events[-1]["partial_response"] == "well, "
    assert types(await read(engine, second.id))[-1] == "run_completed"
    assert await _history(engine) == ["one", "well, ", "two", "re: two"]
    assert provider.open_streams == 0


@pytest.mark.parametrize("resting", ["paused", "waiting"])
async def test_a_newer_message_interrupts_a_run_that_rests(world: World, provider: ScriptedProvider, resting: str):
    @tool(requires_approval=True)
    async def pay() -> str:
        """Pay."""
        return "paid"

    provider._default = _echo
    engine = await world.add_process(tools=[pay])
    provider.add(Answer(calls=[Call("pay", {})]))
    first = await start(engine, "one", session_id="s")
    await settled(engine, first.id, RunStatus.WAITING)
    if resting == "paused":
        await engine.commands.pause(ANN, first.id)
        await settled(engine, first.id, RunStatus.PAUSED)
    second = await start(engine, "two", session_id="s", on_busy=OnBusy.INTERRUPT)
    assert types(await read(engine, second.id))[-1] == "run_completed"
    assert (await settled(engine, first.id, RunStatus.CANCELLED)).reason == "interrupted_by_message"
    check_request(provider.requests[-1].messages)
    assert [m.role for m in provider.requests[-1].messages] == ["user", "assistant", "tool", "user"]


async def test_a_message_that_does_not_want_to_wait_goes_to_a_branch_of_its_own(
    world: World, provider: ScriptedProvider
):
    provider._default = _echo
    engine = await world.add_process()
    await read(engine, (await start(engine, "zero", session_id="s")).id)
    provider.add(Answer("re: ", gate := Gate(), "one"))
    first = await start(engine, "one", session_id="s")
    await gate.reached.wait()
    aside = await start(engine, "aside", session_id="s", on_busy=OnBusy.FORK)
    assert aside.branch_id != first.branch_id
    await read(engine, aside.id)
    assert [m.content for m in provider.requests[-1].messages] == ["zero", "re: zero", "one", "aside"]
    gate.open()
    await read(engine, first.id)
    assert await _history(engine) == ["zero", "re: zero", "one", "re: one"]
    assert [str(m.content) for m in await engine.reading.session_messages(ANN, "s", aside.branch_id)] == [
        "zero",
        "re: zero",
        "one",
        "aside",
        "re: aside",
    ]
    branch = await engine.store.get(BRANCHES, "default", aside.branch_id)
    assert (branch.kind, branch.parent_id) == ("busy", first.branch_id)


async def test_an_aside_sees_no_half_made_step(world: World, provider: ScriptedProvider):
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait."""
        await gate._pass()
        return "done"

    provider._default = _echo
    provider.add(Answer("I look. ", calls=[Call("slow", {})]))
    engine = await world.add_process(tools=[slow])
    first = await start(engine, "one", session_id="s")
    await gate.reached.wait()
    aside = await start(engine, "aside", session_id="s", on_busy=OnBusy.FORK)
    await read(engine, aside.id)
    check_request(provider.requests[-1].messages)
    assert [m.content for m in provider.requests[-1].messages] == ["one", "aside"]
    gate.open()
    assert types(await read(engine, first.id))[-1] == "run_completed"


async def test_messages_wait_behind_a_paused_run(world: World, provider: ScriptedProvider):
    engine, first, gate = await _held(world, provider)
    await engine.commands.pause(ANN, first.id, mode="now")
    await settled(engine, first.id, RunStatus.PAUSED)
    second = await start(engine, "two", session_id="s")
    third = await start(engine, "three", session_id="s")
    for run in (second, third):
        assert types(await replay(engine, run.id)) == ["run_started"]
    assert provider.calls == 1
    gate.open()
    await engine.commands.resume(ANN, first.id, ResumeRequest())
    await read(engine, third.id)
    assert await _history(engine) == ["one", "re: one", "two", "re: two", "three", "re: three"]


async def test_a_run_that_waits_its_turn_can_be_cancelled_and_paused(world: World, provider: ScriptedProvider):
    engine, first, gate = await _held(world, provider)
    second, third, fourth = [await start(engine, name, session_id="s") for name in ("two", "three", "four")]
    await engine.commands.cancel(ANN, second.id)
    assert types(await read(engine, second.id)) == ["run_started", "run_cancelled"]
    await engine.commands.pause(ANN, third.id)
    await settled(engine, third.id, RunStatus.PAUSED)
    assert provider.calls == 1
    gate.open()
    await read(engine, fourth.id)  # the paused one does not hold the branch, and holds nobody up
    await engine.commands.resume(ANN, third.id, ResumeRequest())
    events = await read(engine, third.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert await _history(engine) == ["one", "re: one", "four", "re: four", "three", "re: three"]
    assert (await engine.store.get_run("default", first.id)).status is RunStatus.COMPLETED


async def test_a_cancelled_holder_passes_the_branch_on(world: World, provider: ScriptedProvider):
    engine, first, _ = await _held(world, provider)
    second = await start(engine, "two", session_id="s")
    await engine.commands.cancel(ANN, first.id)
    assert types(await read(engine, second.id))[-1] == "run_completed"
    assert await _history(engine) == ["one", "re: ", "two", "re: two"]


async def test_a_dead_holder_passes_the_branch_on_after_its_end(world: World, provider: ScriptedProvider):
    engine, first, gate = await _held(world, provider)
    second = await start(engine, "two", session_id="s")
    await world.kill_all()
    heir = await world.add_process()
    gate.open()
    await read(heir, second.id)
    assert await _history(heir) == ["one", "re: one", "two", "re: two"]
    assert (await settled(heir, first.id, RunStatus.COMPLETED)).epoch == 2


async def test_a_run_id_is_taken_once(world: World, provider: ScriptedProvider):
    provider._default = _echo
    one, two = await world.add_process(), await world.add_process()
    outcomes = await asyncio.gather(
        *(start(engine, "x", run_id="mine") for engine in (one, two)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyExists", "Run"]
    await read(one, "mine")
    with pytest.raises(AlreadyExists, match="mine"):
        await start(two, "x", run_id="mine", session_id="another")
    assert provider.calls == 1


async def test_a_cancelled_run_leaves_the_branch_alone_that_it_waited_for(world: World, provider: ScriptedProvider):
    gate = Gate()

    @tool
    async def look() -> str:
        """Look."""
        await gate._pass()
        return "seen"

    provider.add(Answer(calls=[Call("look", {})]), "done")
    engine = await world.add_process(tools=[look])
    holder = await start(engine, session_id="s")
    await gate.reached.wait()
    waiting = await start(engine, "and then?", session_id="s")
    await engine.commands.cancel(ANN, waiting.id)
    await settled(engine, waiting.id, RunStatus.CANCELLED)
    written = await engine.store.read_entries("default", waiting.id)
    assert [message for entry in written for message in entry.messages] == []
    gate.open()
    assert types(await read(engine, holder.id))[-1] == "run_completed"
    assert [(m.role, m.content) for m in provider.requests[-1].messages if m.role == "tool"] == [("tool", "seen")]
    history = await engine.reading.session_messages(ANN, "s")
    assert [(m.role, m.run_id) for m in history] == [
        (role, holder.id) for role in ("user", "assistant", "tool", "assistant")
    ]
