"""Restore and fork, told by what the model is really asked, and by what becomes of the source."""

from typing import Any

import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, asked_of, model, new_id
from tests.e2e.neighbours import Effects

pytestmark = [pytest.mark.e2e]

CALCULATE = {"tool_rounds": 2, "tool_name": "calculator", "tool_arguments": '{"expression": "6*7"}'}


async def _everything(client: Client, run: str) -> dict[str, Any]:
    """Return all that can be read of a run."""
    pages = ("", "/events", "/messages", "/checkpoints", "/steps", "/trace")
    headers = {"Accept": "application/json"}
    return {page: await client.call("GET", f"/runs/{run}{page}", headers=headers) for page in pages}


async def _source(client: Client, end: str, provider: FakeOpenAI, effects: Effects) -> str:
    """Return a run with two tool steps behind it that ended this way."""
    agent = await client.agent(model=model(text="abandoned", **CALCULATE), tools=["calculator"], system_prompt="Old.")
    if end == "completed":
        run = await client.start(agent, "first question")
    elif end == "failed":
        run = await client.start(agent, "first question", max_steps=2, force_final_answer=False)
    elif end == "cancelled":
        tool = await client.tool(f"{effects.url}/held")
        effects.hold("/held")
        asked = model(**{**CALCULATE, "tool_name": tool, "tool_arguments": '{"amount": "1"}'})
        run = await client.start(await client.agent(model=asked, tools=[tool], system_prompt="Old."), "first question")
        effects.wait_for("/held", 1)
        await client.call("POST", f"/runs/{run}/cancel", expect=202)
    else:
        first = await _source(client, "completed", provider, effects)
        place = await _checkpoint(client, first, "step")
        run = (await client.call("POST", f"/checkpoints/{place}/fork", {}, expect=201))["run_id"]
        end = "completed"
    assert (await client.ended(run))[-1].event == f"run_{end}"
    return run


async def _checkpoint(client: Client, run: str, kind: str) -> str:
    """Return the run's first checkpoint of that kind."""
    rows = (await client.call("GET", f"/runs/{run}/checkpoints"))["items"]
    found: str = next(row["id"] for row in rows if row["kind"] == kind)
    return found


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "forked"])
async def test_a_fork_asks_with_what_was_changed_and_nothing_of_the_abandoned_future(
    client: Client, provider: FakeOpenAI, effects: Effects, end: str
):
    run = await _source(client, end, provider, effects)
    before = await _everything(client, run)
    asked = model(text="new future")
    place = await _checkpoint(client, run, "input" if end in ("cancelled", "forked") else "step")
    changes = {
        "system_prompt": "New rules.",
        "model": asked,
        "temperature": 0.5,
        "max_tokens": 77,
        "tools": ["current_time"],
    }
    fork = await client.call("POST", f"/checkpoints/{place}/fork", {"modifications": changes}, expect=201)
    assert (await client.ended(fork["new_run_id"]))[-1].data["response"] == "new future"

    (body,) = asked_of(provider, asked)
    told = [(m["role"], m["content"]) for m in body["messages"] if m["role"] in ("system", "user")]
    assert told == [("system", "New rules."), ("user", "first question")]
    kept = {"completed": 2, "failed": 2, "cancelled": 0, "forked": 2}[end]
    assert [m["role"] for m in body["messages"][2:]] == ["assistant", "tool"][:kept]
    assert "abandoned" not in str(body)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["current_time"]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 77)
    assert await _everything(client, run) == before
    view = await client.view(fork["new_run_id"])
    assert view["parent"] == {"run_id": run, "checkpoint_id": place, "kind": "fork"}
    assert view["modifications"] == changes


async def test_edited_messages_and_tool_results_reach_the_model(client: Client, provider: FakeOpenAI, effects: Effects):
    run = await _source(client, "completed", provider, effects)
    before = await _everything(client, run)
    place = await _checkpoint(client, run, "step")
    state = await client.call("GET", f"/checkpoints/{place}")
    call_id = state["messages"][1]["tool_calls"][0]["id"]
    asked = model(text="41, then")
    changes = {
        "model": asked,
        "modified_messages": [{"index": 0, "content": "edited question"}],
        "tool_results": {call_id: "41"},
    }
    fork = await client.call("POST", f"/checkpoints/{place}/fork", {"modifications": changes}, expect=201)
    await client.ended(fork["run_id"])

    (body,) = asked_of(provider, asked)
    assert [(m["role"], m["content"]) for m in body["messages"] if m["role"] != "assistant"] == [
        ("system", "Old."),
        ("user", "edited question"),
        ("tool", "41"),
    ]
    assert body["messages"][2]["tool_calls"][0]["id"] == body["messages"][3]["tool_call_id"]
    assert await _everything(client, run) == before


async def test_a_restore_with_another_query_drops_what_followed_and_the_session_goes_on_there(
    client: Client, provider: FakeOpenAI
):
    session, asked = new_id("session"), model(text="answer")
    agent = await client.agent(model=asked)
    runs = {}
    for question in ("one", "two", "three"):
        runs[question] = await client.start(agent, question, session_id=session)
        await client.ended(runs[question])
    place = await _checkpoint(client, runs["two"], "final")
    body = {"modifications": {"modified_query": "two, but better"}}
    restored = await client.call("POST", f"/checkpoints/{place}/restore", body, expect=201)
    await client.ended(restored["run_id"])
    await client.ended(await client.start(agent, "four", session_id=session))

    said = [[m["content"] for m in request["messages"]] for request in asked_of(provider, asked)]
    assert said[3] == ["one", "answer", "two, but better"]
    assert said[4] == ["one", "answer", "two, but better", "answer", "four"]


async def test_an_in_place_restore_is_a_new_attempt_whose_request_knows_nothing_of_the_first(
    client: Client, provider: FakeOpenAI, effects: Effects
):
    run = await _source(client, "completed", provider, effects)
    before = (await client.call("GET", f"/runs/{run}/events", headers={"Accept": "application/json"}))["items"]
    asked = model(text="second attempt")
    place = await _checkpoint(client, run, "step")
    body = {"create_new_run": False, "modifications": {"model": asked}}
    answer = await client.call("POST", f"/checkpoints/{place}/restore", body, expect=201)
    assert (answer["run_id"], answer["new_run_id"]) == (run, None)
    view = await client.until(run, "completed")

    assert (view["attempt"], view["response"]) == (2, "second attempt")
    (request,) = asked_of(provider, asked)
    assert [m["role"] for m in request["messages"]] == ["system", "user", "assistant", "tool"]
    headers = {"Accept": "application/json"}
    events = (await client.call("GET", f"/runs/{run}/events?limit=1000", headers=headers))["items"]
    assert events[: len(before)] == before
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    opened = next(event for event in events[len(before) :] if event["type"] == "run_restored")
    assert (opened["attempt"], opened["from_checkpoint_id"]) == (2, place)
    rows = (await client.call("GET", f"/runs/{run}/checkpoints"))["items"]
    assert [row["superseded"] for row in rows if row["attempt"] == 1] == [False, False, True, True]
