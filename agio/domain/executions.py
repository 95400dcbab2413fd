"""Executions: workflow runs as those see them who know six statuses, and what many of them add up to. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import assert_never

from agio.domain.runs import WORKFLOW_AGENT, Run
from agio.domain.status import RESTART_TEXT, RunStatus, StopReason

CREW_TAG = "crew:"
"""What the tag of a run begins with that says which stored crew is at work."""


class ExecutionStatus(StrEnum):
    """Where an execution stands (seed items S31 to S36)."""

    PENDING = "PENDING"
    """Nobody has begun it."""
    PREPARING = "PREPARING"
    """A worker has it, and no task has begun."""
    RUNNING = "RUNNING"
    """At work, or resting in the midst of it."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    """It ended with an error, or its workers kept dying."""
    CANCELLED = "CANCELLED"
    """By hand, or because its server was restarted."""


OF_ENDED: dict[ExecutionStatus, frozenset[RunStatus]] = {
    ExecutionStatus.COMPLETED: frozenset({RunStatus.COMPLETED}),
    ExecutionStatus.FAILED: frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED}),
    ExecutionStatus.CANCELLED: frozenset({RunStatus.CANCELLED}),
}
"""Statuses that say no more than the run's own."""
AT_WORK = frozenset(RunStatus) - frozenset().union(*OF_ENDED.values())
"""Statuses of runs whose execution's status follows from more than that."""


def is_execution(run: Run) -> bool:
    """Say whether the run carries a workflow out that stands in no other one."""
    return run.place is None and run.agent_id.startswith(WORKFLOW_AGENT)


def status_of(run: Run) -> ExecutionStatus:
    """Return where an execution stands."""
    match run.status:
        case RunStatus.QUEUED:
            return ExecutionStatus.PENDING if run.started_at is None else ExecutionStatus.RUNNING
        case RunStatus.RUNNING:
            return ExecutionStatus.PREPARING if run.last_checkpoint_id is None else ExecutionStatus.RUNNING
        case RunStatus.PAUSED | RunStatus.WAITING:
            return ExecutionStatus.RUNNING
        case RunStatus.COMPLETED:
            return ExecutionStatus.COMPLETED
        case RunStatus.FAILED | RunStatus.INTERRUPTED:
            return ExecutionStatus.FAILED
        case RunStatus.CANCELLED:
            return ExecutionStatus.CANCELLED
        case _:
            assert_never(run.status)


def trouble_of(run: Run) -> str | None:
    """Return why an execution did not complete, None while it may."""
    match status_of(run):
        case ExecutionStatus.FAILED if run.error is not None:
            return str(run.error["message"])
        case ExecutionStatus.FAILED:
            return "its workers died again and again without progress; retry or cancel it"
        case ExecutionStatus.CANCELLED if run.reason == StopReason.RESTART:
            return RESTART_TEXT
        case ExecutionStatus.CANCELLED if run.reason in (None, StopReason.OPERATOR):
            return "cancelled by hand"
        case ExecutionStatus.CANCELLED:
            return f"cancelled: {run.reason}"
    return None


def seconds_of(run: Run) -> float | None:
    """Return how long an execution took from its beginning to its end, None until then."""
    if run.started_at is None or run.ended_at is None:
        return None
    return max((run.ended_at - run.started_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What executions add up to."""

    total: int
    by_status: dict[ExecutionStatus, int]
    """Every status, also those that none has."""
    total_tokens: int
    mean_duration_s: float | None
    """Of those that have ended; None: there is none."""
    p95_duration_s: float | None
    """What 95 of 100 of them did not exceed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analytics:
    """What executions add up to, in all and by the day (UTC) of their creation."""

    whole: Sum
    days: list[tuple[date, Sum]] = field(default_factory=list)
    """Days without any left out, the earliest first."""


def analyse(runs: Sequence[Run]) -> Analytics:
    """Return what executions add up to."""
    by_day: dict[date, list[Run]] = {}
    for run in runs:
        by_day.setdefault(run.created_at.date(), []).append(run)
    return Analytics(whole=_sum(runs), days=[(day, _sum(by_day[day])) for day in sorted(by_day)])


def _sum(runs: Iterable[Run]) -> Sum:
    found = list(runs)
    counts = Counter(status_of(run) for run in found)
    durations = sorted(seconds for run in found if (seconds := seconds_of(run)) is not None)
    return Sum(
        total=len(found),
        by_status={status: counts[status] for status in ExecutionStatus},
        total_tokens=sum(run.metrics.total_tokens for run in found),
        mean_duration_s=round(sum(durations) / len(durations), 3) if durations else None,
        p95_duration_s=round(durations[math.ceil(len(durations) * 0.95) - 1], 3) if durations else None,
    )
