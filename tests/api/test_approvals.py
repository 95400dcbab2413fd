"""The approval inbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools import tool
from tests.api.serving import Api, serving, writer


@tool(requires_approval=True)
async def delete_file(path: str) -> str:
    """Delete a file."""
    return f"deleted {path}"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    script = ScriptedProvider([Answer(calls=[Call("delete_file", {"path": "a"})]), "done"], default="done")
    agents = [writer(id="cleaner", tools=("delete_file",))]
    async with serving(tmp_path, script, tools=[delete_file], agents=agents) as served:
        yield served


async def pending(api: Api):
    run = await api.chat(agent_id="cleaner", expect=202)
    [approval] = (await api.call("GET", "/approvals?status=pending"))["items"]
    return run, approval


async def test_the_inbox_shows_what_waits(api: Api):
    run, approval = await pending(api)
    assert (approval["run_id"], approval["name"], approval["arguments"]) == (
        run["run_id"],
        "delete_file",
        {"path": "a"},
    )
    assert (approval["status"], approval["by"], approval["approval_id"]) == ("pending", None, approval["id"])
    assert await api.call("GET", f"/approvals/{approval['id']}") == approval
    assert (await api.call("GET", f"/approvals?run_id={run['run_id']}"))["total"] == 1
    assert (await api.call("GET", "/approvals?run_id=none"))["total"] == 0
    assert (await api.call("GET", "/approvals?status=approved"))["total"] == 0


async def test_an_approved_call_is_made_with_edited_arguments(api: Api):
    run, approval = await pending(api)
    body = {"decision": "approve", "note": "that one", "arguments": {"path": "b"}}
    decided = await api.call("POST", f"/approvals/{approval['id']}", body)
    assert (decided["status"], decided["by"], decided["note"]) == ("approved", "anonymous", "that one")
    assert decided["edited_arguments"] == {"path": "b"}
    await api.until(run["run_id"], "completed")
    messages = (await api.call("GET", f"/runs/{run['run_id']}/messages"))["items"]
    assert "deleted b" in [message["content"] for message in messages]


async def test_the_same_decision_again_changes_nothing_and_another_one_is_refused(api: Api):
    run, approval = await pending(api)
    first = await api.call("POST", f"/approvals/{approval['id']}", {"decision": "reject", "note": "no"})
    await api.until(run["run_id"], "completed")
    assert await api.call("POST", f"/approvals/{approval['id']}", {"decision": "reject"}) == first
    refused = await api.call("POST", f"/approvals/{approval['id']}", {"decision": "approve"}, expect=409)
    assert "rejected" in refused["detail"]


async def test_a_cancelled_runs_approvals_are_cancelled(api: Api):
    run, approval = await pending(api)
    await api.call("POST", f"/runs/{run['run_id']}/cancel", expect=202)
    await api.until(run["run_id"], "cancelled")
    assert (await api.call("GET", f"/approvals/{approval['id']}"))["status"] == "cancelled"
    await api.call("POST", f"/approvals/{approval['id']}", {"decision": "approve"}, expect=409)


async def test_bad_decisions_are_refused(api: Api):
    _, approval = await pending(api)
    await api.call("POST", f"/approvals/{approval['id']}", {"decision": "maybe"}, expect=422)
    await api.call("POST", f"/approvals/{approval['id']}", {}, expect=422)
    await api.call("POST", "/approvals/none", {"decision": "approve"}, expect=404)
    await api.call("GET", "/approvals/none", expect=404)
    await api.call("GET", "/approvals?status=nonsense", expect=422)
