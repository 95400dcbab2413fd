"""GET /stream, as Kawai's document has it, and what browsers make of it."""

import json
import threading
from datetime import datetime
from typing import Any

import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.contract.browser import needs_browser, opened
from tests.contract.conftest import Contract
from tests.contract.event_source import CLOSED, EventSource, Message
from tests.e2e.client import asked_of, new_id

BROWSER = {"Accept": "text/event-stream"}


def _types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def _data(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["type"] == kind]


@pytest.mark.contract("K24", "K29", "K30", "K31", "K32", "K33", "K34", "K37")
def test_events_are_told_as_documented(contract: Contract):
    agent, name = contract.agent(tool_rounds=1, reasoning="I think", text="two")
    events = contract.kawai("what?", agent=agent)
    assert _types(events) == [
        *("run_start", "step_start", "reasoning", "tool_call", "tool_result"),
        *("step_start", "reasoning", "run_end"),
    ]
    assert _data(events, "run_start")[0].items() >= {"prompt": "what?", "model": name}.items()
    assert _data(events, "step_start") == [{"step_index": 0}, {"step_index": 1}]
    assert _data(events, "reasoning")[0]["reasoning"].strip() == "I think"
    assert _data(events, "tool_call") == [{"tool_name": "calculator", "tool_arguments": {"expression": "1+1"}}]
    assert _data(events, "tool_result") == [{"tool_name": "calculator", "tool_result": 2}]
    assert _data(events, "run_end") == [{"answer": "two"}]
    assert all(datetime.fromisoformat(event["timestamp"]).tzinfo is not None for event in events)


@pytest.mark.contract("K25")
def test_message_is_required(contract: Contract):
    for params in ({}, {"message": ""}, {"message": "  "}):
        assert contract.get("/stream", params=params, expect=422)["detail"][0]["loc"] == ["query", "message"]


@pytest.mark.contract("K26")
def test_generated_ids_are_told_so_that_a_client_can_go_on(contract: Contract):
    agent, _ = contract.agent(text="ok")
    begun = contract.kawai(agent=agent)[0]["data"]
    assert contract.get(f"/sessions/{begun['session_id']}")["message_count"] == 2
    assert contract.get(f"/api/runs/{begun['run_id']}")["status"] == "completed"


@pytest.mark.contract("K27", "K28", "K36")
def test_step_limit_is_warned_of_and_an_answer_forced(contract: Contract):
    agent, _ = contract.agent(tool_rounds=9, reasoning="hm", text="forced")
    events = contract.kawai(agent=agent, max_steps=1)
    assert _data(events, "warning") == [{"message": "the limit of 1 steps is reached; a final answer is asked for"}]
    assert _data(events, "run_end") == [{"answer": "forced"}]
    contract.get("/stream", params={"message": "hello", "max_steps": 0}, expect=422)


@pytest.mark.contract("K28")
def test_no_answer_is_forced_where_the_client_does_not_want_one(contract: Contract):
    agent, _ = contract.agent(tool_rounds=9, reasoning="hm")
    events = contract.kawai(agent=agent, max_steps=1, force_provide_answer="false")
    assert _types(events)[-2:] == ["warning", "run_end"]
    assert _data(events, "run_end") == [{"answer": None}]


@pytest.mark.contract("K35")
def test_plans_are_told_as_made_then_as_revised(contract: Contract):
    agent, _ = contract.agent({"planning_interval": 1}, tool_rounds=1, text="1. look")
    assert _data(contract.kawai(agent=agent), "planning") == [
        {"plan": "1. look", "updated_plan": False},
        {"plan": "1. look", "updated_plan": True},
    ]


@pytest.mark.contract("K36")
def test_tool_call_without_reasoning_is_warned_of(contract: Contract):
    agent, _ = contract.agent(tool_rounds=1)
    assert len(_data(contract.kawai(agent=agent), "warning")) == 1


@pytest.mark.contract("K38", "K37", "C8")
def test_failed_run_is_told_and_the_stream_ends(contract: Contract):
    agent, _ = contract.agent(status=401)
    events = contract.kawai(agent=agent)
    assert _types(events) == ["run_start", "step_start", "error", "run_end"]
    assert _data(events, "error")[0]["error"]
    assert _data(events, "run_end") == [{"answer": None}]


@pytest.mark.contract("K37", "C8")
def test_cancelled_run_ends_with_run_end(contract: Contract):
    agent, _ = contract.agent(silent_s=60)
    params = {"message": "hello", "agent": agent}
    found: list[dict[str, Any]] = []
    with contract.http.stream("GET", "/stream", params=params, headers={"Accept": "*/*"}) as answer:
        for line in filter(None, answer.iter_lines()):
            found.append(json.loads(line.removeprefix("data: ")))
            if found[-1]["type"] == "step_start":
                contract.post(f"/api/runs/{answer.headers['x-run-id']}/cancel", {}, expect=202)
    assert _types(found)[-2:] == ["warning", "run_end"]


@pytest.mark.contract("C7", "K52")
def test_plain_clients_get_nothing_but_lines_of_data(contract: Contract):
    agent, _ = contract.agent(text="ok")
    params = {"message": "hello", "agent": agent}
    plain = contract.http.get("/stream", params=params, headers={"Accept": "*/*"})
    assert {line.partition(":")[0] for line in plain.text.split("\n")} == {"data", ""}
    assert (plain.headers["x-accel-buffering"], plain.headers["cache-control"]) == ("no", "no-store")
    browser = contract.http.get("/stream", params=params, headers=BROWSER)
    assert {line.partition(":")[0] for line in browser.text.split("\n")} == {"retry", "data", "id", ""}
    assert browser.text.rstrip().split("\n")[-1].startswith(f"id: {browser.headers['x-run-id']}/")


@pytest.mark.contract("C8")
def test_event_source_that_is_cut_off_reads_on_and_starts_nothing(contract: Contract, provider: FakeOpenAI):
    """It is thrown out after every event, comes back each time, and is stopped with 204 at the end."""
    agent, name = contract.agent(tool_rounds=2, reasoning="hm", text="the end", pace=50)
    got: list[Message] = []
    source = EventSource(f"{contract.url}/stream?message=hi&agent={agent}", got.append, throw_out=True)
    source.start().wait()
    assert [json.loads(message.data)["type"] for message in got] == [
        "run_start",
        *("step_start", "reasoning", "tool_call", "tool_result") * 2,
        *("step_start", "reasoning", "run_end"),
    ]
    assert (source.ready_state, source.statuses) == (CLOSED, [200] * len(got) + [204])
    assert len({message.last_event_id.partition("/")[0] for message in got}) == 1
    assert len(asked_of(provider, name)) == 3
    assert contract.get("/api/runs", params={"agent_id": agent})["total"] == 1


@needs_browser
@pytest.mark.contract("C8", "C22")
def test_real_browser_that_never_closes_is_stopped_and_starts_nothing(contract: Contract, served: Contract):
    """The page is of another origin; its EventSource is left to itself after the run's end."""
    agent, _ = contract.agent(text="ok")
    script = f"""
        const source = new EventSource("{contract.url}/stream?message=hi&agent={agent}");
        const seen = [];
        source.onmessage = (event) => seen.push(JSON.parse(event.data).type);
        while (source.readyState !== EventSource.CLOSED) await new Promise((done) => setTimeout(done, 20));
        return seen;
    """
    with opened(f"{served.url}/health") as page:
        assert page.run(script) == ["run_start", "step_start", "run_end"]
    assert contract.get("/api/runs", params={"agent_id": agent})["total"] == 1


@pytest.mark.contract("C8")
@pytest.mark.parametrize("made_up", ["7", "nobody/7", "x/y/z", "no-such-run/1"])
def test_made_up_event_id_starts_nothing(contract: Contract, made_up: str):
    agent, _ = contract.agent()
    params = {"message": "hi", "agent": agent}
    answer = contract.get("/stream", params=params, headers=BROWSER | {"Last-Event-ID": made_up}, expect=400)
    assert made_up in answer["detail"]
    assert contract.get("/api/runs", params={"agent_id": agent})["total"] == 0


@pytest.mark.contract("K24", "K46")
def test_run_goes_on_without_its_reader(contract: Contract):
    agent, _ = contract.agent(text="ok", silent_s=0.5)
    session_id = new_id("user")
    params = {"message": "one", "agent": agent, "session_id": session_id}
    with contract.http.stream("GET", "/stream", params=params) as answer:
        run_id = answer.headers["x-run-id"]
    again = contract.kawai("two", agent=agent, session_id=session_id)
    assert _data(again, "run_end") == [{"answer": "ok"}]
    assert contract.get(f"/api/runs/{run_id}")["status"] == "completed"


@pytest.mark.contract("K46")
def test_messages_at_once_to_one_session_are_answered_in_turn(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="ok", silent_s=0.2)
    session_id = new_id("user")
    answers: list[Any] = []

    def ask(message: str) -> None:
        body = {"message": message, "session_id": session_id, "agent": agent}
        answers.append(contract.post("/chat", body))

    threads = [threading.Thread(target=ask, args=(f"message {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["answer"] for answer in answers] == ["ok"] * 4
    assert contract.get(f"/sessions/{session_id}")["message_count"] == 8
    assert sorted(len(asked["messages"]) for asked in asked_of(provider, name)) == [1, 3, 5, 7]
