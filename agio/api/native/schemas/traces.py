"""Events, messages, steps and spans on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from agio.api.native.schemas.common import Instant, View
from agio.domain.messages import Message
from agio.domain.runs import Run
from agio.domain.steps import ModelUse, Step, ToolUse
from agio.engine.trees import Trace


class EventList(BaseModel):
    """Events as a list: the `data` objects of the stream."""

    items: list[dict[str, Any]]
    total: int = Field(description="Sequence number of the run's last event.")
    limit: int
    after: int
    next_after: int = Field(description="Give this as `after` for the next page.")
    has_more: bool


class ToolCallView(View):
    """A tool call as the model asked for it."""

    id: str
    name: str
    arguments: str = Field(description="JSON text, as the model wrote it.")


class MessageView(View):
    """One message of a conversation."""

    id: str
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]]
    tool_calls: list[ToolCallView] = Field(default_factory=list)
    tool_call_id: str | None = None
    name: str | None = None
    step: int | None = None
    run_id: str | None = None
    created_at: Instant | None = None
    reasoning: str | None = None
    incomplete: bool = False
    error: str | None = None


def view_message(message: Message) -> MessageView:
    """Return a message as it stands on the wire."""
    return MessageView.model_validate(message)


class UsageView(View):
    """Tokens of the step's model calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: float | None = None


class ToolUseView(View):
    """A tool call and what became of it."""

    tool_call_id: str
    name: str
    arguments: Any
    status: str
    result: Any = None
    error: dict[str, Any] | None = None
    started_at: Instant
    duration_ms: int | None = None


class StepView(View):
    """One step of a run."""

    step: int
    attempt: int
    status: str = Field(description="`running`, `completed` or `abandoned`.")
    started_at: Instant
    ended_at: Instant | None = None
    duration_ms: int | None = None
    usage: UsageView | None = None
    content: Any = None
    tool_calls: list[ToolUseView] = Field(default_factory=list)
    checkpoint_id: str | None = None
    redone: int = Field(default=0, description="How often it was begun again.")


def view_step(step: Step) -> StepView:
    """Return a step as it stands on the wire."""
    return StepView.model_validate(step)


class Span(BaseModel):
    """A stretch of time with what happened in it."""

    id: str
    parent_id: str | None = None
    kind: Literal["run", "step", "model", "tool"]
    name: str
    started_at: Instant | None = None
    ended_at: Instant | None = None
    duration_ms: int | None = None
    status: str
    attributes: dict[str, Any] = Field(default_factory=dict)
    children: list["Span"] = Field(default_factory=list)


def view_span(run: Run, steps: list[Step]) -> Span:
    """Return a run as a tree of spans."""
    return Span(
        id=run.id,
        parent_id=run.parent.run_id if run.parent else None,
        kind="run",
        name=run.agent_id,
        started_at=run.started_at,
        ended_at=run.ended_at,
        duration_ms=run.metrics.duration_ms,
        status=run.status,
        attributes={"model": run.model, "attempt": run.attempt, "total_tokens": run.metrics.total_tokens},
        children=[_step_span(run, step) for step in steps],
    )


def view_trace(trace: Trace) -> Span:
    """Return a run with its child runs as one tree of spans."""
    span = view_span(trace.run, trace.steps)
    for task_id, child in trace.children:
        inner = view_trace(child)
        inner.parent_id = trace.run.id
        inner.attributes["task_id"] = task_id
        span.children.append(inner)
    return span


def _step_span(run: Run, step: Step) -> Span:
    span_id = f"{run.id}/{step.attempt}/{step.step}"
    usage = step.usage
    return Span(
        id=span_id,
        parent_id=run.id,
        kind="step",
        name=f"step {step.step}",
        started_at=step.started_at,
        ended_at=step.ended_at,
        duration_ms=step.duration_ms,
        status=step.status,
        attributes={"attempt": step.attempt, "total_tokens": usage.total_tokens if usage else 0},
        children=[
            *(_model_span(span_id, run.model, number, use) for number, use in enumerate(step.model_calls, 1)),
            *(_tool_span(span_id, use) for use in step.tool_calls),
        ],
    )


def _model_span(parent_id: str, model: str, number: int, use: ModelUse) -> Span:
    took = use.ended_at - use.started_at if use.ended_at else None
    return Span(
        id=f"{parent_id}/model-{number}",
        parent_id=parent_id,
        kind="model",
        name=model,
        started_at=use.started_at,
        ended_at=use.ended_at,
        duration_ms=round(took.total_seconds() * 1000) if took is not None else None,
        status=use.status,
        attributes={"purpose": use.purpose, "error": use.error}
        | (UsageView.model_validate(use.usage).model_dump() if use.usage else {}),
    )


def _tool_span(parent_id: str, use: ToolUse) -> Span:
    return Span(
        id=f"{parent_id}/{use.tool_call_id}",
        parent_id=parent_id,
        kind="tool",
        name=use.name,
        started_at=use.started_at,
        ended_at=use.ended_at,
        duration_ms=use.duration_ms,
        status=use.status,
        attributes={"arguments": use.arguments, "error": use.error},
    )
