"""MCP servers as sources of tools: real ones, over both transports; killed, silent, flooding, forbidden."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.testing.provider import Answer, Call, ScriptedProvider
from tests.api.serving import Api, serving
from tests.support.server import free_port

ROOT = Path(__file__).resolve().parents[2]
OURS = [sys.executable, "-m", "tests.support.mcp_server"]
TIME = [sys.executable, "-m", "mcp_server_time"]
COMMANDS = (" ".join(OURS), " ".join(TIME))
PATIENCE_S = 40


def process(command: list[str], **more: Any) -> dict[str, Any]:
    return {"command": command[0], "args": command[1:], **more}


@asynccontextmanager
async def with_server(
    folder: Path, configuration: dict[str, Any], *answers: Any, name: str = "helper", **given: Any
) -> AsyncIterator[tuple[Api, Any]]:
    """A server of Agio that has an MCP server among its tools, and an agent that names it."""
    provider = ScriptedProvider(list(answers), default="fine")
    async with serving(folder, provider, mcp_commands=COMMANDS, default_agent="writer", **given) as api:
        body = {"name": name, "tool_type": "mcp", "configuration": configuration}
        made = await api.call("POST", "/tools", body, expect=201)
        await api.call("POST", "/agents", {"id": "user", "name": "User", "tools": [name]}, expect=201)
        yield api, made


def children(word: str) -> list[str]:
    """Return the command lines of this process's children that hold a word."""
    pids = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids if Path(f"/proc/{pid}").exists()]
    return [line for line in lines if word in line]


async def try_out(api: Api, name: str, **arguments: Any) -> Any:
    return await api.call("POST", f"/tools/{name}/test", {"arguments": arguments})


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers that are started find the tests' package."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def over_http() -> Iterator[str]:
    """The URL of an MCP server in a process of its own."""
    port = free_port()
    server = subprocess.Popen([*OURS, str(port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/mcp"
    try:
        for _ in range(PATIENCE_S * 10):
            try:
                httpx.get(url, timeout=5)
            except httpx.TransportError:
                assert server.poll() is None, "it went away"
                subprocess.run(["sleep", "0.1"], check=True)
            else:
                break
        yield url
    finally:
        server.kill()
        server.wait()


async def test_tools_of_a_servers_package_are_listed_named_and_called_by_an_agent(tmp_path: Path):
    """`mcp-server-time`, as it comes from the package index."""
    asked = Call("time.convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})
    # Models call it by the name that endpoints accept.
    answers = Answer(calls=[Call("time__convert_time", asked.arguments)]), "It is 21:00."
    async with with_server(tmp_path, process(TIME, trust_hints=True), *answers, name="time") as (api, made):
        assert made["tools"] == ["time.get_current_time", "time.convert_time"]
        assert (made["source"], made["usable"]) == ("api", True)
        entry = await api.call("GET", "/tools/time.convert_time")
        assert (entry["source"], entry["side_effects"], entry["idempotent"]) == ("mcp", False, True)
        assert "source_timezone" in entry["parameters"]["properties"]
        run = await api.chat("What is it in Tokyo?", agent_id="user")
        events = (await api.call("GET", f"/runs/{run['run_id']}/events?follow=false", Accept="application/json"))[
            "items"
        ]
        assert children("mcp_server_time")
    assert not children("mcp_server_time"), "stopped with Agio"
    (done,) = [event for event in events if event["type"] == "tool_call_completed"]
    assert done["name"] == "time.convert_time"
    assert "21:00" in json.dumps(done["result"])
    assert [tool.name for tool in api.provider.requests[0].tools] == made["tools"]
    assert run["response"] == "It is 21:00."


async def test_server_that_is_killed_in_mid_call_is_a_tool_error_and_the_run_goes_on(tmp_path: Path):
    started = tmp_path / "started"
    hang = Answer(calls=[Call("helper.hang", {"started": str(started)})])
    add = Answer(calls=[Call("helper.add", {"a": 2, "b": 3})])
    async with with_server(tmp_path, process(OURS), hang, add, "It is 5.") as (api, _):
        run = await api.start(agent_id="user")
        async with asyncio.timeout(PATIENCE_S):
            while not started.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
        os.kill(int(started.read_text()), signal.SIGKILL)
        view = await api.until(run["run_id"], "completed")
        events = (await api.call("GET", f"/runs/{run['run_id']}/events?follow=false", Accept="application/json"))[
            "items"
        ]
    (failed,) = [event for event in events if event["type"] == "tool_call_failed"]
    assert failed["error"]["code"] == "tool_failed"
    assert "'helper' went away before it answered" in failed["error"]["message"]
    (done,) = [event for event in events if event["type"] == "tool_call_completed"]
    assert (done["name"], str(done["result"])) == ("helper.add", "5"), "the next call starts the server anew"
    assert view["response"] == "It is 5."


async def test_what_a_call_may_bring_and_take(tmp_path: Path):
    configuration = process(OURS, env={"TEST_TOKEN": "a-secret-of-the-group"}, timeout_s=2)
    async with with_server(tmp_path, configuration) as (api, made):
        assert made["configuration"]["env"] == {"TEST_TOKEN": "********"}
        assert (await try_out(api, "helper.token"))["result"] == "a-secret-of-the-group none"
        failed = await try_out(api, "helper.fail", text="no luck")
        assert (failed["ok"], "no luck" in failed["error"]["message"]) == (False, True)
        much = (await try_out(api, "helper.flood", chars=1_500_000))["result"]
        assert len(much) <= 1_000_000
        assert "cut off" in much[-200:]
        wrong = await try_out(api, "helper.add", a="x")
        assert wrong["error"]["code"] == "invalid_arguments"
        slow = await try_out(api, "helper.hang", started=str(tmp_path / "x"))
        assert slow["error"]["code"] == "tool_timeout"
        assert (await try_out(api, "helper.add", a=1, b=1))["result"] == "2", "the others' connection is left alone"


async def test_server_over_http_within_the_guard(tmp_path: Path, over_http: str):
    headers = {"Authorization": "Bearer a-secret-of-the-group"}
    async with with_server(tmp_path, {"url": over_http, "headers": headers}, allow_private_http=True) as (api, made):
        assert made["configuration"]["headers"] == {"Authorization": "********"}
        assert {"helper.add", "helper.hang"} <= set(made["tools"])
        assert (await try_out(api, "helper.add", a=20, b=22))["result"] == "42"
        switched = await api.call("PATCH", "/tools/helper.add", {"enabled": False})
        assert (switched["enabled"], switched["usable"]) == (False, False)
        assert (await try_out(api, "helper.add", a=1, b=1))["error"]["code"] == "tool_disabled"
        await api.call("PATCH", "/tools/helper/toggle-enabled")
        await api.call("POST", "/tools/helper.fail/test", {"arguments": {"text": "x"}}, expect=404)
        await api.call("PATCH", "/tools/helper/toggle-enabled")
        again = await api.call("POST", "/tools/helper/refresh")
        assert set(again["tools"]) == set(made["tools"])
        await api.call("POST", "/tools/calculator/refresh", expect=409)
        assert (await api.call("DELETE", "/tools/helper.token", expect=409))["type"] == "conflict"
        await api.call("DELETE", "/tools/helper", expect=204)
        assert "helper.fail" not in [one["name"] for one in (await api.call("GET", "/tools"))["items"]]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"command": "rm", "args": ["-rf", "/"]}, "AGIO_MCP_COMMANDS"),
    (process([*OURS, "--more"]), "AGIO_MCP_COMMANDS"),
    (process(OURS, env={"LD_PRELOAD": "/tmp/x.so"}), "LD_PRELOAD"),
    ({}, "one of url and command"),
    ({"url": "https://a.example", "command": "x"}, "one of url and command"),
    ({"url": "http://127.0.0.1:1/mcp"}, "not allowed"),
    ({"url": "http://localhost:1/mcp"}, "not allowed"),
    ({"url": "http://169.254.169.254/mcp"}, "not allowed"),
    ({"url": "ftp://a.example"}, "http"),
    ({"url": "https://a.example", "headers": {"Host": "b.example"}}, "Host"),
    ({"url": "https://a.example", "surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("configuration", "told"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
async def test_what_must_not_be_run_or_reached_is_refused(tmp_path: Path, configuration: dict[str, Any], told: str):
    async with serving(tmp_path, mcp_commands=COMMANDS) as api:
        body = {"name": "bad", "tool_type": "mcp", "configuration": configuration}
        answer = await api.call("POST", "/tools", body, expect=422)
        assert answer["errors"][0]["field"].startswith("configuration"), answer
        assert told in str(answer["detail"])
        assert (await api.call("GET", "/tools?q=bad"))["total"] == 0


async def test_no_command_is_allowed_unless_a_setting_says_so(tmp_path: Path):
    async with serving(tmp_path) as api:
        body = {"name": "bad", "tool_type": "mcp", "configuration": process(OURS)}
        answer = await api.call("POST", "/tools", body, expect=422)
    assert "AGIO_MCP_COMMANDS" in answer["detail"]


def test_nothing_of_the_package_is_imported_before_a_server_is_used():
    program = "import sys, agio.bootstrap.assembly; sys.exit(int('mcp' in sys.modules or 'httpx2' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
