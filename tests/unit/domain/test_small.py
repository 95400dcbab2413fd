"""Ids, messages, agents, approvals, metrics and errors."""

import inspect
import time
import uuid
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.domain import errors
from agio.domain.agents import Agent
from agio.domain.approvals import decide
from agio.domain.errors import AgioError, BranchBusy, Conflict, Invalid, InvalidTransition, ProviderError, ToolError
from agio.domain.ids import checkpoint_id, is_client_id, new_id, split_checkpoint_id
from agio.domain.messages import open_tool_calls, text_of
from agio.domain.metrics import Metrics, Usage
from agio.domain.status import RunStatus
from agio.testing.conformance.records import make_approval
from tests.unit.domain.samples import T0, T9, a_checkpoint, a_snapshot, answer, asks, result, run_in, user


class TestIds:
    def test_new_id_is_a_uuid_of_version_7(self):
        made = uuid.UUID(new_id())
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert abs((made.int >> 80) - time.time() * 1000) < 5_000

    def test_new_ids_are_unique_and_clients_could_have_chosen_them(self):
        made = [new_id() for _ in range(2_000)]
        assert len(set(made)) == len(made)
        assert all(map(is_client_id, made))

    def test_later_ids_sort_behind_earlier_ones(self, monkeypatch: pytest.MonkeyPatch):
        made = []
        for ms in (1, 2, 1_000, 1_700_000_000_000, 1_700_000_000_001):
            monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
            made.append(new_id())
        assert made == sorted(made)

    @pytest.mark.parametrize("text", ["a", "A-b_9", "x" * 64])
    def test_client_may_choose(self, text: str):
        assert is_client_id(text)

    @pytest.mark.parametrize("text", ["", "x" * 65, "a.b", "a b", "é", "a\n", "a/b", "٣"])
    def test_client_may_not_choose(self, text: str):
        assert not is_client_id(text)

    @given(run_id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), seq=st.integers(0, 10**15 - 1))
    def test_checkpoint_id_tells_its_run_and_number(self, run_id: str, seq: int):
        assert split_checkpoint_id(checkpoint_id(run_id, seq)) == (run_id, seq)

    @pytest.mark.parametrize(
        "text", ["", ".", "r", "r.", ".5", "r.x", "r.-1", "r.1e3", "r.²", "r.٣", "r.1 ", "r." + "9" * 16]
    )
    def test_what_cannot_be_a_checkpoint_id(self, text: str):
        assert split_checkpoint_id(text) is None

    @given(st.text())
    def test_any_text_can_be_asked(self, text: str):
        found = split_checkpoint_id(text)
        assert found is None or found[0]

    def test_checkpoint_names_itself(self):
        assert a_checkpoint(run_id="r", seq=7).id == "r.7"


class TestMessages:
    def test_text_of_parts_is_joined(self):
        parts: list[dict[str, Any]] = [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {}},
            {"type": "text", "text": "b"},
        ]
        assert (text_of("plain"), text_of(parts), text_of([])) == ("plain", "a\nb", "")

    @pytest.mark.parametrize(
        ("messages", "still_open"),
        [
            ([], []),
            ([user("q")], []),
            ([user("q"), answer("a")], []),
            ([user("q"), asks("c1", "c2")], ["c1", "c2"]),
            ([asks("c1", "c2"), result("c2", "r")], ["c1"]),
            ([asks("c1", "c2"), result("c2", "r"), result("c1", "r")], []),
            ([asks("c1"), user("never mind")], []),
            ([asks("c1"), result("c1", "r"), asks("c1", message_id="again")], ["c1"]),
        ],
    )
    def test_open_calls_are_those_of_the_last_message_without_an_answer(self, messages, still_open):
        assert [call.id for call in open_tool_calls(messages)] == still_open


class TestAgents:
    def test_digest_depends_on_the_content_alone(self):
        one = a_snapshot(params={"a": 1, "b": {"c": 2, "d": 3}})
        two = a_snapshot(params={"b": {"d": 3, "c": 2}, "a": 1})
        assert one.digest == two.digest
        assert len(one.digest) == 64

    @pytest.mark.parametrize(
        "change",
        [
            {"agent_id": "x"},
            {"version": 2},
            {"provider": "x"},
            {"model": "x"},
            {"system_prompt": ""},
            {"tools": ("read", "search")},
            {"max_steps": 11},
            {"planning_interval": 1},
            {"temperature": 0.0},
            {"max_tokens": 1},
            {"params": {"seed": 1}},
        ],
    )
    def test_every_field_changes_the_digest(self, change: dict[str, Any]):
        assert replace(a_snapshot(), **change).digest != a_snapshot().digest

    def test_snapshot_takes_over_every_field_that_agents_have(self):
        agent = _agent(tools=("t",), max_steps=3, planning_interval=2, temperature=0.5, max_tokens=7, params={"a": 1})
        pinned = agent.snapshot()
        names = {field.name for field in fields(pinned)} - {"agent_id", "system_prompt", "api_key_name"}
        assert {name: getattr(pinned, name) for name in names} == {name: getattr(agent, name) for name in names}
        assert (pinned.agent_id, pinned.system_prompt, pinned.api_key_name) == (agent.id, None, None)

    @pytest.mark.parametrize(
        ("about", "prompt"),
        [
            ({}, None),
            ({"role": "a cook"}, "You are a cook."),
            ({"goal": "soup"}, "Your goal: soup"),
            ({"role": "a cook", "goal": "soup", "backstory": "Born."}, "You are a cook.\nYour goal: soup\nBorn."),
            ({"role": "a cook", "system_prompt": "Cook!"}, "Cook!"),
        ],
    )
    def test_persona_makes_the_prompt_where_there_is_none(self, about: dict[str, Any], prompt: str | None):
        assert _agent(**about).snapshot().system_prompt == prompt


class TestApprovals:
    PENDING = make_approval(run_in(RunStatus.WAITING), id="a")

    def test_approval_takes_note_and_arguments(self):
        after = decide(self.PENDING, "approve", by="ann", at=T9, note="ok", arguments={"path": "b"})
        assert after == replace(
            self.PENDING, status="approved", by="ann", note="ok", edited_arguments={"path": "b"}, resolved_at=T9
        )

    def test_rejection_takes_no_arguments(self):
        after = decide(self.PENDING, "reject", by="ann", at=T9, arguments={"path": "b"})
        assert (after.status, after.edited_arguments) == ("rejected", None)

    @pytest.mark.parametrize("decision", ["approve", "reject"])
    def test_same_decision_again_changes_nothing(self, decision):
        decided = decide(self.PENDING, decision, by="ann", at=T0)
        assert decide(decided, decision, by="bob", at=T9, note="me too") is decided

    @pytest.mark.parametrize(
        ("status", "decision"),
        [("approved", "reject"), ("rejected", "approve"), ("cancelled", "approve"), ("cancelled", "reject")],
    )
    def test_other_decision_is_a_conflict(self, status, decision):
        with pytest.raises(Conflict, match=status):
            decide(replace(self.PENDING, status=status), decision, by="ann", at=T9)


class TestMetrics:
    def test_usage_adds_up(self):
        one = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cost=0.5)
        two = Usage(prompt_tokens=10, completion_tokens=20, total_tokens=30, cost=0.25)
        assert one.plus(two) == Usage(prompt_tokens=11, completion_tokens=22, total_tokens=33, cost=0.75)

    @pytest.mark.parametrize(
        ("a", "b", "total"), [(None, None, None), (0.5, None, 0.5), (None, 0.5, 0.5), (0.0, None, 0.0)]
    )
    def test_unknown_cost_stays_unknown_until_one_is_known(self, a, b, total):
        assert Usage(cost=a).plus(Usage(cost=b)).cost == total

    def test_metrics_hold_a_usage(self):
        metrics = Metrics(steps=2, prompt_tokens=1, completion_tokens=2, total_tokens=3, cost=0.5, duration_ms=9)
        assert metrics.usage == Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cost=0.5)


TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, AgioError)]


class TestErrors:
    def test_codes_are_unique(self):
        own = [cls for cls in TREE if "code" in vars(cls)]
        assert len({cls.code for cls in own}) == len(own)

    @pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
    def test_every_error_is_drawn_in_the_tree(self, cls: type[AgioError]):
        assert cls.__name__ in (errors.__doc__ or "")

    @pytest.mark.parametrize("cls", [cls for cls in TREE if cls is not InvalidTransition], ids=lambda cls: cls.__name__)
    def test_docstring_is_the_message_unless_one_is_given(self, cls: type[AgioError]):
        assert str(cls()) == (cls.__doc__ or "").strip()
        assert str(cls("other")) == "other"

    def test_attributes_are_kept(self):
        assert BranchBusy("x", holder="r").holder == "r"
        assert InvalidTransition("x", status="paused").status == "paused"
        assert Invalid("x", field="f").field == "f"
        provider = ProviderError("x", code="provider_timeout", retryable=True, retry_after_s=2.5)
        assert (provider.code, provider.retryable, provider.retry_after_s) == ("provider_timeout", True, 2.5)
        assert (ToolError("x", code="tool_timeout").code, ToolError.code) == ("tool_timeout", "error")


def _agent(**changes: Any) -> Agent:
    usual: dict[str, Any] = {"id": "a", "group_id": "g", "name": "A", "provider": "demo", "model": "m", "version": 4}
    return Agent(**usual | changes, created_at=T0, updated_at=T0)
