"""Sessions, branches and trees on the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from agio.api.native.schemas.agents import leave_defaults_out
from agio.api.native.schemas.checkpoints import CheckpointRow, view_checkpoint_row
from agio.api.native.schemas.common import SESSION_ID, Body, Instant, JsonObject, View
from agio.api.native.schemas.runs import RunRow, view_row
from agio.domain.sessions import Session
from agio.engine.sessions import BranchHead, SessionTree

SessionId = Annotated[str, Field(pattern=SESSION_ID, description="Made where it is left out.", examples=["session-1"])]
IdleTimeout = Annotated[
    float,
    Field(gt=0, description="Seconds after its last use that its conversation is forgotten; null: never."),
]
Title = Annotated[str, Field(max_length=500, examples=["Figures for June"])]
UserId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$", examples=["ada"])]


class SessionBody(Body):
    """A new session."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Figures for June"}]})

    id: SessionId | None = None
    user_id: UserId | None = None
    agent_id: str | None = Field(default=None, min_length=1, max_length=64, examples=["assistant"])
    title: Title | None = None
    idle_timeout_s: IdleTimeout | None = None
    metadata: JsonObject = Field(default_factory=dict, description="Anything; kept as it is.")

    def to_session(self, group_id: str, session_id: str, *, by: str, at: datetime) -> Session:
        """Return the domain's form. Its first branch has its own id, as where chat makes the session."""
        return Session(
            id=session_id,
            group_id=group_id,
            current_branch_id=session_id,
            user_id=self.user_id,
            agent_id=self.agent_id,
            title=self.title,
            metadata=self.metadata,
            idle_timeout_s=self.idle_timeout_s,
            created_by=by,
            created_at=at,
            updated_at=at,
        )


class SessionChanges(Body):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    user_id: UserId | None = None
    agent_id: str | None = Field(default=None, min_length=1, max_length=64)
    title: Title | None = None
    idle_timeout_s: IdleTimeout | None = None
    metadata: JsonObject = Field(default_factory=dict, description="Replaces what was there.")
    current_branch_id: str = Field(
        default_factory=str, min_length=1, max_length=128, description="Where the next message goes."
    )

    def to_changes(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        return self.model_dump(exclude_unset=True)


class SessionView(View):
    """A conversation; its messages are on its branches."""

    id: str
    user_id: str | None
    agent_id: str | None
    title: str | None
    metadata: dict[str, Any]
    current_branch_id: str = Field(description="Where a message without a branch id goes.")
    idle_timeout_s: float | None = Field(description="Seconds; see the field of this name where a session is made.")
    created_by: str
    group_id: str
    created_at: Instant
    updated_at: Instant


class BranchView(View):
    """A line of conversation."""

    id: str
    session_id: str
    name: str | None
    kind: str = Field(description="`root`, `restore`, `fork`, `retry` or `busy`.", examples=["fork"])
    parent_id: str | None
    fork_position: int = Field(description="How many messages it takes from its parent.")
    from_checkpoint_id: str | None
    message_count: int = Field(description="Messages up to its last checkpoint, those from its parents included.")
    is_current: bool
    created_by: str
    created_at: Instant


def view_branch(head: BranchHead) -> BranchView:
    """Return a branch as it stands on the wire."""
    branch = head.branch
    return BranchView(
        id=branch.id,
        session_id=branch.session_id,
        name=branch.name,
        kind=branch.kind,
        parent_id=branch.parent_id,
        fork_position=branch.fork_position,
        from_checkpoint_id=branch.from_checkpoint_id,
        message_count=head.message_count,
        is_current=head.is_current,
        created_by=branch.created_by,
        created_at=branch.created_at,
    )


class TreeView(View):
    """A session without payloads: its branches, its checkpoints in order of time, its runs from the oldest on."""

    session_id: str
    current_branch_id: str
    branches: list[BranchView]
    checkpoints: list[CheckpointRow]
    runs: list[RunRow]


def view_tree(tree: SessionTree) -> TreeView:
    """Return a tree as it stands on the wire."""
    return TreeView(
        session_id=tree.session.id,
        current_branch_id=tree.session.current_branch_id,
        branches=[view_branch(head) for head in tree.branches],
        checkpoints=[view_checkpoint_row(one, superseded=one.id in tree.superseded) for one in tree.checkpoints],
        runs=[view_row(run) for run in tree.runs],
    )
