"""Reads back from the store what the owner of a run must know. Decides nothing, runs nothing."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from agio.domain import events as ev
from agio.domain.approvals import Approval
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import LeaseLost
from agio.domain.ids import split_checkpoint_id
from agio.domain.journal import Entry, unfold
from agio.domain.messages import Message
from agio.domain.metrics import Metrics, Usage
from agio.domain.runs import Run
from agio.engine.state import RunState
from agio.storage.port import RunCreation, RunStore

ENTRIES = 500
"""Read at a time."""
APPROVALS = 500
"""Read at a time."""
RELOADS = 10
"""How often a state is read again that changed while it was read."""


async def load_state(store: RunStore, run: Run) -> RunState:
    """Return the state of a claimed run: its last checkpoint, and the journal after it.

    Raises:
        LeaseLost: a later owner has written already. Who reads where the journal ends must not write behind what
            a successor wrote: the number would be free, so nothing else could refuse it.
    """
    for _ in range(RELOADS):
        state = await _load(store, run)
        if state is not None:
            return state
    raise RuntimeError(f"run {run.id!r} was never the same twice while it was read")


async def _load(store: RunStore, run: Run) -> RunState | None:
    """Return the state, None where an earlier owner wrote while it was read."""
    spec, snapshot, (messages, approvals), restored_from = await asyncio.gather(
        store.get_spec(run.group_id, run.id),
        store.get_snapshot(run.group_id, run.agent_digest),
        _conversation(store, run),
        _restored_from(store, run),
    )
    entries = await _entries_after(store, run, _known_checkpoint(run) - 1)
    last = next((entry.checkpoint for entry in reversed(entries) if entry.checkpoint is not None), None)
    own = last if last is not None and last.attempt == run.attempt else None
    if entries and entries[-1].epoch > run.epoch:
        raise LeaseLost(f"run {run.id!r} has an entry of epoch {entries[-1].epoch}; the reader has epoch {run.epoch}")
    if _is_torn(run, len(messages), entries):
        return None
    state = RunState(
        run=run,
        spec=spec,
        snapshot=snapshot,
        messages=messages,
        head=max([own.seq if own else 0, last.seq if last else 0, *(e.last_seq for e in entries)]),
        has_written=bool(entries) and entries[-1].epoch == run.epoch,
        step=own.step if own else run.base_step,
        plan=own.plan if own else None,
        planned_step=own.step if own else 0,
        metrics=_metrics(run, last),
        checkpoint=own,
        parent_checkpoint_id=own.id if own else restored_from or (run.parent.checkpoint_id if run.parent else None),
        needs_input=own is None,
        is_restored=restored_from is not None,
        tool_results=dict(spec.tool_results),
        approvals=approvals,
    )
    _fold(state, entries, after=own.seq if own else 0)
    return state


def _known_checkpoint(run: Run) -> int:
    """Return where the record's last checkpoint is, 1 where it has none; the journal may have a later one."""
    found = split_checkpoint_id(run.last_checkpoint_id) if run.last_checkpoint_id is not None else None
    return found[1] if found is not None else 1


def _is_torn(run: Run, position: int, entries: Iterable[Entry]) -> bool:
    """Say whether the journal, which is read last, has messages that the conversation lacks."""
    return any(
        entry.branch_id == run.branch_id and (entry.position or 0) + len(entry.messages) > position for entry in entries
    )


async def first_state(store: RunStore, run: Run, creation: RunCreation, *, is_blank: bool) -> RunState:
    """Return the state of a run that was accepted just now; `is_blank`: its branch has no message."""
    return RunState(
        run=run,
        spec=creation.spec,
        snapshot=creation.snapshot,
        messages=[] if is_blank else await store.read_messages(run.group_id, run.branch_id),
        head=creation.first.last_seq,
        step=run.base_step,
        metrics=run.metrics,
        parent_checkpoint_id=run.parent.checkpoint_id if run.parent else None,
        tool_results=dict(creation.spec.tool_results),
    )


def _metrics(run: Run, last: Checkpoint | None) -> Metrics:
    """Return the totals at the last checkpoint; the first token came when it came, whatever was dropped."""
    if last is None:
        return run.metrics
    first = last.metrics.time_to_first_token_ms or run.metrics.time_to_first_token_ms
    return replace(last.metrics, time_to_first_token_ms=first)


async def _conversation(store: RunStore, run: Run) -> tuple[list[Message], dict[str, Approval]]:
    """Return the messages of the branch, and the approvals of the run if it can have asked for any."""
    messages = await store.read_messages(run.group_id, run.branch_id)
    has_calls = run.attempt > 1 or any(message.tool_calls for message in messages)
    may_have_asked = bool(run.pending_approvals) or (run.epoch > 1 and has_calls)
    return messages, await load_approvals(store, run) if may_have_asked else {}


async def load_approvals(store: RunStore, run: Run) -> dict[str, Approval]:
    """Return the run's latest approvals by tool call id."""
    found: dict[str, Approval] = {}
    seen = 0
    while True:
        page = await store.list_approvals(run.group_id, run_id=run.id, limit=APPROVALS, offset=seen)
        found |= {approval.tool_call_id: approval for approval in page.items}
        seen += len(page.items)
        if not page.items or seen >= page.total:
            return found


async def _restored_from(store: RunStore, run: Run) -> str | None:
    """Return the checkpoint that this attempt began at; None where it begins with the question."""
    if run.attempt == 1:
        return None
    return (await store.lineage(run.group_id, run.branch_id))[0].from_checkpoint_id


async def _entries_after(store: RunStore, run: Run, seq: int) -> list[Entry]:
    entries: list[Entry] = []
    while True:
        batch = await store.read_entries(run.group_id, run.id, after=seq, limit=ENTRIES)
        entries.extend(batch)
        if len(batch) < ENTRIES:
            return entries
        seq = batch[-1].last_seq


def _fold(state: RunState, entries: Iterable[Entry], *, after: int) -> None:
    """Let the journal after the checkpoint tell of the step that was under way."""
    for entry in entries:
        if entry.attempt != state.run.attempt:
            continue
        for seq, event in unfold(entry):
            if seq > after:
                _fold_one(state, event)


def _fold_one(state: RunState, event: ev.Event) -> None:
    match event:
        case ev.StepStarted():
            state.step, state.in_step = event.step, True
        case ev.Deltas() | ev.ContentReset() | ev.MessageCompleted() | ev.ArtifactEmitted():
            _fold_text(state, event)
        case ev.PlanUpdated():
            state.plan, state.planned_step = event.plan, event.step
            state.step_usage = state.step_usage.plus(event.usage or Usage())
        case ev.ToolCallStarted() | ev.ToolCallFailed():
            _fold_call(state, event)
        case ev.TaskCompleted():
            state.step_usage = state.step_usage.plus(event.usage)
        case ev.ApprovalResolved():
            state.acknowledged.add(event.approval_id)
        case ev.RunCompleted() | ev.RunFailed() | ev.RunCancelled():
            _fold_end(state, event)


def _fold_text(state: RunState, event: ev.Deltas | ev.ContentReset | ev.MessageCompleted | ev.ArtifactEmitted) -> None:
    if isinstance(event, ev.Deltas | ev.ArtifactEmitted):
        if event.message_id != state.partial_message_id:
            state.partial_message_id, state.partial_text = event.message_id, ""
        if isinstance(event, ev.Deltas) and event.of == "content":
            state.partial_text += "".join(event.contents)
        return
    state.partial_message_id, state.partial_text = None, ""
    if isinstance(event, ev.MessageCompleted):
        state.step_usage = state.step_usage.plus(event.usage or Usage())


def _fold_call(state: RunState, event: ev.ToolCallStarted | ev.ToolCallFailed) -> None:
    if isinstance(event, ev.ToolCallStarted):
        state.calls[event.tool_call_id] = "started"
    elif event.error.get("code") == "outcome_unknown":
        state.calls[event.tool_call_id] = "unknown"
    else:
        state.calls.pop(event.tool_call_id, None)


def _fold_end(state: RunState, event: ev.RunCompleted | ev.RunFailed | ev.RunCancelled) -> None:
    state.metrics = event.metrics
    match event:
        case ev.RunCompleted():
            state.ended = "completed"
        case ev.RunFailed():
            state.ended, state.end_error = "failed", event.error
        case ev.RunCancelled():
            state.ended = "cancelled"
