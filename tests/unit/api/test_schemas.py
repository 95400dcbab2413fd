"""What bodies refuse and leave out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from agio.api.native.schemas.agents import AgentBody, AgentChanges
from agio.api.native.schemas.common import MAX_DEPTH, check_json
from agio.api.native.schemas.compare import view_comparison
from agio.api.native.schemas.sessions import SessionChanges
from agio.api.native.schemas.tools import ToolChanges
from agio.domain.compare import Comparison
from agio.domain.metrics import Metrics
from agio.domain.runs import Run


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"in": [value]}
    return value


@pytest.mark.parametrize("value", [None, True, 1, 10**40, 1.5, "\U0001f600\x00", [], {"a": [{"b": None}]}])
def test_everything_that_json_can_hold_passes(value: object):
    assert check_json(value) is value


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), "\ud83d", {"\udc00": 1}, [[{"a": "x\udfff"}]]])
def test_what_json_cannot_hold_is_refused(value: object):
    with pytest.raises(ValueError, match=r"surrogate|no JSON numbers"):
        check_json(value)


def test_nesting_has_a_limit_that_answers_can_be_written_below():
    check_json(nested(MAX_DEPTH // 2))
    with pytest.raises(ValueError, match="levels deep"):
        check_json(nested(MAX_DEPTH))


@pytest.mark.parametrize("changes", [AgentChanges, ToolChanges, SessionChanges])
def test_a_change_says_nothing_of_what_is_left_out(changes: type[Any]):
    assert changes().to_changes() == {}
    schema = changes.model_json_schema()
    assert "required" not in schema
    assert not [name for name, field in schema["properties"].items() if "default" in field]


@pytest.mark.parametrize("field", ["name", "provider", "model", "tools", "max_steps", "tags", "enabled", "metadata"])
def test_what_an_agent_must_have_cannot_be_cleared(field: str):
    with pytest.raises(ValidationError):
        AgentChanges.model_validate({field: None})


@pytest.mark.parametrize(
    "field",
    ["system_prompt", "planning_interval", "temperature", "max_tokens", "role", "goal", "backstory", "llm"],
)
def test_what_an_agent_may_lack_can_be_cleared(field: str):
    assert AgentChanges.model_validate({field: None}).to_changes() == {field: None}


def test_the_published_pattern_of_an_agents_id_is_the_engines():
    for text, ok in (("a", True), ("a-b_9", True), ("-a", False), ("a-", False), ("A", False), ("a" * 65, False)):
        try:
            AgentBody.model_validate({"name": "x", "id": text})
        except ValidationError:
            assert not ok, text
        else:
            assert ok, text


def test_a_difference_is_unknown_where_one_side_is():
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def run(metrics: Metrics) -> Run:
        names = ("id", "group_id", "session_id", "branch_id", "agent_id", "agent_digest")
        ids: dict[str, Any] = dict.fromkeys(names, "x")
        return Run(agent_version=1, model="m", metrics=metrics, created_at=at, updated_at=at, **ids)

    a, b = run(Metrics(steps=2, cost=0.5)), run(Metrics(steps=5))
    totals = view_comparison(a, b, Comparison(rows=[], first_divergence=None), None).totals
    assert (totals.delta.steps, totals.delta.cost) == (3, None)
