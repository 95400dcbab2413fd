"""Records for tests, made with as few words as a test needs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agio.domain import control
from agio.domain.agents import AgentSnapshot
from agio.domain.approvals import Approval
from agio.domain.branches import Branch
from agio.domain.checkpoints import Checkpoint, CheckpointKind
from agio.domain.errors import LeaseLost
from agio.domain.events import Deltas, Event, RunCancelled, RunCompleted, RunFailed, RunStarted, StepStarted, span
from agio.domain.ids import new_id
from agio.domain.journal import Entry
from agio.domain.messages import Message
from agio.domain.metrics import Metrics
from agio.domain.runs import Run, RunFilter, RunSpec, RunUpdate
from agio.domain.sessions import Session
from agio.domain.status import RunStatus
from agio.storage.port import Append, RunCreation, Store, WorkerLimits

BEGINNING = datetime(2025, 1, 1, 12, tzinfo=UTC)
SNAPSHOT = AgentSnapshot(agent_id="researcher", version=1, provider="demo", model="demo-1")


def instant(seconds: float) -> datetime:
    """Return the instant that many seconds after the beginning of the test's time."""
    return BEGINNING + timedelta(seconds=seconds)


async def claim_one(store: Store, worker_id: str, limits: WorkerLimits) -> Run | None:
    """Claim the run whose turn it is; None: there is none."""
    return next(iter(await store.claim_ready(worker_id, limits, limit=1)), None)


def make_session(group_id: str, *, branch_id: str | None = None, at_s: float = 0, **fields: Any) -> Session:
    """Return a session."""
    usual: dict[str, Any] = {"id": new_id(), "created_at": instant(at_s), "updated_at": instant(at_s)}
    return Session(group_id=group_id, current_branch_id=branch_id or new_id(), **usual | fields)


def make_branch(group_id: str, session_id: str, *, at_s: float = 0, **fields: Any) -> Branch:
    """Return a branch."""
    usual: dict[str, Any] = {"id": new_id(), "created_at": instant(at_s)}
    return Branch(group_id=group_id, session_id=session_id, **usual | fields)


def make_creation(
    group_id: str,
    *,
    after: RunCreation | None = None,
    branch: Branch | None = None,
    at_s: float = 0,
    may_wait: bool = True,
    spec: RunSpec | None = None,
    snapshot: AgentSnapshot = SNAPSHOT,
    **fields: Any,
) -> RunCreation:
    """Return a run in a session of its own.

    Args:
        group_id: its group.
        after: a run whose branch it shall go on with.
        branch: a branch of an existing session that is to be made with it.
        at_s: when it is created.
        may_wait: whether it may queue behind others.
        spec: what is asked.
        snapshot: the agent.
        fields: of `Run`.
    """
    run_id = fields.pop("id", None) or new_id()
    session = None
    if after is not None:
        session_id, branch_id = after.run.session_id, after.run.branch_id
    elif branch is not None:
        session_id, branch_id = branch.session_id, branch.id
    else:
        branch_id = fields.pop("branch_id", None) or new_id()
        session = make_session(group_id, branch_id=branch_id, at_s=at_s, id=fields.pop("session_id", None) or new_id())
        session_id = session.id
        branch = make_branch(group_id, session_id, id=branch_id, at_s=at_s)
    usual: dict[str, Any] = {
        "agent_id": snapshot.agent_id,
        "agent_version": snapshot.version,
        "agent_digest": snapshot.digest,
        "model": snapshot.model,
        "created_at": instant(at_s),
        "updated_at": instant(at_s),
    }
    run = Run(id=run_id, group_id=group_id, session_id=session_id, branch_id=branch_id, **usual | fields)
    return RunCreation(
        run=run,
        spec=spec or RunSpec(input="Why is the sky blue?"),
        snapshot=snapshot,
        first=first_entry(run),
        session=session,
        branch=branch,
        may_wait=may_wait,
    )


def first_entry(run: Run) -> Entry:
    """Return the entry that a run comes into being with."""
    started = RunStarted(
        session_id=run.session_id,
        branch_id=run.branch_id,
        agent_id=run.agent_id,
        model=run.model,
        attempt=run.attempt,
    )
    return make_entry(run, started, first_seq=1)


def make_entry(run: Run, *events: Event, first_seq: int, **fields: Any) -> Entry:
    """Return an entry of a run's journal, by its present owner."""
    usual: dict[str, Any] = {"epoch": run.epoch, "at": instant(first_seq)}
    return Entry(
        run_id=run.id,
        group_id=run.group_id,
        first_seq=first_seq,
        last_seq=first_seq + sum(map(span, events)) - 1,
        attempt=run.attempt,
        events=events,
        **usual | fields,
    )


def make_message(content: Any, *, role: Any = "user", **fields: Any) -> Message:
    """Return a message."""
    return Message(**{"id": new_id()} | fields, role=role, content=content)


def make_deltas(*contents: str, message_id: str = "m") -> Deltas:
    """Return tokens."""
    return Deltas(of="content", step=1, message_id=message_id, contents=contents)


def make_approval(run: Run, *, at_s: float = 0, **fields: Any) -> Approval:
    """Return a pending approval."""
    usual: dict[str, Any] = {
        "id": new_id(),
        "step": 1,
        "tool_call_id": "call-1",
        "name": "delete_file",
        "arguments": {"path": "a.txt"},
        "reason": "irreversible",
    }
    return Approval(
        run_id=run.id,
        group_id=run.group_id,
        session_id=run.session_id,
        created_at=instant(at_s),
        **usual | fields,
    )


async def take(store: Store, run: Run, worker: str = "worker-1", *, at_s: float = 0) -> Run:
    """Make `worker` the owner of one particular run that is ready."""
    return await store.update_run(
        run.group_id, run.id, lambda found: control.claim(found, worker, at=instant(at_s)) or found
    )


async def start(store: Store, group_id: str, worker: str = "worker-1", **how: Any) -> "Owner":
    """Create a run and let `worker` own it."""
    run = await store.create_run(make_creation(group_id, **how))
    return Owner(store, await take(store, run, worker))


class Owner:
    """Plays the worker that owns a run: numbers its entries and remembers where the branch ends."""

    def __init__(self, store: Store, run: Run, *, head: int = 1, position: int = 0) -> None:
        self.store = store
        self.run = run
        self.head = head
        self.position = position
        self.checkpoint_id: str | None = None

    def write(
        self,
        *events: Event,
        messages: tuple[Message, ...] = (),
        checkpoint: CheckpointKind | None = None,
        approvals: tuple[Approval, ...] = (),
        about: Mapping[str, Any] | None = None,
        **update: Any,
    ) -> Append:
        """Return the next append, and count it as done.

        `about`: fields of its checkpoint; `update`: fields of `RunUpdate`.
        """
        entry = make_entry(
            self.run,
            *(events or (StepStarted(step=1),)),
            first_seq=self.head + 1,
            messages=messages,
            branch_id=self.run.branch_id if messages else None,
            position=self.position if messages else None,
        )
        self.position += len(messages)
        self.head = entry.last_seq
        if checkpoint:
            made = self._checkpoint(checkpoint, entry, **(about or {}))
            entry = replace(entry, checkpoint=made)
            update.setdefault("last_checkpoint_id", made.id)
            self.checkpoint_id = made.id
        changes = RunUpdate(last_seq=entry.last_seq, **update) if update else None
        return Append(entry=entry, update=changes, approvals=approvals)

    def _checkpoint(self, kind: CheckpointKind, entry: Entry, **fields: Any) -> Checkpoint:
        return Checkpoint(
            run_id=self.run.id,
            seq=entry.last_seq,
            group_id=self.run.group_id,
            session_id=self.run.session_id,
            attempt=self.run.attempt,
            branch_id=self.run.branch_id,
            position=self.position,
            step=1,
            kind=kind,
            parent_id=self.checkpoint_id,
            agent_digest=self.run.agent_digest,
            metrics=Metrics(steps=1),
            created_at=entry.at,
            **fields,
        )

    async def append(self, *events: Event, **how: Any) -> Run | None:
        """Append the next entry; as `write`."""
        (result,) = await self.store.append([self.write(*events, **how)])
        assert not isinstance(result, LeaseLost), result
        if result is not None:
            self.run = result
        return result

    async def say(self, *contents: str, **how: Any) -> list[Message]:
        """Append messages."""
        messages = [make_message(content, run_id=self.run.id) for content in contents]
        await self.append(messages=tuple(messages), **how)
        return messages

    async def end(self, status: RunStatus = RunStatus.COMPLETED, **how: Any) -> Run:
        """Append the terminal event."""
        run = await self.append(last_event(status), status=status, **how)
        assert run is not None
        return run

    async def rest(self, status: RunStatus = RunStatus.PAUSED, **how: Any) -> Run:
        """Let go of the run without ending it."""
        run = await self.append(status=status, **how)
        assert run is not None
        return run


def last_event(status: RunStatus) -> Event:
    """Return the terminal event that belongs to a status."""
    if status is RunStatus.COMPLETED:
        return RunCompleted(response="Because.", metrics=Metrics(steps=1))
    if status is RunStatus.FAILED:
        return RunFailed(error={"code": "internal", "message": "", "retryable": False}, metrics=Metrics())
    return RunCancelled(by="alice", metrics=Metrics())


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, *, within_s: float = 5.0) -> None:
    """Return as soon as it holds."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline, f"waited {within_s} s in vain for {what}"
        await asyncio.sleep(0.01)


async def tick() -> None:
    """Let every database's clock move on: what comes next is later, even in milliseconds."""
    await asyncio.sleep(0.002)


async def holder(store: Store, run: Run) -> str | None:
    """Return the id of the run that holds this one's branch."""
    holders = [other.id for other in await on_branch(store, run) if other.holds_branch]
    assert len(holders) <= 1, f"two runs hold one branch: {holders}"
    return holders[0] if holders else None


async def on_branch(store: Store, run: Run) -> list[Run]:
    """Return the runs of this one's branch, oldest first."""
    where = RunFilter(branch_id=run.branch_id)
    page = await store.list_runs(run.group_id, where, limit=1000, newest_first=False)
    return page.items
