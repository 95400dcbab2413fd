"""Secrets planted wherever Agio is given some, and looked for wherever it writes or answers."""

import asyncio
import io
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from agio.api.app import create_app
from agio.bootstrap import make_runtime
from agio.engine.caller import Caller
from agio.observability.logs import JsonFormatter
from agio.settings import Settings
from agio.testing.openai_server import RunningServer, running_server
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools import tool
from tests.api.serving import Api, writer

PROVIDER_KEY = "plantedproviderkey0123456789"
HEADER = "plantedtoolheader0123456789"
COOKIE = "plantedcookie9876543210"
SERPER = "plantedserperkey0123456789"
JWT = "plantedjwtsecret0123456789abcdefghij"
API_KEY = "plantedapikey0123456789"
INSIDE = "plantedinsideatool0123456789"
PASSWORD = "plantedpassword0123456789"
CALLERS_KEY = "plantedcallerskey0123456789"
KEPT_KEY = "plantedkeptkey0123456789"
SECRET_KEY = "plantedsecretkey0123456789abcdefghij"
PLANTED = (PROVIDER_KEY, SERPER, JWT, API_KEY, PASSWORD, HEADER, COOKIE, INSIDE, CALLERS_KEY, KEPT_KEY, SECRET_KEY)
ALLOWED = {
    "the tools": {HEADER, COOKIE},  # a tool's record holds its headers
    "the log": {INSIDE},  # what code of others puts into its exceptions is told to the operator, and to nobody else
}


@tool
async def leaky() -> str:
    """Fail with a secret in the message."""
    raise RuntimeError(f"could not log in with {INSIDE}")


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Serve what a careless service answers: the request's own head; on /fail with status 500."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"500 Oh No" if head.startswith(b"GET /fail") else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (status, len(head)))
        writer.write(head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, in the form that a server logs in."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonFormatter())
    root, own = logging.getLogger(), logging.getLogger("agio")
    before = root.level, own.level
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    own.setLevel(5)
    yield text
    root.removeHandler(handler)
    root.setLevel(before[0])
    own.setLevel(before[1])


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.mongo)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], dict[str, str]]]:
    """A fresh database, and what is in its tables afterwards."""
    if request.param == "sqlite":
        file = tmp_path / "agio.db"
        return f"sqlite:///{file}", lambda: _tables(file)
    uri = request.getfixturevalue("mongo_uri")
    return uri, lambda: _collections(uri)


def _tables(file: Path) -> dict[str, str]:
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: repr(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names}


def _collections(uri: str) -> dict[str, str]:
    with MongoClient[dict[str, Any]](uri) as client:
        found = client.get_default_database()
        return {name: repr(list(found[name].find())) for name in found.list_collection_names()}


def failures(key: str) -> list[dict[str, Any]]:
    """Return the ways in which an endpoint repeats the key that it was called with."""
    return [
        {"status": 401, "error": f"Incorrect API key provided: {key}. Header: Bearer {key}"},
        {"status": 500, "error": f"could not reach backend with {key[:12]}... as {key}", "fail_times": 1},
        {"raw": f'data: {{"error": {{"message": "key {key} was revoked", "code": 401}}}}\n\n'},
        {"raw": f"<html>{key}</html>", "content_type": "text/html"},
    ]


async def _use(api: Api, service: str, upstream: RunningServer) -> list[str]:
    """Do what may show a secret; return every answer."""
    shown: list[str] = []

    async def ask(method: str, path: str, body: Any = None, key: str = "") -> Any:
        answer = await api.client.request(method, f"/api{path}", json=body, headers={"X-LLM-API-KEY": key})
        shown.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer.json() if "json" in answer.headers.get("content-type", "") else None

    async def follow(run: Any) -> None:
        async with asyncio.timeout(30):
            async for _ in api.engine.tail(Caller(), run["id"]):
                pass
        for part in ("", "/events", "/steps", "/messages", "/trace", "/checkpoints"):
            await ask("GET", f"/runs/{run['id']}{part}")

    headers = {"Authorization": f"Bearer {HEADER}", "Cookie": f"session={COOKIE}", "Accept": "text/plain"}
    for name in ("echo", "fail"):
        made: dict[str, Any] = {
            "name": f"{name}_tool",
            "configuration": {"url": f"{service}/{name}", "headers": headers},
        }
        tool_id = (await ask("POST", "/tools", made))["id"]
        await ask("GET", f"/tools/{tool_id}")
        await ask("POST", f"/tools/{tool_id}/try", {"arguments": {}})
        await ask("PATCH", f"/tools/{tool_id}", {"configuration": {**made["configuration"], "method": "BREW"}})
    await ask("GET", "/tools")
    await follow(await ask("POST", "/runs", {"agent_id": "handy", "message": "go"}))
    body = {"agent_id": "writer", "message": "go", "modifications": {"model": "fake", "provider": "openai"}}
    for key, sent in ((PROVIDER_KEY, ""), (CALLERS_KEY, f"openai:{CALLERS_KEY}"), (KEPT_KEY, "")):
        if key == KEPT_KEY:
            await ask("POST", "/keys", {"provider": "openai", "api_key": KEPT_KEY})
        for failure in failures(key):
            upstream.app.control = failure
            await follow(await ask("POST", "/runs", body, sent))
        assert upstream.app.recorded[-1].headers["authorization"] == f"Bearer {key}"
    await ask("POST", "/keys", {"provider": "nobody", "api_key": KEPT_KEY})
    await ask("POST", "/keys", {"provider": "openai", "api_key": [KEPT_KEY]})
    await ask("GET", "/keys")
    await ask("GET", "/runs", key=f"{CALLERS_KEY}{'x' * 1000}")
    for path in ("/info", "/health", "/runs", "/agents", "/sessions", "/nowhere"):
        await ask("GET", path)
    await ask("POST", "/chat", {"agent_id": 7, "message": ["odd"]})
    return shown


async def test_no_secret_is_answered_logged_or_stored(
    database: tuple[str, Callable[[], dict[str, str]]], upstream: RunningServer, log: io.StringIO
):
    url, look = database
    settings = Settings(
        database_url=url,
        openai_api_key=SecretStr(PROVIDER_KEY),
        openai_base_url=upstream.url,
        serper_api_key=SecretStr(SERPER),
        jwt_secret=SecretStr(JWT),
        secret_key=SecretStr(SECRET_KEY),
        api_keys=(SecretStr(API_KEY),),
        auth_enabled=False,
        allow_private_http=True,
        drain_s=0.1,
    )
    calls = [Call("echo_tool", {}), Call("fail_tool", {}), Call("leaky", {})]
    scripted = ScriptedProvider([Answer(calls=calls)], default="done")
    handy = writer(id="handy", tools=("echo_tool", "fail_tool", "leaky"))
    runtime = make_runtime(settings, agents=[writer(), handy], tools=[leaky], providers=[scripted])
    app = create_app(settings, runtime=runtime)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        echo() as service,
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as client,
    ):
        shown = await _use(Api(app, client, runtime.engine, scripted), service, upstream)
    stored = look()
    assert HEADER in stored["tools"], "the test planted nothing"
    assert "run_failed" in stored["journal"]
    assert "GET /echo" in stored["journal"]
    assert len(log.getvalue()) > 1_000
    assert "gAAAA" in stored["llm_keys"]
    places = {"the answers": "\n".join(shown), "the log": log.getvalue(), "the environment": repr(dict(os.environ))}
    places |= {f"the {name}": text for name, text in stored.items()}
    assert _found(places) == []


def _found(places: dict[str, str]) -> list[str]:
    return [
        f"{secret} in {place}: …{text[max(0, text.index(secret) - 120) : text.index(secret) + 40]}…"
        for place, text in places.items()
        for secret in PLANTED
        if secret in text and secret not in ALLOWED.get(place, ())
    ]


@pytest.mark.mongo
async def test_password_in_a_database_url_shows_nowhere(mongo_uri: str, log: io.StringIO):
    """The server refuses it, and is asked again and again."""
    uri = mongo_uri.replace("mongodb://", f"mongodb://ann:{PASSWORD}@", 1)
    settings = Settings(mongo_uri=uri, drain_s=0.1)
    runtime = make_runtime(settings, agents=[writer()], providers=[ScriptedProvider()])
    runtime._retry_s = 0.05
    app = create_app(settings, runtime=runtime)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    shown = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=20) as client,
    ):
        for path in ("/api/info", "/api/health", "/api/runs", "/health", "/ready", "/api/sessions/x"):
            answer = await client.get(path)
            shown.append(f"{answer.status_code} {answer.headers} {answer.text}")
        assert "503" in "".join(shown)
        assert runtime.problem
        places = {"the answers": "\n".join(shown), "the problem": runtime.problem, "settings": repr(settings)}
    assert _found({**places, "the log": log.getvalue()}) == []
    assert "the store cannot be opened" in log.getvalue()
