"""Kasal's tools (S22 to S27, S88, S93)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import jsonschema_rs
import pytest
import pytest_asyncio

from tests.contract.kasal import Kasal, kasal, one_task

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER = {
    "name": "weather",
    "description": "Says what the weather is like.",
    "tool_type": "http",
    "configuration": {"url": "https://weather.example/{city}", "method": "GET"},
    "enabled": True,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kasal]:
    async with kasal(tmp_path_factory.mktemp("tools")) as served:
        yield served


@pytest.mark.contract("S22", "S25", "S74")
async def test_s25_a_tool_is_made_and_shown(server: Kasal):
    made = await server.post("/tools", WEATHER)
    assert {key: made[key] for key in WEATHER} == WEATHER
    assert made["id"] in {one["id"] for one in (await server.get("/tools"))["items"]}
    assert (await server.post("/tools", WEATHER, expect=409))["type"] == "already_exists"
    odd: list[dict[str, Any]] = [{"name": "two words"}, {"configuration": {}}, {"tool_type": "magic"}, {"enabled": 1}]
    for wrong in odd:
        await server.post("/tools", WEATHER | {"name": "other"} | wrong, expect=422)


@pytest.mark.contract("S23", "S26")
async def test_s23_enabled_tools_are_listed_until_they_are_switched_off(server: Kasal):
    made = await server.post("/tools", WEATHER | {"name": "s23"})

    async def enabled() -> set[str]:
        return {one["name"] for one in (await server.get("/tools/enabled"))["items"]}

    assert await enabled() >= {"s23", "calculator"}
    for tool, key in (("s23", made["id"]), ("calculator", "calculator")):
        assert (await server.call("PATCH", f"/tools/{key}/toggle-enabled"))["enabled"] is False
        assert tool not in await enabled()
        assert (await server.call("PATCH", f"/tools/{key}/toggle-enabled"))["enabled"] is True
    page = await server.get("/tools/enabled?limit=1")
    assert (len(page["items"]), page["has_more"]) == (1, True)


@pytest.mark.contract("S27")
async def test_s27_configurations_have_a_schema(server: Kasal):
    await server.post("/tools", WEATHER | {"name": "s27"})
    schema = await server.get("/tools/configurations/s27/schema")
    assert schema == await server.get("/tools/configurations/http/schema")
    assert jsonschema_rs.is_valid(schema, WEATHER["configuration"])
    assert not jsonschema_rs.is_valid(schema, {"method": "GET"})
    of_code = await server.get("/tools/configurations/calculator/schema")
    assert jsonschema_rs.is_valid(of_code, {})
    assert not jsonschema_rs.is_valid(of_code, {"anything": 1})
    await server.get("/tools/configurations/nothing/schema", expect=404)


@pytest.mark.contract("S88", "S93")
async def test_s88_a_disabled_tool_is_refused_with_the_reason(server: Kasal):
    crew = one_task("x")
    crew["tasks_yaml"]["help"] = {"function": "current_time", "arguments": {}, "description": "Look."}
    crew["tasks_yaml"]["then"] = {"description": "hold:s88", "agent": "helper", "tools": ["current_time"]}
    crew["tasks_yaml"]["last"] = {"function": "current_time", "arguments": {}}
    under_way = await server.execute(**crew)
    async with asyncio.timeout(20):
        await server.gates["s88"].reached.wait()
    await server.call("PATCH", "/tools/current_time/toggle-enabled")
    server.gates["s88"].open()
    failed = await server.until(under_way, "FAILED")
    assert "Tool 'current_time' is disabled" in failed["error"]
    refused = await server.post("/executions", crew, expect=422)
    assert refused["detail"] == "Tool 'current_time' is disabled. Enable it first."
    assert refused["errors"][0]["field"] == "tasks_yaml.help.tools"
    await server.call("PATCH", "/tools/current_time/toggle-enabled")
    assert (await server.done(**crew))["status"] == "COMPLETED"
