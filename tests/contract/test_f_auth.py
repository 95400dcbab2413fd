"""Firefly's authentication, as its documentation shows it (items F36 to F43)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.middleware.cors import CORSMiddleware

from agio import add_auth_middleware, create_app
from agio.domain.errors import Invalid
from agio.settings import load_settings
from tests.api.serving import serving
from tests.security.sockets import add_echo, connect


def plain_app(**given: Any) -> FastAPI:
    """Return somebody's own FastAPI application with the middleware on it."""
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "in"

    @app.get("/health")
    async def health() -> str:
        return "well"

    @app.websocket("/ws")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    @app.get("/agents/")
    async def agents() -> list[str]:
        return ["one"]

    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"])
    add_auth_middleware(app, **given)
    return app


@asynccontextmanager
async def calling(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.contract("F36", "F37", "F38", "F39")
async def test_f36_to_f39_either_an_api_key_or_a_bearer_token_suffices():
    app = plain_app(api_keys=["key-1", "key-2"], bearer_tokens=["token-1"], exclude_paths=["/health"])
    async with calling(app) as client:
        for headers in (
            {"X-API-Key": "key-2"},
            {"Authorization": "Bearer token-1"},
            {"authorization": "bearer token-1"},
        ):
            assert (await client.get("/agents/", headers=headers)).json() == ["one"]
        for headers in ({}, {"X-API-Key": "key-3"}, {"X-API-Key": "token-1"}, {"Authorization": "Basic token-1"}):
            refused = await client.get("/agents/", headers=headers)
            assert (refused.status_code, refused.json()) == (401, {"detail": "Unauthorized"})
            assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.contract("F39")
async def test_f39_preflight_passes_refusals_carry_cors_headers_and_sockets_are_checked():
    app = plain_app(api_keys=["key-1"])
    async with calling(app) as client:
        asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
        preflight = await client.options("/agents/", headers={**asks, "Access-Control-Request-Headers": "X-API-Key"})
        assert preflight.status_code == 200
        refused = await client.get("/agents/", headers={"Origin": "https://a.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert (await connect(app, "/ws")).status == 401
    assert (await connect(app, "/ws", headers={"X-API-Key": "key-1"})).accepted


@pytest.mark.contract("F40")
async def test_f40_excluded_paths_are_open():
    async with calling(plain_app(api_keys=["key-1"], exclude_paths=["/health", "/agents/"])) as client:
        assert (await client.get("/agents/")).status_code == 200
        assert (await client.get("/health")).status_code == 200
    app = create_app(load_settings(env_file=None, database_url="sqlite:///never-opened.db"))
    add_auth_middleware(app, api_keys=["key-1"], exclude_paths=["/health", "/health/ready", "/docs"])
    async with calling(app) as client:
        for path in ("/health", "/api/health", "/docs", "/openapi.json", "/redoc", "/api-docs", "/ui/"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/health/ready")).status_code == 503  # it was not started, but answers
        for path in ("/api/agents", "/api/runs", "/metrics", "/nothing"):
            assert (await client.get(path)).status_code == 401, path


def test_f36_neither_key_nor_token_is_a_mistake_and_never_open():
    with pytest.raises(ValueError, match="at least one"):
        plain_app(api_keys=[], bearer_tokens=[""])


@pytest.mark.contract("F41", "F42", "F43")
@pytest.mark.parametrize(
    ("variable", "headers"),
    [
        ("FIREFLY_GENAI_AUTH_API_KEYS", {"X-API-Key": "one"}),
        ("FIREFLY_GENAI_AUTH_BEARER_TOKENS", {"Authorization": "Bearer one"}),
    ],
)
async def test_f41_to_f43_variables_switch_it_on(
    variable: str, headers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, '["zero", "one"]')
    async with serving(tmp_path) as api:
        add_echo(api.app)
        assert (await api.client.get("/api/agents")).status_code == 401
        assert (await api.client.get("/api/agents", headers=headers)).status_code == 200
        assert (await connect(api.app)).status == 401
        assert (await connect(api.app, headers=headers)).accepted


@pytest.mark.contract("F42", "F43")
@pytest.mark.parametrize("variable", ["FIREFLY_GENAI_AUTH_API_KEYS", "FIREFLY_GENAI_AUTH_BEARER_TOKENS"])
def test_f42_f43_malformed_json_stops_the_start(variable: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(variable, "[not json")
    with pytest.raises(Invalid, match=f"{variable}: must be JSON"):
        load_settings(env_file=None)


@pytest.mark.contract("F26", "F10")
async def test_f10_refusals_carry_the_request_id(tmp_path: Path):
    async with serving(tmp_path, api_keys=["key-1"]) as api:
        refused = await api.client.get("/api/agents", headers={"X-Request-ID": "mine", "Origin": "https://a.example"})
    assert (refused.status_code, refused.headers["x-request-id"]) == (401, "mine")
    assert refused.headers["access-control-allow-origin"] == "*"
    assert refused.json()["request_id"] == "mine"
