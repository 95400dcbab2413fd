"""Metrics from what the engine tells: most of it is in the journal already."""

from collections.abc import Sequence

from agio.domain import events as ev
from agio.domain.journal import Entry
from agio.domain.metrics import Metrics as Spent
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.observability.metrics import Metrics

_ENDS = {
    ev.RunCompleted: RunStatus.COMPLETED,
    ev.RunFailed: RunStatus.FAILED,
    ev.RunCancelled: RunStatus.CANCELLED,
}


def count_entries(metrics: Metrics, entries: Sequence[Entry], duration_s: float) -> None:
    """Count one append and the events in it."""
    metrics.batch_size.observe(len(entries))
    metrics.append_time.observe(duration_s)
    for entry in entries:
        for event in entry.events:
            if not isinstance(event, ev.Deltas):
                _count(metrics, event)


def _count(metrics: Metrics, event: ev.Event) -> None:
    match event:
        case ev.StepCompleted():
            metrics.step_time.observe(event.duration_ms / 1000)
        case ev.ToolCallCompleted():
            metrics.tool_time.labels(metrics.tools[event.name], "ok").observe(event.duration_ms / 1000)
        case ev.ToolCallFailed() if event.duration_ms is not None:
            outcome = str(event.error.get("code", "tool_failed"))
            metrics.tool_time.labels(metrics.tools[event.name], outcome).observe(event.duration_ms / 1000)
        case ev.CheckpointCreated():
            metrics.checkpoints.inc()
        case ev.Warned():
            metrics.warnings.labels(event.code).inc()
        case ev.RunRecovered():
            metrics.takeovers.labels(event.reason).inc()
        case ev.RunFailed():
            metrics.run_errors.labels(str(event.error.get("code", "internal_error"))).inc()
            _count_end(metrics, RunStatus.FAILED, event.metrics)
        case ev.RunCompleted() | ev.RunCancelled():
            _count_end(metrics, _ENDS[type(event)], event.metrics)


def _count_end(metrics: Metrics, status: RunStatus, spent: Spent) -> None:
    metrics.runs_ended.labels(status.value).inc()
    metrics.run_time.labels(status.value).observe(spent.duration_ms / 1000)


def count_claim(metrics: Metrics, run: Run, *, abandoned: bool) -> None:
    """Count that a worker took a run up; the first one ends its wait."""
    if abandoned:
        metrics.claims.labels("takeover").inc()
    elif run.epoch > 1:
        metrics.claims.labels("again").inc()
    else:
        metrics.claims.labels("first").inc()
        if run.owned_since is not None:
            waited = run.owned_since - run.created_at
            metrics.queue_wait.observe(max(waited.total_seconds(), 0.0))
