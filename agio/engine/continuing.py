"""Use cases that continue from a checkpoint: restore, fork, retry, and the plan before them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from agio import crashes
from agio.domain import control
from agio.domain.agents import AgentSnapshot
from agio.domain.branches import Branch
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import AlreadyExists, Invalid, InvalidTransition, NotFound
from agio.domain.fork import AGENT_KEYS, ForkPlan, plan_fork
from agio.domain.ids import new_id
from agio.domain.messages import Message
from agio.domain.runs import Parent, Run, RunSpec, Words
from agio.domain.sessions import Session
from agio.domain.status import TERMINAL, RunStatus
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.creation import check_run_id, check_status, first_entry, get_run, new_run, not_started
from agio.engine.quota import NO_QUOTA, Quota, check
from agio.engine.worker import Worker
from agio.storage.port import BRANCHES, SESSIONS, RunCreation, Store

TAIL_WINDOW = 100
"""Messages read at a time on the way back to the last question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRequest:
    """A wish to continue from a checkpoint."""

    checkpoint_id: str
    modifications: dict[str, Any] = field(default_factory=dict)
    kind: Literal["restore", "fork"]
    session: Literal["same", "new"] = "same"
    run_id: str | None = None
    start: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A checkpoint with what is needed to continue from it."""

    checkpoint: Checkpoint
    run: Run
    spec: RunSpec
    snapshot: AgentSnapshot
    plan: ForkPlan


class Continuing:
    """Begins runs and attempts at checkpoints; the process's worker takes new runs at once if it can."""

    def __init__(self, store: Store, agents: Agents, worker: Worker, quota: Quota = NO_QUOTA) -> None:
        self._store = store
        self._agents = agents
        self._worker = worker
        self._quota = quota

    async def origin(self, caller: Caller, checkpoint_id: str, modifications: Mapping[str, Any]) -> Origin:
        """Read a checkpoint and plan what to continue with; writes nothing.

        Raises:
            NotFound: no such checkpoint.
            Invalid: see `domain.fork.plan_fork`; an unknown tool or provider.
        """
        checkpoint = await self._checkpoint(caller, checkpoint_id)
        run = await self._store.get_run(caller.group_id, checkpoint.run_id)
        spec = await self._store.get_spec(caller.group_id, run.id)
        snapshot = await self._store.get_snapshot(caller.group_id, checkpoint.agent_digest)
        if spec.workflow is not None or spec.call is not None:
            _check_no_agent(modifications)
        await self._agents.check_modifications(caller, modifications)
        offset, messages = await self._tail(caller, checkpoint, modifications)
        plan = plan_fork(checkpoint, messages, snapshot, modifications, offset=offset)
        if "model" in modifications and "provider" not in modifications:
            plan = replace(plan, snapshot=await self._agents.resolve(caller, plan.snapshot))
        return Origin(checkpoint=checkpoint, run=run, spec=spec, snapshot=snapshot, plan=plan)

    async def _checkpoint(self, caller: Caller, checkpoint_id: str) -> Checkpoint:
        try:
            return await self._store.get_checkpoint(caller.group_id, checkpoint_id)
        except NotFound:
            raise NotFound(f"there is no checkpoint {checkpoint_id!r}") from None

    async def _tail(
        self, caller: Caller, checkpoint: Checkpoint, modifications: Mapping[str, Any]
    ) -> tuple[int, list[Message]]:
        """Read no more of the conversation than the plan needs: a fork costs the same at any length."""
        end = checkpoint.position
        start = 0
        if not modifications.get("modified_messages") and not modifications.get("tool_results"):
            start = max(0, end - 1)
        messages = await self._store.read_messages(caller.group_id, checkpoint.branch_id, start=start, end=end)
        if modifications.get("modified_query") is None:
            return start, messages
        while start > 0 and all(message.role != "user" for message in messages):
            earlier = max(0, start - TAIL_WINDOW)
            messages = [
                *await self._store.read_messages(caller.group_id, checkpoint.branch_id, start=earlier, end=start),
                *messages,
            ]
            start = earlier
        return start, messages

    async def branch_off(self, caller: Caller, request: ForkRequest) -> Run:
        """Begin a new run on a new branch that starts at the checkpoint; the source stays as it is.

        Raises:
            as `origin`; AlreadyExists: the run id is taken. QuotaExceeded: the group has spent its tokens.
        """
        check_run_id(request.run_id)
        await check(self._quota, caller.group_id)
        origin = await self.origin(caller, request.checkpoint_id, request.modifications)
        now = utc_now()
        session = await self._session_of(caller, origin, request, now)
        branch = _branch(caller, origin, session.id, now, kind=request.kind)
        if request.session == "new":
            branch = replace(branch, id=session.current_branch_id)
        plan = origin.plan
        run = new_run(caller, session.id, branch.id, plan.snapshot, now, request.run_id, plan.query)
        run = replace(
            run,
            step=plan.base_step,
            base_step=plan.base_step,
            parent=Parent(run_id=origin.run.id, checkpoint_id=origin.checkpoint.id, kind=request.kind),
            preview=run.preview or origin.run.preview,
            metadata=plan.metadata,
            pause=None if request.start else not_started(caller, now),
        )
        spec = replace(
            origin.spec,
            input=plan.query,
            input_metadata=origin.spec.input_metadata if plan.query == origin.spec.input else {},
            modifications=request.modifications,
            force_final_answer=origin.spec.force_final_answer,
            budget=origin.spec.budget,
            tool_results=plan.tool_results,
        )
        try:
            made = await self._worker.accept(
                RunCreation(
                    run=run,
                    spec=spec,
                    snapshot=plan.snapshot,
                    first=first_entry(run),
                    session=session if request.session == "new" else None,
                    branch=branch,
                ),
                caller.llm_key,
            )
        except AlreadyExists:
            raise AlreadyExists(f"there is a run {run.id!r} already") from None
        if request.kind == "restore":
            await self._stand_on(caller, session.id, branch.id, now)
        return made

    async def _session_of(self, caller: Caller, origin: Origin, request: ForkRequest, now: datetime) -> Session:
        session = await self._store.get(SESSIONS, caller.group_id, origin.run.session_id)
        if request.session == "same":
            return session
        return replace(
            session,
            id=new_id(),
            current_branch_id=new_id(),
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )

    async def rewind(self, caller: Caller, request: ForkRequest) -> Run:
        """Begin a new attempt of the same run at one of its checkpoints (in-place restore).

        Raises:
            as `origin`; InvalidTransition: the run is live and not interrupted. QuotaExceeded.
        """
        origin = await self.origin(caller, request.checkpoint_id, request.modifications)
        allowed = (*TERMINAL, RunStatus.INTERRUPTED)
        check_status(origin.run, allowed)
        await check(self._quota, caller.group_id)
        now = utc_now()
        branch = _branch(caller, origin, origin.run.session_id, now, kind="restore")
        await self._store.put_snapshot(caller.group_id, origin.plan.snapshot)
        made = await self._attempt(
            caller,
            origin.run,
            branch,
            now,
            plan=origin.plan,
            checkpoint=origin.checkpoint,
            start=request.start,
            modifications=request.modifications,
        )
        await self._stand_on(caller, made.session_id, branch.id, now)
        return made

    async def retry(self, caller: Caller, run_id: str) -> Run:
        """Begin a new attempt of a failed or interrupted run at its last checkpoint.

        Raises:
            NotFound: no such run. InvalidTransition: it is neither failed nor interrupted. QuotaExceeded.
        """
        run = await get_run(self._store, caller, run_id)
        allowed = (RunStatus.FAILED, RunStatus.INTERRUPTED)
        check_status(run, allowed)
        await check(self._quota, caller.group_id)
        last = await self._store.last_checkpoint(caller.group_id, run.id)
        own = last if last is not None and last.attempt == run.attempt else None
        now = utc_now()
        position = own.position if own else await self._store.branch_end(caller.group_id, run.branch_id)
        branch = Branch(
            id=new_id(),
            group_id=caller.group_id,
            session_id=run.session_id,
            parent_id=run.branch_id,
            fork_position=position,
            kind="retry",
            from_checkpoint_id=own.id if own else await self._began_at(caller, run),
            created_by=caller.name,
            created_at=now,
        )
        made = await self._attempt(caller, run, branch, now, plan=None, checkpoint=own, start=True)
        await self._stand_on(caller, run.session_id, branch.id, now, instead_of=run.branch_id)
        return made

    async def _began_at(self, caller: Caller, run: Run) -> str | None:
        """Return the checkpoint that the present attempt began at; None where it begins with the run's question."""
        if run.attempt == 1:
            return None
        return (await self._store.lineage(caller.group_id, run.branch_id))[0].from_checkpoint_id

    async def _stand_on(
        self, caller: Caller, session_id: str, branch_id: str, now: datetime, *, instead_of: str | None = None
    ) -> None:
        """Let the session's next message go to a branch (only if it stood on `instead_of`)."""

        def change(session: Session) -> Session:
            if instead_of is not None and session.current_branch_id != instead_of:
                return session
            return replace(session, current_branch_id=branch_id, updated_at=now)

        await self._store.update(SESSIONS, caller.group_id, session_id, change)

    async def settle(self, caller: Caller, run: Run) -> None:
        """Let the session stand on the branch of a run that was restored or retried, unless it has moved on since.

        For whoever was asked again for what is there: the first request may have died before it came to that.
        """
        branch = (await self._store.lineage(caller.group_id, run.branch_id))[0]
        now = utc_now()

        def change(session: Session) -> Session:
            left_behind = branch.kind == "restore" or session.current_branch_id == branch.parent_id
            if not left_behind or session.current_branch_id == branch.id or session.updated_at > branch.created_at:
                return session
            return replace(session, current_branch_id=branch.id, updated_at=now)

        if branch.kind in ("restore", "retry"):
            await self._store.update(SESSIONS, caller.group_id, run.session_id, change)

    async def _attempt(
        self,
        caller: Caller,
        run: Run,
        branch: Branch,
        now: datetime,
        *,
        plan: ForkPlan | None,
        checkpoint: Checkpoint | None,
        start: bool,
        modifications: Mapping[str, Any] | None = None,
    ) -> Run:
        await self._store.insert(BRANCHES, branch)
        crashes.at("fork")
        base_step = plan.base_step if plan else (checkpoint.step if checkpoint else run.base_step)
        digest = plan.snapshot.digest if plan else run.agent_digest

        words = (Words(id=new_id(), content=plan.query),) if plan is not None and plan.query is not None else ()
        provider = plan.snapshot.provider if plan else None
        held = self._worker.keys.hold(caller.llm_key, provider, of=(caller.group_id, run.id))

        def change(record: Run) -> Run:
            fresh = control.request_attempt(
                record,
                by=caller.name,
                at=now,
                branch_id=branch.id,
                from_checkpoint_id=checkpoint.id if checkpoint else None,
                base_step=base_step,
                allowed=(*TERMINAL, RunStatus.INTERRUPTED),
                start=start,
            )
            order, unheard = fresh.order, record.order
            if order is not None and plan is not None:
                order = replace(order, words=words, tool_results=plan.tool_results)
            elif order is not None and unheard is not None:  # a retry: nothing that was asked for may get lost
                given = unheard.tool_results if checkpoint is None else {}
                order = replace(order, words=unheard.words, tool_results=given)
            former = {*fresh.former_digests, fresh.agent_digest} - {digest}
            return replace(
                fresh,
                order=order,
                agent_digest=digest,
                former_digests=tuple(sorted(former)),
                llm_key=held,
                model=plan.snapshot.model if plan else fresh.model,
                modifications=dict(modifications) if modifications else fresh.modifications,
                metadata=fresh.metadata | (plan.metadata if plan else {}),
            )

        try:
            made = await self._store.update_run(caller.group_id, run.id, change)
        except InvalidTransition:
            self._worker.keys.drop(held)
            await self._store.delete(BRANCHES, caller.group_id, branch.id)  # another attempt was first
            raise
        crashes.at("accept")
        self._worker.notify(made)
        return made


def _check_no_agent(modifications: Mapping[str, Any]) -> None:
    """Refuse changes of an agent where there is none. Raises `Invalid`."""
    for key in modifications:
        if key in AGENT_KEYS:
            raise Invalid(
                f"the run asks no model: {key!r} changes nothing; fork one of its child runs",
                field=f"modifications.{key}",
            )


def _branch(
    caller: Caller, origin: Origin, session_id: str, now: datetime, *, kind: Literal["restore", "fork"]
) -> Branch:
    return Branch(
        id=new_id(),
        group_id=caller.group_id,
        session_id=session_id,
        parent_id=origin.checkpoint.branch_id,
        fork_position=origin.plan.fork_position,
        edits=origin.plan.edits,
        kind=kind,
        from_checkpoint_id=origin.checkpoint.id,
        created_by=caller.name,
        created_at=now,
    )
