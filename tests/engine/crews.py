"""Workflows in tests of the engine: crews, and readers of their trees."""

import asyncio
from contextlib import aclosing
from typing import Any

from agio.api.sse import wire_events
from agio.domain.crew import Crew, CrewTask, Member
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.trees import Leaf, Tree
from agio.engine.workflows import Fallback, WorkflowRequest
from agio.providers.base import ModelRequest
from agio.testing.provider import ScriptedProvider
from tests.engine.world import ANN, PATIENCE_S, check_sequence

ENDS = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
FALLBACK = Fallback(provider="scripted", model="m")
WORKERS = (Member(name="ann", role="Researcher"), Member(name="bob", role="Writer"), Member(name="eve", role="Critic"))


def crew(*tasks: CrewTask, **changes: Any) -> Crew:
    return Crew(name="team", members=WORKERS, tasks=tasks, **changes)


def task(name: str, *after: str, agent: str | None = "ann", **changes: Any) -> CrewTask:
    doer = None if {"function", "http", "crew"} & changes.keys() else agent
    return CrewTask(id=name, description=f"do {name}", agent=doer, dependencies=after, **changes)


THREE = crew(task("one"), task("two", agent="bob"), task("three", agent="eve"), process="sequential")
DIAMOND = crew(task("top"), task("left", "top"), task("right", "top", agent="bob"), task("end", "left", "right"))


def asked(request: ModelRequest) -> str:
    """Return the first words of what a model was asked: the task."""
    last = next(m for m in reversed(request.messages) if m.role == "user")
    return str(last.content).split("\n")[0]


def answering(request: ModelRequest) -> str:
    return f"done: {asked(request)}"


def count(provider: ScriptedProvider) -> dict[str, int]:
    found: dict[str, int] = {}
    for request in provider.requests:
        found[asked(request)] = found.get(asked(request), 0) + 1
    return found


async def set_to_work(engine: Engine, wanted: Crew, **options: Any) -> Run:
    return await engine.workflows.start(ANN, WorkflowRequest(crew=wanted, fallback=FALLBACK, **options))


async def follow(engine: Engine, run_id: str, cursors: dict[str, int] | None = None) -> list[dict[str, Any]]:
    """Read the stream of a tree to its end."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(engine.trees.follow(ANN, run_id, cursors or {})) as items:
        async for item in items:
            assert not isinstance(item, Draining)
            found += [{**event, "depth": depth_of(item)} for event in wire_events(item.published.entry)]
    return found


def depth_of(leaf: Leaf) -> int:
    return leaf.place.depth if leaf.place else 0


def check_tree(events: list[dict[str, Any]]) -> None:
    """Each run's events are 1, 2, 3, …; a child's end stands before its parent's word of it."""
    by_run: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["type"] in ("task_completed", "task_failed"):
            child = by_run[event["child_run_id"]]
            assert child[-1]["type"] in ("run_completed", "run_failed", "run_cancelled")
        by_run.setdefault(event["run_id"], []).append(event)
    for one in by_run.values():
        check_sequence(one)


def statuses(tree: Tree) -> dict[str, str]:
    return {state.id: state.status for state in tree.tasks}
