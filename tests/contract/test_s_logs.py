"""What Kasal's executions say and did (S42 to S44): logs as a list, an event stream and over a WebSocket; traces."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.serving import listening
from tests.contract.kasal import TEXTS, V1, Kasal, kasal, one_task

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kasal]:
    async with kasal(tmp_path_factory.mktemp("logs")) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: Kasal) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(server.api) as client:
        yield client


def socket_url(http: httpx.AsyncClient, execution_id: str, query: str = "") -> str:
    return (
        str(http.base_url).replace("http://", "ws://").rstrip("/") + f"{V1}/execution-logs/{execution_id}/stream{query}"
    )


def lines_of(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]


def ids_of(text: str) -> list[str]:
    return [line.removeprefix("id: ") for line in text.split("\n") if line.startswith("id: ")]


async def exhaust(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


@pytest.mark.contract("S42", "S75")
async def test_s42_logs_are_in_order_and_have_times(server: Kasal):
    crew = one_task("x")
    crew["tasks_yaml"]["sum"] = {"function": "calculator", "arguments": {"expression": "6*7"}, "context": ["help"]}
    done = await server.done(**crew)
    page = await server.get(f"/execution-logs/{done['id']}")
    rows = page["items"]
    assert all(row.keys() == {"timestamp", "level", "message", "step", "task_id"} for row in rows)
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    said = [row["message"] for row in rows]
    assert said[0].startswith("PENDING")
    assert said[-1] == "COMPLETED"
    wanted = ["RUNNING: task help begins", "done: x", "RUNNING: task sum begins", "calls the tool calculator"]
    assert [text for text in said if text in wanted] == wanted
    assert {row["task_id"] for row in rows} == {None, "help", "sum"}
    rest = await server.get(f"/execution-logs/{done['id']}?limit=3&offset=2")
    assert (rest["items"], rest["total"]) == (rows[2:5], len(rows))
    await server.get("/execution-logs/none", expect=404)


@pytest.mark.contract("S42")
async def test_s42_errors_and_cancels_are_lines_too(server: Kasal):
    crew = one_task("x")
    crew["tasks_yaml"]["help"] = {"function": "calculator", "arguments": {"expression": "1/0"}}
    done = await server.done(**crew)
    rows = (await server.get(f"/execution-logs/{done['id']}?limit=100"))["items"]
    assert (rows[-1]["level"], rows[-1]["message"].startswith("FAILED: ")) == ("ERROR", True)
    stopped = await server.execute(**one_task("hold:s42"))
    async with asyncio.timeout(20):
        await server.gates["s42"].reached.wait()
    await server.post(f"/executions/{stopped}/stop", {"reason": "enough"}, expect=202)
    await server.until(stopped, "CANCELLED")
    rows = (await server.get(f"/execution-logs/{stopped}"))["items"]
    assert rows[-1]["message"] == "CANCELLED by anonymous: enough"


@pytest.mark.contract("S43")
async def test_s43_an_event_stream_replays_follows_and_ends(server: Kasal, http: httpx.AsyncClient):
    execution_id = await server.execute(**one_task("hold:s43a"))
    async with asyncio.timeout(20):
        await server.gates["s43a"].reached.wait()
    heard = ""
    async with http.stream("GET", f"{V1}/execution-logs/{execution_id}/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for chunk in answer.aiter_text():
            heard += chunk
            if "task help begins" in heard:
                server.gates["s43a"].open()
    assert lines_of(heard)[0]["message"].startswith("PENDING")
    assert lines_of(heard)[-1]["message"] == "COMPLETED"
    plain = (await server.get(f"/execution-logs/{execution_id}"))["items"]
    assert lines_of(heard) == [{key: value for key, value in row.items() if value is not None} for row in plain]
    for number, place in enumerate(ids_of(heard)[:-1]):
        again = await http.get(f"{V1}/execution-logs/{execution_id}/stream", headers={"Last-Event-ID": place})
        assert lines_of(again.text) == lines_of(heard)[number + 1 :]
    over = await http.get(f"{V1}/execution-logs/{execution_id}/stream", headers={"Last-Event-ID": ids_of(heard)[-1]})
    assert over.status_code == 204
    for made_up in ("x", "1,2", f"{execution_id}/999"):
        refused = await http.get(f"{V1}/execution-logs/{execution_id}/stream", headers={"Last-Event-ID": made_up})
        assert refused.status_code == 400
    assert (await http.get(f"{V1}/execution-logs/none/stream")).status_code == 404


@pytest.mark.contract("S43")
async def test_s43_a_websocket_gets_the_backlog_then_live_lines_then_a_close(server: Kasal, http: httpx.AsyncClient):
    execution_id = await server.execute(**one_task("hold:s43b"))
    async with asyncio.timeout(20):
        await server.gates["s43b"].reached.wait()
        async with connect(socket_url(http, execution_id)) as socket:
            heard = []
            async for text in socket:
                heard.append(json.loads(text))
                await socket.send("what a reader says means nothing")
                if heard[-1]["message"].startswith("RUNNING"):
                    server.gates["s43b"].open()
            assert socket.close_code == 1000
    plain = (await server.get(f"/execution-logs/{execution_id}"))["items"]
    assert heard == [{key: value for key, value in row.items() if value is not None} for row in plain]


@pytest.mark.contract("S43")
async def test_s43_a_reader_that_leaves_is_no_matter_and_a_strange_id_is_told(server: Kasal, http: httpx.AsyncClient):
    execution_id = await server.execute(**one_task("hold:s43c"))
    async with asyncio.timeout(20):
        async with connect(socket_url(http, execution_id)) as socket:
            await socket.recv()
        server.gates["s43c"].open()
        await server.until(execution_id, "COMPLETED")
        async with connect(socket_url(http, "none")) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert socket.close_code == 4004


@pytest.mark.contract("S43", "C12", "S5")
async def test_s43_the_socket_checks_who_calls(tmp_path: Path):
    keys = [{"key": f"key-of-{name}", "name": name, "group": name} for name in ("red", "blue")]
    async with kasal(tmp_path, api_keys=keys) as server, listening(server.api) as http:
        made = (await server.post("/executions", one_task("x"), authorization="Bearer key-of-red"))["execution_id"]
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            async with connect(socket_url(http, made)) as socket:
                await socket.recv()
        async with connect(socket_url(http, made), additional_headers={"X-API-Key": "key-of-blue"}) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert socket.close_code == 4004
        async with connect(socket_url(http, made, "?api_key=key-of-red")) as socket:
            assert [json.loads(text)["message"] async for text in socket][-1] == "COMPLETED"


@pytest.mark.contract("S43", "C12")
async def test_s43_a_browsers_stream_token_opens_its_own_log_and_no_other(tmp_path: Path):
    key: Any = {"authorization": "Bearer a-key"}
    async with kasal(tmp_path, api_keys=["a-key"]) as server, listening(server.api) as http:
        mine, other = [(await server.post("/executions", one_task("x"), **key))["execution_id"] for _ in range(2)]
        token = (await server.post("/stream-tokens", {"run_id": mine}, **key))["token"]
        session = (await server.get(f"/runs/{mine}", **key))["session_id"]
        by_session = (await server.post("/stream-tokens", {"session_id": session}, **key))["token"]
        refused = await http.get(f"{V1}/execution-logs/{mine}/stream?token={by_session}")
        assert refused.status_code == 403
        query = f"?token={token}"
        answers = {
            one: (await http.get(f"{V1}/execution-logs/{one}/stream{query}")).status_code for one in (mine, other)
        }
        assert answers == {mine: 200, other: 403}
        assert (await http.get(f"{V1}/executions/{mine}{query}")).status_code == 403
        async with asyncio.timeout(20), connect(socket_url(http, mine, query)) as socket:
            assert [json.loads(text)["message"] async for text in socket][-1] == "COMPLETED"
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            async with connect(socket_url(http, other, query)) as socket:
                await socket.recv()


@pytest.mark.contract("S43")
async def test_s43_readers_are_sent_away_when_the_process_stops(tmp_path: Path):
    async with kasal(tmp_path) as server, listening(server.api) as http:
        execution_id = await server.execute(**one_task("hold:drain"))
        async with asyncio.timeout(20), connect(socket_url(http, execution_id)) as socket:
            await server.gates["drain"].reached.wait()
            server.api.app.state.runtime.drain()
            with pytest.raises(ConnectionClosed):
                await exhaust(socket)
        assert socket.close_code == 1012


@pytest.mark.contract("S44")
async def test_s44_a_trace_is_a_tree_of_spans(server: Kasal):
    done = await server.done(**TEXTS, inputs={"topic": "tides"}, run_name="Traced")
    trace = await server.get(f"/execution-trace/{done['id']}")
    assert (trace["execution_id"], trace["run_name"], trace["status"]) == (done["id"], "Traced", "COMPLETED")
    spans = trace["spans"]
    fields = {"id", "parent_id", "kind", "name", "started_at", "duration_ms", "status", "attributes"}
    assert all(span.keys() == fields for span in spans)
    seen: set[str] = set()
    for span in spans:
        assert span["parent_id"] in seen or (span["parent_id"] is None and not seen)
        seen.add(span["id"])
    tasks = [span for span in spans if span["kind"] == "run"][1:]
    assert [span["attributes"]["task_id"] for span in tasks] == ["research", "write"]
    assert {span["kind"] for span in spans} == {"run", "step", "model"}
    assert all(span["status"] == "completed" for span in spans)
    assert spans[0]["duration_ms"] >= sum(span["duration_ms"] for span in tasks) >= 0
    await server.get("/execution-trace/none", expect=404)
