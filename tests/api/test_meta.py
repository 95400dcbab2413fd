"""Health and facts."""

from pathlib import Path

import httpx

from agio.api.app import create_app
from agio.settings import Settings
from agio.testing.provider import ScriptedProvider
from tests.api.serving import serving


async def test_health_has_the_documented_keys_and_no_others(tmp_path: Path):
    async with serving(tmp_path) as api:
        body = await api.call("GET", "/health")
    assert set(body) == {"status", "version", "timestamp"}
    assert body["status"] == "healthy"
    assert body["version"] == "0.1.0"
    assert body["timestamp"].endswith("Z")


async def test_health_tells_of_components_where_asked(tmp_path: Path):
    async with serving(tmp_path) as api:
        assert (await api.call("GET", "/health?components=true"))["components"] == {"store": "ready"}


async def test_health_needs_no_store_while_everything_else_says_503(tmp_path: Path):
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path}/agio.db"))  # its life cycle was not begun
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        health = await client.get("/api/health?components=true")
        info = await client.get("/api/info")
    assert health.json()["components"] == {"store": "away"}
    assert health.status_code == 200
    assert (info.status_code, info.json()["type"]) == (503, "store_unavailable")
    assert int(info.headers["Retry-After"]) > 0


async def test_info_names_store_default_agent_and_what_it_talks_to(tmp_path: Path):
    async with serving(tmp_path) as api:
        body = await api.call("GET", "/info")
    assert body["store"] == "sqlite"
    assert (body["default_agent"], body["provider"], body["demo"]) == ("assistant", "demo", True)
    assert body["features"]["fork"] is True
    assert body["features"]["access_control"] is False
    assert body["docs"]["swagger"] == "/docs"


async def test_info_tells_the_demo_from_a_real_provider(tmp_path: Path):
    async with serving(tmp_path) as api:
        api.app.state.info = {"default_agent": "writer"}
        body = await api.call("GET", "/info")
    assert (body["provider"], body["demo"]) == ("scripted", False)
    assert (body["providers"], body["provider_configured"]) == (["scripted"], True)


async def test_info_falls_back_to_the_agent_of_a_fresh_installation(tmp_path: Path):
    async with serving(tmp_path, ScriptedProvider(is_demo=True)) as api:
        api.app.state.info = {"default_agent": "gone", "docs": False}
        body = await api.call("GET", "/info")
    assert (body["default_agent"], body["docs"]["swagger"]) == ("assistant", None)
    assert (body["providers"], body["provider_configured"]) == ([], False)


async def test_the_probes_at_the_root_say_that_it_runs_and_whether_it_is_ready(tmp_path: Path):
    async with serving(tmp_path) as api:
        health = (await api.client.get("/health")).json()
        ready = await api.client.get("/health/ready")
        api.app.state.runtime.drain()
        draining = await api.client.get("/health/ready")
        alive = await api.client.get("/health")
    assert set(health) == {"status", "version", "timestamp", "sessions", "uptime"}
    assert (health["status"], health["uptime"] >= 0) == ("healthy", True)
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert (draining.status_code, draining.json()) == (503, {"status": "not_ready"})
    assert alive.status_code == 200


async def test_a_server_without_its_store_runs_but_is_not_ready(tmp_path: Path):
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path}/agio.db"))  # its life cycle was not begun
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/health")).json()["status"] == "healthy"
        ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "not_ready"})
