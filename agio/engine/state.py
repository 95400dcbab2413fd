"""What the owner of a run knows of it: the record, the conversation, and the step under way."""

from dataclasses import dataclass, field
from typing import Literal

from agio.domain.agents import AgentSnapshot
from agio.domain.approvals import Approval
from agio.domain.checkpoints import Checkpoint
from agio.domain.messages import Content, Message, ToolCall, open_tool_calls
from agio.domain.metrics import Metrics, Usage
from agio.domain.runs import Run, RunSpec

CallState = Literal["new", "started", "unknown"]
"""A tool call without an answer: never begun · begun, and the worker died · reported as such."""


@dataclass(slots=True, kw_only=True)
class RunState:
    """Mutable; belongs to one driver."""

    run: Run
    spec: RunSpec
    snapshot: AgentSnapshot
    messages: list[Message]
    """The conversation on the branch, the step under way included."""
    head: int
    """Last sequence number in the journal when the run was claimed."""
    has_written: bool = False
    """The journal ends with an entry of this ownership: the state was read anew in its midst."""
    step: int
    """The step under way, or the last one that was completed."""
    in_step: bool = False
    """A step was begun and is not completed."""
    plan: str | None = None
    planned_step: int = 0
    """The step that the plan was made or revised for."""
    metrics: Metrics = field(default_factory=Metrics)
    checkpoint: Checkpoint | None = None
    """The latest of the run; None until the input is on the branch."""
    parent_checkpoint_id: str | None = None
    """What the next checkpoint names as its parent."""
    step_usage: Usage = field(default_factory=Usage)
    partial_message_id: str | None = None
    """A message whose tokens were shown and that was never completed."""
    partial_text: str = ""
    calls: dict[str, CallState] = field(default_factory=dict)
    """Tool calls of the step under way that are not new."""
    approvals: dict[str, Approval] = field(default_factory=dict)
    """The run's approvals by tool call id (latest)."""
    call_ids: set[str] = field(init=False)
    """Ids of all tool calls of the conversation."""
    acknowledged: set[str] = field(default_factory=set)
    """Approvals whose decision an event has told already."""
    ended: Literal["completed", "failed", "cancelled"] | None = None
    """The journal has the terminal event though the record does not say so."""
    end_error: dict[str, object] | None = None
    needs_input: bool = True
    """The user's message is not on the branch yet."""
    is_restored: bool = False
    """This attempt began at a checkpoint, so the question is on the branch."""
    tool_results: dict[str, Content] = field(default_factory=dict)
    """Answers that a person or a fork gave in place of calling the tool."""
    retry_tools: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.call_ids = {call.id for message in self.messages for call in message.tool_calls}

    @property
    def open_calls(self) -> list[ToolCall]:
        """Tool calls that no message answers."""
        return open_tool_calls(self.messages)

    @property
    def unclosed(self) -> bool:
        """All tool calls of the step under way are answered, and its owner died before it could close it."""
        last = self.messages[-1] if self.messages else None
        return self.in_step and last is not None and last.role == "tool" and last.step == self.step

    @property
    def answered(self) -> bool:
        """The last message is an answer without tool calls."""
        last = self.messages[-1] if self.messages else None
        return last is not None and last.role == "assistant" and not last.tool_calls and not last.is_question

    @property
    def asks(self) -> bool:
        """The last message is a question to the user."""
        return bool(self.messages) and self.messages[-1].is_question
