"""Runs: the record of one execution of an agent.

A run's status, owner and totals are a projection of its journal, kept for listing and claiming.
The rules by which they change are in `agio.domain.control`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agio.domain.agents import AgentSnapshot
from agio.domain.messages import Content
from agio.domain.metrics import Metrics
from agio.domain.status import LIVE, TERMINAL, RunStatus, StopReason
from agio.domain.workflow import Place, Workflow

WORKFLOW_AGENT = "workflow:"
"""What the agent ids of runs begin with that carry a workflow out; no agent's does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may spend before it fails with `budget_exceeded`."""

    max_total_tokens: int | None = None
    max_seconds: float | None = None
    """Seconds of execution; rest does not count."""
    max_cost: float | None = None
    """US dollars; counts only where the provider says what a call cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCall:
    """A tool call that is all of a run."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What was asked. Written once, when the run is accepted."""

    input: Content | None = None
    """The user's message; None when the run continues from a checkpoint without a new one."""
    input_metadata: dict[str, Any] = field(default_factory=dict)
    """Of that message."""
    modifications: dict[str, Any] = field(default_factory=dict)
    """What a restore or fork changed, as it was applied."""
    force_final_answer: bool = True
    budget: Budget | None = None
    tool_results: dict[str, Content] = field(default_factory=dict)
    """Results given by a fork in place of calling the tools, by tool call id."""
    workflow: Workflow | None = None
    """Set: the run carries this out by child runs and asks no model itself."""
    call: OneCall | None = None
    """Set: the run makes this call and asks no model."""
    team: dict[str, AgentSnapshot] = field(default_factory=dict)
    """Agents that this one may delegate to, by name; a delegated piece of work is a child run."""

    @property
    def has_children(self) -> bool:
        """The run may have child runs."""
        return self.workflow is not None or bool(self.team)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Where a run came from."""

    run_id: str
    checkpoint_id: str
    kind: Literal["restore", "fork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequest:
    """A pause that was accepted and has not taken effect."""

    by: str
    at: datetime
    mode: Literal["safe", "now"] = "safe"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """A cancel that was accepted."""

    by: str
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A wish to label the next checkpoint."""

    by: str
    label: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A user message that came with a command."""

    id: str
    """The id that the message will have on the branch."""
    content: Content
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How the next owner shall go on; it acknowledges it with its first entry."""

    kind: Literal["resume", "approval", "restore", "child"]
    """`restore`: a new attempt (in-place restore, retry) · `child`: a child run ended."""
    by: str
    seq: int
    """The control sequence number that it came with."""
    words: tuple[Words, ...] = ()
    """User messages to add before the run goes on."""
    tool_results: dict[str, Content] = field(default_factory=dict)
    """Results of calls whose outcome is unknown, by tool call id."""
    retry_tools: tuple[str, ...] = ()
    """Calls whose outcome is unknown and that shall be made again."""
    from_checkpoint_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of an agent."""

    id: str
    group_id: str
    session_id: str
    branch_id: str
    agent_id: str
    agent_version: int
    agent_digest: str
    model: str
    status: RunStatus = RunStatus.QUEUED
    reason: str | None = None
    """A `StopReason`, or the code of the error."""
    attempt: int = 1
    step: int = 0
    """The last step that was completed."""
    base_step: int = 0
    """The step that it continues from (forks, restores)."""
    epoch: int = 0
    """Counts ownerships; grows with every claim."""
    owner: str | None = None
    """Incarnation id of the worker process that owns it."""
    owned_since: datetime | None = None
    holds_branch: bool = False
    """True from the moment it is its turn on its branch until it ends."""
    claims: int = 0
    """Claims after a crash without a new checkpoint since."""
    handed_over: bool = False
    """True when a draining worker gave it back."""
    control_seq: int = 0
    """Counts commands."""
    control_ack: int = 0
    """The last command that an owner acted on."""
    pause: PauseRequest | None = None
    cancel: CancelRequest | None = None
    order: Order | None = None
    marks: tuple[Mark, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)
    error: dict[str, Any] | None = None
    """`{code, message, retryable}` of a failed run."""
    pending_approvals: tuple[str, ...] = ()
    last_checkpoint_id: str | None = None
    last_seq: int = 1
    """Sequence number of the last event at the last projection; the journal may be ahead."""
    compacted_seq: int = 0
    """Up to where its journal is compacted; that of a run which has ended since then may hold more."""
    former_digests: tuple[str, ...] = ()
    """Agents that earlier attempts pinned; their checkpoints still need them."""
    parent: Parent | None = None
    place: Place | None = None
    """Set on child runs: where it stands in the tree of its workflow."""
    modifications: dict[str, Any] = field(default_factory=dict)
    """What the present attempt changed, where it is not the first; the first one's are in the spec."""
    preview: str = ""
    """First characters of the input."""
    detached: bool = True
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    trace: str | None = None
    """The W3C `traceparent` that the spans of its work belong to; None: nobody traces it."""
    user_id: str | None = None
    """Whose stored keys it calls models with; None: its group's alone."""
    llm_key: str | None = None
    """Where the key is that came with its request, as `<worker>/<id>[/<provider>]`: in that process's memory, nowhere
    else. Child runs have their parent's."""
    passed_on: bool = False
    """Its owner was named by another worker, and has not noticed yet."""
    on_restart: Literal["resume", "cancel"] | None = None
    """What becomes of it when its worker dies or stops; None: as the installation says."""
    created_by: str = "anonymous"
    created_at: datetime
    started_at: datetime | None = None
    updated_at: datetime
    ended_at: datetime | None = None
    revision: int = 0
    """Grows with every write; the store's compare-and-swap."""

    @property
    def is_live(self) -> bool:
        """Not ended."""
        return self.status in LIVE

    @property
    def is_terminal(self) -> bool:
        """Ended."""
        return self.status in TERMINAL

    @property
    def is_compacted(self) -> bool:
        """Nothing was written since its journal was compacted."""
        return self.compacted_seq >= self.last_seq

    @property
    def is_ready(self) -> bool:
        """A worker may claim it now: it is its turn, or a command waits and nobody owns it."""
        if self.owner is not None or self.is_terminal:
            return False
        return (self.status is RunStatus.QUEUED and self.holds_branch) or self.has_command

    @property
    def is_fresh(self) -> bool:
        """Nobody has begun it, and it is no part of another run: where runs are limited it may have to wait."""
        return self.started_at is None and self.place is None

    @property
    def takes_room(self) -> bool:
        """It was begun, is no part of another run, and is at work, itself or by its children, or about to be."""
        if self.started_at is None or self.place is not None:
            return False
        return self.owner is not None or self.status is RunStatus.QUEUED or self._has_children_at_work

    @property
    def _has_children_at_work(self) -> bool:
        return self.status is RunStatus.WAITING and self.reason == StopReason.CHILDREN

    @property
    def has_command(self) -> bool:
        """A pause or cancel has not taken effect."""
        if self.cancel is not None:
            return self.is_live
        return self.pause is not None and self.status in (
            RunStatus.QUEUED,
            RunStatus.RUNNING,
            RunStatus.WAITING,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUpdate:
    """What an owner's append changes on the run. None: unchanged."""

    status: RunStatus | None = None
    """Other than running: the owner lets go of the run."""
    reason: str | None = None
    step: int | None = None
    last_seq: int
    last_checkpoint_id: str | None = None
    """Set: progress was made."""
    metrics: Metrics | None = None
    error: dict[str, Any] | None = None
    pending_approvals: tuple[str, ...] | None = None
    control_ack: int | None = None
    """Commands up to this one were heard."""
    keep_order: bool = False
    """The order was heard, but its words could not be said yet."""
    called: tuple[str, ...] = ()
    """Tool calls that are about to be made: the permission to make them again ends, even if the order is kept."""
    pause_done: bool = False
    """The pause was carried out."""
    marks_done: int = 0
    """How many marks the checkpoint took."""
    handed_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; None: any."""

    statuses: frozenset[RunStatus] | None = None
    agent_id: str | None = None
    session_id: str | None = None
    branch_id: str | None = None
    parent_run_id: str | None = None
    tag: str | None = None
    text: str | None = None
    """Occurs in the id, the preview of the input or the agent id; upper and lower case alike."""
    since: datetime | None = None
    """Created at or after."""
    until: datetime | None = None
    """Created before."""
    workflows_only: bool = False
    """Workflows that stand in no other one; see `WORKFLOW_AGENT`."""
