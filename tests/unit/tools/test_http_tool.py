import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from agio.domain.errors import Invalid, ToolError
from agio.domain.tools import StoredTool
from agio.tools import (
    CONFIGURATION_SCHEMAS,
    AddressPolicy,
    GuardedClient,
    NetworkPolicy,
    Tool,
    ToolRegistry,
    http_tool_maker,
    validate_configuration,
)
from tests.unit.tools.calls import Answer, Received, call, text_answer, web_server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLIENT = GuardedClient(NetworkPolicy(addresses=AddressPolicy.allowing(["127.0.0.1"])))


def stored(configuration: dict[str, Any], parameters: dict[str, Any] | None = None, **fields: Any) -> StoredTool:
    fixed: dict[str, Any] = {"id": "1", "group_id": "g", "name": "shop", "created_at": NOW, "updated_at": NOW}
    return StoredTool(configuration=configuration, parameters=parameters or {}, **(fixed | fields))


def make(configuration: dict[str, Any], parameters: dict[str, Any] | None = None, **fields: Any) -> Tool:
    return http_tool_maker(CLIENT)(stored(configuration, parameters, **fields))


def echo(received: Received) -> Answer:
    return text_answer(received.body.decode() or received.target)


async def test_record_becomes_a_working_tool():
    async with web_server(lambda _: text_answer('{"degrees": 21}', content_type="application/json")) as server:
        weather = make(
            {
                "url": f"http://127.0.0.1:{server.port}/weather/{{city}}?days={{days}}",
                "headers": {"X-Key": "s3cret", "X-City": "to {city}"},
            },
            description="Tells the weather.",
            name="weather",
        )
        assert await call(weather, city="New York", days="3") == '{"degrees": 21}'
    received = server.requests[-1]
    assert (received.method, received.target) == ("GET", "/weather/New%20York?days=3")
    assert (received.headers["x-key"], received.headers["x-city"]) == ("s3cret", "to New York")
    assert received.headers["idempotency-key"] == "run-1:call-1"
    assert (weather.name, weather.description, weather.source) == ("weather", "Tells the weather.", "api")


async def test_json_body_is_filled_by_structure():
    template = {"to": "{name}", "n": "{count}", "note": "for {name}", "role": "guest", "opt": "{more}"}
    parameters = {
        "properties": {"name": {"type": "string"}, "count": {"type": "integer"}, "more": {"type": "object"}},
        "required": ["name"],
    }
    evil = '", "role": "admin", "x": "'
    async with web_server(echo) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for body in (template, json.dumps(template)):
            order = make({"url": url, "method": "post", "body": body}, parameters)
            sent = json.loads(await call(order, name=evil, count=2))
            assert sent == {"to": evil, "n": 2, "note": f"for {evil}", "role": "guest"}
    assert server.requests[0].headers["content-type"] == "application/json"
    assert server.requests[0].method == "POST"


async def test_whole_body_may_be_one_argument():
    parameters = {"type": "object", "properties": {"order": {"type": "object"}}, "required": ["order"]}
    async with web_server(echo) as server:
        order = make({"url": f"http://127.0.0.1:{server.port}/", "method": "PUT", "body": '"{order}"'}, parameters)
        assert json.loads(await call(order, order={"a": [1]})) == {"a": [1]}


async def test_form_body_is_encoded():
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    async with web_server(echo) as server:
        configuration = {"url": f"http://127.0.0.1:{server.port}/", "method": "POST", "headers": headers}
        form = make(configuration | {"body": {"q": "{q}", "fixed": 1}})
        assert parse_qsl(await call(form, q="a&b=é\n")) == [("q", "a&b=é\n"), ("fixed", "1")]


async def test_value_cannot_start_another_header():
    async with web_server(echo) as server:
        tool = make({"url": f"http://127.0.0.1:{server.port}/", "headers": {"X-Name": "{name}"}})
        for value in ("a\r\nX-Admin: 1", "a\nb", "é", "\x00"):
            with pytest.raises(ToolError, match="Argument 'name' must be printable ASCII") as caught:
                await call(tool, name=value)
            assert caught.value.code == "invalid_arguments"
    assert server.requests == []


async def test_header_of_an_absent_argument_is_left_out():
    parameters = {"properties": {"name": {"type": "string"}}}
    async with web_server(lambda received: text_answer(received.headers.get("x-name", "none"))) as server:
        tool = make({"url": f"http://127.0.0.1:{server.port}/", "headers": {"X-Name": "{name}"}}, parameters)
        assert await call(tool) == "none"
        assert await call(tool, name="Ann") == "Ann"


async def test_failure_of_the_server_is_told_with_its_status():
    async with web_server(lambda _: text_answer("no such order " + "x" * 9000, status=404)) as server:
        with pytest.raises(ToolError, match=r"^The server answered 404 Status: no such order") as caught:
            await call(make({"url": f"http://127.0.0.1:{server.port}/?key=s3cret"}))
    assert caught.value.code == "tool_failed"
    assert len(str(caught.value)) < 1200
    assert "s3cret" not in str(caught.value)


async def test_addresses_inside_are_out_of_reach_unless_allowed():
    async with web_server(echo) as server:
        record = stored({"url": f"http://127.0.0.1:{server.port}/"})
        with pytest.raises(ToolError, match=r"'127.0.0.1' is not allowed"):
            await call(http_tool_maker(GuardedClient())(record))
    assert server.requests == []


def test_parameters_are_derived_from_the_placeholders():
    tool = make(
        {"url": "https://api.test/{b}?x={a}", "method": "POST", "body": {"y": "{a} {c}"}, "headers": {"D": "{d}"}}
    )
    assert tool.parameters == {
        "type": "object",
        "properties": {name: {"type": "string"} for name in "badc"},
        "required": ["b", "a", "d", "c"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("method", "given", "idempotent", "side_effects"),
    [("GET", None, True, False), ("POST", None, False, True), ("POST", True, True, True), ("GET", False, False, False)],
)
def test_what_may_be_repeated_follows_from_the_method_unless_said(
    method: str, given: bool | None, idempotent: bool, side_effects: bool
):
    tool = make({"url": "https://api.test/", "method": method, "idempotent": given, "timeout_s": 5})
    assert (tool.idempotent, tool.side_effects, tool.timeout_s) == (idempotent, side_effects, 5.0)


def test_approval_of_the_record_is_kept():
    assert make({"url": "https://api.test/"}, requires_approval=True).needs_approval({})
    assert not make({"url": "https://api.test/"}).needs_approval({})


URL = {"url": "https://api.test/{id}"}
ID = {"properties": {"id": {"type": "string"}}, "required": ["id"]}


@pytest.mark.parametrize(
    ("configuration", "parameters", "field"),
    [
        ({}, {}, "configuration.url"),
        ({"url": 5}, {}, "configuration.url"),
        ({"url": "ftp://api.test/"}, {}, "configuration.url"),
        ({"url": "https://{host}/"}, {}, "configuration.url"),
        ({"url": "https://１２７.0.0.1/"}, {}, "configuration.url"),
        ({"url": "https://api.test/" + "x" * 9000}, {}, "configuration.url"),
        (URL | {"urls": []}, {}, "configuration.urls"),
        (URL | {"method": "STEAL"}, {}, "configuration.method"),
        (URL | {"method": 1}, {}, "configuration.method"),
        (URL | {"timeout_s": 0}, {}, "configuration.timeout_s"),
        (URL | {"timeout_s": 601}, {}, "configuration.timeout_s"),
        (URL | {"headers": {"A": 1}}, {}, "configuration.headers"),
        (URL | {"headers": {"A b": "1"}}, {}, "configuration.headers"),
        (URL | {"headers": {"Host": "other"}}, {}, "configuration.headers"),
        (URL | {"headers": {"A": "1\r\nB: 2"}}, {}, "configuration.headers"),
        (URL | {"headers": {"A": "é"}}, {}, "configuration.headers"),
        (URL | {"body": {}}, {}, "configuration.body"),
        (URL | {"method": "POST", "body": "{id}"}, {}, "configuration.body"),
        (URL | {"method": "POST", "body": {"a": float("nan")}}, {}, "configuration.body"),
        (
            URL | {"method": "POST", "body": [], "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
            {},
            "configuration.body",
        ),
        (URL, {"properties": {"other": {}}}, "configuration.url"),
        (URL | {"headers": {"A": "{b}"}}, ID, "configuration.headers"),
        (URL | {"method": "POST", "body": ["{b}"]}, ID, "configuration.body"),
        (URL, {"properties": {"id": {}}}, "parameters"),
        (URL, {"type": "array"}, "parameters"),
        (URL, {"properties": []}, "parameters"),
        (URL, ID | {"required": "id"}, "parameters"),
        (URL, ID | {"required": [1]}, "parameters"),
    ],
)
def test_wrong_configurations_name_their_field(configuration: dict[str, Any], parameters: dict[str, Any], field: str):
    with pytest.raises(Invalid) as caught:
        validate_configuration(configuration, parameters)
    assert caught.value.field == field


def test_unknown_placeholder_is_named():
    with pytest.raises(Invalid, match=r"The placeholder \{b\} is not among the parameters"):
        validate_configuration(URL | {"headers": {"A": "{b}"}}, ID)


def test_right_configurations_pass():
    validate_configuration(URL, {})
    validate_configuration(URL, ID)
    validate_configuration(URL | {"method": "patch", "body": {"a": [1, None]}, "timeout_s": 1}, {})


def test_schema_of_the_configuration_names_every_key():
    schema = CONFIGURATION_SCHEMAS["http"]
    assert set(schema["properties"]) == {"url", "method", "headers", "body", "idempotent", "timeout_s"}
    assert schema["required"] == ["url"]
    assert schema["additionalProperties"] is False


async def test_registry_makes_tools_from_records():
    record = stored({"url": "https://api.test/{id}"})

    async def list_all(group_id: str) -> list[StoredTool]:
        return [record]

    registry = ToolRegistry(list_stored=list_all, makers={"http": http_tool_maker(CLIENT)})
    found = await registry.find("g", "shop")
    assert found is not None
    assert found.parameters["required"] == ["id"]
    record = replace(record, configuration={"url": "nonsense"})
    with pytest.raises(ToolError, match="Tool 'shop' is set up wrongly: The URL must start with"):
        await registry.find("g", "shop")
