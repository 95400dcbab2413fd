"""Task trees: tasks as callers write them down, kept until they are carried out as workflows. Pure.

A tree has one root; `parent_id` says where a task stands, `dependencies` when it may start.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agio.domain.errors import Invalid
from agio.domain.workflow import DEFAULT_PRIORITY, Task, find_cycle, find_flaws

TASK_ID = re.compile(r"[A-Za-z0-9_.:@+-]{1,64}")
CHANGEABLE = frozenset({"name", "inputs", "params", "schemas", "priority", "dependencies"})
"""What of a task can be changed; the rest is fixed, or is what its runs say."""
MAX_NESTING = 50
"""How deep tasks may stand under each other."""
MOST_EXECUTIONS = 100
"""Executions that a tree remembers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A task that must be over before another one starts."""

    id: str
    required: bool = True
    """It must have been completed; else whatever came of it will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTask:
    """One task of a tree."""

    id: str
    name: str
    parent_id: str | None = None
    dependencies: tuple[Need, ...] = ()
    priority: int = DEFAULT_PRIORITY
    inputs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    """Settings of who does it."""
    schemas: dict[str, Any] = field(default_factory=dict)
    """`method` says who does it; left out: the name does."""
    original_task_id: str | None = None
    """The task that it is a copy of."""
    has_copy: bool = False
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A run of some of a tree's tasks."""

    run_id: str
    task_ids: tuple[str, ...]
    revision: int
    """Of the tree, when it began: of tasks that were changed since, the run knows nothing."""
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTree:
    """Tasks under one root, and the runs that carried them out."""

    id: str
    group_id: str
    root_id: str
    user_id: str | None = None
    """Whose it is; None: its group's."""
    tasks: tuple[TreeTask, ...]
    executions: tuple[Execution, ...] = ()
    """Oldest first."""
    revision: int = 1
    """Grows with every change of its tasks."""
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def by_id(self) -> dict[str, TreeTask]:
        """Return the tasks by id."""
        return {task.id: task for task in self.tasks}

    @property
    def root(self) -> TreeTask:
        """Return the root."""
        return self.by_id[self.root_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlace:
    """Says which tree a task is in; there is one of an id in a group."""

    id: str
    group_id: str
    tree_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTask:
    """A task as a caller sent it. References are ids, or names where no task has an id."""

    id: str | None = None
    name: str
    user_id: str | None = None
    parent_id: str | None = None
    dependencies: tuple[Need, ...] = ()
    priority: int = DEFAULT_PRIORITY
    inputs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    schemas: dict[str, Any] = field(default_factory=dict)


def resolve(given: Sequence[GivenTask], make_id: Callable[[], str]) -> tuple[TreeTask, ...]:
    """Return the tasks of a tree, each with an id, that refer to each other by ids.

    Raises:
        Invalid: they are no tree with one root, their dependencies go in a circle, or an id is none.
    """
    ids = [task.id if task.id is not None else make_id() for task in given]
    for number, task_id in enumerate(ids):
        if not TASK_ID.fullmatch(task_id):
            text = f"{task_id[:80]!r} cannot be a task id: 1 to 64 letters, digits and the characters _ . : @ + -"
            raise Invalid(text, field=f"tasks.{number}.id")
    names: dict[str, str] = {}
    for task, task_id in zip(given, ids, strict=True):
        if names.setdefault(task.name, task_id) != task_id:
            names[task.name] = ""  # nobody is meant by it alone
    known = {name: task_id for name, task_id in names.items() if task_id} | {one: one for one in ids}
    tasks = tuple(
        TreeTask(
            id=task_id,
            name=task.name,
            parent_id=known.get(task.parent_id, task.parent_id) if task.parent_id else None,
            dependencies=tuple(replace(need, id=known.get(need.id, need.id)) for need in task.dependencies),
            priority=task.priority,
            inputs=task.inputs,
            params=task.params,
            schemas=task.schemas,
        )
        for task, task_id in zip(given, ids, strict=True)
    )
    check_tree(tasks)
    if len({task.user_id for task in given if task.user_id is not None}) > 1:
        raise Invalid("all tasks of a tree have the same user_id", field="tasks")
    return tasks


def check_tree(tasks: Sequence[TreeTask]) -> None:
    """Refuse what is no tree, or could not be carried out. Raises `Invalid`."""
    flaws = find_flaws([outline(task) for task in tasks])
    if flaws:
        more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
        raise Invalid(flaws[0].message + more, field=flaws[0].field)
    roots = [task.id for task in tasks if task.parent_id is None]
    if len(roots) != 1:
        text = f"a tree has one root; these have no parent_id: {', '.join(roots[:10])}"
        raise Invalid(text, field="tasks")
    level, under = [roots[0]], _by_parent(tasks)
    for _ in range(MAX_NESTING):
        level = [child for above in level for child in under.get(above, ())]
    if level:
        raise Invalid(f"tasks stand at most {MAX_NESTING} deep under each other", field="tasks")


def _by_parent(tasks: Iterable[TreeTask]) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    for task in tasks:
        found.setdefault(task.parent_id, []).append(task.id)
    return found


def outline(task: TreeTask) -> Task:
    """Return the task's place in the graph, without what it does."""
    return Task(
        id=task.id,
        name=task.name,
        parent_id=task.parent_id,
        priority=task.priority,
        dependencies=tuple(dict.fromkeys(need.id for need in task.dependencies if need.required)),
        optional=tuple(dict.fromkeys(need.id for need in task.dependencies if not need.required)),
    )


def root_of(tasks: Iterable[TreeTask]) -> str:
    """Return the id of the root of a sound tree."""
    return next(task.id for task in tasks if task.parent_id is None)


def below(tree: TaskTree, task_id: str) -> list[TreeTask]:
    """Return a task and all that stand under it."""
    found, known, under = [task_id], tree.by_id, _by_parent(tree.tasks)
    for above in found:
        found += under.get(above, [])  # they are looked at in their turn
    return [known[one] for one in found]


def with_needs(tree: TaskTree, wanted: Iterable[str]) -> list[TreeTask]:
    """Return the tasks wanted and all that they need to be over, in the tree's order."""
    found: set[str] = set()
    queue, known = list(wanted), tree.by_id
    while queue:
        task_id = queue.pop()
        if task_id not in found:
            found.add(task_id)
            queue += [need.id for need in known[task_id].dependencies]
    return [task for task in tree.tasks if task.id in found]


def chosen(tree: TaskTree, task_id: str) -> list[TreeTask]:
    """Return what is carried out when a task is executed: of the root all, else the task and what it needs."""
    return list(tree.tasks) if task_id == tree.root_id else with_needs(tree, [task_id])


def dependents_of(tree: TaskTree, task_ids: Collection[str]) -> list[str]:
    """Return the other tasks that need one of these to be over."""
    return [
        task.id
        for task in tree.tasks
        if task.id not in task_ids and any(need.id in task_ids for need in task.dependencies)
    ]


def begin_execution(tree: TaskTree, execution: Execution) -> TaskTree:
    """Return the tree with an execution; those that tell nothing any more are forgotten."""
    kept = [one for one in tree.executions if not set(one.task_ids) <= set(execution.task_ids)]
    return replace(tree, executions=(*kept, execution)[-MOST_EXECUTIONS:], updated_at=execution.at)


def change_task(tree: TaskTree, task_id: str, changes: Mapping[str, Any], status: str, at: datetime) -> TaskTree:
    """Return the tree with some fields of a task changed.

    Args:
        status: what has become of the task: `pending` is the only one in which dependencies may be changed.

    Raises:
        Invalid: names everything that cannot be changed so, one line each.
    """
    problems = [_fixed(name) for name in changes if name not in CHANGEABLE]
    task = tree.by_id[task_id]
    if "dependencies" in changes:
        problems += _flaws_of_needs(tree, task, changes["dependencies"], status)
    if problems:
        raise Invalid("Update failed:\n" + "\n".join(f"- {problem}" for problem in problems), field="params")
    changed = replace(task, **changes, updated_at=at)
    if replace(changed, updated_at=task.updated_at) == task:
        return tree
    tasks = tuple(changed if one.id == task_id else one for one in tree.tasks)
    return replace(tree, tasks=tasks, revision=tree.revision + 1, updated_at=at)


def _fixed(name: str) -> str:
    why = {
        "parent_id": "field cannot be modified (task hierarchy is fixed)",
        "user_id": "field cannot be modified (task ownership is fixed)",
    }.get(name, f"it is none of {', '.join(sorted(CHANGEABLE))}; what a run did cannot be changed")
    return f"Cannot update {name[:80]!r}: {why}"


def _flaws_of_needs(tree: TaskTree, task: TreeTask, needs: Sequence[Need], status: str) -> list[str]:
    if status != "pending":
        return [f"Cannot update 'dependencies': task status is {status!r} (must be 'pending')"]
    known = tree.by_id
    unknown = [need.id for need in needs if need.id not in known]
    if unknown:
        return [f"Dependency reference {one!r} not found in task tree" for one in unknown]
    edges = {one.id: [need.id for need in one.dependencies] for one in tree.tasks}
    edges[task.id] = [need.id for need in needs]
    if cycle := find_cycle(edges):
        return [f"Circular dependency detected: {' -> '.join(cycle)}"]
    return []


def without(tree: TaskTree, task_ids: Collection[str], at: datetime) -> TaskTree:
    """Return the tree without some of its tasks, none of which is its root."""
    tasks = tuple(task for task in tree.tasks if task.id not in task_ids)
    return replace(tree, tasks=tasks, revision=tree.revision + 1, updated_at=at)


def copy_of(tree: TaskTree, task_id: str, make_id: Callable[[], str]) -> tuple[TreeTask, ...]:
    """Return a copy of a task with all that stands under it, that needs it, and that these need.

    The copy's root is the tree's where that is among them, else the task; what has lost its parent stands under it.
    """
    wanted, more = set[str](), {task.id for task in below(tree, task_id)}
    while more != wanted:
        wanted = more
        more = {*wanted, *dependents_of(tree, wanted)}
        more |= {task.id for task in with_needs(tree, more)}
    fresh = {task.id: make_id() for task in tree.tasks if task.id in wanted}
    root = tree.root_id if tree.root_id in wanted else task_id
    return tuple(
        replace(
            task,
            id=fresh[task.id],
            parent_id=None if task.id == root else fresh.get(task.parent_id or "", fresh[root]),
            dependencies=tuple(replace(need, id=fresh[need.id]) for need in task.dependencies),
            original_task_id=task.id,
            has_copy=False,
            updated_at=None,
        )
        for task in tree.tasks
        if task.id in wanted
    )


def mark_copied(tree: TaskTree, task_ids: Collection[str]) -> TaskTree:
    """Return the tree with a note on the tasks that there is a copy of."""
    tasks = tuple(replace(task, has_copy=True) if task.id in task_ids else task for task in tree.tasks)
    return tree if tasks == tree.tasks else replace(tree, tasks=tasks)
