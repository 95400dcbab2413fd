"""What JSON or UTF-8 cannot say, wrong types, wrong methods: refused, and never an internal error."""

import asyncio
from pathlib import Path

import httpx
import pytest

from agio.api.problems import sayable
from agio.testing.provider import ScriptedProvider
from tests.api.serving import serving

ODD = ["NaN", "Infinity", "1e999", r'"\ud800"', r'"a\udfff"', r'{"\ud800": 1}', r'[{"x": "\ud83d"}]']


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/agents", '{"name": %s}'),
        ("/agents", '{"name": "x", "metadata": {"a": %s}}'),
        ("/chat", '{"agent_id": "writer", "message": %s}'),
        ("/runs", '{"agent_id": "writer", "message": [{"type": "text", "text": "a", "b": %s}]}'),
        ("/runs", '{"agent_id": "writer", "message": "a", "metadata": {"a": %s}}'),
        ("/runs", '{"agent_id": "writer", "message": "a", "modifications": {"metadata": {"a": %s}}}'),
        ("/sessions", '{"title": %s}'),
        ("/crews", '{"name": "x", "agents_yaml": {"a": %s}}'),
        ("/crews/debug", '{"tasks_yaml": {"a": %s}}'),
        ("/tasks", '{"name": "x", "expected_output": "", "description": %s}'),
        ("/executions", '{"tasks_yaml": "a: {agent: writer}", "inputs": {"a": %s}}'),
        ("/models", '{"name": "m", "provider": "demo", "model": "m", "parameters": {"a": %s}}'),
        ("/templates", '{"name": "t", "template": %s}'),
        ("/runs/cancel", '{"filter": {"run_ids": [%s]}}'),
        ("/approvals/none", '{"decision": "approve", "arguments": {"a": %s}}'),
        ("/runs/none/resume", '{"tool_results": {"a": %s}}'),
        ("/checkpoints/none/fork", '{"modifications": {"modified_messages": [{"index": 0, "content": [{"a": %s}]}]}}'),
        ("/checkpoints/none/plan", '{"modifications": {"modified_query": [{"a": %s}]}}'),
    ],
)
async def test_what_json_cannot_hold_is_invalid_input(tmp_path: Path, path: str, body: str, odd: str):
    async with serving(tmp_path) as api:
        headers = {"Content-Type": "application/json"}
        answer = await api.client.post(f"/api{path}", content=body % odd, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "validation_error")


@pytest.mark.parametrize("name", [r"\ud800", r"\u0000", "other"])
async def test_an_unknown_member_is_named_whatever_its_name(tmp_path: Path, name: str):
    async with serving(tmp_path) as api:
        headers = {"Content-Type": "application/json"}
        answer = await api.client.post("/api/agents", content=f'{{"name": "x", "{name}": 1}}', headers=headers)
    assert answer.status_code == 422


def test_a_problem_body_can_always_be_sent():
    said = sayable({"a\ud800": [float("nan"), float("inf"), "x\udfff", 1.5, None, True, ("ü",)]})
    assert said == {"a?": ["nan", "inf", "x?", 1.5, None, True, ["ü"]]}


async def test_nul_characters_are_text(tmp_path: Path):
    async with serving(tmp_path) as api:
        run = await api.chat("a\0b", metadata={"a\0": "\0"}, tags=["\0"])
        view = await api.call("GET", f"/runs/{run['run_id']}")
        for query in ("/runs?q=%00", "/runs?tag=%00", "/tools?q=%00", "/approvals?run_id=%00"):
            await api.call("GET", query)
    assert (view["input"], view["metadata"]) == ("a\0b", {"a\0": "\0"})


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": 0},
        {"stream": "false"},
        {"max_steps": "3"},
        {"max_steps": True},
        {"max_steps": 1.5},
        {"message": " "},
        {"message": []},
        {"modifications": {"modified_query": []}},
        {"on_busy": "wait"},
    ],
)
async def test_nothing_is_converted(tmp_path: Path, fields: dict[str, object]):
    async with serving(tmp_path) as api:
        body = {"agent_id": "writer", "message": "x"} | fields
        problem = await api.call("POST", "/runs", body, expect=422)
    assert problem["type"] == "validation_error"


async def test_a_whole_number_may_be_written_with_a_point(tmp_path: Path):
    async with serving(tmp_path) as api:
        await api.chat(max_steps=3.0, budget={"max_total_tokens": 1e6})


@pytest.mark.parametrize("since", ["0.5", "1700000000", "soon"])
async def test_an_instant_is_iso_8601(tmp_path: Path, since: str):
    async with serving(tmp_path) as api:
        await api.call("GET", f"/runs?since={since}", expect=422)
        await api.call("GET", "/runs?since=2026-01-01T00:00:00Z&until=2026-01-02")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/agents", "GET, POST"),
        ("HEAD", "/api/v1/agents", "GET, POST"),
        ("POST", "/api/agents/writer", "GET, PUT, PATCH, DELETE"),
        ("PUT", "/api/runs/x/checkpoints", "GET, POST"),
        ("OPTIONS", "/api/runs/cancel", "POST"),
        ("POST", "/docs", "GET"),
        ("POST", "/health/ready", "GET"),
    ],
)
async def test_405_names_every_method_of_the_path(tmp_path: Path, method: str, path: str, allowed: str):
    async with serving(tmp_path) as api:
        answer = await api.client.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


async def test_an_internal_error_is_a_problem_with_a_request_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async def break_down(*_: object, **__: object):
        raise RuntimeError("secret")

    async with serving(tmp_path) as api:
        monkeypatch.setattr(api.engine.agents, "list", break_down)
        answer = await api.client.get("/api/agents", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "mine")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["type"], answer.json()["request_id"]) == ("internal_error", "mine")
    assert "secret" not in answer.text


@pytest.mark.parametrize("chosen", [{}, {"run_id": "mine"}])
async def test_requests_at_once_under_one_key_start_one_run(tmp_path: Path, chosen: dict[str, str]):
    body = {"agent_id": "writer", "message": "x", "stream": False, **chosen}

    async def ask(client: httpx.AsyncClient, path: str) -> httpx.Response:
        return await client.post(path, json=body, headers={"Idempotency-Key": f"k{path}"})

    async with serving(tmp_path, ScriptedProvider(default="fine")) as api:
        answers = await asyncio.gather(*(ask(api.client, "/api/chat") for _ in range(6)))
        total = (await api.call("GET", "/runs"))["total"]
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert total == 1


async def test_a_key_does_not_lead_to_a_run_from_before(tmp_path: Path):
    async with serving(tmp_path) as api:
        await api.chat(run_id="mine")
        for _ in range(2):
            await api.call("POST", "/runs", {"agent_id": "writer", "message": "x", "run_id": "mine"}, expect=409, **KEY)


KEY = {"Idempotency_Key": "k"}


async def test_every_creating_call_names_its_headers(tmp_path: Path):
    async with serving(tmp_path) as api:
        paths = api.app.openapi()["paths"]
    keyed = {
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
        if "idempotency-key" in {one["name"].lower() for one in operation.get("parameters", [])}
    }
    assert keyed == {
        *("chat", "startRun", "createAgent", "createSession", "createTool", "retryRun"),
        *("restoreCheckpoint", "forkCheckpoint", "markCheckpoint", "markRunCheckpoint"),
        *("kawaiChat", "fireflyRun", "fireflyStream", "createAccessKey"),
        *("createWebhook", "createSchedule", "runSchedule", "startWorkflow"),
        *("createModel", "createTemplate", "kasalCreateApiKey", "kasalCreateSchedule"),
        *("createCrew", "createTask", "createExecution", "flowCall", "flowCallTasks"),
    }


async def test_a_made_up_event_id_is_refused_before_a_run_starts(tmp_path: Path):
    async with serving(tmp_path) as api:
        body = {"agent_id": "writer", "message": "x"}
        await api.call("POST", "/chat", body, expect=400, Last_Event_ID="nonsense")
        assert (await api.call("GET", "/runs"))["total"] == 0
