"""Sessions: conversations that runs belong to."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class OnBusy(StrEnum):
    """What happens to a message for a branch that another run holds."""

    QUEUE = "queue"
    """It waits its turn (first come, first served)."""
    REJECT = "reject"
    """It is refused."""
    INTERRUPT = "interrupt"
    """The holder is cancelled, then it is this run's turn."""
    FORK = "fork"
    """It goes to a new branch that starts at the last checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation; its messages are on its branches."""

    id: str
    group_id: str
    current_branch_id: str
    """Where a message without a branch id goes."""
    user_id: str | None = None
    agent_id: str | None = None
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    idle_timeout_s: float | None = None
    """Seconds after its last use that what was said in it is forgotten; None: never."""
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime
    """Last use: the last message that it took, or a change of its record."""

    def is_idle(self, used_at: datetime, now: datetime) -> bool:
        """Say whether it has expired by `now`, having been used last at `used_at`."""
        return self.idle_timeout_s is not None and (now - used_at).total_seconds() >= self.idle_timeout_s
