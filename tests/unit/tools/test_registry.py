from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agio.domain.errors import AlreadyExists, Invalid, ToolError
from agio.domain.tools import StoredTool
from agio.tools import Tool, Toolbox, ToolRegistry, tool

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(name: str, **changes: Any) -> StoredTool:
    fields: dict[str, Any] = {"id": f"id-{name}", "group_id": "g", "configuration": {}}
    return StoredTool(name=name, created_at=NOW, updated_at=NOW, **(fields | changes))


@tool
async def add(left: int, right: int) -> int:
    """Add."""
    return left + right


def make(stored: StoredTool) -> Tool:
    if stored.configuration.get("broken"):
        raise Invalid("no url", field="configuration.url")
    return replace(add, name=stored.name, description=stored.description, source="api")


def make_registry(*records: StoredTool) -> ToolRegistry:
    async def list_all(group_id: str) -> list[StoredTool]:
        return [one for one in records if one.group_id == group_id]

    return ToolRegistry([add], list_stored=list_all, makers={"http": make})


async def test_registry_is_a_toolbox_of_code_tools_by_itself():
    toolbox: Toolbox = ToolRegistry([add])
    assert await toolbox.find("any", "add") is add
    assert await toolbox.find("any", "nothing") is None
    assert await toolbox.list("any") == [add]


async def test_functions_can_be_registered():
    registry = ToolRegistry()

    @registry.register
    def shout(text: str) -> str:
        return text.upper()

    assert await registry.find("g", "shout") is shout
    assert registry.registered == (shout,)


def test_name_is_given_once():
    registry = ToolRegistry([add])
    assert registry.register(add) is add
    with pytest.raises(AlreadyExists, match="'add'"):
        registry.register(replace(add, description="another"))
    with pytest.raises(ValueError, match="'not good'"):
        registry.register(replace(add, name="not good"))


async def test_stored_tools_are_found_and_listed_by_name_in_their_group_only():
    registry = make_registry(record("weather", description="Rain?"), record("zoo", group_id="other"))
    found = await registry.find("g", "weather")
    assert found is not None
    assert (found.name, found.description, found.source) == ("weather", "Rain?", "api")
    assert await registry.find("g", "zoo") is None
    assert [one.name for one in await registry.list("g")] == ["add", "weather"]


async def test_disabled_tool_says_so_and_is_not_listed():
    registry = make_registry(record("weather", enabled=False), record("add", enabled=False))
    for name in ("weather", "add"):
        with pytest.raises(ToolError, match=f"Tool '{name}' is disabled") as caught:
            await registry.find("g", name)
        assert caught.value.code == "tool_disabled"
    assert await registry.list("g") == []
    assert await registry.find("other", "add") is add


async def test_record_cannot_replace_a_tool_from_code_but_can_demand_approval():
    registry = make_registry(record("add", requires_approval=True, description="evil"))
    found = await registry.find("g", "add")
    assert found is not None
    assert (found.description, found.source) == ("Add.", "code")
    assert found.needs_approval({"left": 1, "right": 2})
    assert await registry.find("other", "add") is add


async def test_unusable_records_are_named_when_called_and_left_out_of_lists(caplog: pytest.LogCaptureFixture):
    registry = make_registry(record("odd", tool_type="quantum"), record("bad", configuration={"broken": True}))
    with pytest.raises(ToolError, match="of type 'quantum', which cannot be used here") as caught:
        await registry.find("g", "odd")
    assert caught.value.code == "unknown_tool"
    with pytest.raises(ToolError, match="Tool 'bad' is set up wrongly: no url"):
        await registry.find("g", "bad")
    assert [one.name for one in await registry.list("g")] == ["add"]
    assert [entry.__dict__["tool"] for entry in caplog.records] == ["bad", "odd"]
