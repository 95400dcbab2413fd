"""Checkpoints, restores and forks on the wire."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from agio.api.native.schemas.common import Body, Instant, View
from agio.api.native.schemas.runs import MetricsView, Modifications, RunId
from agio.api.native.schemas.traces import MessageView, view_message
from agio.domain.agents import AgentSnapshot
from agio.domain.checkpoints import Checkpoint, CheckpointKind
from agio.domain.diff import Diff, State
from agio.domain.ids import split_checkpoint_id
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.continuing import ForkRequest
from agio.engine.reading import PlanReport
from agio.engine.sessions import Standing

Label = Annotated[str, Field(max_length=500, examples=["before the search"])]
MarkTag = Annotated[str, Field(min_length=1, max_length=100)]


class CheckpointRow(View):
    """A checkpoint in a list: no payloads."""

    id: str
    run_id: str
    session_id: str
    branch_id: str
    seq: int = Field(description="Sequence number of the event that announced it.")
    step: int
    attempt: int
    kind: CheckpointKind = Field(
        description="`input`: the question is there · `step`: between two steps · "
        "`stop`: at a cancel or failure · `final`: the answer is there."
    )
    parent_checkpoint_id: str | None
    message_count: int
    tokens: int = Field(description="Spent by the run up to here.")
    label: str | None
    tags: list[str]
    superseded: bool = Field(description="A newer attempt of the run left it behind; it can still be forked.")
    created_at: Instant


def row_fields(checkpoint: Checkpoint, *, superseded: bool) -> dict[str, Any]:
    """Return what lists and views share."""
    return {
        "id": checkpoint.id,
        "run_id": checkpoint.run_id,
        "session_id": checkpoint.session_id,
        "branch_id": checkpoint.branch_id,
        "seq": checkpoint.seq,
        "step": checkpoint.step,
        "attempt": checkpoint.attempt,
        "kind": checkpoint.kind,
        "parent_checkpoint_id": checkpoint.parent_id,
        "message_count": checkpoint.position,
        "tokens": checkpoint.metrics.total_tokens,
        "label": checkpoint.label,
        "tags": list(checkpoint.tags),
        "superseded": superseded,
        "created_at": checkpoint.created_at,
    }


def view_checkpoint_row(checkpoint: Checkpoint, *, superseded: bool) -> CheckpointRow:
    """Return a checkpoint as lists show it."""
    return CheckpointRow.model_validate(row_fields(checkpoint, superseded=superseded))


class SnapshotView(View):
    """The agent as the run pinned it."""

    agent_id: str
    version: int
    provider: str
    model: str
    system_prompt: str | None
    tools: list[str]
    max_steps: int
    planning_interval: int | None
    temperature: float | None
    max_tokens: int | None
    params: dict[str, Any]


class LineageView(View):
    """Where a checkpoint comes from, nearest first."""

    checkpoints: list[str] = Field(description="Ids of the checkpoints before it, across forks.")
    runs: list[str] = Field(description="Ids of the runs that its run was restored or forked from.")


class CheckpointView(CheckpointRow):
    """A checkpoint, whole."""

    checkpoint_id: str = Field(description="The same as `id`.")
    status: RunStatus = Field(description="What the run was from here on.")
    messages: list[MessageView]
    plan: str | None
    metrics: MetricsView
    agent: SnapshotView
    lineage: LineageView


def view_checkpoint(state: State, standing: Standing) -> CheckpointView:
    """Return a checkpoint, whole."""
    checkpoint = state.checkpoint
    ancestors = dict.fromkeys(parts[0] for one in standing.line if (parts := split_checkpoint_id(one)) is not None)
    fields = row_fields(checkpoint, superseded=standing.superseded) | {
        "checkpoint_id": checkpoint.id,
        "status": standing.status,
        "messages": [view_message(message) for message in state.messages],
        "plan": checkpoint.plan,
        "metrics": MetricsView.model_validate(checkpoint.metrics),
        "agent": view_snapshot(state.snapshot),
        "lineage": {
            "checkpoints": standing.line,
            "runs": [run_id for run_id in ancestors if run_id != checkpoint.run_id],
        },
    }
    return CheckpointView.model_validate(fields)


def view_snapshot(snapshot: AgentSnapshot) -> SnapshotView:
    """Return a snapshot as it stands on the wire."""
    return SnapshotView.model_validate(snapshot)


class MarkBody(Body):
    """What to write on the present state."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"description": "before the search"}]})

    description: Label | None = None
    label: Label | None = Field(default=None, description="Another name of `description`.")
    tags: list[MarkTag] = Field(default_factory=list, max_length=50)


class PendingMark(View):
    """The run makes the checkpoint at its next safe point."""

    run_id: str
    pending: Literal[True] = True
    message: str = Field(examples=["the run will mark its next checkpoint"])


class AnnotationBody(Body):
    """The only thing of a checkpoint that can change; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "good one", "tags": ["keep"]}]})

    label: Label | None = None
    tags: list[MarkTag] = Field(default_factory=list, max_length=50)


class MessageChangeView(View):
    """A message that both have at one position, with different content."""

    position: int
    before: MessageView
    after: MessageView


class FieldChangeView(View):
    """A value that differs."""

    field: str
    before: Any
    after: Any


class DiffView(View):
    """What turns the state at `against_id` into the one at `checkpoint_id`."""

    checkpoint_id: str
    against_id: str
    common: int = Field(description="How many leading messages are equal.")
    added: list[MessageView]
    removed: list[MessageView]
    changed: list[MessageChangeView]
    configuration: list[FieldChangeView]
    metrics: list[FieldChangeView]
    state: list[FieldChangeView] = Field(description="Step and plan.")


def view_diff(diff: Diff, checkpoint_id: str, against_id: str) -> DiffView:
    """Return a difference as it stands on the wire."""
    fields = {name: getattr(diff, name) for name in DiffView.model_fields if not name.endswith("_id")}
    return DiffView.model_validate(fields | {"checkpoint_id": checkpoint_id, "against_id": against_id})


def changes_of(modifications: Modifications | None) -> dict[str, Any]:
    """Return what shall be different, as the use cases take it."""
    return modifications.to_domain() if modifications else {}


class RestoreBody(Body):
    """How to go on from a checkpoint."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"create_new_run": True, "modifications": {"modified_query": "What is 6 times 8?"}}]
        },
    )

    create_new_run: bool = Field(default=True, description="False: rewind the same run, which must have ended.")
    modifications: Modifications | None = None
    start: bool = Field(default=True, description="False: the run rests until it is resumed.")
    stream: bool = Field(default=False, description="Answer with the run's events.")
    run_id: RunId | None = Field(default=None, description="The new run's; chosen by the client.")

    def to_request(self, checkpoint_id: str) -> ForkRequest:
        """Return the use case's form."""
        return ForkRequest(
            checkpoint_id=checkpoint_id,
            modifications=changes_of(self.modifications),
            kind="restore",
            run_id=self.run_id,
            start=self.start,
        )


class ForkBody(Body):
    """How to go on from a checkpoint on a branch of its own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"modifications": {"system_prompt": "Answer in French."}}]},
    )

    modifications: Modifications | None = None
    session: Literal["same", "new"] = Field(default="same", description="Whether it stays in its conversation.")
    variants: list[Modifications] | None = Field(
        default=None,
        min_length=1,
        max_length=5,
        description="Several forks at once, each with its own modifications over the common ones.",
    )
    start: bool = Field(default=True, description="False: the run rests until it is resumed.")
    stream: bool = Field(default=False, description="Answer with the run's events; not with `variants`.")
    run_id: RunId | None = Field(default=None, description="The new run's; not with `variants`.")

    def to_request(self, checkpoint_id: str) -> ForkRequest:
        """Return the use case's form, without the variants."""
        return ForkRequest(
            checkpoint_id=checkpoint_id,
            modifications=changes_of(self.modifications),
            kind="fork",
            session=self.session,
            run_id=self.run_id,
            start=self.start,
        )


class ForkAnswer(View):
    """The run that goes on from the checkpoint."""

    run_id: str
    new_run_id: str | None = Field(description="The same as `run_id`; null when the run itself was rewound.")
    checkpoint_id: str
    parent_run_id: str = Field(description="The run that the checkpoint is of.")
    branch_id: str
    session_id: str
    status: RunStatus
    message: str


def view_fork(run: Run, fork: ForkRequest) -> ForkAnswer:
    """Return what a restore or fork made."""
    parts = split_checkpoint_id(fork.checkpoint_id)
    parent_run_id = parts[0] if parts else run.id
    is_new = run.id != parent_run_id
    done = f"a new run was made ({fork.kind})" if is_new else "the run was rewound"
    begins = "it goes on by itself" if fork.start else "it rests until it is resumed"
    return ForkAnswer(
        run_id=run.id,
        new_run_id=run.id if is_new else None,
        checkpoint_id=fork.checkpoint_id,
        parent_run_id=parent_run_id,
        branch_id=run.branch_id,
        session_id=run.session_id,
        status=run.status,
        message=f"{done}; {begins}",
    )


class ForkList(View):
    """The runs of all variants, in their order."""

    items: list[ForkAnswer]
    total: int


class PlanBody(Body):
    """What a fork would change."""

    modifications: Modifications | None = None


class RiskyTool(View):
    """A tool that the source called after the checkpoint and that changes things outside."""

    name: str
    calls: int


class PlanView(View):
    """What a fork would reuse, change and run again; nothing was done."""

    checkpoint_id: str
    run_id: str = Field(description="The run that the checkpoint is of.")
    messages_reused: int
    messages_edited: int
    messages_dropped: int = Field(description="Messages of the checkpoint that the new branch leaves out.")
    adds_message: bool = Field(description="A user message is added behind those that are reused.")
    base_step: int = Field(description="The step that the new run continues from.")
    steps_to_rerun: list[int]
    tools_with_side_effects: list[RiskyTool]
    estimated_tokens: int = Field(description="What the source spent on those steps.")
    agent: SnapshotView = Field(description="The agent that the new run would pin.")


def view_plan(report: PlanReport) -> PlanView:
    """Return a plan as it stands on the wire."""
    plan, checkpoint = report.origin.plan, report.origin.checkpoint
    return PlanView(
        checkpoint_id=checkpoint.id,
        run_id=checkpoint.run_id,
        messages_reused=plan.fork_position,
        messages_edited=len(plan.edits),
        messages_dropped=plan.dropped,
        adds_message=plan.query is not None,
        base_step=plan.base_step,
        steps_to_rerun=report.steps_to_rerun,
        tools_with_side_effects=[RiskyTool.model_validate(tool) for tool in report.tools_with_side_effects],
        estimated_tokens=report.estimated_tokens,
        agent=view_snapshot(plan.snapshot),
    )
