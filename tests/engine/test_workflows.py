"""Workflows: tasks as child runs, on every store."""

import asyncio

import pytest

from agio.domain.crew import Crew
from agio.domain.errors import ToolError
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.continuing import ForkRequest
from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.crews import (
    DIAMOND,
    ENDS,
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
from tests.engine.world import ANN, PATIENCE_S, Hold, World, faults, settled, types


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(default=answering)


async def test_crew_of_three_does_one_task_after_the_other(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await set_to_work(engine, THREE)
    events = await follow(engine, run.id)
    check_tree(events)
    assert count(provider) == {"do one": 1, "do two": 1, "do three": 1}
    assert "### one\ndone: do one" in str(provider.requests[1].messages[-1].content)
    assert "You are Writer." in (provider.requests[1].messages[0].content or "")
    root = [event for event in events if event["run_id"] == run.id]
    progress = [event["progress"] for event in root if "progress" in event]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    assert root[-1]["type"] == "run_completed"
    assert root[-1]["response"] == "done: do three"
    assert root[-1]["metrics"].total_tokens == 3
    assert {event["depth"] for event in events} == {0, 1}
    tree = await engine.trees.read(ANN, run.id)
    assert tree.progress == 1.0
    assert statuses(tree) == {"one": "completed", "two": "completed", "three": "completed"}
    started = next(event for event in events if event["type"] == "run_started" and event["depth"] == 1)
    assert (started["parent_run_id"], started["task_id"]) == (run.id, "one")


async def test_waiting_workflow_holds_nothing_and_its_branches_work_at_the_same_time(
    world: World, provider: ScriptedProvider
):
    gates = {"do left": Gate(), "do right": Gate()}
    provider._default = lambda request: Answer(gates.get(asked(request), "quick"), "ok")
    engine = await world.add_process()
    run = await set_to_work(engine, DIAMOND)
    async with asyncio.timeout(PATIENCE_S):
        for gate in gates.values():
            await gate.reached.wait()
    waiting = await settled(engine, run.id, RunStatus.WAITING)
    assert (waiting.reason, waiting.owner) == ("children", None)
    assert run.id not in engine.worker._tokens
    for gate in gates.values():
        gate.open()
    check_tree(await follow(engine, run.id))
    assert count(provider) == {"do top": 1, "do left": 1, "do right": 1, "do end": 1}


@pytest.mark.parametrize("wanted", [THREE, DIAMOND], ids=["crew", "diamond"])
async def test_death_in_the_second_task_repeats_no_finished_one(world: World, provider: ScriptedProvider, wanted: Crew):
    second = "do two" if wanted is THREE else "do left"
    held = Gate()
    provider._default = lambda request: Answer("begun ", held) if asked(request) == second else answering(request)
    doomed = await world.add_process()
    run = await set_to_work(doomed, wanted)
    async with asyncio.timeout(PATIENCE_S):
        await held.reached.wait()
    await world.kill(doomed)
    provider._default = answering
    engine = await world.add_process()
    events = await follow(engine, run.id)
    check_tree(events)
    first = "do one" if wanted is THREE else "do top"
    assert count(provider)[first] == 1
    assert count(provider)[second] == 2
    assert [e["type"] for e in events if e["run_id"] == run.id].count("task_started") == len(wanted.tasks)
    assert events[-1]["type"] == "run_completed"


async def test_fork_from_the_second_task_does_the_first_no_more(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await set_to_work(engine, THREE)
    await follow(engine, run.id)
    tree = await engine.trees.read(ANN, run.id)
    place = tree.tasks[1].fork_checkpoint_id
    assert place is not None
    provider._default = lambda request: f"anew: {asked(request)}"
    fork = await engine.continuing.branch_off(ANN, ForkRequest(checkpoint_id=place, kind="fork"))
    events = await follow(engine, fork.id)
    check_tree(events)
    assert count(provider) == {"do one": 1, "do two": 2, "do three": 2}
    assert events[-1]["response"] == "anew: do three"
    forked = await engine.trees.read(ANN, fork.id)
    assert [state.result for state in forked.tasks] == ["done: do one", "anew: do two", "anew: do three"]
    assert (await engine.trees.read(ANN, run.id)).tasks[2].result == "done: do three"


async def test_retry_of_a_failed_task_uses_what_others_finished(world: World, provider: ScriptedProvider):
    broken = True

    @tool
    def fetch(topic: str) -> str:
        """Fetch."""
        if broken:
            raise ToolError("no network")
        return f"facts on {topic}"

    engine = await world.add_process(tools=[fetch])
    wanted = crew(
        task("one"),
        task("two", "one", function="fetch", arguments={"topic": "{topic} and {{one}}"}),
        task("three", "two"),
    )
    run = await set_to_work(engine, wanted, inputs={"topic": "cats"})
    events = await follow(engine, run.id)
    check_tree(events)
    assert events[-1]["type"] == "run_failed"
    assert events[-1]["error"]["code"] == "task_failed"
    assert "no network" in events[-1]["error"]["message"]
    tree = await engine.trees.read(ANN, run.id)
    assert statuses(tree) == {"one": "completed", "two": "failed", "three": "pending"}
    assert tree.progress == pytest.approx(1 / 3, abs=0.01)
    broken = False
    await engine.continuing.retry(ANN, run.id)
    await settled(engine, run.id, *ENDS)
    assert count(provider) == {"do one": 1, "do three": 1}
    tree = await engine.trees.read(ANN, run.id)
    assert tree.tasks[1].result == "facts on cats and done: do one"
    assert statuses(tree) == {"one": "completed", "two": "completed", "three": "completed"}


async def test_pause_and_resume_reach_the_children(world: World, provider: ScriptedProvider):
    held = Gate()
    provider._default = lambda request: Answer("x ", held, "y")
    engine = await world.add_process()
    run = await set_to_work(engine, DIAMOND)
    async with asyncio.timeout(PATIENCE_S):
        await held.reached.wait()
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    child = (await engine.trees.read(ANN, run.id)).tasks[0].run_id
    assert child is not None
    paused = await settled(engine, child, RunStatus.PAUSED)
    assert paused.owner is None
    provider._default = answering
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await follow(engine, run.id)
    check_tree(events)
    assert events[-1]["type"] == "run_completed"
    assert types(e for e in events if e["run_id"] == child).count("run_resumed") == 1


async def test_manager_has_its_crew_do_the_work(world: World, provider: ScriptedProvider):
    def manage(request: ModelRequest) -> Answer | str:
        if "manager" not in (request.messages[0].content or ""):
            return f"worked: {asked(request)}"
        results = [m.content for m in request.messages if m.role == "tool"]
        if results:
            return f"managed: {' + '.join(map(str, results))}"
        both = [Call("delegate_work", {"coworker": name, "task": f"part of {name}"}) for name in ("Ann", "bob")]
        return Answer(calls=both)

    provider._default = manage
    engine = await world.add_process()
    run = await set_to_work(engine, crew(task("one"), process="hierarchical"))
    events = await follow(engine, run.id)
    check_tree(events)
    assert events[-1]["response"] == "managed: worked: part of ann + worked: part of bob".replace("ann", "Ann")
    assert {event["depth"] for event in events} == {0, 1, 2}
    tree = await engine.trees.read(ANN, run.id)
    inner = tree.tasks[0].tree
    assert inner is not None
    assert [state.status for state in inner.tasks] == ["completed", "completed"]
    assert events[-1]["metrics"].total_tokens == 3


async def test_end_of_a_child_whose_worker_died_before_it_told_wakes_the_workflow(
    world: World, provider: ScriptedProvider
):
    """The child's end is durable, its parent sleeps, and the process that would have told it is gone."""
    gate = Gate()
    provider._default = lambda request: Answer(gate, "ok") if asked(request) == "do one" else answering(request)
    doomed = await world.add_process()
    hold = Hold(when=lambda group, run_id, change: run_id == "root")
    run = await set_to_work(doomed, THREE, run_id="root", start=False)
    await settled(doomed, run.id, RunStatus.PAUSED)
    await doomed.commands.resume(ANN, run.id, ResumeRequest())
    await settled(doomed, run.id, RunStatus.WAITING)
    faults(doomed).on("update_run", hold)
    gate.open()
    async with asyncio.timeout(PATIENCE_S):
        await hold.reached.wait()
    await world.kill(doomed)
    engine = await world.add_process()
    events = await follow(engine, run.id)
    check_tree(events)
    assert events[-1]["type"] == "run_completed"
    assert all(number == 1 for number in count(provider).values())
