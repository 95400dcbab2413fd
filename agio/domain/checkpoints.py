"""Checkpoints: commits on a branch that a run can be restored or forked from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agio.domain.ids import checkpoint_id
from agio.domain.metrics import Metrics

CheckpointKind = Literal["input", "step", "stop", "final"]
"""`input`: the question is on the branch, no model was asked · `step`: between two steps · `stop`: at a
pause, wait, cancel or failure · `final`: the answer is on the branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State of a run at the end of a step. Its messages are those of its branch before `position`."""

    run_id: str
    seq: int
    """Sequence number of the event that announced it."""
    group_id: str
    session_id: str
    attempt: int
    branch_id: str
    position: int
    """How many messages the conversation has here, those of ancestors included."""
    step: int
    kind: CheckpointKind
    parent_id: str | None
    """The checkpoint before it; the first one of a fork names its source."""
    agent_digest: str
    metrics: Metrics
    plan: str | None = None
    created_at: datetime
    label: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id on the wire."""
        return checkpoint_id(self.run_id, self.seq)
