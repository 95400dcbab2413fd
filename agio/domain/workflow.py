"""Workflows: graphs of tasks. What is wrong with one, what may start, what never can. Pure."""

import json
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agio.domain.agents import AgentSnapshot

MAX_TASKS = 1000
"""Tasks of one workflow, those of nested ones not counted."""
MAX_DEPTH = 8
"""How deep workflows may stand within each other."""
DEFAULT_PRIORITY = 1
"""0 is the most urgent."""

_NAMESPACE = uuid.UUID("6f2f4bb5-0a3e-5a52-9d0c-7d1f5a0e9c11")
_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_.:@+-]{1,128})\s*\}\}")
_INPUT = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_]{0,63})\}(?!\})")

Executor = Literal["agent", "crew", "http", "function"]
"""`agent`: a model · `crew`: a workflow within the workflow · `http`: one request · `function`: one tool, such as a
Python function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work of a workflow."""

    id: str
    name: str = ""
    executor: Executor = "agent"
    agent: str | None = None
    """Of `agent`: a name in `Workflow.agents`."""
    description: str = ""
    """Of `agent`: what to do."""
    expected_output: str = ""
    """Of `agent`: what the answer shall be like."""
    function: str | None = None
    """Of `function`: the tool's name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of `function` and `http`. In texts `{{task id}}` stands for what that dependency answered."""
    workflow: "Workflow | None" = None
    """Of `crew`."""
    dependencies: tuple[str, ...] = ()
    """Tasks that must have been completed; their results are inputs of this one."""
    parent_id: str | None = None
    """The task that it is shown under. It says nothing about the order."""
    priority: int = DEFAULT_PRIORITY
    coworkers: tuple[str, ...] = ()
    """Of `agent`: names in `Workflow.agents` that it may delegate to."""
    optional: tuple[str, ...] = ()
    """Tasks that must be over, whatever came of them; results, where there are any, are inputs of this one."""
    refusal: str | None = None
    """Why nobody can do it. When its turn comes it fails with these words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A graph of tasks with everything that it needs, pinned."""

    name: str
    tasks: tuple[Task, ...]
    agents: dict[str, AgentSnapshot] = field(default_factory=dict)
    """By the names that tasks have for them."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """`{name}` in descriptions and arguments stands for these; they have been put there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Something that is wrong with a workflow."""

    field: str
    """Where, such as `tasks.2.dependencies`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a child run stands in its tree."""

    root_run_id: str
    parent_run_id: str
    task_id: str
    depth: int
    """1 for the children of the root."""


def find_flaws(tasks: Sequence[Task]) -> list[Flaw]:
    """Return everything that keeps the graph from being carried out, empty when it is sound."""
    if not tasks:
        return [Flaw(field="tasks", message="a workflow has at least one task")]
    if len(tasks) > MAX_TASKS:
        return [Flaw(field="tasks", message=f"a workflow has at most {MAX_TASKS} tasks")]
    flaws: list[Flaw] = []
    ids = {task.id for task in tasks}
    seen: set[str] = set()
    for number, task in enumerate(tasks):
        at = f"tasks.{number}"
        if task.id in seen:
            flaws.append(Flaw(field=f"{at}.id", message=f"there are two tasks {task.id!r}"))
        seen.add(task.id)
        flaws += [
            Flaw(field=f"{at}.dependencies", message=f"task {task.id!r} depends on {other!r}, which there is not")
            for other in (*task.dependencies, *task.optional)
            if other not in ids
        ]
        if task.parent_id is not None and task.parent_id not in ids:
            message = f"task {task.id!r} stands under {task.parent_id!r}, which there is not"
            flaws.append(Flaw(field=f"{at}.parent_id", message=message))
    if flaws:
        return flaws
    after = {task.id: (*task.dependencies, *task.optional) for task in tasks}
    under = {task.id: (task.parent_id,) if task.parent_id else () for task in tasks}
    for name, edges in (("dependencies", after), ("parent_id", under)):
        if cycle := find_cycle(edges):
            flaws.append(Flaw(field="tasks", message=f"the {name} go in a circle: {' → '.join(cycle)}"))
    return flaws


def find_cycle(edges: Mapping[str, Collection[str]]) -> list[str]:
    """Return the nodes of one cycle, first and last the same, or an empty list."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        on_path: set[str] = set()
        stack = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif node in on_path:
                return [*path[path.index(node) :], node]
            elif node not in done:
                path.append(node)
                on_path.add(node)
                stack.append((node, True))
                stack += [(other, False) for other in edges.get(node, ())]
    return []


def in_order(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks of a sound graph so that each stands behind its dependencies; urgent ones first."""
    ordered: list[Task] = []
    done: set[str] = set()
    while len(ordered) < len(tasks):
        fresh = ready(tasks, done, ())
        ordered += fresh
        done |= {task.id for task in fresh}
    return ordered


def ready(
    tasks: Sequence[Task], done: Collection[str], begun: Collection[str], failed: Collection[str] = ()
) -> list[Task]:
    """Return the tasks that may start now, the most urgent first, else in their order."""
    over = {*done, *stuck(tasks, failed)} if failed else done
    free = [
        task
        for task in tasks
        if task.id not in done
        and task.id not in begun
        and all(other in done for other in task.dependencies)
        and all(other in over for other in task.optional)
    ]
    return sorted(free, key=lambda task: task.priority)


def stuck(tasks: Sequence[Task], failed: Collection[str]) -> set[str]:
    """Return the tasks that failed, and those that therefore never start."""
    found, before = set(failed), -1
    while len(found) > before:
        before = len(found)
        found |= {task.id for task in tasks if not found.isdisjoint(task.dependencies)}
    return found


def missing(tasks: Sequence[Task], done: Collection[str], failed: Collection[str]) -> list[str]:
    """Return the tasks without a result that the workflow needed; empty: it is completed.

    A failed task is not needed where others depend on it, and all of them could do without.
    """
    needed = {other for task in tasks for other in task.dependencies}
    spared = {other for task in tasks for other in task.optional} - needed
    return [task.id for task in tasks if task.id not in done and not (task.id in failed and task.id in spared)]


def sinks(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that no other one depends on: what they answer is what the workflow answers."""
    needed = {other for task in tasks for other in (*task.dependencies, *task.optional)}
    return [task for task in tasks if task.id not in needed]


def inputs_of(task: Task, results: Mapping[str, str]) -> list[str]:
    """Return the tasks whose results are inputs of this one."""
    return [*task.dependencies, *(other for other in task.optional if other in results)]


def answer_of(tasks: Sequence[Task], results: Mapping[str, str]) -> str:
    """Return what a finished workflow answers."""
    last = sinks(tasks)
    if len(last) == 1:
        return results[last[0].id]
    return "\n\n".join(f"## {task.name or task.id}\n\n{results[task.id]}" for task in last)


def progress_of(total: int, done: int) -> float:
    """Return how far a workflow is, from 0 to 1."""
    return round(done / total, 4) if total else 1.0


def child_id(run_id: str, attempt: int, key: str) -> str:
    """Return the id of the child run for a task, or a delegated call, of an attempt: always the same one."""
    return str(uuid.uuid5(_NAMESPACE, f"{run_id}/{attempt}/{key}"))


def prompt_of(task: Task, results: Mapping[str, str]) -> str:
    """Return what an agent is asked to do, with what the tasks before it answered."""
    parts = [_fill_text(task.description or task.name or task.id, results)]
    if task.expected_output:
        parts.append(f"Expected output: {_fill_text(task.expected_output, results)}")
    if before := inputs_of(task, results):
        parts.append(_context(before, results))
    return "\n\n".join(parts)


def nested(task: Task, results: Mapping[str, str]) -> Workflow:
    """Return the workflow within a task of executor `crew`, with what the tasks before it answered.

    Its first agents are told all of it; in the other texts `{{task id}}` stands for a result.
    """
    assert task.workflow is not None
    inner = {each.id for each in task.workflow.tasks}
    before = inputs_of(task, results)
    known = {other: results[other] for other in before if other not in inner}
    context = "\n\n" + _context(before, results) if before else ""
    tasks = tuple(
        replace(
            each,
            description=_fill_text(each.description, known) + ("" if each.dependencies else context),
            arguments=fill_results(each.arguments, known),
        )
        for each in task.workflow.tasks
    )
    return replace(task.workflow, tasks=tasks)


def _context(dependencies: Iterable[str], results: Mapping[str, str]) -> str:
    found = [f"### {other}\n{results[other]}" for other in dependencies]
    return "Results of the tasks before this one:\n\n" + "\n\n".join(found)


def _fill_text(text: str, results: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: results.get(found[1], found[0]), text)


def fill_results(value: Any, results: Mapping[str, str]) -> Any:
    """Return a value with `{{task id}}` in its texts replaced by results.

    A text that is one reference becomes the result itself, decoded where that is JSON.
    """
    match value:
        case str():
            whole = _REFERENCE.fullmatch(value.strip())
            if whole and whole[1] in results:
                return _decoded(results[whole[1]])
            return _fill_text(value, results)
        case dict():
            return {key: fill_results(each, results) for key, each in value.items()}
        case list():
            return [fill_results(each, results) for each in value]
    return value


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def fill_inputs(value: Any, inputs: Mapping[str, Any]) -> Any:
    """Return a value with `{name}` in its texts replaced by the workflow's inputs; unknown names stay."""
    match value:
        case str():
            return _INPUT.sub(lambda found: str(inputs[found[1]]) if found[1] in inputs else found[0], value)
        case dict():
            return {key: fill_inputs(each, inputs) for key, each in value.items()}
        case list():
            return [fill_inputs(each, inputs) for each in value]
    return value


def depth_of(workflow: Workflow) -> int:
    """Return how many workflows stand within each other at most, this one included."""
    return 1 + max((depth_of(task.workflow) for task in workflow.tasks if task.workflow is not None), default=0)


def placed(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return the tasks by id."""
    return {task.id: task for task in tasks}
