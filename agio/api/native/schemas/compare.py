"""Two runs side by side, on the wire."""

from typing import Literal

from pydantic import Field

from agio.api.native.schemas.common import View
from agio.api.native.schemas.runs import MetricsView, RunRow, view_row
from agio.api.native.schemas.traces import StepView, view_step
from agio.domain.compare import Comparison, Row
from agio.domain.metrics import Metrics
from agio.domain.runs import Run


class CompareRow(View):
    """One step number in both runs."""

    step: int
    kind: Literal["same", "changed", "only_a", "only_b"]
    a: StepView | None
    b: StepView | None
    changes: list[Literal["content", "tools", "arguments", "results", "status"]] = Field(description="What differs.")


class MetricsDelta(View):
    """What the second run spent more than the first; null where one of them does not say."""

    steps: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float | None
    duration_ms: int
    time_to_first_token_ms: int | None


class TotalsView(View):
    """What both spent."""

    a: MetricsView
    b: MetricsView
    delta: MetricsDelta


class CompareView(View):
    """Two runs, aligned by step."""

    a: RunRow
    b: RunRow
    rows: list[CompareRow]
    first_divergence: int | None = Field(description="The first step that differs; null when all are the same.")
    totals: TotalsView
    common_ancestor: str | None = Field(description="The last checkpoint that both come from, if there is one.")


def view_comparison(a: Run, b: Run, comparison: Comparison, common_ancestor: str | None) -> CompareView:
    """Return a comparison as it stands on the wire."""
    totals = TotalsView(
        a=MetricsView.model_validate(a.metrics),
        b=MetricsView.model_validate(b.metrics),
        delta=_subtract(b.metrics, a.metrics),
    )
    return CompareView(
        a=view_row(a),
        b=view_row(b),
        rows=[_view_row(row) for row in comparison.rows],
        first_divergence=comparison.first_divergence,
        totals=totals,
        common_ancestor=common_ancestor,
    )


def _view_row(row: Row) -> CompareRow:
    return CompareRow.model_validate(
        {
            "step": row.step,
            "kind": row.kind,
            "a": view_step(row.a) if row.a else None,
            "b": view_step(row.b) if row.b else None,
            "changes": list(row.changes),
        }
    )


def _subtract(left: Metrics, right: Metrics) -> MetricsDelta:
    deltas = {}
    for name in MetricsDelta.model_fields:
        pair = getattr(left, name), getattr(right, name)
        deltas[name] = None if None in pair else pair[0] - pair[1]
    return MetricsDelta.model_validate(deltas)
