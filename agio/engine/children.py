"""Child runs: how a run begins them, hears of their ends, and hands its commands on to them.

Not responsible for what they are begun for: see `conducting` (tasks) and `delegating` (an agent's coworkers).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, assert_never

from agio import crashes
from agio.domain import control
from agio.domain import events as ev
from agio.domain.agents import AgentSnapshot
from agio.domain.branches import Branch
from agio.domain.errors import AlreadyExists, InvalidTransition, NotFound
from agio.domain.journal import Entry
from agio.domain.metrics import Metrics, Usage
from agio.domain.runs import Run, RunSpec
from agio.domain.status import RunStatus
from agio.domain.workflow import Place
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.creation import first_entry, new_run
from agio.storage.port import RunCreation, RunStore

ENTRIES = 500
"""Read at a time."""
Notify = Callable[[Run], None]
"""Tells this process's worker of a record that was just written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a child run begins with."""

    task_id: str
    spec: RunSpec
    snapshot: AgentSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What has become of a child run."""

    status: Literal["live", "completed", "failed", "cancelled", "absent"]
    result: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def usage(self) -> Usage:
        """The tokens that it took."""
        spent = self.metrics
        return Usage(
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            total_tokens=spent.total_tokens,
            cost=spent.cost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A child run that its parent's journal tells of."""

    task_id: str
    run_id: str
    attempt: int
    """The parent's attempt that began it."""


@dataclass(slots=True)
class Ledger:
    """What a run's journal says of its children."""

    in_flight: dict[str, Begun] = field(default_factory=dict)
    """By run id: begun, and the journal knows of no end."""
    failed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Errors of the present attempt's tasks, by task id."""

    def note(self, entry_attempt: int, event: ev.Event, attempt: int) -> None:
        """Take note of an event; `attempt` is the present one."""
        match event:
            case ev.TaskStarted():
                begun = Begun(task_id=event.task_id, run_id=event.child_run_id, attempt=entry_attempt)
                self.in_flight[event.child_run_id] = begun
            case ev.TaskCompleted():
                self.in_flight.pop(event.child_run_id, None)
            case ev.TaskFailed():
                self.in_flight.pop(event.child_run_id, None)
                if entry_attempt == attempt:
                    self.failed[event.task_id] = event.error


async def read_ledger(store: RunStore, run: Run) -> Ledger:
    """Return what the run's journal says of its children, those of earlier attempts included."""
    ledger, after = Ledger(), 0
    while True:
        entries = await store.read_entries(run.group_id, run.id, after=after, limit=ENTRIES)
        for entry in entries:
            for event in entry.events:
                ledger.note(entry.attempt, event, run.attempt)
        if len(entries) < ENTRIES:
            return ledger
        after = entries[-1].last_seq


async def children_of(store: RunStore, run: Run) -> list[str]:
    """Return the ids of the run's child runs, those of earlier attempts included, in the order of their beginning."""
    found: dict[str, None] = {}
    after = 0
    while True:
        entries = await store.read_entries(run.group_id, run.id, after=after, limit=ENTRIES)
        for entry in entries:
            found |= {event.child_run_id: None for event in entry.events if isinstance(event, ev.TaskStarted)}
        if len(entries) < ENTRIES:
            return list(found)
        after = entries[-1].last_seq


async def begin(store: RunStore, notify: Notify, parent: Run, run_id: str, birth: Birth) -> None:
    """Create a child run, unless it is there; any worker may claim it."""
    now = utc_now()
    caller = Caller(parent.created_by, parent.group_id, parent.user_id)
    run = new_run(caller, parent.session_id, run_id, birth.snapshot, now, run_id, birth.spec.input)
    above = parent.place
    place = Place(
        root_run_id=above.root_run_id if above else parent.id,
        parent_run_id=parent.id,
        task_id=birth.task_id,
        depth=above.depth + 1 if above else 1,
    )
    # Whoever's keys the parent calls models with, its children do too.
    run = replace(run, place=place, user_id=parent.user_id, llm_key=parent.llm_key, on_restart=parent.on_restart)
    branch = Branch(
        id=run_id,
        group_id=parent.group_id,
        session_id=parent.session_id,
        kind="task",
        name=birth.task_id,
        created_by=parent.created_by,
        created_at=now,
    )
    creation = RunCreation(run=run, spec=birth.spec, snapshot=birth.snapshot, first=first_entry(run), branch=branch)
    try:
        made = await store.create_run(creation)
    except AlreadyExists:
        return  # an earlier owner of the parent came so far
    crashes.at("accept")
    notify(made)


async def outcome_of(store: RunStore, group_id: str, run_id: str) -> Outcome:
    """Return what has become of a child run: its journal is asked, which knows of the end first."""
    try:
        run = await store.get_run(group_id, run_id)
    except NotFound:
        return Outcome(status="absent")
    head = await store.head(group_id, run_id)
    entries = await store.read_entries(group_id, run_id, after=head - 1, limit=1)
    return _outcome(run, entries[0] if entries else None)


def _outcome(run: Run, last: Entry | None) -> Outcome:
    if last is None or last.attempt < run.attempt:
        return Outcome(status="live")
    match last.events[-1]:
        case ev.RunCompleted() as end:
            return Outcome(status="completed", result=end.response or "", metrics=end.metrics)
        case ev.RunFailed() as end:
            return Outcome(status="failed", error=end.error, metrics=end.metrics)
        case ev.RunCancelled() as end:
            error = {"code": "cancelled", "message": f"{end.by} cancelled the child run {run.id!r}"}
            return Outcome(status="cancelled", error=error, metrics=end.metrics)
        case ev.RunInterrupted() as end:
            # It rests, and may be retried; who waits for it cannot wait for a person who may never come.
            text = f"the workers of the child run {run.id!r} died {end.claims} times; see why, then retry"
            return Outcome(status="failed", error={"code": "interrupted", "message": text}, metrics=run.metrics)
    return Outcome(status="live")


async def tell_parent(store: RunStore, notify: Notify, run: Run) -> None:
    """Wake the run that waits for this one, whose end (or interruption) is in its journal.

    Done before the record says that it ended: who takes over a run that ended in its journal alone does it again.
    """
    if run.place is None:
        return
    now = utc_now()
    try:
        parent = await store.update_run(
            run.group_id, run.place.parent_run_id, lambda record: control.note_child(record, at=now)
        )
    except NotFound:
        return
    notify(parent)


async def hand_on(
    store: RunStore, notify: Notify, run: Run, children: Iterable[str], what: Literal["pause", "resume", "cancel"]
) -> None:
    """Let a run's command reach its children; those that have ended, or do so already, are left alone."""
    now = utc_now()

    def change(record: Run) -> Run:
        match what:
            case "pause":
                asked = run.pause
                if record.status is RunStatus.INTERRUPTED:
                    return record
                by, mode = (asked.by, asked.mode) if asked else ("system", "safe")
                return control.request_pause(record, by=by, at=now, mode=mode, reason=asked.reason if asked else None)
            case "resume":
                by = run.order.by if run.order else "system"
                return control.hand_resume_on(record, by=by, at=now, llm_key=run.llm_key)
            case "cancel":
                wish = run.cancel
                by, reason = (wish.by, wish.reason) if wish else ("system", None)
                return control.request_cancel(record, by=by, at=now, reason=reason)
            case _:
                assert_never(what)

    for child in children:
        try:
            notify(await store.update_run(run.group_id, child, change))
        except (NotFound, InvalidTransition):
            continue  # it has ended
