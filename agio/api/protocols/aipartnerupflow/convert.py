"""Tasks and events of ours as aipartnerupflow's clients know them. Pure."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from agio.api.protocols.aipartnerupflow.shapes import NeedView, StatusView, TaskView
from agio.api.sse import instant
from agio.domain import events as ev
from agio.domain.journal import Entry, unfold
from agio.domain.messages import text_of
from agio.domain.status import RunStatus
from agio.domain.task_trees import TaskTree, TreeTask
from agio.engine.task_states import State

STATUS_OF = {
    "pending": "pending",
    RunStatus.QUEUED: "pending",
    RunStatus.RUNNING: "in_progress",
    RunStatus.PAUSED: "in_progress",
    RunStatus.WAITING: "in_progress",
    RunStatus.INTERRUPTED: "failed",
    RunStatus.COMPLETED: "completed",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "cancelled",
}
OVER = frozenset({"completed", "failed", "cancelled"})
Frame = dict[str, Any]


def status_of(state: State) -> str:
    """Return a state's status in their words."""
    return STATUS_OF[state.status]


def result_of(text: str | None) -> Any:
    """Return a result: decoded where it is an object or a list in JSON."""
    if text is None or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def error_of(error: Mapping[str, Any] | None) -> str | None:
    """Return an error's text."""
    return str(error.get("message") or error.get("code")) if error else None


def view_task(tree: TaskTree, task: TreeTask, state: State) -> TaskView:
    """Return a task as it stands on the wire."""
    return TaskView(
        id=task.id,
        task_id=task.id,
        root_task_id=tree.root_id,
        parent_id=task.parent_id,
        user_id=tree.user_id,
        name=task.name,
        status=status_of(state),
        progress=state.progress,
        result=result_of(state.result),
        error=error_of(state.error),
        priority=task.priority,
        dependencies=[NeedView(id=need.id, required=need.required) for need in task.dependencies],
        inputs=task.inputs,
        params=task.params,
        schemas=task.schemas,
        has_children=any(one.parent_id == task.id for one in tree.tasks),
        has_copy=task.has_copy,
        original_task_id=task.original_task_id,
        run_id=state.run_id,
        created_at=tree.created_at,
        updated_at=_latest(task.updated_at or tree.created_at, state),
        started_at=state.started_at,
        completed_at=state.ended_at if status_of(state) in OVER else None,
    )


def view_status(tree: TaskTree, task_id: str, state: State) -> StatusView:
    """Return where a task stands."""
    view = view_task(tree, tree.by_id[task_id], state)
    return StatusView.model_validate(view, from_attributes=True)


def _latest(at: datetime, state: State) -> datetime:
    return max(one for one in (at, state.started_at, state.ended_at) if one is not None)


def wire_task(tree: TaskTree, task: TreeTask, state: State) -> dict[str, Any]:
    """Return a task as JSON."""
    return view_task(tree, task, state).model_dump(mode="json")


def wire_tree(tree: TaskTree, states: Mapping[str, State], task_id: str) -> dict[str, Any]:
    """Return a task with its children within."""
    under: dict[str | None, list[TreeTask]] = {}
    for task in tree.tasks:
        under.setdefault(task.parent_id, []).append(task)
    made = {task.id: wire_task(tree, task, states[task.id]) for task in tree.tasks}
    for one, wire in made.items():
        wire["children"] = [made[child.id] for child in under.get(one, ())]
    return made[task_id]


class Teller:
    """Tells of a tree's run as frames; remembers how far it is."""

    def __init__(self, root_task_id: str, run_id: str, progress: float = 0.0) -> None:
        self._root_id = root_task_id
        self._run_id = run_id
        self._progress = progress
        self._failures = 0

    def tell(self, task_id: str | None, entry: Entry) -> list[Frame]:
        """Return the frames of an entry of a child run that does a task, or (None) of the tree's own run."""
        found: list[Frame] = []
        for _, event in unfold(entry):
            if task_id is None:
                found += self._of_tree(event, entry.at)
            elif (text := _news(event)) is not None:
                found.append(self._frame("progress", task_id, "in_progress", entry.at, message=text))
        return found

    def _of_tree(self, event: ev.Event, at: datetime) -> Iterator[Frame]:
        match event:
            case ev.TaskStarted():
                self._note(event.progress)
                text = f"{event.name or event.task_id} started"
                yield self._frame("task_start", event.task_id, "in_progress", at, message=text)
            case ev.TaskCompleted():
                self._note(event.progress)
                result = result_of(text_of(event.result)) if event.result is not None else None
                yield self._frame("task_completed", event.task_id, "completed", at, result=result)
            case ev.TaskFailed():
                self._failures += 1
                self._note(event.progress)
                status = "cancelled" if event.error.get("code") == "cancelled" else "failed"
                yield self._frame("task_failed", event.task_id, status, at, error=error_of(event.error))
            case ev.RunRestored():
                yield self._frame("progress", self._root_id, "in_progress", at, message="begun again")
            case _ if (news := _news(event)) is not None and not isinstance(event, ev.StepStarted):
                yield self._frame("progress", self._root_id, "in_progress", at, message=news)
            case _:
                yield from self._end(event, at)

    def _end(self, event: ev.Event, at: datetime) -> Iterator[Frame]:
        match event:
            case ev.RunCompleted():
                self._progress = 1.0
                yield from self._final("completed", at, result=result_of(event.response))
            case ev.RunFailed():
                error = error_of(event.error)
                if not self._failures:
                    yield self._frame("task_failed", self._root_id, "failed", at, error=error)
                yield from self._final("failed", at, error=error)
            case ev.RunCancelled():
                text = f"cancelled by {event.by}" + (f": {event.reason}" if event.reason else "")
                yield from self._final("cancelled", at, error=text)
            case ev.RunInterrupted():
                text = "its workers kept dying; a person must look at it"
                yield self._frame("progress", self._root_id, "failed", at, message=text)

    def _final(self, status: str, at: datetime, **more: Any) -> Iterator[Frame]:
        yield self._frame("final", self._root_id, status, at, final=True, **more)
        yield self._frame("stream_end", self._root_id, status, at)

    def _note(self, progress: float | None) -> None:
        self._progress = progress if progress is not None else self._progress

    def _frame(self, kind: str, task_id: str, status: str, at: datetime, **more: Any) -> Frame:
        return frame(kind, task_id, self._root_id, self._run_id, status, self._progress, at, **more)


def frame(
    kind: str, task_id: str, root_id: str, run_id: str | None, status: str, progress: float, at: datetime, **more: Any
) -> Frame:
    """Return a message about a task. `progress` is the tree's, and stands within `data` too."""
    return {
        "type": kind,
        "task_id": task_id,
        "root_task_id": root_id,
        "run_id": run_id,
        "status": status,
        "progress": progress,
        "timestamp": instant(at),
        "data": {"status": status, "progress": progress},
        **{name: value for name, value in more.items() if value is not None},
    }


def _news(event: ev.Event) -> str | None:
    """Return what is told of a run that is under way; None: nothing."""
    match event:
        case ev.StepStarted():
            return f"step {event.step}"
        case ev.ToolCallStarted():
            return f"tool {event.name} called"
        case ev.ToolCallCompleted():
            return f"tool {event.name} answered"
        case ev.Warned():
            return event.message
        case ev.RunPaused():
            return "paused"
        case ev.RunResumed():
            return "resumed"
        case ev.ApprovalRequired():
            return f"{event.name} waits for an approval"
    return None
