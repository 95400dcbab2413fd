"""Approvals: decisions that a run waits for."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from agio.domain.errors import Conflict

Decision = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One tool call that needs a person's word."""

    id: str
    run_id: str
    group_id: str
    session_id: str
    step: int
    tool_call_id: str
    name: str
    arguments: Any
    reason: str
    status: Literal["pending", "approved", "rejected", "cancelled"] = "pending"
    by: str | None = None
    note: str | None = None
    edited_arguments: dict[str, Any] | None = None
    """Set when the decision changed the arguments."""
    created_at: datetime
    resolved_at: datetime | None = None


def decide(
    approval: Approval,
    decision: Decision,
    *,
    by: str,
    at: datetime,
    note: str | None = None,
    arguments: dict[str, Any] | None = None,
) -> Approval:
    """Return the approval as decided; the same decision once more changes nothing.

    Raises:
        Conflict: it was decided otherwise, or its run was cancelled.
    """
    status: Literal["approved", "rejected"] = "approved" if decision == "approve" else "rejected"
    if approval.status == status:
        return approval
    if approval.status != "pending":
        raise Conflict(f"approval {approval.id!r} is already {approval.status}")
    return replace(
        approval,
        status=status,
        by=by,
        note=note,
        edited_arguments=arguments if decision == "approve" else None,
        resolved_at=at,
    )
