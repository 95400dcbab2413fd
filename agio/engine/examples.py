"""Example task trees: ordinary records of the default group, made once at the first start."""

from dataclasses import replace

from agio.domain.access import DEFAULT_GROUP
from agio.domain.errors import NotFound
from agio.domain.runs import RunFilter
from agio.domain.task_trees import GivenTask, Need
from agio.engine.caller import Caller
from agio.engine.duties import NOBODYS, is_entrusted
from agio.engine.task_trees import TaskTrees
from agio.storage.port import DUTIES, TASK_TREES, Store

DUTY = "examples"
DONE = "done"
"""Who has the duty when there is nothing left to do."""
CALLER = Caller("examples", DEFAULT_GROUP)


def _sum(task_id: str, name: str, expression: str, *after: str, parent_id: str | None = None) -> GivenTask:
    return GivenTask(
        id=task_id,
        name=name,
        parent_id=parent_id,
        dependencies=tuple(Need(id=other) for other in after),
        inputs={"expression": expression},
        schemas={"method": "calculator"},
    )


EXAMPLES: dict[str, tuple[GivenTask, ...]] = {
    "example-calculation": (
        _sum("example-number", "A number", "6 * 7"),
        _sum("example-double", "Its double", "{{example-number}} * 2", "example-number", parent_id="example-number"),
        _sum("example-half", "Its half", "{{example-number}} / 2", "example-number", parent_id="example-number"),
        _sum(
            "example-total",
            "Both together",
            "{{example-double}} + {{example-half}}",
            *("example-double", "example-half"),
            parent_id="example-number",
        ),
    ),
    "example-question": (
        GivenTask(
            id="example-answer",
            name="A question",
            inputs={"prompt": "What is 6 times 7?"},
            schemas={"method": "agent"},
        ),
    ),
    "example-crew": (
        GivenTask(
            id="example-article",
            name="A short article",
            inputs={"topic": "the tides"},
            schemas={"method": "crew"},
            params={
                "works": {
                    "agents": {
                        "researcher": {"role": "Researcher", "goal": "Collect facts."},
                        "writer": {"role": "Writer", "goal": "Write clearly."},
                    },
                    "tasks": {
                        "research": {"description": "Collect three facts on {topic}.", "agent": "researcher"},
                        "write": {
                            "description": "Write a short article on {topic}.",
                            "expected_output": "Three sentences.",
                            "agent": "writer",
                        },
                    },
                }
            },
        ),
    ),
}
"""Tasks by the id of their tree."""


async def make_examples(store: Store, trees: TaskTrees, *, force: bool = False) -> int:
    """Keep the examples that are not there; `force`: all of them anew. Returns how many trees were made."""
    made = 0
    for tree_id, tasks in EXAMPLES.items():
        try:
            there = await store.get(TASK_TREES, DEFAULT_GROUP, tree_id)
        except NotFound:
            there = None
        if there is not None and force:
            await trees.delete(CALLER, there.root_id, force=True)
        if there is None or force:
            await trees.create(CALLER, tasks, tree_id=tree_id, renames=True)
            made += 1
    return made


async def make_examples_once(store: Store, trees: TaskTrees, worker_id: str, lease_s: float) -> int:
    """Keep the examples where the database is empty and nobody has come to this point yet, in whatever process.

    The worker that is entrusted with it says when it is done; where it died before, the next start does it.
    """
    try:
        if (await store.get(DUTIES, NOBODYS, DUTY)).holder == DONE:
            return 0
    except NotFound:
        pass
    if not await is_entrusted(store, DUTY, worker_id, lease_s):
        return 0
    made = await make_examples(store, trees) if await _is_empty(store) else 0
    await store.update(DUTIES, NOBODYS, DUTY, lambda duty: replace(duty, holder=DONE))
    return made


async def _is_empty(store: Store) -> bool:
    """Say whether there is nothing but, at most, some of the examples."""
    trees = await store.find(TASK_TREES, DEFAULT_GROUP, limit=len(EXAMPLES) + 1)
    runs = await store.list_runs(DEFAULT_GROUP, RunFilter(), limit=1)
    return not runs.total and all(tree.id in EXAMPLES for tree in trees.items)
