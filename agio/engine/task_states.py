"""What has become of the tasks of a tree, as its runs tell it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agio.domain.errors import NotFound
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.domain.task_trees import TaskTree
from agio.engine.caller import Caller
from agio.engine.trees import TaskState, Trees


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What has become of a task. Of the root: of its tree."""

    status: str = "pending"
    """`pending`, `completed`, `failed`, or the status of its run."""
    progress: float = 0.0
    result: str | None = None
    error: dict[str, Any] | None = None
    run_id: str | None = None
    """The run that carries the tree out; None: nobody has told it to yet."""
    child_run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


PENDING = State()


async def read_states(trees: Trees, caller: Caller, tree: TaskTree) -> dict[str, State]:
    """Return the state of each task, by id: what the last execution that it was part of says.

    The root stands for its tree: its status and progress are those of the run.
    """
    found: dict[str, State] = {}
    for execution in reversed(tree.executions):
        if found.keys() >= set(execution.task_ids):
            continue
        try:
            read = await trees.read(caller, execution.run_id)
        except NotFound:  # it was deleted, or never began
            continue
        for state in read.tasks:
            found.setdefault(state.id, _state_of(state, read.run))
        root = found.get(tree.root_id)
        if root is not None and root.run_id == read.run.id:
            found[tree.root_id] = _whole(root, read.run, read.progress)
    return {task.id: found.get(task.id, PENDING) for task in tree.tasks}


def _state_of(state: TaskState, run: Run) -> State:
    status = str(state.status)
    if status == "failed" and (state.error or {}).get("code") == "cancelled":
        status = RunStatus.CANCELLED
    if run.status is RunStatus.CANCELLED and status not in ("completed", "failed"):
        status = RunStatus.CANCELLED
    done = state.tree.progress if state.tree is not None else 0.0
    return State(
        status=status,
        progress=1.0 if status == "completed" else done,
        result=state.result,
        error=state.error,
        run_id=run.id,
        child_run_id=state.run_id,
        started_at=state.started_at,
        ended_at=state.ended_at,
    )


def _whole(root: State, run: Run, progress: float) -> State:
    """Return what stands for a whole tree: its run."""
    return replace(
        root,
        status=str(run.status),
        progress=progress,
        error=run.error if run.status is RunStatus.FAILED else root.error,
        started_at=run.started_at or root.started_at,
        ended_at=run.ended_at,
    )
