"""What the parts of the step loop share while a worker owns a run, and how it lets go of one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

from agio.domain import control
from agio.domain import events as ev
from agio.domain.checkpoints import Checkpoint, CheckpointKind
from agio.domain.errors import ToolError
from agio.domain.ids import checkpoint_id, new_id
from agio.domain.messages import Message, text_of
from agio.domain.metrics import Metrics, Usage
from agio.domain.runs import Run, RunUpdate, Words
from agio.domain.status import RESTART_TEXT, TERMINAL, RunStatus, StopReason
from agio.domain.webhooks import Delivery
from agio.engine.children import Notify, hand_on, read_ledger, tell_parent
from agio.engine.clock import utc_now
from agio.engine.journal import RunJournal
from agio.engine.keys import RunKeys
from agio.engine.observer import NOBODY, Observer
from agio.engine.outbox import hold_deliveries
from agio.engine.quota import NO_QUOTA, Quota
from agio.engine.settings import EngineSettings
from agio.engine.state import RunState
from agio.engine.token import ControlToken
from agio.providers.base import Providers
from agio.storage.port import Store
from agio.tools.base import Tool, Toolbox

TOLD = TERMINAL | {RunStatus.INTERRUPTED}
"""Of a child run's becoming so its parent is told."""


ToolLookup: TypeAlias = asyncio.Task[dict[str, Tool | ToolError]]
"""Looks up an agent's tools; see `Toolbox.find_all`."""


class Lives(Protocol):
    """Says whether a worker lives, as far as the store knows."""

    async def __call__(self, worker_id: str, *, for_sure: bool) -> bool:
        """Say so; unless `for_sure`, one that is late with its beats lives."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What driving a run needs from the process."""

    store: Store
    providers: Providers
    toolbox: Toolbox
    settings: EngineSettings
    worker_id: str
    owns: Callable[[Run], Awaitable[bool]]
    """Says whether a run is still this worker's, as far as it can be known before an effect."""
    notify: Notify
    """Tells the worker of a record that was just written."""
    observer: Observer = NOBODY
    quota: Quota = NO_QUOTA
    keys: RunKeys
    lives: Lives
    deliver: Callable[[Iterable[Delivery]], None] = lambda deliveries: None
    """Takes deliveries whose run's end is durable."""


@dataclass(slots=True, kw_only=True)
class Drive:
    """One ownership of one run. Every ending is one entry: messages, checkpoint, events together."""

    services: Services
    state: RunState
    journal: RunJournal
    token: ControlToken
    abandoned: bool = False
    """Its last owner died."""
    began: float = field(default_factory=time.monotonic)
    step_began: float = field(default_factory=time.monotonic)
    tools: dict[str, Tool | ToolError] | None = None
    """The agent's tools as they were looked up for this step; None: not yet."""
    coming_tools: ToolLookup | None = None
    """The look-up for the first step, where it was begun already."""
    decisions_heard: int = 0
    """The last command that came before the run's approvals were read."""
    held: list[Delivery] | None = None
    """Who is told of the ending that comes next; None: nobody looked."""
    closing: bool = False
    """An ending is under way: nothing else may be emitted."""

    # -- facts

    def metrics(self) -> Metrics:
        """Return the totals as of now."""
        base = self.state.metrics
        usage = base.usage.plus(self.state.step_usage)
        return replace(
            base,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            cost=usage.cost,
            duration_ms=base.duration_ms + round((time.monotonic() - self.began) * 1000),
        )

    def over_budget(self) -> str | None:
        """Return why the budget forbids to go on, None when it does not."""
        budget, spent = self.state.spec.budget, self.metrics()
        if budget is None:
            return None
        if budget.max_total_tokens is not None and spent.total_tokens >= budget.max_total_tokens:
            return f"{spent.total_tokens} tokens spent, {budget.max_total_tokens} allowed"
        if budget.max_seconds is not None and spent.duration_ms >= budget.max_seconds * 1000:
            return f"{spent.duration_ms / 1000:.1f} s spent, {budget.max_seconds} s allowed"
        if budget.max_cost is not None and spent.cost is not None and spent.cost >= budget.max_cost:
            return f"${spent.cost} spent, ${budget.max_cost} allowed"
        return None

    def note_first_token(self) -> None:
        """Note how long the first token of the run took, from its acceptance."""
        if self.state.metrics.time_to_first_token_ms is None:
            waited = utc_now() - self.state.run.created_at
            self.state.metrics = replace(
                self.state.metrics, time_to_first_token_ms=round(waited.total_seconds() * 1000)
            )

    def unsaid(self) -> list[Words]:
        """Return the messages that came with a command and are not on the branch yet."""
        order = self.token.run.order
        if order is None or not order.words:
            return []
        said = {message.id for message in self.state.messages}
        return [words for words in order.words if words.id not in said]

    @property
    def is_owing(self) -> bool:
        """Something that came with a command is not in the journal yet: a crash must not lose it."""
        order = self.token.run.order
        if order is None:
            return False
        still_open = {call.id for call in self.state.open_calls}
        again = {call_id for call_id in order.retry_tools if self.state.calls.get(call_id) != "started"}
        return bool(self.unsaid() or still_open & (order.tool_results.keys() | again))

    # -- the branch

    def say(self, message: Message) -> None:
        """Put a message on the branch with the next entry."""
        stamped = replace(message, run_id=self.state.run.id, step=self.state.step, created_at=utc_now())
        self.state.messages.append(stamped)
        self.journal.add_message(stamped)

    def mark_checkpoint(self, kind: CheckpointKind, label: str | None = None) -> Checkpoint:
        """Announce a checkpoint of what is on the branch now; attach it with an update. A person's label wins."""
        state = self.state
        marks = self.token.run.marks
        mark = marks[0] if marks else None
        seq = self.journal.head + 1
        checkpoint = Checkpoint(
            run_id=state.run.id,
            seq=seq,
            group_id=state.run.group_id,
            session_id=state.run.session_id,
            attempt=state.run.attempt,
            branch_id=state.run.branch_id,
            position=self.journal.position,
            step=state.step,
            kind=kind,
            parent_id=state.parent_checkpoint_id,
            agent_digest=state.run.agent_digest,
            metrics=self.metrics(),
            plan=state.plan,
            created_at=utc_now(),
            label=(mark.label if mark else None) or label,
            tags=mark.tags if mark else (),
        )
        self.journal.emit(
            ev.CheckpointCreated(
                checkpoint_id=checkpoint_id(state.run.id, seq),
                step=state.step,
                parent_checkpoint_id=state.parent_checkpoint_id,
                branch_id=state.run.branch_id,
                label=checkpoint.label,
            )
        )
        state.checkpoint, state.parent_checkpoint_id = checkpoint, checkpoint.id
        return checkpoint

    def update(self, checkpoint: Checkpoint | None = None, **changes: Any) -> RunUpdate:
        """Return an update of the run's record that acknowledges every command observed so far."""
        run = self.state.run = self.token.run
        pending = tuple(one.id for one in self.state.approvals.values() if one.status == "pending")
        return RunUpdate(
            last_seq=self.journal.head,
            last_checkpoint_id=checkpoint.id if checkpoint else None,
            metrics=self.metrics(),
            control_ack=run.control_seq,
            keep_order=self.is_owing,
            marks_done=1 if checkpoint and run.marks else 0,
            **{"pending_approvals": pending, **changes},
        )

    def say_words(self) -> None:
        """Put the messages that came with a command on the branch, unless an earlier owner did."""
        for words in self.unsaid():
            self.say(Message(id=words.id, role="user", content=words.content, metadata=words.metadata))

    def begin_step(self) -> None:
        """Announce that the model is asked, or the tools are called, for the present step."""
        self.journal.emit(ev.StepStarted(step=self.state.step))
        self.services.observer.step_began(self.state.step)
        self.state.in_step, self.step_began = True, time.monotonic()

    async def complete_step(self, kind: CheckpointKind, label: str | None = None) -> None:
        """Close the step under way with a checkpoint and wait until it is durable."""
        await self.make_room()
        self.held = None  # it goes on: who comes until the end is told too
        self._close_step()
        checkpoint = self.mark_checkpoint(kind, label)
        self.journal.attach(self.update(checkpoint, step=self.state.step), checkpoint)
        await self.commit()

    def _close_step(self) -> None:
        state = self.state
        took = round((time.monotonic() - self.step_began) * 1000)
        self.journal.emit(ev.StepCompleted(step=state.step, usage=state.step_usage, duration_ms=took))
        self.services.observer.step_ended()
        state.metrics = replace(self.metrics(), steps=state.metrics.steps + 1)
        self.began = time.monotonic()
        state.step_usage = Usage()
        state.in_step = False
        state.calls.clear()

    async def make_room(self) -> None:
        """Wait until no update of the run's record gathers: an entry carries one."""
        if self.journal.has_update:
            await self.commit()

    async def commit(self) -> None:
        """Wait until everything is durable, and take the run's record as it is afterwards."""
        await self.journal.flush()
        self.state.run = self.token.run

    def take_record(self, after: Run) -> None:
        """Take note of the run's record after an update: a command may have come that no hint told of."""
        known = self.token.run
        if after.revision > known.revision:
            if after.control_seq > known.control_seq:
                self.token.observe(after)
            else:
                self.token.run = after

    # -- children

    async def hand_on(self, what: Literal["pause", "resume", "cancel"]) -> None:
        """Let what was asked of the run reach its children."""
        if not self.state.spec.has_children:
            return
        services = self.services
        await self.commit()
        run = self.token.run
        children = (await read_ledger(services.store, run)).in_flight
        await hand_on(services.store, services.notify, run, children, what)

    # -- endings

    async def foresee_end(self) -> None:
        """Write down who is to be told of the ending that comes next, unless that was done just now.

        To be awaited before anything of the ending's entry is emitted: the writer takes what has gathered.
        """
        if self.held is None:
            self.held = await hold_deliveries(self.services.store, self.token.run, after=self.journal.head)

    async def _prepare_end(self) -> None:
        await self.make_room()
        await self.foresee_end()
        self.closing = True

    async def _end(self, update: RunUpdate, checkpoint: Checkpoint | None = None) -> None:
        """Write the last entry. Of a child run that ends, the record follows when its parent knows."""
        tells = self.state.run.place is not None and update.status in TOLD
        self.journal.attach(replace(update, status=None) if tells else update, checkpoint)
        self.journal.seal()
        await self.commit()
        self.services.deliver(self.held or ())
        if tells:
            await self.project(update)

    async def project(self, update: RunUpdate) -> None:
        """Change the run's record after the journal; a parent that waits for the run's end is told first."""
        services, run = self.services, self.state.run
        if update.status in TOLD:
            await tell_parent(services.store, services.notify, run)
        await services.store.update_run(
            run.group_id,
            run.id,
            lambda record: control.project(record, update, epoch=run.epoch, at=utc_now()),
        )

    async def finish(self) -> None:
        """Completed: the last message is the answer."""
        await self._prepare_end()
        state = self.state
        last = state.messages[-1] if state.messages else None
        changes: dict[str, Any] = {"status": RunStatus.COMPLETED, "reason": StopReason.ANSWERED}
        checkpoint = None
        if state.in_step:
            self._close_step()
            checkpoint = self.mark_checkpoint("final")
            changes["step"] = state.step
        response = text_of(last.content) if last is not None else None
        self.journal.emit(ev.RunCompleted(response=response, metrics=self.metrics()))
        await self._end(self.update(checkpoint, **changes), checkpoint)

    async def fail(self, code: str, message: str, *, retryable: bool = False) -> None:
        """Failed: open tool calls are closed, so that the branch stays usable."""
        await self._prepare_end()
        error = {"code": code, "message": message, "retryable": retryable}
        checkpoint = self._leave_usable("the run failed before this call was made")
        self.journal.emit(ev.RunFailed(error=error, metrics=self.metrics()))
        changes = {"status": RunStatus.FAILED, "reason": code, "error": error, "pending_approvals": ()}
        await self._end(self.update(checkpoint, **changes), checkpoint)

    async def cancel(self, *, partial: str = "", by: str | None = None, reason: str | None = None) -> None:
        """Cancelled: what was shown of an answer is kept, open tool calls are closed."""
        await self._prepare_end()
        asked = self.token.run.cancel
        if partial:
            shown_as = self.state.partial_message_id or new_id()
            self.say(Message(id=shown_as, role="assistant", content=partial, incomplete=True))
        checkpoint = self._leave_usable("the run was cancelled before this call ended")
        self.journal.emit(
            ev.RunCancelled(
                by=by or (asked.by if asked else "system"),
                reason=_said(reason or (asked.reason if asked else None)),
                metrics=self.metrics(),
                partial_response=partial or None,
            )
        )
        why = StopReason.RESTART if asked is None else (asked.reason or StopReason.OPERATOR)
        changes = {"status": RunStatus.CANCELLED, "reason": why, "pending_approvals": ()}
        await self._end(self.update(checkpoint, **changes), checkpoint)

    def _leave_usable(self, why: str) -> Checkpoint | None:
        state = self.state
        if state.needs_input:  # nothing on the branch is this run's; what is open there is its holder's
            return None
        self.close_calls(why)
        self.say_words()
        behind = state.checkpoint is None or state.checkpoint.position != self.journal.position
        return self.mark_checkpoint("stop") if behind else None

    def close_calls(self, why: str) -> None:
        """Answer the open tool calls of the branch, so that a model can be asked again."""
        state = self.state
        for call in state.open_calls:
            if state.calls.get(call.id) == "started":
                error = {"code": "tool_cancelled", "message": why}
                self.journal.emit(ev.ToolCallFailed(step=state.step, tool_call_id=call.id, name=call.name, error=error))
            self.say(
                Message(
                    id=new_id(),
                    role="tool",
                    content=f"error: {why}",
                    tool_call_id=call.id,
                    name=call.name,
                    error="tool_cancelled",
                )
            )

    async def rest_paused(self) -> None:
        """Paused at the last checkpoint."""
        await self._prepare_end()
        asked = self.token.run.pause
        by, reason = (asked.by, asked.reason) if asked else ("system", None)
        named = self.state.checkpoint.id if self.state.checkpoint else None
        self.journal.emit(ev.RunPaused(by=by, checkpoint_id=named, reason=reason))
        why = reason if reason == StopReason.NOT_STARTED else StopReason.OPERATOR
        await self._end(self.update(status=RunStatus.PAUSED, reason=why, pause_done=True))

    async def rest_waiting(
        self, reason: Literal["approval", "needs_attention", "llm_key_missing", "input", "children"]
    ) -> None:
        """Waiting for a person, or for the end of child runs."""
        if reason != "children":
            await self._prepare_end()
        else:  # nobody need be told of that
            await self.make_room()
            self.closing = True
        named = self.state.checkpoint.id if self.state.checkpoint else None
        self.journal.emit(ev.RunWaiting(reason=reason, checkpoint_id=named))
        update = self.update(status=RunStatus.WAITING, reason=reason)
        # A decision, or the end of a child, that came after those were read must wake the run.
        await self._end(replace(update, control_ack=min(self.decisions_heard, self.token.run.control_seq)))

    async def rest_interrupted(self, claims: int) -> None:
        """Interrupted: its workers died too often."""
        await self._prepare_end()
        self.journal.emit(ev.RunInterrupted(reason=StopReason.POISON, claims=claims))
        await self._end(self.update(status=RunStatus.INTERRUPTED, reason=StopReason.POISON))


def _said(reason: str | None) -> str | None:
    """Return the reason of a cancel as people are told it."""
    return RESTART_TEXT if reason == StopReason.RESTART else reason
