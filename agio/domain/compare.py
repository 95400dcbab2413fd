"""Two runs side by side, aligned by step. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agio.domain.messages import text_of
from agio.domain.steps import Step

RowKind = Literal["same", "changed", "only_a", "only_b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step number in both runs."""

    step: int
    kind: RowKind
    a: Step | None
    b: Step | None
    changes: tuple[str, ...] = ()
    """Which of `content`, `tools`, `arguments`, `results`, `status` differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All rows, and where the runs first part."""

    rows: list[Row]
    first_divergence: int | None
    """Step number; None when all rows are the same."""


def compare_steps(a: Sequence[Step], b: Sequence[Step]) -> Comparison:
    """Align two runs by step number; of a step that was done in several attempts the last counts."""
    left, right = {step.step: step for step in a}, {step.step: step for step in b}
    rows = [_row(number, left.get(number), right.get(number)) for number in sorted(left | right)]
    first = next((row.step for row in rows if row.kind != "same"), None)
    return Comparison(rows=rows, first_divergence=first)


def _row(number: int, a: Step | None, b: Step | None) -> Row:
    if a is None or b is None:
        return Row(step=number, kind="only_b" if a is None else "only_a", a=a, b=b)
    changes = tuple(_changes(a, b))
    return Row(step=number, kind="changed" if changes else "same", a=a, b=b, changes=changes)


def _changes(a: Step, b: Step) -> list[str]:
    found = []
    if text_of(a.content or "") != text_of(b.content or ""):
        found.append("content")
    if [use.name for use in a.tool_calls] != [use.name for use in b.tool_calls]:
        found.append("tools")
    elif [use.arguments for use in a.tool_calls] != [use.arguments for use in b.tool_calls]:
        found.append("arguments")
    elif [use.result for use in a.tool_calls] != [use.result for use in b.tool_calls]:
        found.append("results")
    if a.status != b.status:
        found.append("status")
    return found
