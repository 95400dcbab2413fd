"""Use cases on the tree of a run and its children: look at it, follow it as one stream."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime

from agio.domain import events as ev
from agio.domain.errors import AgioError, NotFound
from agio.domain.journal import Entry, behind, unfold, until
from agio.domain.messages import text_of
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.domain.steps import Step, last_whole, steps_of
from agio.domain.workflow import Place, Task
from agio.engine.caller import Caller
from agio.engine.conducting import results_of
from agio.engine.creation import get_run
from agio.engine.hub import Hub, Published
from agio.engine.reading import MAX_ENTRIES, Reading
from agio.engine.tail import Draining, tail
from agio.engine.tasks import end as end_tasks
from agio.storage.port import Store

QUEUED_ENTRIES = 64
"""How far the readers of a tree's runs may be ahead of who reads the tree."""

FEW_ENTRIES, MOST_ENTRIES = 16, 1_000
"""Entries asked for at once: at first, where a part of a run will do, and at most."""


@dataclass(slots=True, kw_only=True)
class TaskState:
    """A task of a run, and what has become of it."""

    id: str
    name: str
    executor: str
    dependencies: tuple[str, ...] = ()
    parent_id: str | None = None
    priority: int = 1
    status: str = "pending"
    """`pending`, `completed`, `failed`, or the status of its child run."""
    run_id: str | None = None
    """Its latest child run; None: not begun, or taken over from the run that this one was forked from."""
    result: str | None = None
    error: dict[str, object] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    fork_checkpoint_id: str | None = None
    """A fork from there does this task again, and none that was finished before it."""
    tree: "Tree | None" = None
    """The child run's own tasks, where it has some."""


@dataclass(slots=True, kw_only=True)
class Tree:
    """A run with its tasks."""

    run: Run
    name: str
    progress: float
    tasks: list[TaskState] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A run's steps, and those of its children."""

    run: Run
    steps: list[Step]
    children: list[tuple[str, "Trace"]]
    """`(task id, child)`, in the order of their beginning."""
    through_seq: int = 0
    """The last event that completes one of the steps: whoever reads on behind it misses nothing."""
    has_more: bool = False
    """Reading ended at `through_seq`, for it was enough."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """Entries of one run of a tree, on their way to a reader."""

    published: Published
    place: Place | None
    """None: the root."""


class Trees:
    """Reads trees of runs."""

    def __init__(self, store: Store, reading: Reading, hub: Hub) -> None:
        self._store = store
        self._reading = reading
        self._hub = hub

    async def read(self, caller: Caller, run_id: str) -> Tree:
        """Return a run's tasks with what has become of them, those of child runs within. Raises `NotFound`."""
        detail = await self._reading.detail(caller, run_id)
        run, workflow = detail.run, detail.spec.workflow
        planned = workflow.tasks if workflow is not None else ()
        states = {task.id: _state_of(task) for task in planned}
        for entry in await self._reading.entries(caller, run_id):
            _fold(states, entry, run, planned=workflow is not None)
        if workflow is not None:
            for task_id, result in results_of(await self._reading.messages(caller, run_id)).items():
                if task_id in states:
                    states[task_id].status, states[task_id].result = "completed", result
        last = run.last_checkpoint_id
        for state in states.values():
            if state.status != "completed":
                state.fork_checkpoint_id = last
            await self._look_into(caller, state)
        done = sum(_share(state) for state in states.values())
        total = len(states)
        progress = 1.0 if run.status is RunStatus.COMPLETED else round(done / total, 4) if total else 0.0
        return Tree(
            run=run, name=workflow.name if workflow else run.agent_id, progress=progress, tasks=[*states.values()]
        )

    async def _look_into(self, caller: Caller, state: TaskState) -> None:
        if state.run_id is None:
            return
        try:
            spec = await self._store.get_spec(caller.group_id, state.run_id)
            child = await self._store.get_run(caller.group_id, state.run_id)
        except NotFound:  # it was deleted
            return
        if state.status == "running":
            state.status = child.status
        if spec.has_children:
            state.tree = await self.read(caller, state.run_id)

    async def trace(self, caller: Caller, run_id: str, *, after: int = 0, limit: int | None = None) -> Trace:
        """Return what a run and all below it did.

        Args:
            after: only the steps that begin behind this event, which is the `through_seq` of an earlier trace.
            limit: events after which to end at the next whole step; None: everything.

        Raises:
            NotFound: no such run.
        """
        run = await get_run(self._store, caller, run_id)
        entries, through_seq, has_more = await self._stretch(caller, run_id, after, limit)
        begun = {e.child_run_id: e.task_id for entry in entries for e in entry.events if isinstance(e, ev.TaskStarted)}
        children = []
        for child_id, task_id in begun.items():
            with suppress(NotFound):  # it was deleted
                children.append((task_id, await self.trace(caller, child_id)))
        steps = steps_of(entries)
        return Trace(run=run, steps=steps, children=children, through_seq=through_seq, has_more=has_more)

    async def _stretch(
        self, caller: Caller, run_id: str, after: int, limit: int | None
    ) -> tuple[list[Entry], int, bool]:
        """Return the entries behind `after`, where their last whole step ends, and whether that was enough."""
        found: list[Entry] = []
        at = through = after
        size = MOST_ENTRIES if limit is None else FEW_ENTRIES
        while len(found) < MAX_ENTRIES:
            batch = await self._store.read_entries(caller.group_id, run_id, after=at, limit=size)
            if not batch:
                break
            batch[0] = behind(batch[0], at)
            enough_at = None if limit is None else after + limit
            through = last_whole(batch, enough_at=enough_at) or through
            if enough_at is not None and through >= enough_at:
                found += [until(entry, through) for entry in batch if entry.first_seq <= through]
                return found, through, True
            found += batch
            at = batch[-1].last_seq
            size = min(2 * size, MOST_ENTRIES)
        return found, through, False

    async def journals(self, caller: Caller, run_id: str) -> list[tuple[Entry, Place | None]]:
        """Return the entries of a run and of all below it, by time, with their runs' places. Raises `NotFound`."""
        run = await get_run(self._store, caller, run_id)
        entries = await self._reading.entries(caller, run_id)
        found = [(entry, run.place) for entry in entries]
        for entry in entries:
            for event in entry.events:
                if isinstance(event, ev.TaskStarted):
                    with suppress(NotFound):  # it was deleted
                        found += await self.journals(caller, event.child_run_id)
        return sorted(found, key=lambda one: one[0].at)

    async def follow(
        self, caller: Caller, run_id: str, cursors: Mapping[str, int]
    ) -> AsyncGenerator[Leaf | Draining, None]:
        """Yield the entries of a run and of all its children, each run's in order.

        A child's end comes before its parent's word of it.

        Args:
            cursors: last sequence numbers that the reader has, by run id; a child that is neither named nor known
                to have ended before the place of its parent starts at 0.

        Raises:
            NotFound: no such run.
        """
        await get_run(self._store, caller, run_id)
        reader = _TreeReader(self._store, self._hub, caller, cursors)
        async with aclosing(reader.read(run_id)) as items:
            async for item in items:
                yield item


class _TreeReader:
    """One reader of one tree: a task per run, and one queue."""

    def __init__(self, store: Store, hub: Hub, caller: Caller, cursors: Mapping[str, int]) -> None:
        self._store = store
        self._hub = hub
        self._caller = caller
        self._cursors = cursors
        self._queue: asyncio.Queue[Leaf | Draining | AgioError | None] = asyncio.Queue(QUEUED_ENTRIES)
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._at = dict(cursors)
        """How far each run's entries were handed on."""
        self._moved = asyncio.Condition()

    async def read(self, root_id: str) -> AsyncGenerator[Leaf | Draining, None]:
        root = asyncio.create_task(self._pump_root(root_id))
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, AgioError):
                    raise item
                yield item
                if isinstance(item, Draining):
                    return
        finally:
            await end_tasks([root, *self._pumps.values()])

    async def _pump_root(self, root_id: str) -> None:
        try:
            await self._pump(root_id, None)
        except AgioError as error:
            await self._queue.put(error)
        finally:
            await self._queue.put(None)

    async def _pump(self, run_id: str, place: Place | None) -> None:
        """Hand a run's entries on; return when it and all below it have ended."""
        cursor = self._cursors.get(run_id, 0)
        below: list[str] = await self._rejoin(run_id, place, cursor)
        async with aclosing(tail(self._store, self._hub, self._caller, run_id, after=cursor)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    await self._queue.put(item)
                    return
                for event in item.entry.events:
                    if isinstance(event, ev.TaskFailed) and event.error.get("code") == "interrupted":
                        await self._leave(event.child_run_id)
                    elif isinstance(event, ev.TaskCompleted | ev.TaskFailed):
                        await self._ended(event.child_run_id)
                await self._queue.put(Leaf(item, place))
                async with self._moved:
                    self._at[run_id] = item.entry.last_seq
                    self._moved.notify_all()
                for event in item.entry.events:
                    if isinstance(event, ev.TaskStarted):
                        self._join(run_id, place, event)
                        below.append(event.child_run_id)
        for child in below:
            await self._ended(child)

    async def _rejoin(self, run_id: str, place: Place | None, cursor: int) -> list[str]:
        """Join the children that a reader who comes back at `cursor` has not seen the end of."""
        open_children: dict[str, ev.TaskStarted] = {}
        after = 0
        while after < cursor:
            entries = await self._store.read_entries(self._caller.group_id, run_id, after=after)
            if not entries:
                break
            for entry in entries:
                for seq, event in unfold(entry):
                    if seq > cursor:
                        break
                    if isinstance(event, ev.TaskStarted):
                        open_children[event.child_run_id] = event
                    elif isinstance(event, ev.TaskCompleted | ev.TaskFailed):
                        open_children.pop(event.child_run_id, None)
            after = entries[-1].last_seq
        for event in open_children.values():
            self._join(run_id, place, event)
        return list(open_children)

    def _join(self, parent_id: str, above: Place | None, event: ev.TaskStarted) -> None:
        if event.child_run_id in self._pumps:
            return
        place = Place(
            root_run_id=above.root_run_id if above else parent_id,
            parent_run_id=parent_id,
            task_id=event.task_id,
            depth=above.depth + 1 if above else 1,
        )
        self._pumps[event.child_run_id] = asyncio.create_task(self._pump_child(event.child_run_id, place))

    async def _pump_child(self, run_id: str, place: Place) -> None:
        try:
            await self._pump(run_id, place)
        except NotFound:
            return  # it was deleted: there is nothing of it to be read
        except AgioError as error:
            await self._queue.put(error)
        finally:
            async with self._moved:
                self._moved.notify_all()

    async def _leave(self, run_id: str) -> None:
        """Follow a child no longer that rests though its parent goes on; what it has is handed on first."""
        pump = self._pumps.get(run_id)
        if pump is None:
            return
        head = await self._store.head(self._caller.group_id, run_id)
        async with self._moved:
            await self._moved.wait_for(lambda: pump.done() or self._at.get(run_id, 0) >= head)
        await end_tasks([pump])

    async def _ended(self, run_id: str) -> None:
        if (pump := self._pumps.get(run_id)) is not None:
            await asyncio.wait([pump])


def _state_of(task: Task) -> TaskState:
    return TaskState(
        id=task.id,
        name=task.name or task.id,
        executor=task.executor,
        dependencies=task.dependencies,
        parent_id=task.parent_id,
        priority=task.priority,
    )


def _fold(states: dict[str, TaskState], entry: Entry, run: Run, *, planned: bool) -> None:
    """Let an entry tell of tasks; `planned`: those that nobody planned are none."""
    for _, event in unfold(entry):
        match event:
            case ev.TaskStarted():
                if not planned:
                    made = TaskState(id=event.task_id, name=event.name, executor=event.executor)
                    states.setdefault(event.task_id, made)
                if (state := states.get(event.task_id)) is not None:
                    state.status, state.run_id, state.started_at = "running", event.child_run_id, entry.at
                    state.error, state.ended_at = None, None
            case ev.TaskCompleted() if (state := states.get(event.task_id)) is not None:
                state.status, state.ended_at = "completed" if not planned else "pending", entry.at
                state.result = text_of(event.result) if event.result is not None else None
                state.fork_checkpoint_id = entry.checkpoint.parent_id if entry.checkpoint else None
            case ev.TaskFailed() if (state := states.get(event.task_id)) is not None and entry.attempt == run.attempt:
                state.status, state.error, state.ended_at = "failed", event.error, entry.at
            case ev.RunRestored():
                for state in states.values():
                    state.status = "pending"


def _share(state: TaskState) -> float:
    """Return how much of a task is done, from 0 to 1."""
    if state.status == "completed":
        return 1.0
    return state.tree.progress if state.tree is not None else 0.0
