"""Workflows over HTTP: start, look, follow, command, fork; what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.api.serving import Api, Frame, frames, frames_of, listening, serving

CREW: dict[str, Any] = {
    "name": "article",
    "process": "sequential",
    "agents": {"researcher": {"role": "Researcher"}, "writer": {"role": "Writer", "llm": "big"}},
    "tasks": {
        "research": {"description": "Collect facts on {topic}.", "agent": "researcher"},
        "write": {"description": "Write.", "agent": "writer", "expected_output": "An article."},
    },
}
YAML = """
name: article
process: sequential
agents:
  researcher: {role: Researcher}
tasks:
  research: {description: Collect., agent: researcher}
  shout: {function: shout, arguments: {text: "{{research}}"}}
"""


@tool
def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()


def answering(request: ModelRequest) -> str:
    return f"done: {str(request.messages[-1].content).splitlines()[0]}"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, ScriptedProvider(default=answering), tools=[shout], default_agent="writer") as served:
        yield served


@pytest.fixture
async def live(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(api) as client:
        yield client


@asynccontextmanager
async def following(client: httpx.AsyncClient, run_id: str, **headers: str) -> AsyncIterator[AsyncIterator[Frame]]:
    async with client.stream("GET", f"/api/workflows/{run_id}/events", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield frames(answer.aiter_lines())


async def test_crew_is_started_looked_at_followed_and_traced(api: Api):
    body = {"crew": CREW, "inputs": {"topic": "tides"}, "tags": ["daily"], "run_id": "flow-1"}
    view = await api.call("POST", "/workflows", body, expect=202)
    assert (view["id"], view["agent_id"], view["tags"]) == ("flow-1", "workflow:article", ["daily"])
    await api.until("flow-1", "completed")
    tree = await api.call("GET", "/workflows/flow-1")
    assert (tree["status"], tree["progress"]) == ("completed", 1.0)
    first, second = tree["tasks"]
    assert first["result"] == "done: Collect facts on tides."
    assert (second["status"], second["dependencies"]) == ("completed", ["research"])
    assert api.provider.requests[1].model == "big"
    assert "An article." in str(api.provider.requests[1].messages[-1].content)
    child = await api.call("GET", f"/runs/{second['run_id']}")
    place = {"root_run_id": "flow-1", "parent_run_id": "flow-1", "task_id": "write", "depth": 1}
    assert child["place"] == place
    trace = await api.call("GET", "/runs/flow-1/trace")
    inner = [span for span in trace["children"] if span["kind"] == "run"]
    assert [span["attributes"]["task_id"] for span in inner] == ["research", "write"]
    assert [step["kind"] for step in inner[0]["children"]] == ["step"]
    messages = (await api.call("GET", "/runs/flow-1/messages"))["items"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]


async def test_stream_of_the_tree_says_where_each_event_stands(api: Api):
    answer = await api.client.post("/api/workflows", json={"crew": YAML, "stream": True})
    found = frames_of(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    root = answer.headers["x-run-id"]
    assert {frame.data["depth"] for frame in found} == {0, 1}
    children = [frame.data for frame in found if frame.data["depth"] == 1]
    assert {(data["parent_run_id"], data["task_id"]) for data in children} == {(root, "research"), (root, "shout")}
    assert found[-1].data["response"] == "DONE: COLLECT."
    assert found[-1].data["type"] == "run_completed"


async def test_reader_comes_back_with_any_id_and_gets_the_rest(api: Api):
    answer = await api.client.post("/api/workflows", json={"crew": YAML, "stream": True})
    found = frames_of(answer.text)
    root = answer.headers["x-run-id"]
    whole = [(frame.data["run_id"], frame.data["seq"]) for frame in found]
    for number in range(len(found) - 1):
        headers = {"Last-Event-ID": found[number].id}
        again = await api.client.get(f"/api/workflows/{root}/events", headers=headers)
        rest = [(frame.data["run_id"], frame.data["seq"]) for frame in frames_of(again.text)]
        assert sorted(rest) == sorted(whole[number + 1 :])
    over = await api.client.get(f"/api/workflows/{root}/events", headers={"Last-Event-ID": found[-1].id})
    assert over.status_code == 204


@pytest.mark.parametrize("made_up", ["x", "1,2", "nobody/5", "flow/999"])
async def test_made_up_event_id_is_refused(api: Api, made_up: str):
    await api.call("POST", "/workflows", {"crew": YAML, "run_id": "flow"}, expect=202)
    await api.until("flow", "completed")
    answer = await api.client.get("/api/workflows/flow/events", headers={"Last-Event-ID": made_up})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["type"] == "invalid"


async def test_events_come_while_a_task_works(api: Api, live: httpx.AsyncClient):
    gate = Gate()
    api.provider.add(Answer("begun ", gate, "ended"))
    view = await api.call("POST", "/workflows", {"crew": CREW}, expect=202)
    seen: list[Frame] = []
    async with asyncio.timeout(20), following(live, view["id"]) as stream:
        async for frame in stream:
            seen.append(frame)
            if frame.event == "content_delta" and not gate._opened.is_set():
                tree = await api.call("GET", f"/workflows/{view['id']}")
                assert tree["tasks"][0]["status"] == "running"
                gate.open()
    assert seen[-1].event == "run_completed"
    assert [frame.data["seq"] for frame in seen if frame.data["run_id"] == view["id"]] == list(
        range(1, seen[-1].data["seq"] + 1)
    )


async def test_fork_from_a_task_and_edit_of_a_result(api: Api):
    view = await api.call("POST", "/workflows", {"crew": CREW}, expect=202)
    await api.until(view["id"], "completed")
    place = (await api.call("GET", f"/workflows/{view['id']}"))["tasks"][1]["fork_checkpoint_id"]
    edit = {"modified_messages": [{"index": 2, "content": "other facts"}]}
    fork = await api.call("POST", f"/checkpoints/{place}/fork", {"modifications": edit}, expect=201)
    await api.until(fork["new_run_id"], "completed")
    assert "### research\nother facts" in str(api.provider.requests[-1].messages[-1].content)
    assert api.provider.calls == 3
    refused = await api.call("POST", f"/checkpoints/{place}/fork", {"modifications": {"model": "x"}}, expect=422)
    assert refused["errors"][0]["field"] == "modifications.model"


async def test_idempotency_key_starts_one_workflow(api: Api):
    views = [await api.call("POST", "/workflows", {"crew": CREW}, expect=202, Idempotency_Key="k1") for _ in range(2)]
    assert views[0]["id"] == views[1]["id"]


async def test_workflow_that_shall_not_start_rests(api: Api):
    view = await api.call("POST", "/workflows", {"crew": CREW, "start": False}, expect=202)
    await api.until(view["id"], "paused")
    assert (await api.call("GET", f"/workflows/{view['id']}"))["progress"] == 0.0
    await api.call("POST", f"/runs/{view['id']}/resume", expect=202)
    await api.until(view["id"], "completed")


async def test_stored_agent_may_do_a_task_and_another_group_sees_nothing(api: Api):
    crew = {"tasks": [{"id": "only", "agent": "writer"}]}
    view = await api.call("POST", "/workflows", {"crew": crew}, expect=202)
    await api.until(view["id"], "completed")
    assert (await api.call("GET", "/workflows/nobody", expect=404))["type"] == "not_found"
    assert (await api.call("GET", "/workflows/nobody/events", expect=404))["type"] == "not_found"


BAD: list[tuple[Any, str]] = [
    ({"tasks": []}, "tasks"),
    ({"tasks": [{"id": "a", "agent": "writer", "dependencies": ["b"]}]}, "tasks.0.dependencies"),
    ({"tasks": [{"id": "a", "agent": "writer"}, {"id": "a", "agent": "writer"}]}, "tasks.1.id"),
    ({"tasks": [{"id": "a", "agent": "nobody"}]}, "tasks.0.agent"),
    ({"tasks": [{"id": "a"}]}, "tasks.0"),
    ({"tasks": [{"id": "a", "function": "nothing"}]}, "tasks.0.tools"),
    ({"tasks": [{"id": "a", "agent": "writer", "function": "shout"}]}, "tasks.0"),
    ({"tasks": [{"id": "a", "agent": "writer", "parent_id": "x"}]}, "tasks.0.parent_id"),
    ({"process": "hierarchical", "tasks": [{"id": "a"}]}, "agents"),
    ({"tasks": [{"id": "a", "agent": "m"}], "agents": [{"name": "m", "provider": "none"}]}, "agents.m.provider"),
    ("tasks: [", "crew"),
    ("a: &x 1\nb: *x", "crew"),
    ("tasks: " + "[" * 5000, "crew"),
    ("just a text", "crew"),
]


@pytest.mark.parametrize(("crew", "field"), BAD, ids=[str(number) for number in range(len(BAD))])
async def test_what_is_wrong_is_named(api: Api, crew: Any, field: str):
    answer = await api.call("POST", "/workflows", {"crew": crew}, expect=422)
    assert answer["type"] in ("invalid", "validation_error")
    assert any(field in error["field"] for error in answer["errors"]), answer
    assert (await api.call("GET", "/runs"))["total"] == 0


async def test_check_says_what_is_wrong_or_the_order(api: Api):
    good = await api.call("POST", "/workflows/check", {"crew": CREW})
    assert good == {"valid": True, "errors": [], "order": ["research", "write"]}
    circle = {"tasks": [{"id": n, "agent": "writer", "dependencies": [o]} for n, o in (("a", "b"), ("b", "a"))]}
    bad = await api.call("POST", "/workflows/check", {"crew": circle})
    assert (bad["valid"], bad["order"]) == (False, [])
    assert "circle" in bad["errors"][0]["message"]


async def test_http_task_is_one_request(tmp_path: Path):
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"}"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n[1,2,3]")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    crew = {
        "tasks": [
            {"id": "first", "function": "shout", "arguments": {"text": "x"}},
            {
                "id": "post",
                "http": {"url": f"http://127.0.0.1:{port}/in", "method": "POST", "body": {"said": "{{first}}"}},
                "dependencies": ["first"],
            },
            {"id": "bad", "http": {"url": "http://example.org", "headers": {"Authorization": "Bearer x"}}},
        ]
    }
    async with serving(tmp_path, tools=[shout], allow_private_http=True) as api, server:
        view = await api.call("POST", "/workflows", {"crew": crew}, expect=202)
        ended = await api.until(view["id"], "failed")
        tasks = (await api.call("GET", f"/workflows/{view['id']}"))["tasks"]
    assert tasks[1]["result"] == "[1,2,3]"
    assert b"POST /in" in heard[0]
    assert b"idempotency-key" in heard[0].lower()
    assert json.loads(heard[0].partition(b"\r\n\r\n")[2]) == {"said": "X"}
    assert tasks[2]["error"]["code"] == "invalid_arguments"
    assert ended["error"]["code"] == "task_failed"
