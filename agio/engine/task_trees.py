"""Use cases on task trees: keep them, change them, carry them out as workflow runs, say what became of each task."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from agio.domain.errors import AgioError, AlreadyExists, Conflict, NotFound
from agio.domain.ids import new_id
from agio.domain.runs import Run, RunFilter
from agio.domain.status import LIVE, RunStatus
from agio.domain.task_trees import (
    Execution,
    GivenTask,
    TaskPlace,
    TaskTree,
    TreeTask,
    begin_execution,
    below,
    change_task,
    chosen,
    copy_of,
    dependents_of,
    mark_copied,
    resolve,
    root_of,
    without,
)
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.continuing import Continuing
from agio.engine.task_executors import Executors
from agio.engine.task_states import State, read_states
from agio.engine.trees import Trees
from agio.engine.workflows import Fallback, WorkflowRequest, Workflows
from agio.providers.base import Providers
from agio.storage.port import TASK_PLACES, TASK_TREES, Page, Store
from agio.tools.base import Toolbox

TAG = "task-tree"
"""Tag of the runs that carry trees out."""
AT_ONCE = 50
"""Ids that are claimed at the same time."""
RUBBISH_AFTER = timedelta(minutes=5)
"""An id that was claimed so long ago for a tree that never came to be is free again."""
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What tasks are done with that say nothing of it."""

    fallback: Fallback
    agent_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """What came of the wish to have a task executed."""

    tree: TaskTree
    run: Run
    outcome: Literal["started", "already_running", "completed"]
    after: int = 0
    """The last event of the run that stood there before."""


class TaskTrees:
    """Keeps trees as records; a tree that is executed is a workflow's run.

    `owner` narrows every method to the trees of a user and of nobody in particular; None: those of the whole group.
    """

    def __init__(
        self,
        store: Store,
        agents: Agents,
        toolbox: Toolbox,
        providers: Providers,
        workflows: Workflows,
        continuing: Continuing,
        trees: Trees,
    ) -> None:
        self._store = store
        self._executors = Executors(agents, toolbox, providers)
        self._workflows = workflows
        self._continuing = continuing
        self._trees = trees

    # -- records

    async def create(
        self,
        caller: Caller,
        given: Sequence[GivenTask],
        *,
        user_id: str | None = None,
        tree_id: str | None = None,
        renames: bool = False,
    ) -> TaskTree:
        """Keep a new tree; nothing of it is done yet.

        Args:
            user_id: whose it is where no task says so.
            tree_id: chosen by the caller: a tree of that id that is there is returned.
            renames: tasks whose ids are taken get others; else they are refused.

        Raises:
            Invalid: these tasks are no tree. AlreadyExists: an id is taken.
        """
        tasks = resolve(given, new_id)
        named = next((task.user_id for task in given if task.user_id is not None), user_id)
        return await self._keep(caller, tasks, named, tree_id or new_id(), renames=renames)

    async def _keep(
        self, caller: Caller, tasks: tuple[TreeTask, ...], user_id: str | None, tree_id: str, *, renames: bool
    ) -> TaskTree:
        now = utc_now()
        with suppress(NotFound):
            return await self._store.get(TASK_TREES, caller.group_id, tree_id)
        taken = await self._claim(caller, [task.id for task in tasks], tree_id, now)
        if taken and not renames:
            await self._release(caller, [task.id for task in tasks if task.id not in taken])
            raise AlreadyExists(f"there is a task {taken[0]!r} already")
        if taken:
            fresh = {task_id: new_id() for task_id in taken}
            await self._claim(caller, list(fresh.values()), tree_id, now)
            tasks = _renamed(tasks, fresh)
        tree = TaskTree(
            id=tree_id,
            group_id=caller.group_id,
            root_id=root_of(tasks),
            user_id=user_id,
            tasks=tasks,
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        return await self._store.insert(TASK_TREES, tree)

    async def _claim(self, caller: Caller, task_ids: Sequence[str], tree_id: str, now: datetime) -> list[str]:
        """Take ids for a tree that follows; return those that are another's."""

        async def claim(task_id: str) -> bool:
            place = TaskPlace(id=task_id, group_id=caller.group_id, tree_id=tree_id, created_at=now)
            try:
                await self._store.insert(TASK_PLACES, place)
            except AlreadyExists:
                return await self._take_over(caller, place)
            return True

        taken: list[str] = []
        for start in range(0, len(task_ids), AT_ONCE):
            some = task_ids[start : start + AT_ONCE]
            granted = await asyncio.gather(*(claim(task_id) for task_id in some))
            taken += [task_id for task_id, mine in zip(some, granted, strict=True) if not mine]
        return taken

    async def _take_over(self, caller: Caller, mine: TaskPlace) -> bool:
        """Say whether an id is ours: of an earlier try, or of a tree whose maker died before it was written."""

        async def is_there(tree_id: str) -> bool:
            try:
                await self._store.get(TASK_TREES, caller.group_id, tree_id)
            except NotFound:
                return False
            return True

        there = await self._store.get(TASK_PLACES, caller.group_id, mine.id)
        if there.tree_id != mine.tree_id:
            if mine.created_at - there.created_at < RUBBISH_AFTER or await is_there(there.tree_id):
                return False
            there = await self._store.update(
                TASK_PLACES, caller.group_id, mine.id, lambda one: mine if one.tree_id == there.tree_id else one
            )
        return there.tree_id == mine.tree_id

    async def _release(self, caller: Caller, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            with suppress(NotFound):
                await self._store.delete(TASK_PLACES, caller.group_id, task_id)

    async def find(self, caller: Caller, task_id: str, *, owner: str | None = None) -> TaskTree:
        """Return the tree that a task is in. Raises `NotFound`."""
        try:
            place = await self._store.get(TASK_PLACES, caller.group_id, task_id)
            tree = await self._store.get(TASK_TREES, caller.group_id, place.tree_id)
        except NotFound:
            raise NotFound(f"there is no task {task_id!r}") from None
        if task_id not in tree.by_id or not _is_visible(tree, owner):
            raise NotFound(f"there is no task {task_id!r}")
        return tree

    async def get(self, caller: Caller, tree_id: str, *, owner: str | None = None) -> TaskTree:
        """Return a tree by its own id. Raises `NotFound`."""
        tree = await self._store.get(TASK_TREES, caller.group_id, tree_id)
        if not _is_visible(tree, owner):
            raise NotFound(f"there is no task tree {tree_id!r}")
        return tree

    async def update(
        self, caller: Caller, task_id: str, changes: Mapping[str, Any], *, owner: str | None = None
    ) -> TaskTree:
        """Change some fields of a task; runs that are under way do not hear of it.

        Raises:
            NotFound: no such task. Invalid: as `domain.task_trees.change_task`.
        """
        tree = await self.find(caller, task_id, owner=owner)
        status = (await self.states(caller, tree))[task_id].status
        now = utc_now()
        return await self._store.update(
            TASK_TREES, caller.group_id, tree.id, lambda record: change_task(record, task_id, changes, status, now)
        )

    async def delete(self, caller: Caller, task_id: str, *, force: bool = False, owner: str | None = None) -> list[str]:
        """Delete a task and all that stands under it; runs stay on record. Returns the deleted ids.

        Raises:
            NotFound: no such task.
            Conflict: others need it; one of them is not pending (`force`: is under way).
        """
        tree = await self.find(caller, task_id, owner=owner)
        doomed = [task.id for task in below(tree, task_id)]
        states = await self.states(caller, tree)
        kept = {"pending", *(() if not force else ("completed", "failed", "cancelled", "interrupted"))}
        problems = []
        if others := dependents_of(tree, set(doomed)):
            problems.append(f"{len(others)} tasks depend on this task: [{', '.join(others)}]")
        if states[task_id].status not in kept:
            problems.append(f"task is {states[task_id].status}")
        if busy := [f"{one}: {states[one].status}" for one in doomed[1:] if states[one].status not in kept]:
            problems.append(f"task has {len(busy)} non-pending children: [{', '.join(busy)}]")
        if problems:
            raise Conflict(f"Cannot delete task: {'; '.join(problems)}")
        if task_id == tree.root_id:
            await self._store.delete(TASK_TREES, caller.group_id, tree.id)
        else:
            now = utc_now()
            await self._store.update(
                TASK_TREES, caller.group_id, tree.id, lambda record: without(record, set(doomed), now)
            )
        await self._release(caller, doomed)
        return doomed

    async def copy(
        self, caller: Caller, task_id: str, *, tree_id: str | None = None, owner: str | None = None
    ) -> TaskTree:
        """Keep a copy of a task with all that belongs to it, as a tree of its own. Raises `NotFound`."""
        tree = await self.find(caller, task_id, owner=owner)
        tasks = copy_of(tree, task_id, new_id)
        made = await self._keep(caller, tasks, tree.user_id, tree_id or new_id(), renames=False)
        copied = {task.original_task_id for task in made.tasks if task.original_task_id is not None}
        await self._store.update(TASK_TREES, caller.group_id, tree.id, lambda record: mark_copied(record, copied))
        return made

    async def page(
        self, caller: Caller, *, user_id: str | None, offset: int, limit: int, owner: str | None = None
    ) -> Page[TaskTree]:
        """Return trees, newest first; `user_id`: of this user only. `total` counts those that are not seen too."""
        where = {"user_id": user_id} if user_id is not None else None
        page = await self._store.find(TASK_TREES, caller.group_id, where, limit=limit, offset=offset, newest_first=True)
        return replace(page, items=[tree for tree in page.items if _is_visible(tree, owner)])

    async def live(self, caller: Caller, *, owner: str | None = None) -> list[TaskTree]:
        """Return the trees that are being carried out, those begun last first."""
        found: dict[str, TaskTree] = {}
        cursor = None
        while True:
            where = RunFilter(statuses=LIVE, tag=TAG)
            page = await self._store.list_runs(caller.group_id, where, limit=PAGE, cursor=cursor)
            for run in page.items:
                with suppress(NotFound):
                    tree = await self.get(caller, str(run.metadata.get("task_tree")), owner=owner)
                    found[tree.id] = tree
            cursor = page.next_cursor
            if cursor is None:
                return list(found.values())

    # -- execution

    async def execute(
        self,
        caller: Caller,
        task_id: str,
        setup: Setup,
        *,
        run_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        owner: str | None = None,
    ) -> Executed:
        """Carry out a task: of the root its whole tree, else the task and all that it needs.

        What failed is tried again in the same run, what was finished there is used; a tree that was changed since is
        carried out anew. What is under way, or completed, is left as it is.

        Raises:
            NotFound: no such task. QuotaExceeded: the group has spent what it may.
        """
        while True:
            tree = await self.find(caller, task_id, owner=owner)
            wanted = tuple(task.id for task in chosen(tree, task_id))
            if (found := await self._under_way(caller, tree, wanted, setup)) is not None:
                return found
            execution = Execution(
                run_id=run_id or new_id(), task_ids=wanted, revision=tree.revision, by=caller.name, at=utc_now()
            )
            seen = tree.executions

            def change(
                record: TaskTree, execution: Execution = execution, seen: tuple[Execution, ...] = seen
            ) -> TaskTree:
                return begin_execution(record, execution) if record.executions == seen else record

            after = await self._store.update(TASK_TREES, caller.group_id, tree.id, change)
            if execution in after.executions:
                run = await self._begin(caller, after, execution, setup, metadata or {})
                return Executed(tree=after, run=run, outcome="started")

    async def _under_way(
        self, caller: Caller, tree: TaskTree, wanted: tuple[str, ...], setup: Setup
    ) -> Executed | None:
        """Return the execution that does what is wanted, or did; a failed one goes on. None: there is none."""
        for execution in reversed(tree.executions):
            if set(wanted).isdisjoint(execution.task_ids):
                continue
            run = await self._run_of(caller, tree, execution, setup)
            if run is None:
                continue
            if run.is_live and run.status is not RunStatus.INTERRUPTED:
                return Executed(tree=tree, run=run, outcome="already_running")
            if execution.revision != tree.revision or not set(wanted) <= set(execution.task_ids):
                return None
            if run.status is RunStatus.COMPLETED or await self._has_done(caller, tree, wanted):
                return Executed(tree=tree, run=run, outcome="completed")
            if set(wanted) == set(execution.task_ids) and run.status is not RunStatus.CANCELLED:
                head = await self._store.head(run.group_id, run.id)
                again = await self._continuing.retry(caller, run.id)
                return Executed(tree=tree, run=again, outcome="started", after=head)
            return None
        return None

    async def _has_done(self, caller: Caller, tree: TaskTree, wanted: tuple[str, ...]) -> bool:
        states = await self.states(caller, tree)
        return all(states[task_id].status == "completed" for task_id in wanted)

    async def _run_of(self, caller: Caller, tree: TaskTree, execution: Execution, setup: Setup) -> Run | None:
        """Return an execution's run; begin it where whoever wanted it died before. None: it was deleted."""
        try:
            return await self._store.get_run(caller.group_id, execution.run_id)
        except NotFound:
            if execution is not tree.executions[-1] or execution.revision != tree.revision:
                return None
        return await self._begin(caller, tree, execution, setup, {})

    async def _begin(
        self, caller: Caller, tree: TaskTree, execution: Execution, setup: Setup, metadata: Mapping[str, Any]
    ) -> Run:
        known = tree.by_id
        tasks = [known[task_id] for task_id in execution.task_ids if task_id in known]
        crew = await self._executors.crew_of(caller, tree, tasks, setup.agent_id)
        request = WorkflowRequest(
            crew=crew,
            fallback=setup.fallback,
            run_id=execution.run_id,
            user_id=tree.user_id,
            metadata={**metadata, "task_tree": tree.id},
            tags=(TAG,),
        )
        try:
            return await self._workflows.start(caller, request)
        except AlreadyExists:
            return await self._store.get_run(caller.group_id, execution.run_id)
        except AgioError:
            await self._take_back(caller, tree, execution)
            raise

    async def _take_back(self, caller: Caller, tree: TaskTree, execution: Execution) -> None:
        """Forget an execution that could not begin."""

        def change(record: TaskTree) -> TaskTree:
            return replace(record, executions=tuple(one for one in record.executions if one != execution))

        with suppress(NotFound):
            await self._store.update(TASK_TREES, caller.group_id, tree.id, change)

    async def states(self, caller: Caller, tree: TaskTree) -> dict[str, State]:
        """Return what has become of each task of a tree, by id; see `read_states`."""
        return await read_states(self._trees, caller, tree)


def _is_visible(tree: TaskTree, owner: str | None) -> bool:
    return owner is None or tree.user_id in (None, owner)


def _renamed(tasks: Iterable[TreeTask], fresh: Mapping[str, str]) -> tuple[TreeTask, ...]:
    return tuple(
        replace(
            task,
            id=fresh.get(task.id, task.id),
            parent_id=fresh.get(task.parent_id, task.parent_id) if task.parent_id else None,
            dependencies=tuple(replace(need, id=fresh.get(need.id, need.id)) for need in task.dependencies),
        )
        for task in tasks
    )
