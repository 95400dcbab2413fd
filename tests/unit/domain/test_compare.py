"""Two runs side by side."""

from typing import Any

import pytest

from agio.domain.compare import compare_steps
from agio.domain.steps import Step, ToolUse
from tests.unit.domain.samples import T0, T9


def step(number: int, *uses: ToolUse, attempt: int = 1, **fields) -> Step:
    usual: dict[str, Any] = {"status": "completed", "started_at": T0}
    return Step(step=number, attempt=attempt, tool_calls=list(uses), **usual | fields)


def use(name: str = "search", call_id: str = "c", **fields) -> ToolUse:
    usual: dict[str, Any] = {"arguments": {"q": 1}, "started_at": T0, "status": "completed", "result": "r"}
    return ToolUse(tool_call_id=call_id, name=name, **usual | fields)


def test_equal_runs_never_part():
    found = compare_steps([step(1, use()), step(2)], [step(1, use()), step(2)])
    assert [row.kind for row in found.rows] == ["same", "same"]
    assert found.first_divergence is None


def test_what_cannot_be_equal_does_not_count():
    """Ids of calls, instants and durations differ in every run."""
    one = step(1, use(call_id="c1", duration_ms=3), duration_ms=5, checkpoint_id="a.1")
    two = step(1, use(call_id="c2", started_at=T9, duration_ms=4), duration_ms=6, started_at=T9)
    assert compare_steps([one], [two]).first_divergence is None


@pytest.mark.parametrize(
    ("other", "changes"),
    [
        (step(1, use(), content="other"), ("content",)),
        (step(1, use("read"), content="x"), ("tools",)),
        (step(1, use(), use("read"), content="x"), ("tools",)),
        (step(1, content="x"), ("tools",)),
        (step(1, use(arguments={"q": 2}), content="x"), ("arguments",)),
        (step(1, use(result="other"), content="x"), ("results",)),
        (step(1, use(arguments={}, result="other"), content="x"), ("arguments",)),
        (step(1, use(), content="x", status="abandoned"), ("status",)),
        (step(1, use("read"), content="other", status="running"), ("content", "tools", "status")),
    ],
)
def test_changed_step_says_what_differs(other: Step, changes: tuple[str, ...]):
    (row,) = compare_steps([step(1, use(), content="x")], [other]).rows
    assert (row.kind, row.changes) == ("changed", changes)


def test_content_is_compared_by_its_text():
    parts = [{"type": "text", "text": "x"}]
    assert compare_steps([step(1, content="x")], [step(1, content=parts)]).first_divergence is None
    assert compare_steps([step(1, content=None)], [step(1, content="")]).first_divergence is None


def test_steps_of_one_run_only_are_named():
    found = compare_steps([step(1), step(2)], [step(1), step(3)])
    assert [(row.step, row.kind) for row in found.rows] == [(1, "same"), (2, "only_a"), (3, "only_b")]
    assert found.first_divergence == 2


def test_of_several_attempts_at_a_step_the_last_counts():
    found = compare_steps([step(1, content="x"), step(1, content="y", attempt=2)], [step(1, content="y")])
    assert found.first_divergence is None


def test_runs_without_steps_are_equal():
    assert compare_steps([], []).rows == []
