"""What workflows do that does not depend on the store."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from agio.domain.runs import Budget
from agio.domain.status import RunStatus
from agio.domain.workflow import child_id
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.continuing import ForkRequest
from agio.engine.trees import Leaf
from agio.storage.port import Store, StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.crews import (
    DIAMOND,
    ENDS,
    FALLBACK,
    THREE,
    answering,
    asked,
    check_tree,
    count,
    crew,
    follow,
    set_to_work,
    statuses,
    task,
)
from tests.engine.world import ANN, FAST, PATIENCE_S, World, become, check_sequence, read, settled


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], Store]:
    return lambda: SQLiteStore(StoreSettings(url=f"sqlite:///{tmp_path}/agio.db"))


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(default=answering)


async def test_restore_in_place_begins_at_the_task(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await set_to_work(engine, DIAMOND)
    await follow(engine, run.id)
    place = (await engine.trees.read(ANN, run.id)).tasks[3].fork_checkpoint_id
    assert place is not None
    await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=place, kind="restore"))
    check_sequence(await read(engine, run.id))
    assert count(provider) == {"do top": 1, "do left": 1, "do right": 1, "do end": 2}


async def test_independent_tasks_go_on_when_one_fails(world: World, provider: ScriptedProvider):
    @tool
    def explode() -> str:
        """Fail."""
        raise RuntimeError("bang")

    engine = await world.add_process(tools=[explode])
    run = await set_to_work(engine, crew(task("bad", function="explode"), task("good"), task("after", "good")))
    check_tree(await follow(engine, run.id))
    tree = await engine.trees.read(ANN, run.id)
    assert statuses(tree) == {"bad": "failed", "good": "completed", "after": "completed"}
    assert (await settled(engine, run.id, *ENDS)).status is RunStatus.FAILED


async def test_cancel_reaches_the_children(world: World, provider: ScriptedProvider):
    held = Gate()
    provider._default = lambda request: Answer("x ", held, "y")
    engine = await world.add_process()
    run = await set_to_work(engine, DIAMOND)
    async with asyncio.timeout(PATIENCE_S):
        await held.reached.wait()
    await engine.commands.cancel(ANN, run.id)
    events = await follow(engine, run.id)
    ends = {event["run_id"]: event["type"] for event in events}
    assert len(ends) == 2
    assert set(ends.values()) == {"run_cancelled"}
    await provider.wait_until_closed()


async def test_approval_of_a_child_is_given_through_the_workflow(world: World, provider: ScriptedProvider):
    @tool(requires_approval=True)
    def publish(text: str) -> str:
        """Publish."""
        return f"published {text}"

    engine = await world.add_process(tools=[publish])
    wanted = crew(task("one"), task("two", "one", function="publish", arguments={"text": "{{one}}"}))
    run = await set_to_work(engine, wanted)
    async with asyncio.timeout(PATIENCE_S), aclosing(engine.trees.follow(ANN, run.id, {})) as items:
        async for item in items:
            assert isinstance(item, Leaf)
            if any(event.type == "approval_required" for event in item.published.entry.events):
                break
    await settled(engine, child_id(run.id, 1, "two"), RunStatus.WAITING)
    assert (await engine.trees.read(ANN, run.id)).tasks[1].status == "waiting"
    (asked_for,) = (await engine.store.list_approvals("default", status="pending")).items
    verdict = Verdict(approval_id=asked_for.id, decision="approve")
    await engine.commands.resume(ANN, run.id, ResumeRequest(verdicts=(verdict,)))
    events = await follow(engine, run.id)
    check_tree(events)
    assert events[-1]["response"] == "published done: do one"


async def test_unknown_coworker_is_told_to_the_manager(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("delegate_work", {"coworker": "zoe", "task": "x"})]), "never mind")
    engine = await world.add_process()
    run = await set_to_work(engine, crew(task("one"), process="hierarchical"))
    events = await follow(engine, run.id)
    failed = next(event for event in events if event["type"] == "tool_call_failed")
    assert failed["error"]["code"] == "unknown_coworker"
    assert events[-1]["response"] == "never mind"


async def test_crew_within_a_crew(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    inner = crew(task("a"), task("b", "a"))
    run = await set_to_work(engine, crew(task("one"), task("two", "one", crew=inner), task("three", "two")))
    events = await follow(engine, run.id)
    check_tree(events)
    assert {event["depth"] for event in events} == {0, 1, 2}
    assert events[-1]["response"] == "done: do three"
    told = next(r for r in provider.requests if asked(r) == "do a")
    assert "### one\ndone: do one" in str(told.messages[-1].content)


async def test_budget_of_the_whole_ends_it(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await set_to_work(engine, THREE, budget=Budget(max_total_tokens=2))
    events = await follow(engine, run.id)
    assert events[-1]["error"]["code"] == "budget_exceeded"
    assert count(provider) == {"do one": 1, "do two": 1}


async def test_reader_who_comes_back_misses_and_repeats_nothing(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await set_to_work(engine, DIAMOND)
    whole = [(e["run_id"], e["seq"]) for e in await follow(engine, run.id)]
    for cut in range(0, len(whole), 5):
        cursors: dict[str, int] = {}
        for run_id, seq in whole[:cut]:
            cursors[run_id] = seq
        rest = [(e["run_id"], e["seq"]) for e in await follow(engine, run.id, cursors)]
        assert sorted(rest) == sorted(whole[cut:])


async def test_any_worker_takes_the_tasks(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider._default = lambda request: Answer(gate, answering(request))
    small = replace(FAST, runs_per_worker=1)
    engines = [await world.add_process(settings=small) for _ in range(3)]
    wide = crew(*(task(f"t{n}") for n in range(3)), task("end", "t0", "t1", "t2"))
    run = await set_to_work(engines[0], wide)
    await become(lambda: all(engine.worker.run_count == 1 for engine in engines))
    await become(lambda: provider.open_streams == 3)
    gate.open()
    check_tree(await follow(engines[1], run.id))


async def test_unsound_crews_are_refused(world: World):
    engine = await world.add_process(worker=False)
    circle = crew(task("a", "b"), task("b", "a"))
    flaws = await engine.workflows.check(ANN, circle, FALLBACK)
    assert "circle" in flaws[0].message
    nobody = await engine.workflows.check(ANN, crew(task("a", agent="zoe")), FALLBACK)
    assert nobody[0].field == "tasks.0.agent"
    absent = await engine.workflows.check(ANN, crew(task("a", function="nothing")), FALLBACK)
    assert absent[0].field == "tasks.0.tools"
    assert await engine.workflows.check(ANN, THREE, FALLBACK) == []
    assert json.dumps([flaw.message for flaw in flaws])
