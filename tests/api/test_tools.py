"""Tools over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agio.domain.tools import StoredTool
from agio.engine.caller import Caller
from agio.storage.port import TOOLS
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools import tool
from tests.api.serving import THEN, Api, serving, writer


@tool(requires_approval=True)
async def delete_file(path: str) -> str:
    """Delete a file."""
    return f"deleted {path}"


@tool
async def fail() -> str:
    """Fail, with a secret in the message."""
    raise ValueError("the key is sk-123")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, tools=[delete_file, fail]) as served:
        yield served


HTTP_TOOL = {
    "name": "get_weather",
    "description": "Says what the weather is like.",
    "configuration": {
        "url": "https://weather.example/v1/{city}",
        "headers": {"Authorization": "Bearer sk-123", "Accept": "text/plain"},
    },
}


@pytest.mark.contract("S22")
async def test_list_shows_code_builtin_and_stored_tools(api: Api):
    made = await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    listed = await api.call("GET", "/tools")
    tools = {one["name"]: one for one in listed["items"]}
    assert {"calculator", "current_time", "http_get", "web_search", "send_message"} <= tools.keys()
    assert listed["total"] == len(listed["items"])
    calculator, weather = tools["calculator"], tools["get_weather"]
    assert (calculator["source"], calculator["id"], calculator["side_effects"]) == ("builtin", "calculator", False)
    assert calculator["parameters"]["type"] == "object"
    assert (tools["delete_file"]["source"], tools["delete_file"]["requires_approval"]) == ("code", True)
    assert (weather["source"], weather["tool_type"], weather["id"]) == ("api", "http", made["id"])
    assert (weather["idempotent"], weather["side_effects"], weather["usable"]) == (True, False, True)
    assert weather["parameters"]["required"] == ["city"]


@pytest.mark.contract("S24")
async def test_a_tool_is_found_by_id_and_by_name(api: Api):
    made = await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    assert await api.call("GET", f"/tools/{made['id']}") == made
    assert await api.call("GET", "/tools/get_weather") == made
    await api.call("GET", "/tools/none", expect=404)


async def test_a_masked_value_is_not_sent_to_another_place(api: Api):
    """Whoever may change a tool may not read its credentials by that."""
    headers = {"Authorization": "Bearer a-secret-of-the-group"}
    body = {"name": "safe", "configuration": {"url": "https://a.example/x", "headers": headers}}
    made = await api.call("POST", "/tools", body, expect=201)
    for url in (
        "https://b.example/x",
        "http://a.example/x",
        "https://a.example:444/x",
        "https://a.example.b.example/x",
    ):
        moved = made["configuration"] | {"url": url}
        answer = await api.call("PATCH", "/tools/safe", {"configuration": moved}, expect=422)
        assert answer["errors"][0]["field"] == "configuration.headers"
    await api.call("PATCH", "/tools/safe", {"configuration": made["configuration"] | {"url": "https://a.example/y"}})


async def test_header_values_are_masked_and_a_masked_one_given_back_stays(api: Api):
    made = await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    assert made["configuration"]["headers"] == {"Authorization": "********", "Accept": "text/plain"}
    configuration = made["configuration"] | {"timeout_s": 5}
    await api.call("PATCH", f"/tools/{made['id']}", {"configuration": configuration})
    stored = await api.engine.toolbox.find("default", "get_weather")
    [record] = (await api.engine.store.find(TOOLS, "default")).items
    assert stored is not None
    assert stored.timeout_s == 5
    assert record.configuration["headers"]["Authorization"] == "Bearer sk-123"


async def test_only_what_makes_a_tool_is_accepted(api: Api):
    for configuration, field in (
        ({}, "configuration.url"),
        ({"url": "ftp://x"}, "configuration.url"),
        ({"url": "https://x", "nonsense": 1}, "configuration.nonsense"),
        ({"url": "https://{host}/"}, "configuration.url"),
        ({"url": "https://x", "headers": {"Host": "y"}}, "configuration.headers"),
    ):
        answer = await api.call("POST", "/tools", {"name": "x", "configuration": configuration}, expect=422)
        assert answer["errors"][0]["field"] == field
    await api.call("POST", "/tools", {**HTTP_TOOL, "tool_type": "python"}, expect=422)
    await api.call("POST", "/tools", {**HTTP_TOOL, "name": "bad name"}, expect=422)
    made = await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    await api.call("PATCH", f"/tools/{made['id']}", {"configuration": {"url": "nonsense"}}, expect=422)
    assert (await api.call("GET", f"/tools/{made['id']}")) == made


async def test_names_are_unique_among_all_tools(api: Api):
    await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    for name in ("get_weather", "calculator", "delete_file"):
        answer = await api.call("POST", "/tools", {**HTTP_TOOL, "name": name}, expect=409)
        assert answer["type"] == "already_exists"
    other = await api.call("POST", "/tools", {**HTTP_TOOL, "name": "other"}, expect=201)
    for name in ("get_weather", "calculator"):
        await api.call("PATCH", f"/tools/{other['id']}", {"name": name}, expect=409)
    assert (await api.call("PATCH", f"/tools/{other['id']}", {"name": "third"}))["name"] == "third"


@pytest.mark.contract("S26")
async def test_a_tool_can_be_switched_off_and_on(api: Api):
    made = await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    for key in (made["id"], "calculator", "delete_file"):
        before = await api.call("GET", f"/tools/{key}")
        off = await api.call("PATCH", f"/tools/{key}/toggle-enabled")
        assert (off["enabled"], off["usable"]) == (False, False)
        same = ("id", "name", "description", "source", "side_effects", "idempotent", "requires_approval", "tool_type")
        assert {name: off[name] for name in same} == {name: before[name] for name in same}
        assert key not in {one["id"] for one in (await api.call("GET", "/tools?enabled=true"))["items"]}
        assert (await api.call("PATCH", f"/tools/{key}", {"enabled": True}))["usable"] is True


async def test_switching_off_at_the_same_time_leaves_one_record(api: Api):
    await asyncio.gather(*(api.call("PATCH", "/tools/calculator", {"enabled": False}) for _ in range(5)))
    assert [one.name for one in (await api.engine.store.find(TOOLS, "default")).items] == ["calculator"]


@pytest.mark.contract("S88")
async def test_a_switched_off_tool_cannot_be_used_by_a_run(tmp_path: Path):
    script = ScriptedProvider([Answer(calls=[Call("calculator", {"expression": "1+1"})]), "done"])
    async with serving(tmp_path, script, agents=[writer(id="calc", tools=("calculator",))]) as api:
        await api.call("PATCH", "/tools/calculator", {"enabled": False})
        run = await api.chat(agent_id="calc")
        messages = (await api.call("GET", f"/runs/{run['run_id']}/messages"))["items"]
    assert "disabled" in messages[-2]["content"]


async def test_of_a_code_tool_only_switches_can_change(api: Api):
    answer = await api.call("PATCH", "/tools/calculator", {"description": "mine"}, expect=409)
    assert "Python" in answer["detail"]
    assert (await api.call("PATCH", "/tools/calculator", {"requires_approval": True}))["requires_approval"] is True
    await api.call("DELETE", "/tools/calculator", expect=409)


async def test_a_stored_tool_can_be_deleted(api: Api):
    made = await api.call("POST", "/tools", HTTP_TOOL, expect=201)
    await api.call("DELETE", f"/tools/{made['id']}", expect=204)
    await api.call("GET", f"/tools/{made['id']}", expect=404)
    await api.call("DELETE", f"/tools/{made['id']}", expect=404)


async def test_trying_a_tool_answers_with_its_result_or_its_error(api: Api):
    good = await api.call("POST", "/tools/calculator/test", {"arguments": {"expression": "6*7"}})
    assert (good["ok"], good["result"], good["error"]) == (True, "42", None)
    assert good["duration_ms"] >= 0
    bad = await api.call("POST", "/tools/calculator/test", {"arguments": {"nonsense": 1}})
    assert (bad["ok"], bad["result"], bad["error"]["code"]) == (False, None, "invalid_arguments")
    empty = await api.call("POST", "/tools/fail/test")
    assert empty["error"]["code"] == "tool_failed"
    assert "sk-123" not in empty["error"]["message"]
    await api.call("POST", "/tools/none/test", {}, expect=404)


async def test_whoever_tries_a_guarded_tool_approves_it(api: Api):
    tried = await api.call("POST", "/tools/delete_file/test", {"arguments": {"path": "x"}})
    assert (tried["ok"], tried["result"]) == (True, "deleted x")


async def test_a_switched_off_tool_cannot_be_tried(api: Api):
    await api.call("PATCH", "/tools/calculator", {"enabled": False})
    tried = await api.call("POST", "/tools/calculator/test", {"arguments": {"expression": "1"}})
    assert (tried["ok"], tried["error"]["code"]) == (False, "tool_disabled")


async def test_a_private_address_is_refused_when_the_tool_is_tried(api: Api):
    await api.call("POST", "/tools", {"name": "inside", "configuration": {"url": "http://127.0.0.1:9/"}}, expect=201)
    assert (await api.call("POST", "/tools/inside/test", {}))["ok"] is False


async def test_the_same_idempotency_key_makes_one_tool(api: Api):
    first = await api.call("POST", "/tools", HTTP_TOOL, expect=201, Idempotency_Key="k")
    assert await api.call("POST", "/tools", HTTP_TOOL, expect=201, Idempotency_Key="k") == first


async def test_another_groups_tool_does_not_exist(api: Api):
    record = StoredTool(
        id="t1",
        group_id="elsewhere",
        name="theirs",
        configuration={"url": "https://x.example/"},
        created_at=THEN,
        updated_at=THEN,
    )
    await api.engine.tools.create(Caller("bob", "elsewhere"), record)
    for key in ("t1", "theirs"):
        await api.call("GET", f"/tools/{key}", expect=404)
        await api.call("PATCH", f"/tools/{key}", {"enabled": False}, expect=404)
        await api.call("DELETE", f"/tools/{key}", expect=404)
        await api.call("POST", f"/tools/{key}/test", {}, expect=404)
    mine = await api.engine.tools.create(Caller(), replace(record, id="t2", group_id="default"))
    assert (mine.id, mine.name) == ("t2", "theirs")


async def test_list_filters_by_text_and_pages(api: Api):
    assert [t["name"] for t in (await api.call("GET", "/tools?q=CALCUL"))["items"]] == ["calculator"]
    page = await api.call("GET", "/tools?limit=2&offset=1")
    assert (len(page["items"]), page["has_more"], page["offset"]) == (2, True, 1)
    await api.call("GET", "/tools?limit=0", expect=422)
