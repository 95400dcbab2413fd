"""Task trees: kept once, carried out once, whichever process is asked and whichever dies."""

import asyncio
from typing import Any

import pytest

from agio.domain.errors import AlreadyExists, Conflict, NotFound, ProviderError
from agio.domain.runs import RunFilter
from agio.domain.status import RunStatus
from agio.domain.task_trees import GivenTask, Need, TaskTree
from agio.engine.engine import Engine
from agio.engine.task_trees import Executed, Setup
from agio.engine.workflows import Fallback
from agio.providers.base import ModelRequest
from agio.storage.port import TASK_TREES
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.engine.crews import answering, asked, check_tree, count, follow
from tests.engine.world import ANN, EVE, PATIENCE_S, Hold, World, faults, settled

SETUP = Setup(fallback=Fallback(provider="scripted", model="m"), agent_id="a1")


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(default=answering)


def given(task_id: str, *after: str, parent: str | None = None, **fields: Any) -> GivenTask:
    usual: dict[str, Any] = {"name": task_id, "inputs": {"prompt": f"do {task_id}"}, "schemas": {"method": "agent"}}
    needs = tuple(Need(id=other) for other in after)
    return GivenTask(id=task_id, parent_id=parent, dependencies=needs, **usual | fields)


DIAMOND = [
    given("top"),
    given("left", "top", parent="top"),
    given("right", "top", parent="top"),
    given("end", "left", "right", parent="top"),
]


async def execute(engine: Engine, task_id: str = "top") -> Executed:
    return await engine.task_trees.execute(ANN, task_id, SETUP)


async def statuses(engine: Engine, tree: TaskTree) -> dict[str, str]:
    states = await engine.task_trees.states(ANN, await engine.task_trees.find(ANN, tree.root_id))
    return {task_id: state.status for task_id, state in states.items()}


async def test_processes_that_are_asked_at_once_begin_one_run(world: World, provider: ScriptedProvider):
    engines = [await world.add_process() for _ in range(3)]
    tree = await engines[0].task_trees.create(ANN, DIAMOND)
    assert set((await statuses(engines[1], tree)).values()) == {"pending"}
    done = await asyncio.gather(*(execute(engine) for engine in engines for _ in range(2)))
    assert len({one.run.id for one in done}) == 1
    assert [one.outcome for one in done].count("started") == 1
    check_tree(await follow(engines[2], done[0].run.id))
    assert count(provider) == {f"do {name}": 1 for name in ("top", "left", "right", "end")}
    assert set((await statuses(engines[1], tree)).values()) == {"completed"}
    assert (await execute(engines[1])).outcome == "completed"


async def test_trees_that_want_the_same_ids_at_once(world: World, provider: ScriptedProvider):
    engines = [await world.add_process() for _ in range(2)]
    made = await asyncio.gather(
        *(engine.task_trees.create(ANN, DIAMOND) for engine in engines * 2), return_exceptions=True
    )
    kept = [tree for tree in made if isinstance(tree, TaskTree)]
    assert all(isinstance(one, TaskTree | AlreadyExists) for one in made)
    assert len(kept) <= 1
    if not kept:  # each took an id of the other's; who comes again gets them
        kept = [await engines[0].task_trees.create(ANN, DIAMOND)]
    renamed = await engines[1].task_trees.create(ANN, DIAMOND, renames=True)
    assert renamed.by_id.keys().isdisjoint(kept[0].by_id)
    assert {need.id for task in renamed.tasks for need in task.dependencies} <= renamed.by_id.keys()
    other = await engines[0].task_trees.create(EVE, DIAMOND)
    assert other.by_id.keys() == kept[0].by_id.keys(), "ids are a group's own"
    with pytest.raises(NotFound):
        await engines[0].task_trees.get(EVE, kept[0].id)


async def test_run_that_was_noted_and_never_begun_is_begun_by_who_asks_next(world: World, provider: ScriptedProvider):
    doomed = await world.add_process()
    tree = await doomed.task_trees.create(ANN, DIAMOND)
    hold = Hold()
    faults(doomed).on("create_run", hold)
    asking = asyncio.create_task(execute(doomed))
    async with asyncio.timeout(PATIENCE_S):
        await hold.reached.wait()
    noted = (await doomed.task_trees.find(ANN, "top")).executions[0].run_id
    asking.cancel()
    await world.kill(doomed)
    engine = await world.add_process()
    assert set((await statuses(engine, tree)).values()) == {"pending"}
    done = await execute(engine)
    assert done.run.id == noted
    await follow(engine, noted)
    assert all(number == 1 for number in count(provider).values())


async def test_failed_tree_goes_on_and_a_changed_one_begins_anew(world: World, provider: ScriptedProvider):
    broken = True

    def answer(request: ModelRequest) -> Any:
        if broken and asked(request) == "do end":
            raise ProviderError("no", code="provider_bad_request")
        return answering(request)

    provider._default = answer
    engine = await world.add_process()
    tree = await engine.task_trees.create(ANN, DIAMOND)
    first = await execute(engine)
    await settled(engine, first.run.id, RunStatus.FAILED)
    assert (await statuses(engine, tree))["top"] == "failed", "the root stands for its tree"
    broken = False
    again = await execute(engine)
    assert (again.run.id, again.outcome) == (first.run.id, "started")
    await settled(engine, again.run.id, RunStatus.COMPLETED)
    assert count(provider)["do left"] == 1
    await engine.task_trees.update(ANN, "left", {"inputs": {"prompt": "do left anew"}})
    anew = await execute(engine)
    assert anew.run.id != first.run.id
    await settled(engine, anew.run.id, RunStatus.COMPLETED)
    assert count(provider)["do left anew"] == 1
    assert (await engine.store.list_runs("default", RunFilter(tag="task-tree"), limit=9)).total == 2


async def test_what_is_under_way_cannot_be_deleted_and_deleted_ids_are_free(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider._default = lambda request: Answer(gate, "ok")
    engine = await world.add_process()
    tree = await engine.task_trees.create(ANN, DIAMOND)
    done = await execute(engine)
    async with asyncio.timeout(PATIENCE_S):
        await gate.reached.wait()
    assert [one.id for one in await engine.task_trees.live(ANN)] == [tree.id]
    with pytest.raises(Conflict, match="task is "):
        await engine.task_trees.delete(ANN, "top", force=True)
    gate.open()
    await settled(engine, done.run.id, RunStatus.COMPLETED)
    assert await engine.task_trees.delete(ANN, "top", force=True) == ["top", "left", "right", "end"]
    assert (await engine.store.find(TASK_TREES, "default")).total == 0
    assert (await engine.store.get_run("default", done.run.id)).status is RunStatus.COMPLETED
    await engine.task_trees.create(ANN, DIAMOND)
