"""Use cases that command runs. A command is durable when its method returns."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agio.domain import control
from agio.domain.approvals import Approval, Decision
from agio.domain.approvals import decide as decide_approval
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import Conflict, InvalidTransition, NotFound
from agio.domain.ids import new_id
from agio.domain.messages import Content
from agio.domain.runs import Mark, Run, Words
from agio.domain.status import RESTING, RunStatus
from agio.engine.caller import Caller
from agio.engine.children import children_of
from agio.engine.clock import utc_now
from agio.engine.creation import get_run
from agio.engine.keys import RunKeys
from agio.engine.quota import NO_QUOTA, Quota, check
from agio.storage.port import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision on one approval."""

    approval_id: str
    decision: Decision
    note: str | None = None
    arguments: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """How a run shall go on."""

    verdicts: tuple[Verdict, ...] = ()
    message: Content | None = None
    message_metadata: dict[str, Any] = field(default_factory=dict)
    tool_results: dict[str, Content] = field(default_factory=dict)
    retry_tools: tuple[str, ...] = ()


class Commands:
    """Commands runs. `notify` tells this process's worker of a record that was just written."""

    def __init__(self, store: Store, notify: Callable[[Run], None], keys: RunKeys, quota: Quota = NO_QUOTA) -> None:
        self._store = store
        self._notify = notify
        self._keys = keys
        self._quota = quota

    async def _change(self, caller: Caller, run_id: str, change: Callable[[Run], Run]) -> Run:
        try:
            run = await self._store.update_run(caller.group_id, run_id, change)
        except NotFound:
            raise NotFound(f"there is no run {run_id!r}") from None
        self._notify(run)
        return run

    async def pause(
        self, caller: Caller, run_id: str, *, mode: Literal["safe", "now"] = "safe", reason: str | None = None
    ) -> Run:
        """Ask a run to rest. Raises `NotFound`, `InvalidTransition`."""
        now = utc_now()
        return await self._change(
            caller,
            run_id,
            lambda run: control.request_pause(run, by=caller.name, at=now, mode=mode, reason=reason),
        )

    async def cancel(self, caller: Caller, run_id: str, *, reason: str | None = None) -> Run:
        """Ask a run to end. Raises `NotFound`, `InvalidTransition`."""
        now = utc_now()
        return await self._change(
            caller, run_id, lambda run: control.request_cancel(run, by=caller.name, at=now, reason=reason)
        )

    async def resume(self, caller: Caller, run_id: str, request: ResumeRequest) -> Run:
        """Decide approvals, if any, and let the run go on.

        Raises:
            NotFound: no such run or approval.
            InvalidTransition: it does not rest.
            Conflict: an approval was decided otherwise already.
            QuotaExceeded: the group has spent its tokens.
            KeyMissing: the run waits for a model key, and none came along.
            Invalid: its agent asked the user, and no message came along.
        """
        run = await get_run(self._store, caller, run_id)
        await check(self._quota, caller.group_id)
        owners = {one.approval_id: await self._owner_of(caller, run_id, one.approval_id) for one in request.verdicts}
        own = tuple(one for one in request.verdicts if owners[one.approval_id] == run_id)
        for verdict in own:
            await self._decide(caller, verdict, run)
        for verdict in request.verdicts:
            if verdict not in own:
                await self.decide(caller, verdict)
        if own != request.verdicts and not own and run.status is not RunStatus.PAUSED:
            return await get_run(self._store, caller, run_id)  # its children go on, it has nothing to do
        request = replace(request, verdicts=own)
        now = utc_now()
        words: tuple[Words, ...] = ()
        if request.message is not None:
            words = (Words(id=new_id(), content=request.message, metadata=request.message_metadata),)
        held = self._keys.hold(caller.llm_key, of=(caller.group_id, run_id))

        def change(record: Run) -> Run:
            if request.verdicts and record.status not in RESTING and record.pause is None and not words:
                return control.note_decision(record, by=caller.name, at=now)
            return control.request_resume(
                record,
                by=caller.name,
                at=now,
                words=words,
                tool_results=request.tool_results,
                retry_tools=request.retry_tools,
                llm_key=held,
            )

        try:
            return await self._change(caller, run_id, change)
        except Conflict:
            self._keys.drop(held)
            raise

    async def _owner_of(self, caller: Caller, run_id: str, approval_id: str) -> str:
        """Return the id of the run whose approval it is: the run, or one below it. Raises `NotFound`."""
        approval = await self._approval(caller, approval_id)
        above = approval.run_id
        while above != run_id:
            place = (await get_run(self._store, caller, above)).place
            if place is None:
                raise NotFound(f"the run has no approval {approval_id!r}")
            above = place.parent_run_id
        return approval.run_id

    async def decide(self, caller: Caller, verdict: Verdict) -> tuple[Approval, Run]:
        """Approve or reject a tool call.

        Raises:
            NotFound: no such approval. Conflict: it was decided otherwise, or its run has ended.
        """
        before = await self._approval(caller, verdict.approval_id)
        run = await get_run(self._store, caller, before.run_id)
        approval = await self._decide(caller, verdict, run)
        now = utc_now()

        def change(record: Run) -> Run:
            if record.status is RunStatus.WAITING and approval.id not in record.pending_approvals:
                return record  # it waits for something else: this decision it knows
            return control.note_decision(record, by=caller.name, at=now)

        return approval, await self._change(caller, approval.run_id, change)

    async def _decide(self, caller: Caller, verdict: Verdict, run: Run) -> Approval:
        """Write the decision down; the run is told by its record."""
        now = utc_now()

        def change(approval: Approval) -> Approval:
            if run.is_terminal and approval.status == "pending":
                raise InvalidTransition(f"the run is {run.status}; nothing waits for this", status=run.status)
            return decide_approval(
                approval,
                verdict.decision,
                by=caller.name,
                at=now,
                note=verdict.note,
                arguments=verdict.arguments,
            )

        return await self._store.update_approval(caller.group_id, verdict.approval_id, change)

    async def _approval(self, caller: Caller, approval_id: str) -> Approval:
        try:
            return await self._store.get_approval(caller.group_id, approval_id)
        except NotFound:
            raise NotFound(f"there is no approval {approval_id!r}") from None

    async def mark(self, caller: Caller, run_id: str, *, label: str | None, tags: tuple[str, ...]) -> Checkpoint | None:
        """Label the present state: the last checkpoint of a run that rests or ended, else the next one.

        Returns:
            The checkpoint, or None when the run is to make it at its next safe point.

        Raises:
            NotFound: no such run. Conflict: it ended without a checkpoint.
        """
        run = await get_run(self._store, caller, run_id)
        if run.status in (RunStatus.RUNNING, RunStatus.QUEUED):
            mark = Mark(by=caller.name, label=label, tags=tags)
            now = utc_now()
            await self._change(caller, run_id, lambda record: control.request_mark(record, mark, at=now))
            return None
        last = await self._store.last_checkpoint(caller.group_id, run_id)
        if last is None:
            raise Conflict(f"the run {run_id!r} made no checkpoint before it stopped")
        return await self._store.annotate_checkpoint(caller.group_id, last.id, label=label, tags=tags)

    async def delete(self, caller: Caller, run_id: str, *, cascade: bool = False) -> list[str]:
        """Delete an ended run with its child runs; with `cascade` all that depends on them too.

        Returns the deleted ids.

        Raises:
            NotFound: no such run. InvalidTransition: it, a child run of it, or a run that depends on one is live.
            Conflict: others depend on them and `cascade` is False.
        """
        run = await get_run(self._store, caller, run_id)
        if run.is_live:
            raise InvalidTransition(f"the run is {run.status}; only an ended run can be deleted", status=run.status)
        family = await self._family(caller, run)
        doomed = {one.id: one for one in family}
        queue = list(doomed)
        while queue:
            for other in await self._store.dependents(caller.group_id, queue.pop()):
                if other not in doomed:
                    fresh = await self._family(caller, await get_run(self._store, caller, other))
                    doomed |= {one.id: one for one in fresh}
                    queue += [one.id for one in fresh]
        if len(doomed) > len(family) and not cascade:
            count = len(doomed) - len(family)
            raise Conflict(f"{count} runs depend on its history; delete them first, or use cascade=true")
        for one in doomed.values():
            if one.is_live:
                what = "belongs to it" if one in family else "depends on it"
                raise InvalidTransition(f"the run {one.id!r} {what} and is {one.status}", status=one.status)
        for other in reversed(list(doomed)):
            await self._store.delete_run(caller.group_id, other)
        return list(doomed)

    async def _family(self, caller: Caller, run: Run) -> list[Run]:
        """Return a run and all below it; those that were deleted are left out."""
        found, queue = [run], [run]
        while queue:
            above = queue.pop(0)
            if not (await self._store.get_spec(above.group_id, above.id)).has_children:
                continue
            for child in await children_of(self._store, above):
                with suppress(NotFound):
                    below = await self._store.get_run(caller.group_id, child)
                    found.append(below)
                    queue.append(below)
        return found
