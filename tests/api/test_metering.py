"""Requests are counted by route, status and method, whoever made them up."""

from pathlib import Path

import pytest

from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.api.serving import Api, listening, serving
from tests.unit.observability.test_metrics import figures


async def _figures(api: Api) -> dict[str, float]:
    return figures((await api.client.get("/metrics")).content)


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/api/runs", "/api/runs", 200),
        ("GET", "/api/v1/runs/x", "/api/v1/runs/{run_id}", 404),
        ("DELETE", "/api/runs", "/api/runs", 405),
        ("GET", "/health/ready", "/health/ready", 200),
        ("GET", "/sessions/x", "/sessions/{session_id}", 404),
        ("GET", "/nowhere/at/all", "none", 404),
        ("GET", "/", "/", 307),
    ],
)
async def test_route_is_counted_with_names_in_place_of_values(
    tmp_path: Path, method: str, path: str, route: str, status: int
):
    async with serving(tmp_path) as api:
        assert (await api.client.request(method, path)).status_code == status
        found = await _figures(api)
    assert found[f"agio_http_requests_total{{method={method}}}{{route={route}}}{{status={status}}}"] == 1
    assert found[f"agio_http_request_seconds_count{{method={method}}}{{route={route}}}"] == 1


async def test_made_up_method_is_no_label(tmp_path: Path):
    async with serving(tmp_path) as api:
        await api.client.request("BREW", "/api/runs")
        assert not any("BREW" in name for name in await _figures(api))


async def test_open_stream_is_a_gauge_and_has_no_duration(tmp_path: Path):
    provider = ScriptedProvider([Answer("a", gate := Gate())])
    async with serving(tmp_path, provider) as api, listening(api) as client:
        body = {"agent_id": "writer", "message": "hi"}
        async with client.stream("POST", "/api/chat", json=body) as answer:
            await gate.reached.wait()
            assert (await _figures(api))["agio_streams{kind=sse}"] == 1
            gate.open()
            await answer.aread()
        found = await _figures(api)
    assert found["agio_streams{kind=sse}"] == 0
    assert found["agio_http_requests_total{method=POST}{route=/api/chat}{status=200}"] == 1
    assert "agio_http_request_seconds_count{method=POST}{route=/api/chat}" not in found


async def test_figures_can_be_switched_off(tmp_path: Path):
    async with serving(tmp_path, metrics_enabled=False) as api:
        answer = await api.client.get("/metrics")
    assert (answer.status_code, answer.json()["type"]) == (404, "not_found")


async def test_database_that_is_away_is_told_and_the_rest_stays(tmp_path: Path):
    async with serving(tmp_path) as api:
        up = {"agio_store_up": 1, "agio_workers": 1, "agio_runs{status=queued}": 0}
        assert (await _figures(api)).items() >= up.items()
        await api.engine.store.close()
        found = await _figures(api)
        ready = await api.client.get("/health/ready?components=true")
        await api.engine.store.open()
    assert (found["agio_store_up"], "agio_workers" in found) == (0, False)
    assert (ready.status_code, ready.json()["components"]["store"]) == (503, "away")
