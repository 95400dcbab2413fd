"""Agio behind the nginx configuration that is shipped: streams flow, sockets talk, and nobody is taken for another."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.api.serving import Api, frames, listening, serving
from tests.contract.browser import needs_browser, opened
from tests.deploy.nginx import Nginx, needs_nginx

pytestmark = [needs_nginx, pytest.mark.e2e, pytest.mark.xdist_group("nginx")]


@dataclass(frozen=True, slots=True)
class Behind:
    """A server, the proxy before it, and a client of the proxy."""

    api: Api
    nginx: Nginx
    http: httpx.AsyncClient


@asynccontextmanager
async def behind_nginx(folder: Path, provider: ScriptedProvider | None = None, **given: Any) -> AsyncIterator[Behind]:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(serving(folder, provider, trust_proxy="127.0.0.1", **given))
        direct = await stack.enter_async_context(listening(api))
        nginx = Nginx(folder, direct.base_url.port or 0)
        await asyncio.to_thread(nginx.start)
        stack.callback(nginx.stop)
        yield Behind(api, nginx, await stack.enter_async_context(httpx.AsyncClient(base_url=nginx.url, timeout=20)))


async def test_pieces_of_a_stream_pass_at_once(tmp_path: Path):
    provider = ScriptedProvider([Answer("first ", gate := Gate(), "last")])
    async with behind_nginx(tmp_path, provider) as at:
        body = {"agent_id": "writer", "message": "hi"}
        headers = {"Accept-Encoding": "gzip"}
        async with at.http.stream("POST", "/api/chat", json=body, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in answer.headers
            seen = []
            async for frame in frames(answer.aiter_lines()):
                seen.append(frame.event)
                if frame.event == "content_delta":
                    gate.open()  # nothing comes after the first piece before it was read
    assert seen[-1] == "run_completed"
    assert seen.count("content_delta") == 2


async def test_kawais_stream_passes_at_once(tmp_path: Path):
    provider = ScriptedProvider([Answer("first ", gate := Gate(), "last")])
    async with behind_nginx(tmp_path, provider) as at:
        params = {"message": "hi", "agent": "writer"}
        async with at.http.stream("GET", "/stream", params=params) as answer:
            kinds = []
            async for line in answer.aiter_lines():
                if line:
                    kinds.append(json.loads(line.removeprefix("data: "))["type"])
                    gate.open()
    assert kinds == ["run_start", "step_start", "run_end"]
    assert "message=hi" not in at.nginx.access_log
    assert '"GET /stream" 200' in at.nginx.access_log


async def test_websocket_talks_through_it(tmp_path: Path):
    provider = ScriptedProvider([Answer("first ", gate := Gate(), "last"), "again"])
    async with behind_nginx(tmp_path, provider) as at:
        url = f"{at.nginx.url.replace('http', 'ws')}/ws/agents/writer"
        async with asyncio.timeout(20), websockets.connect(url) as socket:
            await socket.send(json.dumps({"prompt": "hi"}))
            kinds: list[str] = []
            while not kinds or kinds[-1] != "result":
                kinds.append(json.loads(await socket.recv())["type"])
                if kinds[-1] == "token":
                    gate.open()
            await socket.send(json.dumps({"prompt": "more"}))
            assert json.loads(await socket.recv()) == {"type": "token", "data": "again"}
    assert kinds == ["conversation_id", "token", "token", "result"]


async def test_callers_are_told_apart_by_their_own_address(tmp_path: Path):
    """Whatever they say themselves; nginx calls from 127.0.0.1, they do not."""
    async with behind_nginx(tmp_path, rate_limit="2/600") as at:

        async def call(address: str, made_up: str) -> int:
            transport = httpx.AsyncHTTPTransport(local_address=address)
            async with httpx.AsyncClient(base_url=at.nginx.url, transport=transport) as client:
                return (await client.get("/api/runs", headers={"X-Forwarded-For": made_up})).status_code

        assert [await call("127.0.0.2", f"127.0.0.{n}") for n in (7, 8, 9)] == [200, 200, 429]
        assert await call("127.0.0.3", "127.0.0.2") == 200


async def test_nobody_names_himself_as_the_proxys_user(tmp_path: Path):
    async with behind_nginx(tmp_path, proxy_auth=True) as at:
        boss = {"X-Forwarded-Email": "boss@corp.example", "X-Forwarded-User": "boss", "X-Forwarded-Groups": "admins"}
        assert (await at.http.get("/api/runs", headers=boss)).status_code == 401


async def test_figures_are_not_for_the_public(tmp_path: Path):
    async with behind_nginx(tmp_path) as at:
        assert (await at.http.get("/metrics")).status_code == 403
        assert (await at.http.get("/health")).status_code == 200


@needs_browser
@pytest.mark.contract("C8", "K41", "K52")
async def test_real_browser_that_loses_its_proxy_reads_on_and_starts_no_second_run(tmp_path: Path):
    """Every connection is cut in mid-answer; the browser's own EventSource comes back by itself."""
    provider = ScriptedProvider([Answer("first ", gate := Gate(), "last")])
    script = """
        const source = new EventSource("/stream?message=hi&agent=writer");
        const seen = []; let errors = 0;
        source.onerror = () => { errors += 1 };
        await new Promise((done) => {
            source.onmessage = (event) => {
                seen.push(JSON.parse(event.data).type);
                if (seen.length === 1) fetch("/health/ready");
                if (seen.at(-1) === "run_end") { source.close(); done() }
            };
        });
        return [seen, errors];
    """

    def look(url: str) -> Any:
        with opened(f"{url}/health") as page:
            return page.run(script)

    async with behind_nginx(tmp_path, provider) as at:
        looking = asyncio.create_task(asyncio.to_thread(look, at.nginx.url))
        async with asyncio.timeout(60):
            await gate.reached.wait()
            while '"GET /health/ready" 200' not in at.nginx.access_log:  # noqa: ASYNC110 - the page has an event
                await asyncio.sleep(0.05)
        at.nginx.stop()
        await asyncio.to_thread(at.nginx.start)
        gate.open()
        async with asyncio.timeout(60):
            seen, errors = await looking
        runs = (await at.api.call("GET", "/runs"))["total"]
    assert seen == ["run_start", "step_start", "run_end"]
    assert errors >= 1, "the browser never lost its connection"
    assert (runs, provider.calls) == (1, 1)
