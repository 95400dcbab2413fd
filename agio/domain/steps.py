"""Steps of a run, read back from its journal."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agio.domain import events as ev
from agio.domain.journal import Entry, unfold
from agio.domain.metrics import Usage


@dataclass(slots=True, kw_only=True)
class ToolUse:
    """One tool call of a step."""

    tool_call_id: str
    name: str
    arguments: Any
    started_at: datetime
    status: str = "running"
    """`running`, `completed` or `failed`."""
    result: Any = None
    error: dict[str, Any] | None = None
    duration_ms: int | None = None
    ended_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class ModelUse:
    """One call of the model that a step made, repetitions after a failure included."""

    started_at: datetime
    purpose: str = "answer"
    """`answer` or `plan`."""
    status: str = "running"
    """`running`, `completed`, `failed` or `cancelled`."""
    ended_at: datetime | None = None
    usage: Usage | None = None
    error: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Step:
    """One step: a model call and the tools that it asked for."""

    step: int
    attempt: int
    status: str = "running"
    """`running`, `completed` or `abandoned` (the run ended or was restored in the middle of it)."""
    started_at: datetime
    ended_at: datetime | None = None
    duration_ms: int | None = None
    usage: Usage | None = None
    content: Any = None
    model_calls: list[ModelUse] = field(default_factory=list)
    tool_calls: list[ToolUse] = field(default_factory=list)
    checkpoint_id: str | None = None
    redone: int = 0
    """How often it was begun again (crash, pause `now`)."""


def steps_of(entries: Iterable[Entry]) -> list[Step]:
    """Return the steps that the journal tells of, in order of their beginning."""
    steps: list[Step] = []
    tools: dict[str, ToolUse] = {}
    for entry in entries:
        for _, event in unfold(entry):
            _fold(steps, tools, entry, event)
    return steps


def last_whole(entries: Iterable[Entry], *, enough_at: int | None = None) -> int | None:
    """Return the sequence number of the last event that completes a step; None: there is none.

    Args:
        enough_at: the first one there or behind is returned, and nothing behind it looked at.
    """
    found: int | None = None
    for entry in entries:
        seq = entry.first_seq
        for event in entry.events:
            if isinstance(event, ev.StepCompleted):
                found = seq
                if enough_at is not None and seq >= enough_at:
                    return found
            seq += ev.span(event)
    return found


def present_steps(steps: Iterable[Step]) -> list[Step]:
    """Return the steps without those that a newer attempt left behind."""
    found: list[Step] = []
    for step in steps:
        if found and step.attempt > found[-1].attempt:
            found = [earlier for earlier in found if earlier.step < step.step]
        found.append(step)
    return found


def _fold(steps: list[Step], tools: dict[str, ToolUse], entry: Entry, event: ev.Event) -> None:
    current = steps[-1] if steps and steps[-1].status == "running" else None
    match event:
        case ev.StepStarted():
            _begin(steps, entry, event.step)
        case ev.PlanUpdated() if current:
            _close_model(current, entry, "completed", purpose="plan", usage=event.usage)
            current.model_calls.append(ModelUse(started_at=entry.at))
        case ev.MessageCompleted() if current and event.role == "assistant":
            current.content = event.content
            _close_model(current, entry, "completed", usage=event.usage)
        case ev.ToolCallStarted() if current:
            _call(current, tools, entry, event)
        case ev.ToolCallCompleted() if event.tool_call_id in tools:
            use = tools[event.tool_call_id]
            use.status, use.result, use.duration_ms = "completed", event.result, event.duration_ms
            use.ended_at = entry.at
        case ev.ToolCallFailed() if event.tool_call_id in tools:
            use = tools[event.tool_call_id]
            use.status, use.error, use.duration_ms = "failed", event.error, event.duration_ms
            use.ended_at = entry.at
        case ev.StepCompleted() if current:
            current.status, current.ended_at = "completed", entry.at
            current.duration_ms, current.usage = event.duration_ms, event.usage
            current.checkpoint_id = entry.checkpoint.id if entry.checkpoint else None
            _drop_unasked(current)
        case ev.RunFailed() if current:
            _close_model(current, entry, "failed", error=event.error)
            current.status, current.ended_at = "abandoned", entry.at
        case ev.RunCompleted() | ev.RunCancelled() | ev.RunRestored() if current:
            _close_model(current, entry, "cancelled")
            current.status, current.ended_at = "abandoned", entry.at


def _close_model(current: Step, entry: Entry, status: str, **fields: Any) -> None:
    """Note how the step's open model call ended, if it has one."""
    use = current.model_calls[-1] if current.model_calls else None
    if use is None or use.status != "running" or current.tool_calls:
        _drop_unasked(current)
        return
    current.model_calls[-1] = replace(use, status=status, ended_at=entry.at, **fields)


def _drop_unasked(current: Step) -> None:
    """A step that goes on with the tools of an earlier one asks no model."""
    current.model_calls = [use for use in current.model_calls if use.status != "running"]


def _begin(steps: list[Step], entry: Entry, number: int) -> None:
    last = steps[-1] if steps else None
    if last and last.status == "running" and (last.step, last.attempt) == (number, entry.attempt):
        last.redone += 1
        if not last.tool_calls:
            _drop_unasked(last)
            last.model_calls.append(ModelUse(started_at=entry.at))
        return
    call = ModelUse(started_at=entry.at)
    steps.append(Step(step=number, attempt=entry.attempt, started_at=entry.at, model_calls=[call]))


def _call(current: Step, tools: dict[str, ToolUse], entry: Entry, event: ev.ToolCallStarted) -> None:
    use = tools.get(event.tool_call_id)
    if use is not None and use in current.tool_calls:
        use.status, use.error, use.ended_at = "running", None, None
        return
    use = ToolUse(tool_call_id=event.tool_call_id, name=event.name, arguments=event.arguments, started_at=entry.at)
    current.tool_calls.append(use)
    tools[event.tool_call_id] = use
