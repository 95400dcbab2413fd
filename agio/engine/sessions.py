"""Use cases on sessions: their records, their branches, and the trees that their checkpoints form."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

from agio.domain.branches import Branch
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import AlreadyExists, Conflict, Invalid, InvalidTransition, NotFound
from agio.domain.events import RunCancelled, RunCompleted, RunFailed, RunPaused, RunWaiting
from agio.domain.ids import SESSION_ID_RULE, is_session_id, split_checkpoint_id
from agio.domain.runs import Run, RunFilter
from agio.domain.sessions import Session
from agio.domain.status import LIVE, RunStatus
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.commands import Commands
from agio.engine.creation import get_run
from agio.engine.hub import Hub
from agio.engine.reading import Reading
from agio.engine.tail import tail
from agio.storage.port import BRANCHES, SESSIONS, Page, Store

CANCEL_WAIT_S = 5.0
"""How long deleting a session waits for the ends of the runs that it cancelled."""
POLL_S = 0.02
PAGE = 500
"""Runs read at a time."""
MAX_LINE = 10_000
"""Checkpoints that a line of ancestors is followed back at most."""

_STATUS_OF = {
    RunCompleted: RunStatus.COMPLETED,
    RunFailed: RunStatus.FAILED,
    RunCancelled: RunStatus.CANCELLED,
    RunPaused: RunStatus.PAUSED,
    RunWaiting: RunStatus.WAITING,
}
"""What the run was from the checkpoint on, by an event that came with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchHead:
    """A branch, and how far its conversation goes."""

    branch: Branch
    message_count: int
    """Messages up to its last checkpoint, those of its ancestors included."""
    is_current: bool
    """A message without a branch id goes here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTree:
    """A session without payloads."""

    session: Session
    branches: list[BranchHead]
    checkpoints: list[Checkpoint]
    superseded: frozenset[str]
    """Ids of the checkpoints that a newer attempt of their run left behind."""
    runs: list[Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a checkpoint stands among others."""

    status: RunStatus
    """What the run was from here on."""
    superseded: bool
    line: list[str]
    """Ids of the checkpoints before it, nearest first, across forks."""


class Sessions:
    """Finds, makes, changes and deletes sessions."""

    def __init__(self, store: Store, commands: Commands, reading: Reading, hub: Hub) -> None:
        self._store = store
        self._commands = commands
        self._reading = reading
        self._hub = hub

    async def list(
        self,
        caller: Caller,
        *,
        limit: int,
        offset: int,
        user_id: str | None = None,
        agent_id: str | None = None,
        text: str | None = None,
    ) -> Page[Session]:
        """Return sessions, newest first. `text` occurs in the id or title."""
        given = {"user_id": user_id, "agent_id": agent_id}
        where = {name: value for name, value in given.items() if value is not None}
        return await self._store.find(
            SESSIONS, caller.group_id, where, text=text, limit=limit, offset=offset, newest_first=True
        )

    async def get(self, caller: Caller, session_id: str) -> Session:
        """Return a session. Raises `NotFound`."""
        try:
            return await self._store.get(SESSIONS, caller.group_id, session_id)
        except NotFound:
            raise NotFound(f"there is no session {session_id!r}") from None

    async def create(self, caller: Caller, session: Session) -> Session:
        """Keep a new session with its first branch.

        Raises:
            AlreadyExists: the id is taken.
            Invalid: a bad id.
        """
        if not is_session_id(session.id):
            raise Invalid(SESSION_ID_RULE, field="id")
        root = Branch(
            id=session.current_branch_id,
            group_id=session.group_id,
            session_id=session.id,
            name="main",
            created_by=session.created_by,
            created_at=session.created_at,
        )
        # The branch first: a session without one could take no message. If it is there already, it is of an attempt
        # that died in between, or the session exists, which the next call tells.
        with suppress(AlreadyExists):
            await self._store.insert(BRANCHES, root)
        try:
            return await self._store.insert(SESSIONS, session)
        except AlreadyExists:
            raise AlreadyExists(f"there is a session {session.id!r} already") from None

    async def update(self, caller: Caller, session_id: str, changes: Mapping[str, Any]) -> Session:
        """Change some fields.

        Raises:
            NotFound: no such session; `current_branch_id` is no branch of it.
        """
        await self.get(caller, session_id)
        branch_id = changes.get("current_branch_id")
        if branch_id is not None:
            await self._check_branch(caller, session_id, branch_id)
        now = utc_now()

        def change(session: Session) -> Session:
            changed = replace(session, **changes)
            return session if changed == session else replace(changed, updated_at=now)

        return await self._store.update(SESSIONS, caller.group_id, session_id, change)

    async def _check_branch(self, caller: Caller, session_id: str, branch_id: str) -> None:
        try:
            branch = await self._store.get(BRANCHES, caller.group_id, branch_id)
        except NotFound:
            branch = None
        if branch is None or branch.session_id != session_id:
            raise NotFound(f"there is no branch {branch_id!r} in that session")

    async def delete(self, caller: Caller, session_id: str, *, cancel: bool) -> None:
        """Delete a session with its runs and branches; `cancel` ends live runs first.

        Raises:
            NotFound: no such session.
            Conflict: it has live runs, or another session was forked from it.
        """
        await self.get(caller, session_id)
        await self._refuse_dependents(caller, session_id)
        if cancel:
            await self._cancel_all(caller, session_id)
        live = await self._store.list_runs(caller.group_id, RunFilter(session_id=session_id, statuses=LIVE), limit=1)
        if live.total:
            hint = "they are being cancelled, try again" if cancel else "cancel them first, or use cancel=true"
            raise Conflict(f"the session has {live.total} live runs; {hint}")
        # Newest first: whatever interrupts this, no run loses the history that it stands on.
        for run in reversed(await self.runs(caller, session_id)):
            await self._store.delete_run(caller.group_id, run.id)
        for branch in reversed(await self._branches(caller, session_id=session_id)):
            await self._store.delete(BRANCHES, caller.group_id, branch.id)
        await self._store.delete(SESSIONS, caller.group_id, session_id)

    async def _refuse_dependents(self, caller: Caller, session_id: str) -> None:
        """Refuse to delete what a fork into another session stands on."""
        dependents: set[str] = set()
        for branch in await self._branches(caller, session_id=session_id):
            children = await self._branches(caller, parent_id=branch.id)
            dependents |= {child.session_id for child in children} - {session_id}
        if dependents:
            raise Conflict(f"{len(dependents)} other sessions were forked from this one; delete them first")

    async def _branches(self, caller: Caller, **where: str) -> Sequence[Branch]:
        return (await self._store.find(BRANCHES, caller.group_id, where)).items

    async def _cancel_all(self, caller: Caller, session_id: str) -> None:
        """Cancel the session's live runs and wait, not for ever, until they have ended."""
        runs = [run.id for run in await self.runs(caller, session_id) if run.is_live]
        for run_id in runs:
            with suppress(InvalidTransition):  # it ended meanwhile
                await self._commands.cancel(caller, run_id, reason="session_deleted")
        with suppress(TimeoutError):  # who called looks at what is still live
            async with asyncio.timeout(CANCEL_WAIT_S):
                for run_id in runs:
                    await self._wait_for_end(caller, run_id)

    async def _wait_for_end(self, caller: Caller, run_id: str) -> None:
        with suppress(NotFound):
            async with aclosing(tail(self._store, self._hub, caller, run_id)) as items:
                async for _ in items:
                    pass
            # The last entry may be seen a moment before the run's record says so.
            while True:
                run = await self._store.get_run(caller.group_id, run_id)
                if not run.is_live:
                    return
                await asyncio.sleep(POLL_S)

    async def runs(self, caller: Caller, session_id: str) -> Sequence[Run]:
        """Return all runs of a session, oldest first."""
        found: list[Run] = []
        while True:
            page = await self._store.list_runs(
                caller.group_id,
                RunFilter(session_id=session_id),
                limit=PAGE,
                offset=len(found),
                newest_first=False,
            )
            found += page.items
            if not page.items or len(found) >= page.total:
                return found

    async def present_runs(self, caller: Caller, *, newest: int) -> Sequence[Run]:
        """Return all live runs of the group, and so many of the newest ones, of all sessions."""
        page = await self._store.list_runs(caller.group_id, RunFilter(), limit=newest)
        found = {run.id: run for run in page.items}
        where, cursor = RunFilter(statuses=LIVE), None
        while True:
            page = await self._store.list_runs(caller.group_id, where, limit=PAGE, cursor=cursor)
            found |= {run.id: run for run in page.items}
            cursor = page.next_cursor
            if cursor is None:
                return list(found.values())

    async def branches(self, caller: Caller, session_id: str) -> Sequence[BranchHead]:
        """Return the session's branches, oldest first. Raises `NotFound`."""
        session = await self.get(caller, session_id)
        found = await self._branches(caller, session_id=session_id)
        checkpoints = await self._store.session_checkpoints(caller.group_id, session_id)
        return _heads(session, await self._used(caller, session, found, checkpoints), checkpoints)

    async def _used(
        self, caller: Caller, session: Session, branches: Sequence[Branch], checkpoints: Sequence[Checkpoint]
    ) -> Sequence[Branch]:
        """Leave out those that nothing came to: the process that made them died before the run was accepted."""
        known = {session.current_branch_id, *(checkpoint.branch_id for checkpoint in checkpoints)}
        return [
            branch
            for branch in branches
            if branch.kind == "root" or branch.id in known or await self._has_run(caller, branch.id)
        ]

    async def _has_run(self, caller: Caller, branch_id: str) -> bool:
        return bool((await self._store.list_runs(caller.group_id, RunFilter(branch_id=branch_id), limit=1)).items)

    async def tree(self, caller: Caller, session_id: str) -> SessionTree:
        """Return the session's branches, checkpoints and runs. Raises `NotFound`."""
        session = await self.get(caller, session_id)
        tree = await self._reading.tree(caller, session_id)
        runs = await self.runs(caller, session_id)
        gone: set[str] = set()
        for run in runs:
            if run.attempt > 1:
                gone |= (await self._reading.checkpoints(caller, run.id))[1]
        return SessionTree(
            session=session,
            branches=_heads(
                session, await self._used(caller, session, tree.branches, tree.checkpoints), tree.checkpoints
            ),
            checkpoints=tree.checkpoints,
            superseded=frozenset(gone),
            runs=[*runs],
        )

    async def standing(self, caller: Caller, checkpoint: Checkpoint) -> Standing:
        """Return where a checkpoint stands."""
        run = await get_run(self._store, caller, checkpoint.run_id)
        superseded = run.attempt > 1 and checkpoint.id in (await self._reading.checkpoints(caller, run.id))[1]
        entries = await self._store.read_entries(caller.group_id, run.id, after=checkpoint.seq - 1, limit=1)
        told = (_STATUS_OF.get(type(event)) for entry in entries for event in entry.events)
        status = next((status for status in told if status is not None), RunStatus.RUNNING)
        line = await self._line(caller, checkpoint.id)
        return Standing(status=status, superseded=superseded, line=[*line[1:]])

    async def common_ancestor(self, caller: Caller, run_a: str, run_b: str) -> str | None:
        """Return the id of the last checkpoint that both runs come from, None when there is none."""
        known = set(await self._line(caller, await self._end_of(caller, run_a)))
        line = await self._line(caller, await self._end_of(caller, run_b))
        return next((checkpoint_id for checkpoint_id in line if checkpoint_id in known), None)

    async def _end_of(self, caller: Caller, run_id: str) -> str | None:
        run = await get_run(self._store, caller, run_id)
        last = await self._store.last_checkpoint(caller.group_id, run_id)
        if last is not None:
            return last.id
        return run.parent.checkpoint_id if run.parent else None

    async def _line(self, caller: Caller, start: str | None) -> Sequence[str]:
        """Return the id of a checkpoint and those of its ancestors; reads once per run, not per checkpoint."""
        line: list[str] = []
        parents: dict[str, str | None] = {}
        current = start
        while current is not None and len(line) < MAX_LINE:
            if current not in parents and (parts := split_checkpoint_id(current)) is not None:
                page = await self._store.list_checkpoints(caller.group_id, parts[0])
                parents |= {one.id: one.parent_id for one in page.items}
            if current not in parents:
                break
            line.append(current)
            current = parents[current]
        return line


def _heads(session: Session, branches: Sequence[Branch], checkpoints: Sequence[Checkpoint]) -> list[BranchHead]:
    ends: dict[str, int] = {}
    for checkpoint in checkpoints:
        ends[checkpoint.branch_id] = max(checkpoint.position, ends.get(checkpoint.branch_id, 0))
    return [
        BranchHead(
            branch=branch,
            message_count=ends.get(branch.id, branch.fork_position),
            is_current=branch.id == session.current_branch_id,
        )
        for branch in branches
    ]
