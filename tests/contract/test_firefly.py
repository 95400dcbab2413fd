"""The factory, the agents' routes, streams and conversations, as Firefly's document has them."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from agio import Agent, Settings, create_app, sse_stream
from agio.testing.openai_server import FakeOpenAI
from tests.contract.conftest import Contract
from tests.e2e.client import asked_of, new_id
from tests.support.in_thread import running_app

ORIGIN = {"Origin": "https://myapp.example.com"}


@contextmanager
def _made(folder: Path, **options: Any) -> Iterator[httpx.Client]:
    app = create_app(Settings(database_url=f"sqlite:///{folder}/agio.db", drain_s=0), **options)
    with running_app(app) as url, httpx.Client(base_url=url, timeout=30) as http:
        yield http


# -- factory and wiring


@pytest.mark.contract("F2", "F3", "F6")
def test_factorys_application_runs_under_uvicorn_with_its_title_version_and_agents(contract: Contract):
    about = contract.get("/openapi.json")["info"]
    assert (about["title"], about["version"]) == ("My GenAI Service", "1.0.0")
    assert "summariser" in {agent["name"] for agent in contract.get("/agents/")}


@pytest.mark.contract("F4", "F5", "F9", "C22")
@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"enable_cors": True, "cors_origins": ["https://myapp.example.com"]}, "https://myapp.example.com"),
        ({"cors_origins": ["https://other.example"]}, None),
        ({"enable_cors": False}, None),
        ({"cors": False}, None),
    ],
)
def test_factory_says_who_may_call_from_a_browser(tmp_path: Path, options: dict[str, Any], allowed: str | None):
    with _made(tmp_path, **options) as http:
        assert http.get("/health", headers=ORIGIN).headers.get("access-control-allow-origin") == allowed
        asked = http.options("/agents/x/run", headers=ORIGIN | {"Access-Control-Request-Method": "POST"})
        assert asked.headers.get("access-control-allow-origin") == allowed


@pytest.mark.contract("F29")
def test_every_origin_may_call_by_default(contract: Contract):
    assert contract.http.get("/agents/", headers=ORIGIN).headers["access-control-allow-origin"] == "*"


@pytest.mark.contract("F6", "C3")
def test_agent_that_is_registered_later_appears_without_a_restart(contract: Contract):
    agent, _ = contract.agent(text="ok")
    assert agent in {one["name"] for one in contract.get("/agents/")}
    assert contract.post(f"/agents/{agent}/run", {"prompt": "hello"})["output"] == "ok"
    contract.call("DELETE", f"/api/agents/{agent}", expect=204)
    assert agent not in {one["name"] for one in contract.get("/agents/")}


@pytest.mark.contract("F8", "F10", "F26", "F27", "F28")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/agents/", 200), ("GET", "/nowhere", 404), ("POST", "/agents/x/run", 422), ("GET", "/health", 200)],
)
def test_every_answer_has_a_request_id(contract: Contract, method: str, path: str, status: int):
    fresh = contract.http.request(method, path)
    assert fresh.status_code == status
    assert uuid.UUID(fresh.headers["x-request-id"]).version == 4
    given = contract.http.request(method, path, headers={"X-Request-ID": "mine-1"})
    assert given.headers["x-request-id"] == "mine-1"
    odd = contract.http.request(method, path, headers={"X-Request-ID": "x" * 1000})
    assert uuid.UUID(odd.headers["x-request-id"]).version == 4


@pytest.mark.contract("F26")
def test_streams_have_a_request_id(contract: Contract):
    agent, _ = contract.agent(text="ok")
    answer = contract.http.post(f"/agents/{agent}/stream", json={"prompt": "x"}, headers={"X-Request-ID": "mine-2"})
    assert answer.headers["x-request-id"] == "mine-2"


# -- agents


@pytest.mark.contract("F11", "C28")
def test_agents_are_a_bare_list_with_metadata(contract: Contract):
    listed = contract.get("/agents/")
    (summariser,) = [agent for agent in listed if agent["name"] == "summariser"]
    assert summariser.items() >= {"title": "Summariser", "description": "Summarises.", "tags": ["text"]}.items()
    assert contract.http.get("/agents").status_code == 200  # no redirect


@pytest.mark.contract("F12", "F13", "F14", "F16", "F17", "F18", "F19", "F20")
def test_run_answers_with_the_documented_fields(contract: Contract):
    agent, _ = contract.agent(text="The document discusses...")
    answer = contract.post(f"/agents/{agent}/run", {"prompt": "Summarise this document.", "deps": {}})
    metadata = answer.pop("metadata")
    assert answer == {
        "agent_name": agent,
        "output": "The document discusses...",
        "success": True,
        "error": None,
    }
    assert metadata["usage"]["total_tokens"] > 0
    assert contract.get(f"/api/runs/{metadata['run_id']}")["session_id"] == metadata["conversation_id"]


@pytest.mark.contract("F12")
@pytest.mark.parametrize("name", ["nobody", "conversations"])
@pytest.mark.parametrize("what", ["run", "stream"])
def test_unknown_agent_is_not_found(contract: Contract, name: str, what: str):
    answer = contract.post(f"/agents/{name}/{what}", {"prompt": "x"}, expect=404)
    assert answer == {"detail": f"there is no agent '{name}'"}


@pytest.mark.contract("F13")
def test_prompt_of_parts_reaches_the_model(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="a cat")
    parts = [{"type": "text", "content": "what?"}, {"type": "image_url", "content": "https://x.test/a.png"}]
    assert contract.post(f"/agents/{agent}/run", {"prompt": parts})["output"] == "a cat"
    assert asked_of(provider, name)[0]["messages"][-1]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
    ]


@pytest.mark.contract("F13", "F22")
@pytest.mark.parametrize("what", ["run", "stream"])
@pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": None}, {"prompt": []}, {"prompt": 1}])
def test_prompt_is_required(contract: Contract, what: str, body: dict[str, Any]):
    assert contract.post(f"/agents/summariser/{what}", body, expect=422)["detail"][0]["loc"][:2] == ["body", "prompt"]


@pytest.mark.contract("F14")
def test_deps_are_kept_with_the_run(contract: Contract):
    agent, _ = contract.agent(text="ok")
    made = contract.post(f"/agents/{agent}/run", {"prompt": "x", "deps": {"tenant": "t"}})["metadata"]["run_id"]
    assert contract.get(f"/api/runs/{made}")["metadata"] == {"deps": {"tenant": "t"}}
    assert contract.post(f"/agents/{agent}/run", {"prompt": "x", "deps": None})["success"] is True


@pytest.mark.contract("F19")
def test_failed_run_is_told_with_status_200_and_no_stack_trace(contract: Contract):
    agent, _ = contract.agent(status=401, error="made to fail")
    answer = contract.post(f"/agents/{agent}/run", {"prompt": "x"})
    assert (answer["success"], answer["output"]) == (False, None)
    assert answer["error"]
    assert "Traceback" not in answer["error"]


# -- streaming


@pytest.mark.contract("F21", "F22", "F23", "F24")
def test_stream_is_deltas_then_done(contract: Contract):
    agent, _ = contract.agent(text="one two three")
    *texts, done = contract.firefly(agent)
    assert [json.loads(text) for text in texts] == [{"text": "one "}, {"text": "two "}, {"text": "three"}]
    assert done == "[DONE]"


@pytest.mark.contract("F24")
def test_failed_stream_says_so_and_is_done(contract: Contract):
    agent, _ = contract.agent(status=401)
    error, done = contract.firefly(agent)
    assert list(json.loads(error)) == ["error"]
    assert done == "[DONE]"


@pytest.mark.contract("F25")
def test_sse_stream_works_in_an_application_of_ones_own():
    app = FastAPI()
    agent = Agent("Writer")

    @app.get("/ask")
    async def ask(prompt: str) -> StreamingResponse:
        return StreamingResponse(sse_stream(agent, prompt), media_type="text/event-stream")

    with running_app(app) as url:
        text = httpx.get(f"{url}/ask", params={"prompt": "Hello there"}, timeout=30).text
    *texts, done = [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]
    assert "Hello there" in "".join(json.loads(one)["text"] for one in texts)
    assert done == "[DONE]"


# -- conversations


@pytest.mark.contract("F53", "F54", "F56", "F15")
def test_conversation_holds_what_was_said(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="noted")
    conversation = contract.post("/agents/conversations", None)["conversation_id"]
    empty = {"conversation_id": conversation, "message_count": 0, "messages": []}
    assert contract.get(f"/agents/conversations/{conversation}") == empty
    contract.post(f"/agents/{agent}/run", {"prompt": "I like tea", "conversation_id": conversation})
    contract.firefly(agent, "What did we discuss earlier?", conversation_id=conversation)
    asked = [message["content"] for message in asked_of(provider, name)[1]["messages"]]
    assert asked == ["I like tea", "noted", "What did we discuss earlier?"]
    found = contract.get(f"/agents/conversations/{conversation}")
    assert found["message_count"] == 4
    assert [(one["role"], one["content"]) for one in found["messages"]][:2] == [
        ("user", "I like tea"),
        ("assistant", "noted"),
    ]


@pytest.mark.contract("F15")
def test_conversation_that_is_not_there_yet_is_made(contract: Contract):
    agent, _ = contract.agent(text="ok")
    conversation = new_id("talk")
    contract.get(f"/agents/conversations/{conversation}", expect=404)
    made = contract.post(f"/agents/{agent}/run", {"prompt": "x", "conversation_id": conversation})
    assert made["metadata"]["conversation_id"] == conversation
    assert contract.get(f"/agents/conversations/{conversation}")["message_count"] == 2


@pytest.mark.contract("F55")
def test_clearing_a_conversation_forgets_what_was_said(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="ok")
    conversation = new_id("talk")
    body = {"prompt": "secret", "conversation_id": conversation}
    run_id = contract.post(f"/agents/{agent}/run", body)["metadata"]["run_id"]
    cleared = contract.call("DELETE", f"/agents/conversations/{conversation}")
    assert cleared == {"status": "cleared", "conversation_id": conversation}
    assert contract.get(f"/agents/conversations/{conversation}")["message_count"] == 0
    contract.get(f"/api/runs/{run_id}", expect=404)
    contract.post(f"/agents/{agent}/run", {"prompt": "hello", "conversation_id": conversation})
    assert [message["content"] for message in asked_of(provider, name)[1]["messages"]] == ["hello"]


@pytest.mark.contract("F54", "F55")
def test_unknown_conversation_is_not_found(contract: Contract):
    gone = {"detail": "there is no session 'nowhere'"}
    assert contract.get("/agents/conversations/nowhere", expect=404) == gone
    assert contract.call("DELETE", "/agents/conversations/nowhere", expect=404) == gone


# -- health


@pytest.mark.contract("F7", "F57", "F58", "F59")
def test_probes_answer(contract: Contract):
    assert contract.get("/health")["status"] == "healthy"
    assert contract.get("/health/ready") == {"status": "ready"}
