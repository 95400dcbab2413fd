"""Workflows and their child runs: what one end means for the other, what is deleted together, whose keys they use."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agio.domain.crew import CrewTask
from agio.domain.errors import Conflict, InvalidTransition, NotFound
from agio.domain.llm_keys import CallersKey
from agio.domain.runs import RunFilter
from agio.domain.status import RunStatus
from agio.engine.continuing import ForkRequest
from agio.engine.workflows import WorkflowRequest
from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.engine.crews import (
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
from tests.engine.world import ANN, FAST, PATIENCE_S, World, faults, settled

REFUSAL = "nobody can do this"


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(default=answering)


def refused(name: str, *after: str) -> CrewTask:
    return CrewTask(id=name, dependencies=after, refusal=REFUSAL)


async def test_task_that_can_do_without_another_waits_for_it_and_starts(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider._default = lambda request: Answer(gate, "late") if asked(request) == "do slow" else answering(request)
    engine = await world.add_process()
    wanted = crew(refused("bad"), task("slow"), task("end", agent="bob", optional=("bad", "slow")))
    run = await set_to_work(engine, wanted)
    async with asyncio.timeout(PATIENCE_S):
        await gate.reached.wait()
    await settled(engine, run.id, RunStatus.WAITING)
    assert "do end" not in count(provider)
    gate.open()
    events = await follow(engine, run.id)
    check_end = provider.requests[-1].messages[-1].content
    assert "### slow\nlate" in str(check_end)
    assert "### bad" not in str(check_end)
    assert events[-1]["type"] == "run_completed"
    tree = await engine.trees.read(ANN, run.id)
    assert statuses(tree) == {"bad": "failed", "slow": "completed", "end": "completed"}
    assert tree.tasks[0].error == {"code": "unknown_executor", "message": REFUSAL}


async def test_task_behind_one_that_never_starts_starts_if_it_can_do_without(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    wanted = crew(refused("bad"), task("never", "bad"), task("end", optional=("never",)))
    run = await set_to_work(engine, wanted)
    events = await follow(engine, run.id)
    assert count(provider) == {"do end": 1}
    assert events[-1]["type"] == "run_failed"
    assert events[-1]["error"]["message"] == f"task 'bad' failed: {REFUSAL}; 1 tasks were not begun"


async def test_interrupted_child_counts_as_failed(world: World, provider: ScriptedProvider):
    """Its workers died too often; its workflow must not wait for ever for a person who may never come."""
    held = Gate()
    provider._default = lambda request: Answer("begun ", held) if asked(request) == "do one" else answering(request)
    doomed = await world.add_process()
    run = await set_to_work(doomed, THREE)
    async with asyncio.timeout(PATIENCE_S):
        await held.reached.wait()
    await settled(doomed, run.id, RunStatus.WAITING)
    await world.kill(doomed)
    engine = await world.add_process(settings=replace(FAST, max_claims=0))
    events = await follow(engine, run.id)
    assert [event["error"]["code"] for event in events if event["type"] == "task_failed"] == ["interrupted"]
    assert events[-1]["type"] == "run_failed"
    assert count(provider) == {"do one": 1}
    provider._default = answering
    again = await engine.continuing.retry(ANN, run.id)
    ended = await settled(engine, again.id, RunStatus.COMPLETED)
    assert ended.attempt == 2


async def test_child_that_cannot_even_be_loaded_counts_as_failed(world: World, provider: ScriptedProvider):
    engine = await world.add_process()

    async def load(call: Any, group_id: str, run_id: str) -> Any:
        if run_id != "root":
            raise ValueError("the test cannot read this")
        return await call(group_id, run_id)

    faults(engine).on("get_spec", load)
    run = await set_to_work(engine, THREE, run_id="root")
    ended = await settled(engine, run.id, RunStatus.FAILED)
    assert ended.error is not None
    assert ended.error["code"] == "task_failed"
    faults(engine).on("get_spec", None)
    child = (await engine.trees.read(ANN, run.id)).tasks[0].run_id
    stuck = await settled(engine, child or "", RunStatus.INTERRUPTED)
    assert (stuck.reason, stuck.owner) == ("poison", None)
    assert count(provider) == {}


async def test_workflow_is_deleted_with_its_children(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    other = await set_to_work(engine, crew(task("alone")))
    await follow(engine, other.id)
    nested = crew(task("outer", crew=crew(task("inner"))), task("last", "outer"))
    run = await set_to_work(engine, nested)
    check_tree(await follow(engine, run.id))
    await settled(engine, run.id, RunStatus.COMPLETED)
    before = await engine.store.list_runs("default", RunFilter(), limit=50)
    assert before.total == 2 + 4
    deleted = await engine.commands.delete(ANN, run.id)
    left = await engine.store.list_runs("default", RunFilter(), limit=50)
    assert (len(deleted), left.total) == (4, 2)
    for run_id in deleted:
        with pytest.raises(NotFound):
            await engine.store.get_run("default", run_id)


async def test_fork_of_a_child_keeps_its_workflow_unless_it_goes_too(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await set_to_work(engine, crew(task("only")))
    await follow(engine, run.id)
    child = (await engine.trees.read(ANN, run.id)).tasks[0].run_id
    assert child is not None
    await settled(engine, child, RunStatus.COMPLETED)
    last = await engine.store.last_checkpoint("default", child)
    assert last is not None
    gate = Gate()
    provider._default = lambda request: Answer(gate, "anew")
    fork = await engine.continuing.branch_off(ANN, ForkRequest(checkpoint_id=last.id, kind="fork"))
    with pytest.raises(Conflict, match="1 runs depend"):
        await engine.commands.delete(ANN, run.id)
    with pytest.raises(InvalidTransition, match="depends on it"):
        await engine.commands.delete(ANN, run.id, cascade=True)
    gate.open()
    await settled(engine, fork.id, RunStatus.COMPLETED)
    assert set(await engine.commands.delete(ANN, run.id, cascade=True)) == {run.id, child, fork.id}


async def test_children_call_models_with_the_keys_of_their_workflow(world: World, provider: ScriptedProvider):
    found: list[str | None] = []
    engine = await world.add_process()

    def noting(request: ModelRequest) -> str:
        found.append(request.api_key)
        return answering(request)

    provider._default = noting
    caller = replace(ANN, llm_key=CallersKey("sk-callers"), user_id="ann")
    run = await engine.workflows.start(caller, WorkflowRequest(crew=THREE, fallback=FALLBACK))
    await follow(engine, run.id)
    assert found == ["sk-callers"] * 3
    children = [state.run_id for state in (await engine.trees.read(ANN, run.id)).tasks]
    assert {(await engine.store.get_run("default", child or "")).user_id for child in children} == {"ann"}
