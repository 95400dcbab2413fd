"""Runs, chat turns and commands on the wire."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from agio.api.native.schemas.common import MAX_MESSAGE_CHARS, SESSION_ID, Body, Instant, JsonObject, View
from agio.domain.approvals import Approval
from agio.domain.errors import LimitExceeded
from agio.domain.messages import Content, text_of
from agio.domain.runs import Budget, Run
from agio.domain.sessions import OnBusy
from agio.domain.status import RunStatus
from agio.engine.reading import RunDetail
from agio.engine.starting import StartRequest

Text = Annotated[str, Field(min_length=1, max_length=MAX_MESSAGE_CHARS)]
RunId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Chosen by the client, so that it can command the run before it hears of it.",
        examples=["my-run-1"],
    ),
]


_BLANK = re.compile(r"[^\S\x1c-\x1f]*")
"""Text that the pattern `\\S` finds nothing in; Python alone takes U+001C to U+001F for white space."""


def check_content(content: Any) -> Any:
    """Refuse an empty message and one that is too large."""
    if isinstance(content, str) or (isinstance(content, list) and all(isinstance(p, dict) for p in content)):
        text = text_of(content)
        if len(text) > MAX_MESSAGE_CHARS:
            raise LimitExceeded(f"the message has {len(text)} characters; {MAX_MESSAGE_CHARS} are the limit")
        if isinstance(content, str) and _BLANK.fullmatch(text):
            raise ValueError("the message is empty")
        if isinstance(content, list) and not content:
            raise ValueError("the message has no parts")
    return content


Parts = Annotated[list[JsonObject], Field(min_length=1)]
_Words = Annotated[str, Field(min_length=1, max_length=MAX_MESSAGE_CHARS, pattern=r"\S")]
MessageContent = Annotated[
    str | list[JsonObject],
    BeforeValidator(check_content, json_schema_input_type=_Words | Parts),
    Field(description="Text, or content parts in the chat-completions form.", examples=["What is 6 times 7?"]),
]


class BudgetBody(Body):
    """What the run may spend before it fails with `budget_exceeded`."""

    max_total_tokens: int | None = Field(default=None, ge=1)
    max_seconds: float | None = Field(default=None, gt=0, description="Execution only; rest does not count.")
    max_cost: float | None = Field(default=None, gt=0, description="US dollars.")

    def to_domain(self) -> Budget:
        """Return the domain's form."""
        return Budget(**self.model_dump())


class MessageEditBody(Body):
    """One message of the past, changed: by `index` (negative ones count from the end) or `message_id`.

    With `role`, the list is a full list of the messages to keep.
    """

    index: int | None = None
    message_id: str | None = None
    role: Literal["system", "user", "assistant", "tool"] | None = None
    content: str | list[JsonObject]

    @field_validator("content")
    @classmethod
    def _bounded(cls, content: Content) -> Content:
        if len(text_of(content)) > MAX_MESSAGE_CHARS:
            raise ValueError("the content is too large")
        return content


class Modifications(Body):
    """What the new run does otherwise. Every key that is given is applied, and shown in its view."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"system_prompt": "Answer in French."}]})

    modified_query: Text | Parts | None = Field(
        default=None, description="Replaces the last user message; what followed it is dropped."
    )
    modified_messages: list[MessageEditBody] | None = None
    system_prompt: str | None = Field(default=None, max_length=MAX_MESSAGE_CHARS)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    provider: str | None = Field(default=None, min_length=1, max_length=100)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    tools: list[str] | None = Field(default=None, max_length=128)
    max_steps: int | None = Field(default=None, ge=1, le=100_000)
    tool_results: dict[str, str] | None = Field(default=None, description="Results by tool call id.")
    metadata: JsonObject | None = None

    def to_domain(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


class ChatBody(Body):
    """A message for an agent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"agent_id": "assistant", "message": "What is 6 times 7?", "stream": True}]},
    )

    agent_id: str = Field(min_length=1, max_length=64, examples=["assistant"])
    message: MessageContent
    stream: bool = Field(default=True, description="Answer as an event stream; otherwise when the run is done.")
    session_id: str | None = Field(
        default=None,
        pattern=SESSION_ID,
        description="A conversation to go on with; one that does not exist yet is made.",
    )
    branch_id: str | None = Field(default=None, min_length=1, max_length=128)
    user_id: str | None = Field(default=None, max_length=200)
    run_id: RunId | None = None
    max_steps: int | None = Field(default=None, ge=1, le=100_000)
    force_final_answer: bool = True
    on_busy: Annotated[OnBusy, Field(strict=False)] = OnBusy.QUEUE
    modifications: Modifications | None = None
    metadata: JsonObject = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list, max_length=50)
    budget: BudgetBody | None = None
    detached: bool = Field(default=True, description="False: cancel the run when its last reader here leaves.")

    def to_request(self, run_id: str) -> StartRequest:
        """Return the use case's form."""
        return StartRequest(
            agent_id=self.agent_id,
            message=self.message,
            session_id=self.session_id,
            branch_id=self.branch_id,
            user_id=self.user_id,
            run_id=run_id,
            max_steps=self.max_steps,
            force_final_answer=self.force_final_answer,
            on_busy=self.on_busy,
            modifications=self.modifications.to_domain() if self.modifications else {},
            metadata=self.metadata,
            tags=tuple(self.tags),
            budget=self.budget.to_domain() if self.budget else None,
            detached=self.detached,
        )


class MetricsView(View):
    """What the run spent."""

    steps: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: float | None = None
    duration_ms: int = 0
    time_to_first_token_ms: int | None = None


class ParentView(View):
    """Where the run came from."""

    run_id: str
    checkpoint_id: str
    kind: Literal["restore", "fork"]


class PlaceView(View):
    """Where a child run stands in the tree of its workflow."""

    root_run_id: str
    parent_run_id: str
    task_id: str
    depth: int = Field(description="1 for the children of the root.")


class OwnerView(View):
    """The worker process that executes the run."""

    worker: str
    since: Instant


class ErrorView(View):
    """Why the run failed."""

    code: str = Field(examples=["provider_unavailable"])
    message: str
    retryable: bool = False


class ApprovalView(View):
    """A tool call that needs a person's word."""

    id: str
    approval_id: str
    run_id: str
    session_id: str
    step: int
    tool_call_id: str
    name: str
    arguments: Any
    reason: str
    status: Literal["pending", "approved", "rejected", "cancelled"]
    by: str | None = None
    note: str | None = None
    edited_arguments: dict[str, Any] | None = None
    created_at: Instant
    resolved_at: Instant | None = None


def view_approval(approval: Approval) -> ApprovalView:
    """Return an approval as it stands on the wire."""
    return ApprovalView(
        id=approval.id,
        approval_id=approval.id,
        run_id=approval.run_id,
        session_id=approval.session_id,
        step=approval.step,
        tool_call_id=approval.tool_call_id,
        name=approval.name,
        arguments=approval.arguments,
        reason=approval.reason,
        status=approval.status,
        by=approval.by,
        note=approval.note,
        edited_arguments=approval.edited_arguments,
        created_at=approval.created_at,
        resolved_at=approval.resolved_at,
    )


class RunRow(View):
    """A run in a list: no payloads."""

    id: str
    agent_id: str
    agent_version: int
    model: str
    session_id: str
    branch_id: str
    status: RunStatus
    status_reason: str | None
    pause_requested: bool
    cancel_requested: bool
    step: int
    attempt: int
    preview: str = Field(description="First characters of the input.")
    error: ErrorView | None = None
    metrics: MetricsView
    parent: ParentView | None = None
    place: PlaceView | None = Field(default=None, description="Set on child runs.")
    pending_approvals: list[str] = Field(description="Ids of the approvals that the run waits for.")
    last_checkpoint_id: str | None = None
    last_seq: int
    owner: OwnerView | None = None
    created_at: Instant
    started_at: Instant | None = None
    updated_at: Instant
    ended_at: Instant | None = None
    created_by: str
    group_id: str
    tags: list[str]
    metadata: dict[str, Any]


class RunView(RunRow):
    """A run, whole."""

    run_id: str = Field(description="The same as `id`.")
    input: str | list[dict[str, Any]] | None = None
    response: str | None = None
    modifications: dict[str, Any] = Field(default_factory=dict, description="As they were applied.")
    queue_position: int | None = Field(default=None, description="Counted from 1 while the run is queued.")
    detached: bool = True


def run_fields(run: Run) -> dict[str, Any]:
    """Return what lists and views share."""
    return {
        "id": run.id,
        "agent_id": run.agent_id,
        "agent_version": run.agent_version,
        "model": run.model,
        "session_id": run.session_id,
        "branch_id": run.branch_id,
        "status": run.status,
        "status_reason": run.reason,
        "pause_requested": run.pause is not None,
        "cancel_requested": run.cancel is not None and run.status is not RunStatus.CANCELLED,
        "step": run.step,
        "attempt": run.attempt,
        "preview": run.preview,
        "error": run.error,
        "metrics": MetricsView.model_validate(run.metrics),
        "parent": run.parent,
        "place": run.place,
        "pending_approvals": list(run.pending_approvals),
        "last_checkpoint_id": run.last_checkpoint_id,
        "last_seq": run.last_seq,
        "owner": OwnerView(worker=run.owner, since=run.owned_since) if run.owner and run.owned_since else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "updated_at": run.updated_at,
        "ended_at": run.ended_at,
        "created_by": run.created_by,
        "group_id": run.group_id,
        "tags": list(run.tags),
        "metadata": run.metadata,
    }


def view_row(run: Run) -> RunRow:
    """Return a run as lists show it."""
    return RunRow.model_validate(run_fields(run))


def view_run(detail: RunDetail) -> RunView:
    """Return a run, whole."""
    fields = run_fields(detail.run) | {
        "run_id": detail.run.id,
        "last_seq": detail.last_seq,
        "input": detail.spec.input,
        "response": detail.response,
        "modifications": detail.run.modifications or detail.spec.modifications,
        "queue_position": detail.queue_position,
        "detached": detail.run.detached,
    }
    return RunView.model_validate(fields)


class ChatAnswer(View):
    """The answer of a run that nobody streamed."""

    run_id: str
    session_id: str
    branch_id: str
    response: str | None
    status: RunStatus
    steps: int
    metrics: MetricsView
    pending_approvals: list[str] = Field(default_factory=list)


class PauseBody(Body):
    """How to pause."""

    mode: Literal["safe", "now"] = Field(
        default="safe", description="`safe`: at the next safe point · `now`: drop the step, redo it on resume."
    )
    reason: str | None = Field(default=None, max_length=1000)


class CancelBody(Body):
    """Why to cancel."""

    reason: str | None = Field(default=None, max_length=1000)


class DecisionBody(Body):
    """A decision on an approval."""

    decision: Literal["approve", "reject"]
    note: str | None = Field(default=None, max_length=10_000)
    arguments: JsonObject | None = Field(default=None, description="Replace the tool call's arguments.")


class ApprovalDecisionBody(DecisionBody):
    """A decision that names its approval."""

    approval_id: str


class ResumeBody(Body):
    """How to go on."""

    approvals: list[ApprovalDecisionBody] = Field(default_factory=list, max_length=1000)
    message: MessageContent | None = Field(default=None, description="A message to add before the run goes on.")
    tool_results: dict[str, str] = Field(
        default_factory=dict, description="Results of tool calls whose outcome is unknown, by tool call id."
    )
    retry_tools: list[str] = Field(
        default_factory=list, description="Tool calls whose outcome is unknown, to be made again."
    )


class CommandAnswer(View):
    """What became of a command."""

    run_id: str
    status: RunStatus
    pause_requested: bool
    cancel_requested: bool
    message: str = Field(examples=["the run will pause at its next safe point"])


def view_command(run: Run, message: str) -> CommandAnswer:
    """Return the answer to a command."""
    return CommandAnswer(
        run_id=run.id,
        status=run.status,
        pause_requested=run.pause is not None,
        cancel_requested=run.cancel is not None and run.status is not RunStatus.CANCELLED,
        message=message,
    )


class RunSelection(Body):
    """Which runs a bulk command is for; several members narrow it."""

    run_ids: list[str] | None = Field(default=None, max_length=1000)
    status: list[Annotated[RunStatus, Field(strict=False)]] | None = None
    agent_id: str | None = None
    session_id: str | None = None
    tag: str | None = None


class BulkBody(Body):
    """A command for several runs."""

    filter: RunSelection = Field(default_factory=RunSelection)
    reason: str | None = Field(default=None, max_length=1000)
    mode: Literal["safe", "now"] = "safe"


class BulkRow(View):
    """What became of a bulk command for one run."""

    run_id: str
    ok: bool
    status: RunStatus | None = None
    type: str | None = Field(default=None, description="Code of the problem, where it is not ok.")
    message: str


class BulkAnswer(View):
    """What became of a bulk command."""

    items: list[BulkRow]
    total: int
    accepted: int
