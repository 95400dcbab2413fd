"""The use case that begins a run from a message."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agio.domain import control
from agio.domain.agents import Agent, AgentSnapshot
from agio.domain.branches import Branch
from agio.domain.errors import AlreadyExists, BranchBusy, Conflict, Invalid, NotFound
from agio.domain.fork import AGENT_KEYS
from agio.domain.ids import SESSION_ID_RULE, is_session_id, new_id
from agio.domain.messages import Content, text_of
from agio.domain.runs import Budget, Run, RunFilter, RunSpec
from agio.domain.sessions import OnBusy, Session
from agio.domain.status import LIVE, StopReason
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.creation import check_run_id, first_entry, new_run, not_started
from agio.engine.expiry import begin_anew, has_expired
from agio.engine.quota import NO_QUOTA, Quota, check
from agio.engine.worker import Worker
from agio.storage.port import SESSIONS, RunCreation, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A message for an agent."""

    agent_id: str
    message: Content
    session_id: str | None = None
    branch_id: str | None = None
    user_id: str | None = None
    run_id: str | None = None
    max_steps: int | None = None
    force_final_answer: bool = True
    on_busy: OnBusy = OnBusy.QUEUE
    modifications: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    message_metadata: dict[str, Any] = field(default_factory=dict)
    """Of the message on the branch; `metadata` is the run's."""
    tags: tuple[str, ...] = ()
    budget: Budget | None = None
    detached: bool = True
    start: bool = True
    idle_timeout_s: float | None = None
    """Of a session that this message makes, or of one that expires already; None: one made here never does."""


class Starting:
    """Begins runs; the process's worker takes them at once if it can."""

    def __init__(self, store: Store, agents: Agents, worker: Worker, quota: Quota = NO_QUOTA) -> None:
        self._store = store
        self._agents = agents
        self._worker = worker
        self._quota = quota

    async def start(self, caller: Caller, request: StartRequest) -> Run:
        """Accept a message; the run is durable when this returns.

        Raises:
            NotFound: no such agent; no such branch in that session.
            Conflict: the agent is disabled, the run id is taken, or the branch is busy (`reject`).
            Invalid: a modification that a new turn cannot have, an unknown tool or provider.
            QuotaExceeded: the group has spent its tokens.
        """
        agent = await self._agents.get(caller, request.agent_id)
        if not agent.enabled:
            raise Conflict(f"the agent {agent.id!r} is disabled; enable it first")
        check_run_id(request.run_id)
        await check(self._quota, caller.group_id)
        snapshot = await self._modified(caller, agent, request)
        now = utc_now()
        session, is_new = await self._session(caller, request, agent, now)
        branch_id = request.branch_id or session.current_branch_id
        branch = _root(session, now) if is_new else None
        if branch is None and request.branch_id is not None:
            await self._check_branch(caller, session, request.branch_id)
        run = new_run(caller, session.id, branch_id, snapshot, now, request.run_id, request.message)
        run = replace(
            run,
            user_id=caller.user_id or request.user_id,
            detached=request.detached,
            tags=request.tags,
            metadata=request.metadata,
            pause=None if request.start else not_started(caller, now),
        )
        spec = RunSpec(
            input=request.message,
            input_metadata=request.message_metadata,
            force_final_answer=request.force_final_answer,
            budget=request.budget,
            modifications=request.modifications,
        )
        creation = RunCreation(
            run=run,
            spec=spec,
            snapshot=snapshot,
            first=first_entry(run),
            session=session if is_new else None,
            branch=branch,
            may_wait=request.on_busy in (OnBusy.QUEUE, OnBusy.INTERRUPT),
        )
        made = await self._create(caller, creation, request)
        if not is_new:
            await self._touch(caller, session, now, request.idle_timeout_s)
        return made

    async def _create(self, caller: Caller, creation: RunCreation, request: StartRequest) -> Run:
        on_busy = request.on_busy
        # An id that a client chose may be used by another first message right now.
        is_blank = creation.branch is not None and request.session_id is None
        try:
            made = await self._worker.accept(creation, caller.llm_key, is_blank=is_blank)
        except BranchBusy as busy:
            if on_busy is OnBusy.FORK:
                return await self._create_aside(caller, creation, busy.holder)
            raise BranchBusy(
                f"the session is busy with run {busy.holder!r}; on_busy says what to do instead",
                holder=busy.holder,
            ) from None
        except AlreadyExists:
            if creation.session is not None and await self._is_there(caller, creation.session):
                # Another first message made the session meanwhile: this one comes second.
                return await self._create(caller, replace(creation, session=None, branch=None), request)
            raise AlreadyExists(f"there is a run {creation.run.id!r} already") from None
        if on_busy is OnBusy.INTERRUPT and not made.holds_branch:
            await self._interrupt_holder(caller, made)
        return made

    async def _is_there(self, caller: Caller, session: Session) -> bool:
        try:
            await self._store.get(SESSIONS, caller.group_id, session.id)
        except NotFound:
            return False
        return True

    async def _create_aside(self, caller: Caller, creation: RunCreation, holder: str | None) -> Run:
        """Make the run on a branch of its own that starts at the busy branch's last checkpoint."""
        run = creation.run
        last = await self._store.last_checkpoint(caller.group_id, holder) if holder else None
        at = last is not None and last.branch_id == run.branch_id
        position = last.position if last and at else await self._store.branch_end(caller.group_id, run.branch_id)
        branch = Branch(
            id=new_id(),
            group_id=caller.group_id,
            session_id=run.session_id,
            parent_id=run.branch_id,
            fork_position=position,
            kind="busy",
            from_checkpoint_id=last.id if last else None,
            created_by=caller.name,
            created_at=run.created_at,
        )
        moved = replace(run, branch_id=branch.id)
        made = replace(creation, run=moved, first=first_entry(moved), branch=branch)
        return await self._worker.accept(made, caller.llm_key)

    async def _interrupt_holder(self, caller: Caller, made: Run) -> None:
        page = await self._store.list_runs(
            caller.group_id, RunFilter(branch_id=made.branch_id, statuses=LIVE), limit=100, newest_first=False
        )
        now = utc_now()
        for run in page.items:
            if run.holds_branch and run.id != made.id:
                cancelled = await self._store.update_run(
                    caller.group_id,
                    run.id,
                    lambda record: (
                        record
                        if record.is_terminal
                        else control.request_cancel(
                            record, by=caller.name, at=now, reason=StopReason.INTERRUPTED_BY_MESSAGE
                        )
                    ),
                )
                self._worker.notify(cancelled)

    async def _modified(self, caller: Caller, agent: Agent, request: StartRequest) -> AgentSnapshot:
        for key in request.modifications:
            if key not in AGENT_KEYS:
                raise Invalid(f"a new message cannot have the modification {key!r}", field=f"modifications.{key}")
        await self._agents.check_modifications(caller, request.modifications)
        changes = dict(request.modifications)
        if "tools" in changes:
            changes["tools"] = tuple(changes["tools"])
        if request.max_steps is not None:
            changes["max_steps"] = request.max_steps
        if "model" in changes or "provider" in changes:
            snapshot = replace(agent.snapshot(), **changes)
            return snapshot if "provider" in changes else await self._agents.resolve(caller, snapshot)
        return replace(await self._agents.pin(caller, agent), **changes)

    async def _session(
        self, caller: Caller, request: StartRequest, agent: Agent, now: datetime
    ) -> tuple[Session, bool]:
        if request.session_id is not None:
            try:
                session = await self._store.get(SESSIONS, caller.group_id, request.session_id)
                if request.branch_id is None and await has_expired(self._store, session, now):
                    session = await begin_anew(self._store, session, by=caller.name, at=now)
                return session, False
            except NotFound:
                if not is_session_id(request.session_id):
                    raise Invalid(SESSION_ID_RULE, field="session_id") from None
                if request.branch_id is not None:
                    raise NotFound(f"there is no branch {request.branch_id!r} in that session") from None
        elif request.branch_id is not None:
            branch = (await self._lineage(caller, request.branch_id))[0]
            return await self._store.get(SESSIONS, caller.group_id, branch.session_id), False
        session_id = request.session_id or new_id()
        made = Session(
            id=session_id,
            group_id=caller.group_id,
            current_branch_id=session_id,
            user_id=request.user_id,
            agent_id=agent.id,
            idle_timeout_s=request.idle_timeout_s,
            title=text_of(request.message)[:80].strip() or None,
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        return made, True

    async def _check_branch(self, caller: Caller, session: Session, branch_id: str) -> None:
        if (await self._lineage(caller, branch_id))[0].session_id != session.id:
            raise NotFound(f"there is no branch {branch_id!r} in that session")

    async def _lineage(self, caller: Caller, branch_id: str) -> list[Branch]:
        try:
            return await self._store.lineage(caller.group_id, branch_id)
        except NotFound:
            raise NotFound(f"there is no branch {branch_id!r}") from None

    async def _touch(self, caller: Caller, session: Session, now: datetime, timeout_s: float | None) -> None:
        changes: dict[str, Any] = {"updated_at": now}
        if session.idle_timeout_s is not None and timeout_s is not None:
            changes["idle_timeout_s"] = timeout_s
        await self._store.update(SESSIONS, caller.group_id, session.id, lambda record: replace(record, **changes))


def _root(session: Session, now: datetime) -> Branch:
    """Return the session's first branch. Its id is the session's own, so that two first messages that
    race to make one session meet on one branch."""
    return Branch(
        id=session.current_branch_id,
        group_id=session.group_id,
        session_id=session.id,
        name="main",
        created_by=session.created_by,
        created_at=now,
    )
