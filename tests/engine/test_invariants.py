"""One test or more for each invariant of the architecture (I1-I12), each trying to break it."""

import asyncio
import gc
from collections.abc import Awaitable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from agio.api.sse import wire_events
from agio.domain.errors import AgioError, NotFound
from agio.domain.messages import ToolCall
from agio.domain.status import RunStatus
from agio.engine import token as token_module
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.continuing import ForkRequest
from agio.engine.drive import Drive
from agio.engine.engine import Engine
from agio.engine.journal import RunJournal
from agio.engine.state import RunState
from agio.engine.tail import Selection
from agio.engine.token import ControlToken
from agio.storage.codec import dump_entry, dump_record
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence, long_answer
from agio.tools.base import ToolContext
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    BOB,
    EVE,
    FAST,
    Hold,
    World,
    agent,
    appends,
    become,
    check_request,
    check_sequence,
    dump,
    entries_of,
    faults,
    read,
    record_when,
    replay,
    settled,
    start,
    text_of,
    types,
)

ENDS = {"run_completed", "run_failed", "run_cancelled"}


@tool(idempotent=True, side_effects=False)
async def note(text: str = "") -> str:
    """Note something."""
    return f"noted {text}"


@tool(requires_approval=True)
async def pay(amount: int = 1) -> str:
    """Pay."""
    return f"paid {amount}"


# -- I1


async def test_i1_an_event_reaches_a_reader_only_after_the_store_has_it(world: World, provider: ScriptedProvider):
    provider.add(Answer("early", "late"))
    owner = await world.add_process()
    other = await world.add_process(worker=False)
    hold = Hold(when=appends("deltas"))
    faults(owner).on("append", hold)
    run = await start(owner)
    seen: list[str] = []

    async def follow() -> None:
        async for entry in entries_of(owner.tail(ANN, run.id)):
            assert await other.store.head("default", run.id) >= entry.last_seq
            seen.extend(event.type for event in entry.events)

    reading = asyncio.create_task(follow())
    await hold.reached.wait()
    for _ in range(20):
        await owner.store.ping()
    assert "deltas" not in seen
    assert text_of(await replay(other, run.id)) == ""
    hold.release()
    async with asyncio.timeout(20):
        await reading
    assert seen[-1] == "run_completed"


# -- I2


async def test_i2_ids_have_no_gap_whatever_crashed(world: World, provider: ScriptedProvider):
    provider.add(
        Answer("half", Gate()),
        Answer("whole ", calls=[Call("note", {"text": "x"})]),
        Answer("again half", Gate()),
        Answer("the end"),
    )
    observer = await world.add_process(worker=False)
    await observer.worker.start()
    observer.worker._draining = True  # serves and listens, claims nothing
    run = await start(observer)
    whole = asyncio.create_task(read(observer, run.id))
    part = asyncio.create_task(read(observer, run.id, after=3))
    first = await world.add_process(tools=[note])
    await read(observer, run.id, until="content_delta")
    await world.kill(first)
    await observer.store.retire(first.worker.id)
    second = await world.add_process(tools=[note])
    await provider.wait_for_calls(3)
    await record_when(observer, run.id, lambda run: run.owner == second.worker.id)
    await become(lambda: provider.open_streams > 0)
    await world.kill(second)
    await observer.store.retire(second.worker.id)
    await world.add_process(tools=[note])
    events = await whole
    check_sequence(events)
    assert await part == events[3:]
    assert types(events).count("run_recovered") == 2
    assert text_of(events) == "whole the end"
    assert await replay(observer, run.id) == events


# -- I3


async def test_i3_a_tool_that_outlives_the_end_writes_nothing(
    world: World, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(token_module, "ONCE_MORE_S", 0.02)
    monkeypatch.setattr(token_module, "STUBBORN_S", 0.02)
    outlived, go = asyncio.Event(), asyncio.Event()

    @tool
    async def stubborn() -> str:
        """Ignore its cancellation."""
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        outlived.set()
        return "I am still here"

    provider.add(Answer(calls=[Call("stubborn", {})]))
    engine = await world.add_process(tools=[stubborn])
    run = await start(engine)
    await read(engine, run.id, until="tool_call_started")
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    await settled(engine, run.id, RunStatus.CANCELLED)
    before = await dump(engine, run.id)
    go.set()
    await outlived.wait()
    for _ in range(10):
        await engine.store.ping()
    assert await dump(engine, run.id) == before
    assert [t for t in types(events) if t in ENDS] == ["run_cancelled"]


# -- I4


async def test_i4_a_zombie_changes_nothing(world: World, provider: ScriptedProvider):
    provider.add(Answer("the zombie's answer"), Answer("the heir ", gate := Gate(), "speaks"))
    zombie = await world.add_process(settings=replace(FAST, lease_s=600))
    hold = Hold(when=appends("run_completed"))
    faults(zombie).on("append", hold)
    run = await start(zombie)
    await hold.reached.wait()
    heir = await world.add_process()
    await heir.store.retire(zombie.worker.id)
    taken_over = await read(heir, run.id, until="run_recovered")
    await read(heir, run.id, after=taken_over[-1]["seq"], until="content_delta")
    await gate.reached.wait()
    before = await dump(heir, run.id)
    hold.release()
    await become(lambda: zombie.worker.run_count == 0)
    assert await dump(heir, run.id) == before
    gate.open()
    events = await read(heir, run.id)
    check_sequence(events)
    assert [t for t in types(events) if t in ENDS] == ["run_completed"]
    assert events[-1]["response"] == "the heir speaks"
    messages = await heir.reading.messages(ANN, run.id)
    assert [m.content for m in messages] == ["hello", "the heir speaks"]


# -- I5


async def _check_whole(engine: Engine, run_id: str) -> None:
    """What one step made is there as a whole: in events, in messages and as a checkpoint."""
    run = await engine.store.get_run("default", run_id)
    entries = await engine.store.read_entries("default", run_id, limit=10_000)
    messages = await engine.store.read_messages("default", run.branch_id)
    there = {message.id for message in messages}
    answered = {message.tool_call_id for message in messages if message.role == "tool"}
    made = {one.id: one for one in (await engine.store.list_checkpoints("default", run_id)).items}
    told: list[str] = []
    for entry in entries:
        for event in wire_events(entry):
            if event["type"] == "message_completed":
                assert event["message_id"] in there
            elif event["type"] in ("tool_call_completed", "tool_call_failed"):
                assert event["tool_call_id"] in answered
            elif event["type"] == "checkpoint_created":
                told.append(event["checkpoint_id"])
                assert entry.checkpoint is not None
    assert told == list(made)
    for checkpoint in made.values():
        assert checkpoint.position <= len(messages)
    assert run.last_checkpoint_id is None or run.last_checkpoint_id in made


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "applied"])
async def test_i5_a_crash_at_any_append_leaves_whole_steps(world: World, provider: ScriptedProvider, applied: bool):
    script = [Answer("a", calls=[Call("note", {"text": "1"})]), Answer(calls=[Call("note", {})]), Answer("done")]
    observer = await world.add_process(worker=False)
    for moment in range(9):
        provider._answers[:] = []
        provider._default = lambda request: script[sum(m.role == "assistant" for m in request.messages)]
        engine = await world.add_process(tools=[note])
        hold = _Nth(moment, after=applied)
        faults(engine).on("append", hold)
        run = await start(engine)
        reached = asyncio.create_task(hold.reached.wait())
        ended = asyncio.create_task(read(engine, run.id))
        await asyncio.wait({reached, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reached, ended):
            task.cancel()
        await asyncio.wait({reached, ended})
        await _check_whole(observer, run.id)
        await world.kill(engine)
        await observer.store.retire(engine.worker.id)
        heir = await world.add_process(tools=[note])
        events = await read(heir, run.id)
        check_sequence(events)
        assert types(events)[-1] == "run_completed"
        await _check_whole(heir, run.id)
        said = await heir.reading.messages(ANN, run.id)
        assert [m.role for m in said] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
        check_request(said)
        await world.remove(heir)


class _Nth(Hold):
    """Holds the n-th append."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.left = number

        def counted(batch: Any) -> bool:
            self.left -= 1
            return self.left < 0

        super().__init__(after=after, when=counted)


# -- I6


async def _silent(world: World, provider: ScriptedProvider) -> tuple[Engine, str]:
    provider.add(Answer("one", Silence()))
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    return engine, run.id


async def _paused(world: World, provider: ScriptedProvider) -> tuple[Engine, str]:
    engine = await world.add_process()
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    return engine, run.id


async def _waiting(world: World, provider: ScriptedProvider) -> tuple[Engine, str]:
    provider.add(Answer(calls=[Call("pay", {}, id="c1")]))
    engine = await world.add_process(tools=[pay])
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    return engine, run.id


async def _decide(engine: Engine, run_id: str, decision: Any) -> None:
    run = await engine.store.get_run("default", run_id)
    await engine.commands.decide(BOB, Verdict(approval_id=run.pending_approvals[0], decision=decision))


@pytest.mark.parametrize(
    ("prepare", "act", "status", "event"),
    [
        (_silent, lambda e, r: e.commands.pause(BOB, r), RunStatus.PAUSED, "run_paused"),
        (_silent, lambda e, r: e.commands.cancel(BOB, r), RunStatus.CANCELLED, "run_cancelled"),
        (_paused, lambda e, r: e.commands.resume(BOB, r, ResumeRequest()), RunStatus.COMPLETED, "run_resumed"),
        (_paused, lambda e, r: e.commands.cancel(BOB, r), RunStatus.CANCELLED, "run_cancelled"),
        (_waiting, lambda e, r: _decide(e, r, "approve"), RunStatus.COMPLETED, "approval_resolved"),
        (_waiting, lambda e, r: _decide(e, r, "reject"), RunStatus.COMPLETED, "approval_resolved"),
        (_waiting, lambda e, r: e.commands.cancel(BOB, r), RunStatus.CANCELLED, "run_cancelled"),
    ],
    ids=["pause", "cancel", "resume", "cancel-paused", "approve", "reject", "cancel-waiting"],
)
async def test_i6_an_answered_command_survives_the_death_of_every_process(
    world: World, provider: ScriptedProvider, prepare: Any, act: Any, status: RunStatus, event: str
):
    engine, run_id = await prepare(world, provider)
    faults(engine).on("commands", Hold())  # it does not hear
    faults(engine).on("claim_ready", Hold())  # nor begin anything
    other = await world.add_process(worker=False)
    await act(other, run_id)
    await world.kill_all()
    provider.add("in the end")
    fresh = await world.add_process(tools=[pay])
    await settled(fresh, run_id, status)
    events = await replay(fresh, run_id)
    check_sequence(events)
    assert [e["by"] for e in events if e["type"] == event][-1:] == ["bob"]
    if event == "approval_resolved":
        check_request(provider.requests[-1].messages)


# -- I7


async def test_i7_a_result_is_journalled_before_anything_else(world: World, provider: ScriptedProvider):
    done: list[str] = []

    @tool
    async def send() -> str:
        """Send."""
        done.append("send")
        return "sent"

    provider.add(Answer(calls=[Call("send", {}, id="c1")]), "fine")
    engine = await world.add_process(tools=[send])
    intent, result = Hold(when=appends("tool_call_started")), Hold(when=appends("tool_call_completed"))
    faults(engine).on("append", intent)
    run = await start(engine)
    await intent.reached.wait()
    for _ in range(10):
        await engine.store.ping()
    assert done == []  # the intent comes first
    faults(engine).on("append", result)
    intent.release()
    await result.reached.wait()
    for _ in range(10):
        await engine.store.ping()
    assert provider.calls == 1  # the result comes before the next model call
    await world.kill_all()
    heir = await world.add_process(tools=[send])
    waiting = await settled(heir, run.id, RunStatus.WAITING)
    assert waiting.reason == "needs_attention"
    assert done == ["send"]
    await heir.commands.resume(ANN, run.id, ResumeRequest(tool_results={"c1": "sent, I looked"}))
    events = await read(heir, run.id)
    check_sequence(events)
    assert done == ["send"]
    assert provider.requests[-1].messages[-1].content == "sent, I looked"


async def test_i7_a_repetition_has_the_key_of_the_first_call(world: World, provider: ScriptedProvider):
    keys: list[str] = []

    @tool(idempotent=True)
    async def put(context: ToolContext) -> str:
        """Put."""
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            await asyncio.Event().wait()
        return "put"

    provider.add(Answer(calls=[Call("put", {}, id="c1")]), "fine")
    engine = await world.add_process(tools=[put])
    run = await start(engine)
    await become(lambda: len(keys) == 1)
    await world.kill_all()
    heir = await world.add_process(tools=[put])
    events = await read(heir, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert run.id in keys[0]


# -- I8


async def test_i8_steps_and_forks_cost_the_same_at_any_length(world: World, provider: ScriptedProvider):
    steps = 300
    provider._default = lambda request: (
        Answer(calls=[Call("note", {"text": "x" * 40})]) if len(request.messages) < 2 * steps else Answer("done")
    )
    engine = await world.add_process(tools=[note], agents=[agent(tools=("note",), max_steps=steps + 5)])
    by_step: dict[int, int] = {}

    async def measure(call: Any, batch: Any) -> Any:
        for item in batch:
            size = len(str(dump_entry(item.entry)))
            size += len(dump_record(await engine.store.get_run("default", item.entry.run_id))) if item.update else 0
            step = next((event.step for event in item.entry.events if hasattr(event, "step")), 0)
            by_step[step] = by_step.get(step, 0) + size
        return await call(batch)

    faults(engine).on("append", measure)
    run = await start(engine)
    await settled(engine, run.id, RunStatus.COMPLETED)
    early = sum(by_step[n] for n in range(8, 13)) / 5
    late = sum(by_step[n] for n in range(steps - 10, steps - 5)) / 5
    assert late <= 1.2 * early, (early, late)
    await _fork_is_cheap(await world.add_process(worker=False), run.id)


async def _fork_is_cheap(engine: Engine, run_id: str) -> None:
    checkpoints = (await engine.store.list_checkpoints("default", run_id)).items
    reads: list[int] = []
    bytes_written: list[int] = []

    async def count_messages(call: Any, *args: Any, **options: Any) -> Any:
        found = await call(*args, **options)
        reads.append(len(found))
        return found

    async def measure_creation(call: Any, creation: Any) -> Any:
        parts = [creation.run, creation.spec, creation.branch]
        bytes_written.append(sum(len(dump_record(part)) for part in parts) + len(str(dump_entry(creation.first))))
        return await call(creation)

    faults(engine).on("read_messages", count_messages)
    faults(engine).on("create_run", measure_creation)
    for checkpoint in (checkpoints[5], checkpoints[-2]):
        wish = ForkRequest(checkpoint_id=checkpoint.id, kind="fork", start=False, modifications={"system_prompt": "x"})
        await engine.continuing.branch_off(ANN, wish)
    assert max(reads) <= 5
    assert max(bytes_written) <= 4096
    assert bytes_written[1] <= 1.05 * bytes_written[0]


# -- I9


def _alive() -> int:
    gc.collect()
    kinds = (Drive, RunState, RunJournal, ControlToken)
    return sum(issubclass(type(found), kinds) for found in gc.get_objects())


async def test_i9_a_run_that_rests_holds_nothing(world: World, provider: ScriptedProvider):
    provider.add(Answer("one", Silence()), Answer(calls=[Call("pay", {})]))
    engine = await world.add_process(tools=[pay])
    before = _alive()
    running = await start(engine, session_id="s")
    await read(engine, running.id, until="content_delta")
    assert _alive() > before
    await engine.commands.pause(ANN, running.id, mode="now")
    await settled(engine, running.id, RunStatus.PAUSED)
    behind = await start(engine, session_id="s")
    waiting = await start(engine)
    await settled(engine, waiting.id, RunStatus.WAITING)
    assert (await engine.store.get_run("default", behind.id)).status is RunStatus.QUEUED
    await become(lambda: engine.worker.run_count == 0)
    await become(lambda: not engine.worker._drives)
    assert provider.open_streams == 0
    assert _alive() == before
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("run-")]
    assert engine.worker.hub.watched == []
    assert not engine.worker._writer._marked


# -- I10


async def test_i10_every_use_case_refuses_what_is_foreign(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("pay", {})]), "paid")
    engine = await world.add_process(tools=[pay])
    run = await start(engine, session_id="s")
    await settled(engine, run.id, RunStatus.WAITING)
    (approval,) = (await engine.store.list_approvals("default", run_id=run.id)).items
    (checkpoint, *_) = (await engine.store.list_checkpoints("default", run.id)).items
    wish = ForkRequest(checkpoint_id=checkpoint.id, kind="fork")
    verdict = Verdict(approval_id=approval.id, decision="approve")
    before = await dump(engine, run.id)
    sessions = engine.sessions
    attempts: list[Awaitable[Any]] = [
        engine.reading.detail(EVE, run.id),
        engine.reading.entries(EVE, run.id),
        engine.reading.steps(EVE, run.id),
        engine.reading.messages(EVE, run.id),
        engine.reading.session_messages(EVE, "s"),
        engine.reading.session_messages(EVE, "s", run.branch_id),
        engine.reading.state_at(EVE, checkpoint.id),
        engine.reading.diff(EVE, checkpoint.id, checkpoint.id),
        engine.reading.compare(EVE, run.id, run.id),
        engine.reading.checkpoints(EVE, run.id),
        engine.reading.tree(EVE, "s"),
        engine.continuing.origin(EVE, checkpoint.id, {}),
        engine.continuing.branch_off(EVE, wish),
        engine.continuing.branch_off(EVE, replace(wish, session="new")),
        engine.continuing.rewind(EVE, replace(wish, kind="restore")),
        engine.continuing.retry(EVE, run.id),
        engine.commands.pause(EVE, run.id),
        engine.commands.cancel(EVE, run.id),
        engine.commands.resume(EVE, run.id, ResumeRequest(verdicts=(verdict,))),
        engine.commands.decide(EVE, verdict),
        engine.commands.mark(EVE, run.id, label="x", tags=()),
        engine.commands.delete(EVE, run.id),
        sessions.get(EVE, "s"),
        sessions.update(EVE, "s", {"title": "x"}),
        sessions.delete(EVE, "s", cancel=True),
        sessions.branches(EVE, "s"),
        sessions.tree(EVE, "s"),
        sessions.standing(EVE, checkpoint),
        sessions.common_ancestor(EVE, run.id, run.id),
        read(engine, run.id, caller=EVE),
        anext(engine.tail_many(EVE, Selection(run_ids=(run.id,)))),
        start(engine, caller=EVE, branch_id=run.branch_id),
        start(engine, caller=EVE, session_id="s", branch_id=run.branch_id),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            await attempt
    await engine.leave(EVE, run.id)
    with pytest.raises(AgioError):
        await start(engine, caller=EVE, run_id=run.id)
    assert await dump(engine, run.id) == before


async def test_i11_a_reader_that_never_reads_costs_a_bounded_place(world: World, provider: ScriptedProvider):
    provider.add(long_answer(3000))
    engine = await world.add_process(settings=replace(FAST, queue_entries=4))
    run = await start(engine)
    stuck = entries_of(engine.tail(ANN, run.id))
    first = await anext(stuck)
    places = next(iter(engine.worker.hub._by_run.values()))
    other = asyncio.create_task(read(engine, run.id))
    longest = 0
    async for _ in engine.tail(ANN, run.id):
        longest = max(longest, *(len(place._queue) for place in places))
    assert longest <= 4
    events = await other
    check_sequence(events)
    assert text_of(events) == "word " * 3000
    late = [first, *[entry async for entry in stuck]]  # and what it missed it finds in the store
    spans = [(entry.first_seq, entry.last_seq) for entry in late]
    assert spans[0][0] == 1
    assert all(left[1] + 1 == right[0] for left, right in pairwise(spans))
    assert spans[-1][1] == events[-1]["seq"]


@pytest.mark.parametrize("way", ["running", "waiting", "paused"])
async def test_i12_cancelled_calls_are_closed(world: World, provider: ScriptedProvider, way: str):
    began = asyncio.Event()

    @tool
    async def stuck() -> str:
        """Never end."""
        began.set()
        await asyncio.Event().wait()
        return "never"

    calls = [Call("note", {}, id="c1"), Call("pay" if way == "waiting" else "stuck", {}, id="c2")]
    provider.add(Answer("let me see", calls=calls), "next")
    engine = await world.add_process(tools=[note, pay, stuck])
    run = await start(engine, session_id="s")
    await read(engine, run.id, until="tool_call_completed")
    if way == "waiting":
        await settled(engine, run.id, RunStatus.WAITING)
    else:
        await began.wait()
    if way == "paused":
        await engine.commands.pause(ANN, run.id, mode="now")
        await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_cancelled"
    turn = await start(engine, "go on", session_id="s")
    await read(engine, turn.id)
    messages = provider.requests[-1].messages
    check_request(messages)
    assert [m.role for m in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[1].tool_calls[1] == ToolCall(id="c2", name=calls[1].name, arguments="{}")
    assert (messages[2].content, messages[2].error) == ("noted ", None)
    assert messages[3].error == "tool_cancelled"


def test_every_invariant_has_a_test():
    names = [name for name in globals() if name.startswith("test_i")]
    assert {name.split("_")[1] for name in names} == {f"i{number}" for number in range(1, 13)}
