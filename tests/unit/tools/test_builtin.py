import json
import os
import zoneinfo
from datetime import UTC, datetime
from typing import Any

import pytest

from agio.domain.errors import ToolError
from agio.tools import AddressPolicy, NetworkPolicy, Tool
from agio.tools.builtin import BuiltinToolSettings, WebSearchTool, builtin_tools, calculator, send_message
from agio.tools.builtin.clock import current_time_tool
from tests.unit.tools.calls import Answer, call, text_answer, web_server


def by_name(**settings: Any) -> dict[str, Tool]:
    return {tool.name: tool for tool in builtin_tools(BuiltinToolSettings(**settings))}


def test_built_in_tools_are_known_by_name_and_described():
    tools = builtin_tools()
    assert [tool.name for tool in tools] == [
        "calculator",
        "current_time",
        "http_get",
        "http_request",
        "web_search",
        "send_message",
    ]
    for tool in tools:
        assert tool.source == "builtin"
        assert tool.description
        assert tool.idempotent or tool.name == "http_request"
        assert all(one.get("description") for one in tool.parameters["properties"].values()), tool.name


def test_only_the_demonstration_needs_approval():
    tools = by_name()
    assert [name for name, tool in tools.items() if tool.side_effects] == ["http_request", "send_message"]
    assert [name for name, tool in tools.items() if tool.needs_approval({})] == ["send_message"]


async def test_calculator_answers_in_text():
    assert await call(calculator, expression="0.1 + 0.2") == "0.3"
    assert await call(calculator, expression="2 ** 100") == str(2**100)


async def test_calculator_says_what_is_wrong():
    with pytest.raises(ToolError, match=r"Unknown or misplaced name 'open'.") as caught:
        await call(calculator, expression="open(1)")
    assert caught.value.code == "invalid_arguments"


async def test_time_is_told_in_the_zone_asked_for():
    clock = current_time_tool(lambda zone: datetime(2026, 7, 1, 12, 30, 15, 999, tzinfo=UTC).astimezone(zone))
    assert await call(clock) == "2026-07-01T12:30:15+00:00"
    assert await call(clock, timezone="utc") == "2026-07-01T12:30:15+00:00"
    assert await call(clock, timezone="Europe/Berlin") == "2026-07-01T14:30:15+02:00"
    assert await call(clock, timezone="Asia/Kolkata") == "2026-07-01T18:00:15+05:30"
    now = datetime.fromisoformat(await call(current_time_tool()))
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60


@pytest.mark.parametrize("name", ["Berlin", "", "../../etc/passwd", "/etc/passwd", "America", "x" * 5000, "a\x00b"])
async def test_unknown_zone_is_an_error_of_the_argument(name: str):
    with pytest.raises(ToolError, match="There is no time zone") as caught:
        await call(current_time_tool(), timezone=name)
    assert caught.value.code == "invalid_arguments"
    assert len(str(caught.value)) < 300


async def test_utc_needs_no_time_zone_database(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    assert (await call(current_time_tool())).endswith("+00:00")


async def test_http_get_returns_the_text_and_is_guarded():
    async with web_server(lambda _: text_answer("<p>hello</p>", content_type="text/html")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(ToolError, match=r"'127.0.0.1' is not allowed"):
            await call(by_name()["http_get"], url=url)
        assert server.requests == []
        network = NetworkPolicy(addresses=AddressPolicy.allowing([], allow_private=True))
        assert await call(by_name(network=network)["http_get"], url=url) == "<p>hello</p>"


async def test_http_get_is_bounded_and_tells_failures():
    network = NetworkPolicy(addresses=AddressPolicy.allowing(["127.0.0.1"]))
    http_get = by_name(network=network, http_get_max_bytes=10)["http_get"]
    async with web_server(lambda request: text_answer("x" * 99, 500 if request.target == "/bad" else 200)) as server:
        base = f"http://127.0.0.1:{server.port}"
        assert await call(http_get, url=base) == "x" * 10 + "\n[cut off after 10 bytes]"
        with pytest.raises(ToolError, match="The server answered 500 Status: x"):
            await call(http_get, url=f"{base}/bad")


FOUND = {
    "answerBox": {"answer": "42", "link": "https://a.test"},
    "organic": [
        {"title": "One", "link": "https://one.test", "snippet": "First."},
        {"title": "Two", "link": "https://two.test"},
        "odd",
        {"title": "Four", "link": "https://four.test"},
    ],
}


async def test_web_search_asks_the_service_and_shows_the_results():
    async with web_server(lambda _: text_answer(json.dumps(FOUND))) as server:
        search = WebSearchTool("s3cret", url=f"http://127.0.0.1:{server.port}/search")
        text = await call(search, query="meaning of life", max_results=2)
    assert text == "42\nhttps://a.test\n\n1. One\nhttps://one.test\nFirst.\n\n2. Two\nhttps://two.test"
    (received,) = server.requests
    assert (received.method, received.headers["x-api-key"]) == ("POST", "s3cret")
    assert json.loads(received.body) == {"q": "meaning of life", "num": 2}


async def test_web_search_without_a_key_fails_clearly_and_takes_it_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    async with web_server(lambda _: text_answer("{}")) as server:
        search = WebSearchTool(url=f"http://127.0.0.1:{server.port}/")
        with pytest.raises(ToolError, match="not set up on this server: SERPER_API_KEY is not set") as caught:
            await call(search, query="x")
        assert caught.value.code == "tool_failed"
        assert server.requests == []
        monkeypatch.setitem(os.environ, "SERPER_API_KEY", "from-env")
        assert await call(search, query="x") == "No results."
        assert server.requests[0].headers["x-api-key"] == "from-env"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (text_answer("bad key s3cret", 403), "rejected the key in SERPER_API_KEY"),
        (text_answer("", 429), "answered 429"),
        (text_answer("<html>"), "did not answer with JSON"),
        (text_answer("[]"), "something unknown"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "More than 0 redirects"),
    ],
)
async def test_web_search_tells_its_failures_without_the_key(answer: Answer, message: str):
    async with web_server(lambda _: answer) as server:
        with pytest.raises(ToolError, match=message) as caught:
            await call(WebSearchTool("s3cret", url=f"http://127.0.0.1:{server.port}/"), query="x")
    assert "s3cret" not in str(caught.value)


async def test_message_is_recorded_and_not_delivered():
    text = await call(send_message, to="Ann", text="Hello")
    assert text.startswith("The message to Ann was recorded (5 characters). It was not delivered")
