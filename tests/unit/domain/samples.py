"""Domain records for the tests of this folder."""

from dataclasses import replace
from typing import Any

from agio.domain.agents import AgentSnapshot
from agio.domain.checkpoints import Checkpoint
from agio.domain.messages import Message, ToolCall
from agio.domain.metrics import Metrics
from agio.domain.runs import Run, RunUpdate
from agio.domain.status import TERMINAL, RunStatus
from agio.testing.conformance.records import instant, make_creation

T0 = instant(0)
T9 = instant(9)


def run_in(status: RunStatus, **fields: Any) -> Run:
    """Return a run as it is found in a status."""
    run = make_creation("g", id="r", session_id="s", branch_id="b").run
    usual: dict[str, Any] = {"status": status, "holds_branch": status not in TERMINAL}
    if status is not RunStatus.QUEUED:
        usual |= {"epoch": 1, "started_at": T0}
    if status is RunStatus.RUNNING:
        usual |= {"owner": "worker-1", "owned_since": T0}
    if status in TERMINAL:
        usual |= {"ended_at": T0}
    return replace(run, **usual | fields)


def an_update(**fields: Any) -> RunUpdate:
    """Return an update that changes nothing but what is given."""
    return RunUpdate(**{"last_seq": 2} | fields)


def a_checkpoint(**fields: Any) -> Checkpoint:
    """Return the checkpoint of a second step with four messages."""
    usual: dict[str, Any] = {
        "run_id": "r",
        "seq": 7,
        "group_id": "g",
        "session_id": "s",
        "attempt": 1,
        "branch_id": "b",
        "position": 4,
        "step": 2,
        "kind": "step",
        "parent_id": None,
        "agent_digest": "d",
        "metrics": Metrics(steps=2),
        "created_at": T0,
    }
    return Checkpoint(**usual | fields)


def a_snapshot(**fields: Any) -> AgentSnapshot:
    """Return an agent with two tools."""
    usual: dict[str, Any] = {
        "agent_id": "a",
        "version": 1,
        "provider": "demo",
        "model": "demo-1",
        "tools": ("search", "read"),
    }
    return AgentSnapshot(**usual | fields)


def user(text: Any, message_id: str = "u") -> Message:
    """Return a question."""
    return Message(id=message_id, role="user", content=text)


def answer(text: Any, message_id: str = "a") -> Message:
    """Return an answer without tool calls."""
    return Message(id=message_id, role="assistant", content=text)


def asks(*call_ids: str, message_id: str = "asks") -> Message:
    """Return an assistant message that calls tools."""
    calls = tuple(ToolCall(id=call_id, name="search", arguments="{}") for call_id in call_ids)
    return Message(id=message_id, role="assistant", content="", tool_calls=calls)


def result(call_id: str, text: Any, **fields: Any) -> Message:
    """Return a tool's answer."""
    return Message(**{"id": f"t-{call_id}"} | fields, role="tool", content=text, tool_call_id=call_id, name="search")
