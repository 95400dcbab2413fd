"""Events of a run: what readers see, in order, numbered 1, 2, 3, …

Every class is one event of the wire, but for `Deltas`, which stands for as many events as it has
contents: that is how tokens are stored. Fields that are None are left out on the wire.
"""

from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any, ClassVar, Literal, TypeAlias

from agio.domain.messages import Content
from agio.domain.metrics import Metrics, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """First event of every run."""

    type: ClassVar[str] = "run_started"
    session_id: str
    branch_id: str
    agent_id: str
    model: str
    attempt: int
    parent_run_id: str | None = None
    """Set, like the next two, on child runs."""
    task_id: str | None = None
    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted:
    """A task was given to a child run."""

    type: ClassVar[str] = "task_started"
    task_id: str
    name: str
    executor: str
    child_run_id: str
    progress: float | None = None
    """How far the workflow is, from 0 to 1; None where nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompleted:
    """A task's child run answered.

    Stored without `result` when the entry carries it as a message.
    """

    type: ClassVar[str] = "task_completed"
    task_id: str
    name: str
    child_run_id: str
    usage: Usage
    duration_ms: int
    progress: float | None = None
    result: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """A task's child run failed or was cancelled. `error` is `{code, message}`."""

    type: ClassVar[str] = "task_failed"
    task_id: str
    name: str
    child_run_id: str
    """Empty: nobody could do it, and nothing was begun."""
    error: dict[str, Any]
    progress: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step begins (again)."""

    type: ClassVar[str] = "step_started"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted:
    """A step's messages are on the branch."""

    type: ClassVar[str] = "step_completed"
    step: int
    usage: Usage
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deltas:
    """A stretch of one message's text or reasoning; one event on the wire per content."""

    type: ClassVar[str] = "deltas"
    of: Literal["content", "reasoning"]
    step: int
    message_id: str
    contents: tuple[str, ...]
    sizes: tuple[int, ...] | None = None
    """Set by compaction, which joins the texts of many ids to one content: the characters of each."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each id."""
        if self.sizes is None:
            return self.contents
        (whole,) = self.contents
        ends = list(accumulate(self.sizes))
        return tuple(whole[end - size : end] for size, end in zip(self.sizes, ends, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentReset:
    """Drop what was shown of the message: its step is done again."""

    type: ClassVar[str] = "content_reset"
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCompleted:
    """A message is whole.

    Stored without `content` and `tool_calls` when the entry carries the message itself.
    """

    type: ClassVar[str] = "message_completed"
    step: int
    message_id: str
    role: str
    content: Content | None = None
    tool_calls: list[dict[str, Any]] | None = None
    usage: Usage | None = None
    """Of the model call that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEmitted:
    """An agent gave out an artifact, or a chunk of one. A reset of the message takes it back."""

    type: ClassVar[str] = "artifact_emitted"
    step: int
    message_id: str
    """The answer under way."""
    artifact_id: str
    parts: list[dict[str, Any]]
    """See `agio.domain.parts.Part.stored`."""
    append: bool
    """Comes behind what the artifact has; else in its place."""
    last: bool
    """No further chunk follows."""
    name: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanUpdated:
    """A plan was made or revised."""

    type: ClassVar[str] = "plan_updated"
    step: int
    plan: str
    revised: bool
    usage: Usage | None = None
    """Of the model call that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    """A tool is about to be called; durable before its effect."""

    type: ClassVar[str] = "tool_call_started"
    step: int
    tool_call_id: str
    name: str
    arguments: Any = None
    """The decoded object, or the model's text where it is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallCompleted:
    """A tool answered; `result` is the text that the model is given.

    Stored without `result` when the entry carries the tool message itself.
    """

    type: ClassVar[str] = "tool_call_completed"
    step: int
    tool_call_id: str
    name: str
    duration_ms: int
    result: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFailed:
    """A tool did not answer. `error` is `{code, message}`."""

    type: ClassVar[str] = "tool_call_failed"
    step: int
    tool_call_id: str
    name: str
    error: dict[str, Any]
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequired:
    """A tool call rests until someone approves or rejects it."""

    type: ClassVar[str] = "approval_required"
    step: int
    approval_id: str
    tool_call_id: str
    name: str
    arguments: Any = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalResolved:
    """Someone decided."""

    type: ClassVar[str] = "approval_resolved"
    approval_id: str
    tool_call_id: str
    decision: Literal["approve", "reject"]
    by: str
    note: str | None = None
    arguments: Any = None
    """Set when the decision changed the arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCreated:
    """A checkpoint is durable."""

    type: ClassVar[str] = "checkpoint_created"
    checkpoint_id: str
    step: int
    parent_checkpoint_id: str | None = None
    branch_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPauseRequested:
    """A pause was heard; it takes effect at the next safe point."""

    type: ClassVar[str] = "run_pause_requested"
    by: str
    mode: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """The run rests."""

    type: ClassVar[str] = "run_paused"
    by: str
    checkpoint_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWaiting:
    """The run rests until an approval, a person's decision or the end of a child run (`reason`)."""

    type: ClassVar[str] = "run_waiting"
    reason: str
    checkpoint_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInterrupted:
    """The run rests because its workers kept dying."""

    type: ClassVar[str] = "run_interrupted"
    reason: str
    claims: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """The run goes on."""

    type: ClassVar[str] = "run_resumed"
    by: str
    checkpoint_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecovered:
    """Another worker took the run over."""

    type: ClassVar[str] = "run_recovered"
    reason: Literal["drained", "crashed"]
    worker: str
    epoch: int
    from_checkpoint_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRestored:
    """A new attempt begins at a checkpoint of the same run."""

    type: ClassVar[str] = "run_restored"
    attempt: int
    from_checkpoint_id: str | None = None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something a reader should know; the run goes on."""

    type: ClassVar[str] = "warning"
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted:
    """Terminal: the run answered. `response` is the text of the last message."""

    type: ClassVar[str] = "run_completed"
    response: str | None = None
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """Terminal: `error` is `{code, message, retryable}`."""

    type: ClassVar[str] = "run_failed"
    error: dict[str, Any]
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    """Terminal: someone asked."""

    type: ClassVar[str] = "run_cancelled"
    by: str
    metrics: Metrics
    reason: str | None = None
    partial_response: str | None = None


Event: TypeAlias = (
    RunStarted
    | StepStarted
    | StepCompleted
    | Deltas
    | ContentReset
    | MessageCompleted
    | ArtifactEmitted
    | PlanUpdated
    | ToolCallStarted
    | ToolCallCompleted
    | ToolCallFailed
    | ApprovalRequired
    | ApprovalResolved
    | CheckpointCreated
    | TaskStarted
    | TaskCompleted
    | TaskFailed
    | RunPauseRequested
    | RunPaused
    | RunWaiting
    | RunInterrupted
    | RunResumed
    | RunRecovered
    | RunRestored
    | Warned
    | RunCompleted
    | RunFailed
    | RunCancelled
)

EVENT_TYPES: dict[str, type[Event]] = {cls.type: cls for cls in Event.__args__}

TERMINAL_EVENTS = (RunCompleted, RunFailed, RunCancelled)
"""Exactly one per attempt, and nothing of the attempt after it."""


RESTING_EVENTS = (RunPaused, RunWaiting, RunInterrupted)
"""The run rests after it."""

_FIELDS = {cls: tuple(f.name for f in fields(cls)) for cls in EVENT_TYPES.values()}


def fields_of(event: Event) -> dict[str, Any]:
    """Return the event's fields by name, those that are None left out."""
    return {name: value for name in _FIELDS[type(event)] if (value := getattr(event, name)) is not None}


def span(event: Event) -> int:
    """Return how many sequence numbers the event takes."""
    if isinstance(event, Deltas):
        return len(event.contents if event.sizes is None else event.sizes)
    return 1
