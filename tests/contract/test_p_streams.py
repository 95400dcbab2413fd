"""aipartnerupflow's updates (items P1, P26 to P31): event streams and the WebSocket."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.contract.flow import GATES, Flow, flow_app, named
from tests.e2e.in_thread import fresh
from tests.support.in_thread import running_app

KEYS = [{"key": f"key-of-{name}-with-many-characters", "name": name, "group": name} for name in ("red", "green")]
DOCUMENTED = {"task_start", "progress", "task_completed", "task_failed", "final", "stream_end"}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    app = flow_app(tmp_path_factory.mktemp("updates"))
    with running_app(app) as url, httpx.Client(base_url=url, timeout=20) as http:
        yield Flow(http)


def chain(gate: str) -> list[dict[str, Any]]:
    return named(
        [
            {"id": "first", "name": "shout", "inputs": {"text": "x"}},
            {"id": "second", "name": "hold", "parent_id": "first", "dependencies": ["first"], "inputs": {"gate": gate}},
        ]
    )


@pytest.mark.contract("P26", "P27", "C4")
def test_p26_p27_stream_tells_progress_in_unnamed_frames(flow: Flow):
    gate = fresh("gate")
    tasks = chain(gate)
    flow.call("tasks.create", tasks)
    with flow.stream({"task_id": tasks[0]["id"]}) as frames:
        first = next(frames)
        assert (first["jsonrpc"], first["id"]) == ("2.0", 1)
        result = first["result"]
        assert (result["task_id"], result["status"], result["streaming"]) == (tasks[0]["id"], "started", True)
        GATES[gate].set()
        found = list(frames)
    assert {frame["type"] for frame in found} <= DOCUMENTED
    told = [(frame["type"], frame["task_id"]) for frame in found if frame["type"] != "progress"]
    one, two = tasks[0]["id"], tasks[1]["id"]
    assert told == [
        *(("task_start", one), ("task_completed", one), ("task_start", two), ("task_completed", two)),
        *(("final", one), ("stream_end", one)),
    ]
    progress = [frame["progress"] for frame in found]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    assert any(frame["type"] == "progress" and "hold" in frame["message"] for frame in found)
    assert found[-2]["final"] is True
    assert all(frame["timestamp"].endswith("Z") for frame in found)


@pytest.mark.contract("P27")
def test_p27_who_asks_again_gets_all_of_it_again(flow: Flow):
    gate = fresh("gate")
    tasks = chain(gate)
    flow.call("tasks.create", tasks)
    with flow.stream({"task_id": tasks[0]["id"]}) as frames:
        before = [next(frames) for _ in range(4)]
    with flow.stream({"task_id": tasks[0]["id"]}) as frames:
        assert next(frames)["result"]["status"] == "already_running"
        assert [next(frames) for _ in before[1:]] == before[1:]
        GATES[gate].set()
        whole = list(frames)
    with flow.stream({"task_id": tasks[0]["id"]}) as frames:
        assert next(frames)["result"]["status"] == "completed"
        assert list(frames) == [*before[1:], *whole]


@pytest.mark.contract("P27")
def test_p27_failed_tasks_and_trees_are_told(flow: Flow):
    tasks = named([{"id": "a", "name": "fails", "inputs": {"once": fresh("once")}}])
    frames = flow.execute(tasks)
    assert [(frame["type"], frame["status"]) for frame in frames if frame["type"] != "progress"] == [
        *(("task_start", "in_progress"), ("task_failed", "failed"), ("final", "failed"), ("stream_end", "failed"))
    ]
    assert frames[-2]["error"].endswith("broken")


@pytest.mark.contract("P28", "P25")
def test_p28_curl_reads_the_stream_as_documented(flow: Flow):
    tasks = named([{"id": "a", "name": "shout", "inputs": {"text": "x"}}])
    flow.call("tasks.create", tasks)
    call = {"jsonrpc": "2.0", "method": "tasks.execute", "id": 1}
    data = json.dumps({**call, "params": {"task_id": tasks[0]["id"], "use_streaming": True}})
    url = f"{flow.http.base_url}/tasks"
    command = ["curl", "-sS", "-N", "-H", "Content-Type: application/json", "-d", data, url]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    frames = [json.loads(line.removeprefix("data: ")) for line in printed.splitlines() if line.startswith("data: ")]
    assert (frames[0]["id"], frames[-1]["type"]) == (1, "stream_end")


# -- the WebSocket


@asynccontextmanager
async def opened(http: httpx.Client, key: str | None = None) -> AsyncIterator[ClientConnection]:
    url = str(http.base_url).replace("http", "ws", 1) + "/ws"
    headers = {"X-API-Key": key} if key else {}
    async with asyncio.timeout(20), connect(url, additional_headers=headers, proxy=None) as socket:
        yield socket


async def ask(socket: ClientConnection, message: Any) -> Any:
    await socket.send(message if isinstance(message, str) else json.dumps(message))
    return json.loads(await socket.recv())


async def until(socket: ClientConnection, kind: str) -> list[Any]:
    """Return the messages up to the first of a type."""
    found: list[Any] = []
    while not found or found[-1]["type"] != kind:
        found.append(json.loads(await socket.recv()))
    return found


@pytest.mark.contract("P29", "P30", "P31")
async def test_p29_p30_who_sends_nothing_hears_of_every_tree(flow: Flow):
    gate = fresh("gate")
    tasks = chain(gate)
    async with opened(flow.http) as socket:
        assert await ask(socket, {"action": "ping"}) == {"type": "pong"}
        GATES[gate].set()
        await asyncio.to_thread(flow.call, "execute_task_tree", tasks)
        found = await until(socket, "final")
    assert {frame["root_task_id"] for frame in found} == {tasks[0]["id"]}
    progress = [frame["progress"] for frame in found]
    assert (progress[0], progress[-1], progress) == (0.0, 1.0, sorted(progress))
    assert all(frame["data"]["progress"] == frame["progress"] for frame in found)
    assert {frame["type"] for frame in found} >= {"task_progress", "task_status", "task_completed", "final"}


@pytest.mark.contract("P31")
async def test_p31_subscriptions_choose_the_tasks(flow: Flow):
    ours, theirs = chain(fresh("gate")), chain(fresh("gate"))
    for tasks in (ours, theirs):
        await asyncio.to_thread(flow.call, "tasks.create", tasks)
        GATES[tasks[1]["inputs"]["gate"]].set()
    async with opened(flow.http) as socket:
        second = ours[1]["id"]
        assert await ask(socket, {"action": "subscribe", "task_id": second}) == {
            "type": "subscribed",
            "task_id": second,
        }
        first = json.loads(await socket.recv())
        assert (first["type"], first["task_id"], first["status"]) == ("task_status", second, "pending")
        for tasks in (theirs, ours):
            with flow.stream({"task_id": tasks[0]["id"]}) as frames:
                await asyncio.to_thread(list, frames)
        found = await until(socket, "task_completed")
        assert {frame["task_id"] for frame in found} == {second}
        assert (await ask(socket, {"action": "unsubscribe", "task_id": second}))["type"] == "unsubscribed"
        copy = await asyncio.to_thread(flow.call, "tasks.execute", {"task_id": ours[0]["id"], "copy_execution": True})
        assert copy["status"] == "started"
        assert (await ask(socket, {"action": "subscribe", "task_id": "nobody"}))["code"] == "not_found"


@pytest.mark.contract("P31")
async def test_p31_what_is_no_action_is_refused_and_the_socket_stays(flow: Flow):
    odd = [
        "",
        r'{"action": "subscribe", "task_id": "\ud800"}',
        '{"action": "ping", "x": NaN}',
        "{",
        "5",
        '"ping"',
        "[]",
        "{}",
        '{"action": 5}',
        '{"action": "subscribe"}',
        '{"action": "shout"}',
    ]
    async with opened(flow.http) as socket:
        for text in [*odd, '{"action": "subscribe", "task_id": 5}', "[" * 5000, "x" * 20_000]:
            assert (await ask(socket, text))["type"] == "error", text[:50]
        assert await ask(socket, {"action": "ping"}) == {"type": "pong"}


@pytest.mark.contract("P1", "P29", "P37", "C12")
async def test_p1_several_users_are_kept_apart_on_every_transport(tmp_path: Path):
    """A2A, HTTP, event streams and the WebSocket, each with authentication; a task of others does not exist."""
    app = flow_app(tmp_path, api_keys=KEYS)
    red, green = ({"X-API-Key": key["key"]} for key in KEYS)
    with running_app(app) as url, httpx.Client(base_url=url, timeout=20) as http:
        card = (await asyncio.to_thread(http.get, "/.well-known/agent-card")).json()
        assert card["capabilities"]["streaming"] is True
        with pytest.raises(InvalidStatus) as refused:
            async with opened(http):
                pass
        assert refused.value.response.status_code == 401
        flow = Flow(http)
        task = {"id": "mine", "name": "shout", "inputs": {"text": "secret"}}
        async with opened(http, KEYS[1]["key"]) as socket, opened(http, KEYS[0]["key"]) as own:
            await asyncio.to_thread(flow.call, "execute_task_tree", [task], **red)
            assert (await until(own, "final"))[-1]["result"] == "SECRET"
            answer = await ask(socket, {"action": "subscribe", "task_id": "mine"})
            assert (answer["type"], answer["code"]) == ("error", "not_found")
            await asyncio.to_thread(flow.call, "execute_task_tree", [{**task, "id": "theirs"}], **green)
            assert {frame["root_task_id"] for frame in await until(socket, "final")} == {"theirs"}
        await asyncio.to_thread(check_apart, http, red, green)


def check_apart(http: httpx.Client, red: dict[str, str], green: dict[str, str]) -> None:
    assert http.get("/tasks/mine/status", headers=green).status_code == 404
    assert http.get("/tasks/mine/status", headers=red).status_code == 200
    assert http.get("/tasks", headers=green).json()[0]["id"] == "theirs"
    call = {"jsonrpc": "2.0", "method": "message/send", "id": 1}
    assert http.post("/", json=call).status_code == 401


# -- the documents' own clients

PYTHON = """
import httpx
import json

async def main():
    # Execute task via API
    async with httpx.AsyncClient() as client:
        response = await client.post(
            "http://localhost:8000/",
            json={
                "jsonrpc": "2.0",
                "method": "execute_task_tree",
                "params": {
                    "tasks": [
                        {
                            "id": "task1",
                            "name": "my_task",
                            "user_id": "user123",
                            "inputs": {"key": "value"}
                        }
                    ]
                },
                "id": "request-123"
            }
        )
        result = response.json()
        print(result)
"""
JAVASCRIPT = """
const response = await fetch('http://localhost:8000/', {
  method: 'POST',
  headers: {
    'Content-Type': 'application/json',
  },
  body: JSON.stringify({
    jsonrpc: '2.0',
    method: 'execute_task_tree',
    params: {
      tasks: [
        {
          id: 'task1',
          name: 'my_task',
          user_id: 'user123',
          inputs: { key: 'value' }
        }
      ]
    },
    id: 'request-123'
  })
});

const result = await response.json();
console.log(result);
"""


@pytest.mark.contract("P32", "C6")
def test_p32_python_example_prints_the_result(flow: Flow, capsys: pytest.CaptureFixture[str]):
    url = str(flow.http.base_url).rstrip("/")
    names: dict[str, Any] = {}
    exec(PYTHON.replace("http://localhost:8000", url), names)  # noqa: S102 - the document's own client
    asyncio.run(names["main"]())
    printed = capsys.readouterr().out
    assert "'id': 'request-123'" in printed
    assert "'result': 'did value'" in printed


@pytest.mark.contract("P33", "C22")
def test_p33_javascript_example_logs_the_result(flow: Flow, tmp_path: Path):
    url = str(flow.http.base_url).rstrip("/")
    (tmp_path / "client.mjs").write_text(JAVASCRIPT.replace("http://localhost:8000", url))
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["node", "client.mjs"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=20, check=True
    )
    assert "id: 'request-123'" in done.stdout
    assert "result: 'did value'" in done.stdout
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    headers = flow.http.options("/", headers={**asked, "Access-Control-Request-Headers": "content-type"}).headers
    assert headers["access-control-allow-origin"] == "*"
