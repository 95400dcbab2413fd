"""Checkpoints over HTTP: look, annotate, diff, plan."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agio.engine.caller import Caller
from agio.engine.starting import StartRequest
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools import tool
from tests.api.serving import Api, serving, writer


@tool
async def send_mail(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    calls = [Call("calculator", {"expression": "6*7"}), Call("send_mail", {"to": "ada"})]
    script = ScriptedProvider([Answer(calls=calls), "It is 42."], default="fine")
    agents = [writer(id="calc", tools=("calculator", "send_mail"), system_prompt="Be short.")]
    async with serving(tmp_path, script, tools=[send_mail], agents=agents) as served:
        yield served


@pytest.mark.contract("A32", "C26")
async def test_rows_come_in_order_without_payloads_on_both_paths(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    listed = await api.call("GET", f"/checkpoints/runs/{run['run_id']}/checkpoints")
    assert await api.call("GET", f"/runs/{run['run_id']}/checkpoints") == listed
    rows = listed["items"]
    assert [(row["step"], row["kind"], row["message_count"]) for row in rows] == [
        (0, "input", 1),
        (1, "step", 4),
        (2, "final", 5),
    ]
    assert [row["parent_checkpoint_id"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]
    assert not {"messages", "agent", "metrics"} & rows[0].keys()
    assert (rows[0]["superseded"], rows[0]["label"], rows[0]["tags"], rows[0]["attempt"]) == (False, None, [], 1)
    page = await api.call("GET", f"/runs/{run['run_id']}/checkpoints?limit=1&offset=1")
    assert (page["items"], page["total"], page["has_more"]) == ([rows[1]], 3, True)
    await api.call("GET", "/runs/none/checkpoints", expect=404)
    await api.call("GET", "/checkpoints/runs/none/checkpoints", expect=404)


@pytest.mark.contract("A33")
async def test_a_checkpoint_tells_the_whole_state(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [first, step, last] = await api.checkpoints(run["run_id"])
    whole = await api.call("GET", f"/checkpoints/{last['id']}")
    assert {name: whole[name] for name in last} == last
    assert [message["role"] for message in whole["messages"]] == ["user", "assistant", "tool", "tool", "assistant"]
    assert (whole["status"], whole["agent"]["system_prompt"], whole["agent"]["agent_id"]) == (
        "completed",
        "Be short.",
        "calc",
    )
    assert whole["metrics"]["steps"] == 2
    assert whole["lineage"] == {"checkpoints": [step["id"], first["id"]], "runs": []}
    assert (await api.call("GET", f"/checkpoints/{step['id']}"))["status"] == "running"


async def test_a_forks_lineage_leads_back_across_runs(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [first, step, _] = await api.checkpoints(run["run_id"])
    fork = await api.call("POST", f"/checkpoints/{step['id']}/fork", {}, expect=201)
    await api.until(fork["run_id"], "completed")
    [own, last] = await api.checkpoints(fork["run_id"])
    lineage = (await api.call("GET", f"/checkpoints/{last['id']}"))["lineage"]
    assert lineage == {"checkpoints": [own["id"], step["id"], first["id"]], "runs": [run["run_id"]]}


@pytest.mark.parametrize("key", ["none", "none.1", "x.999999999999999", ".5", "5.", "a%00.1", "%F0%9F%98%80.3"])
async def test_made_up_ids_are_not_found(api: Api, key: str):
    for method, path in (("GET", ""), ("GET", "/diff?against=none.1"), ("GET", "/diff")):
        await api.call(method, f"/checkpoints/{key}{path}", expect=404)
    await api.call("PATCH", f"/checkpoints/{key}", {"label": "x"}, expect=404)
    for path in ("restore", "fork", "plan"):
        await api.call("POST", f"/checkpoints/{key}/{path}", {}, expect=404)
    await api.call("POST", f"/checkpoints/{key}/restore", {"create_new_run": False}, expect=404)
    await api.call("POST", f"/checkpoints/{key}/fork", {"variants": [{}]}, expect=404)


async def test_another_groups_checkpoint_does_not_exist(api: Api):
    bob = Caller("bob", "elsewhere")
    run = await api.engine.starting.start(bob, StartRequest(agent_id="writer", message="x"))
    async for _ in api.engine.tail(bob, run.id):
        pass
    [first, *_] = (await api.engine.store.list_checkpoints("elsewhere", run.id)).items
    await api.call("GET", f"/checkpoints/{first.id}", expect=404)
    await api.call("POST", f"/checkpoints/{first.id}/fork", {}, expect=404)
    await api.call("PATCH", f"/checkpoints/{first.id}", {"label": "x"}, expect=404)
    await api.call("GET", f"/runs/{run.id}/checkpoints", expect=404)
    await api.call("POST", f"/runs/{run.id}/checkpoints", {}, expect=404)


async def test_label_and_tags_can_change_one_at_a_time(api: Api):
    run = await api.chat()
    [first, *_] = await api.checkpoints(run["run_id"])
    await api.call("PATCH", f"/checkpoints/{first['id']}", {"label": "good", "tags": ["a", "b"]})
    tagged = await api.call("PATCH", f"/checkpoints/{first['id']}", {"tags": ["c"]})
    assert (tagged["label"], tagged["tags"]) == ("good", ["c"])
    cleared = await api.call("PATCH", f"/checkpoints/{first['id']}", {"label": None})
    assert (cleared["label"], cleared["tags"]) == (None, ["c"])
    assert (await api.checkpoints(run["run_id"]))[0] == cleared
    await api.call("PATCH", f"/checkpoints/{first['id']}", {"step": 5}, expect=422)


@pytest.mark.contract("A4")
async def test_marking_an_ended_run_labels_its_last_checkpoint(api: Api):
    run = await api.chat()
    marked = await api.call(
        "POST", f"/runs/{run['run_id']}/checkpoints", {"description": "done", "tags": ["x"]}, expect=201
    )
    assert (marked["label"], marked["tags"], marked["kind"]) == ("done", ["x"], "final")
    assert (await api.checkpoints(run["run_id"]))[-1] == marked
    again = await api.call("POST", f"/checkpoints/runs/{run['run_id']}/checkpoints", {"label": "other"}, expect=201)
    assert (again["id"], again["label"]) == (marked["id"], "other")


async def test_marking_a_run_that_works_takes_effect_at_its_next_checkpoint(tmp_path: Path):
    script = ScriptedProvider([Answer("one", gate := Gate())])
    async with serving(tmp_path, script) as api:
        run = await api.start()
        await gate.reached.wait()
        path, body = f"/runs/{run['id']}/checkpoints", {"label": "here"}
        pending = await api.call("POST", path, body, expect=202, Idempotency_Key="k")
        assert (pending["run_id"], pending["pending"]) == (run["id"], True)
        assert await api.call("POST", path, body, expect=202, Idempotency_Key="k") == pending
        gate.open()
        await api.until(run["id"], "completed")
        assert [row["label"] for row in await api.checkpoints(run["id"])] == [None, "here"]


async def test_diff_tells_what_came_to_the_conversation(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [first, step, last] = await api.checkpoints(run["run_id"])
    diff = await api.call("GET", f"/checkpoints/{last['id']}/diff?against={first['id']}")
    assert (diff["common"], len(diff["added"]), diff["removed"], diff["changed"]) == (1, 4, [], [])
    assert {"field": "step", "before": 0, "after": 2} in diff["state"]
    assert "steps" in [change["field"] for change in diff["metrics"]]
    assert await api.call("GET", f"/checkpoints/{last['id']}/diff") == await api.call(
        "GET", f"/checkpoints/{last['id']}/diff?against={step['id']}"
    )
    answer = await api.call("GET", f"/checkpoints/{first['id']}/diff", expect=422)
    assert answer["errors"][0]["field"] == "against"


async def test_diff_tells_what_a_fork_changed(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [first, _, last] = await api.checkpoints(run["run_id"])
    changes = {"modified_query": "7*7?", "system_prompt": "Be long.", "tools": ["calculator"]}
    fork = await api.call("POST", f"/checkpoints/{first['id']}/fork", {"modifications": changes}, expect=201)
    await api.until(fork["run_id"], "completed")
    [end] = (await api.checkpoints(fork["run_id"]))[-1:]
    diff = await api.call("GET", f"/checkpoints/{end['id']}/diff?against={last['id']}")
    assert (diff["changed"][0]["before"]["content"], diff["changed"][0]["after"]["content"]) == ("6*7?", "7*7?")
    configuration = {change["field"]: change["after"] for change in diff["configuration"]}
    assert configuration == {"system_prompt": "Be long.", "tools": ["calculator"]}


async def test_a_plan_says_what_a_fork_would_do_and_does_nothing(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [first, step, last] = await api.checkpoints(run["run_id"])
    before = (await api.call("GET", "/runs"))["total"]
    plan = await api.call("POST", f"/checkpoints/{first['id']}/plan", {"modifications": {"modified_query": "8*8?"}})
    assert (plan["messages_reused"], plan["messages_dropped"], plan["adds_message"]) == (0, 1, True)
    assert (plan["steps_to_rerun"], plan["base_step"], plan["run_id"]) == ([1, 2], 0, run["run_id"])
    assert plan["tools_with_side_effects"] == [{"name": "send_mail", "calls": 1}]
    changed = await api.call("POST", f"/checkpoints/{step['id']}/plan", {"modifications": {"model": "other"}})
    assert (changed["messages_reused"], changed["steps_to_rerun"], changed["agent"]["model"]) == (4, [2], "other")
    assert changed["tools_with_side_effects"] == []
    again = await api.call("POST", f"/checkpoints/{last['id']}/plan")
    assert (again["messages_reused"], again["messages_dropped"]) == (4, 1)
    assert (await api.call("GET", "/runs"))["total"] == before
    await api.call("POST", f"/checkpoints/{step['id']}/plan", {"modifications": {"tools": ["nonsense"]}}, expect=422)
    await api.call("POST", f"/checkpoints/{step['id']}/plan", {"modifications": {"nonsense": 1}}, expect=422)
