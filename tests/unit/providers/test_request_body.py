"""Requests on the wire."""

import json
from typing import Any

import pytest

from agio.domain.errors import ProviderError
from agio.domain.messages import ToolCall
from agio.providers.base import wire_name
from agio.providers.presets import PRESETS, Quirks
from agio.providers.request_body import RESERVED_PARAMS, encode_request
from tests.unit.providers.calls import ask, message, tool


def body(quirks: Quirks = Quirks(), **request: Any) -> dict[str, Any]:  # noqa: B008 - frozen
    decoded: dict[str, Any] = json.loads(encode_request(ask(**request), quirks))
    return decoded


def test_conversation_with_tools_in_the_standard_form():
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "see"}]
    sent = body(
        messages=[
            message("system", "Be brief."),
            message("user", image),
            message("assistant", "", tool_calls=(ToolCall(id="c1", name="add", arguments='{"x": 1'),)),
            message("tool", "2", tool_call_id="c1", name="add"),
            message("assistant", "Two."),
        ],
        tools=[tool("add", x="number")],
    )
    function = {"name": "add", "arguments": '{"x": 1'}
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": image},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": "Two."},
    ]
    assert sent["tools"][0]["function"]["parameters"]["required"] == ["x"]
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert "tool_choice" not in sent


def test_assistant_message_that_says_nothing_is_left_out():
    assert body(messages=[message("user", "Hi"), message("assistant", "")])["messages"] == [
        {"role": "user", "content": "Hi"}
    ]


def test_params_are_merged_and_the_requests_own_fields_win():
    params = {"top_p": 0.5, "temperature": 1.0, "max_tokens": 9, "max_completion_tokens": 9, "seed": 7}
    sent = body(params=params, temperature=0.0, max_tokens=5)
    assert (sent["top_p"], sent["seed"], sent["temperature"], sent["max_tokens"]) == (0.5, 7, 0.0, 5)
    assert "max_completion_tokens" not in sent


@pytest.mark.parametrize("name", sorted(RESERVED_PARAMS))
def test_params_cannot_take_over_the_call(name: str):
    with pytest.raises(ProviderError, match=name) as caught:
        body(params={name: "x"})
    assert (caught.value.code, caught.value.retryable) == ("provider_rejected", False)


def test_params_that_json_cannot_say_are_refused():
    with pytest.raises(ProviderError) as caught:
        body(params={"seed": object()})
    assert caught.value.code == "provider_rejected"


def test_tool_choice_none_keeps_the_tools_declared():
    sent = body(tools=[tool("add")], tool_choice="none", params={"tool_choice": "required"})
    assert (sent["tool_choice"], len(sent["tools"])) == ("none", 1)


def test_without_tools_nothing_is_said_about_them():
    sent = body(params={"tool_choice": "required", "parallel_tool_calls": False})
    assert not sent.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_ollama_gets_no_tools_when_it_must_not_call_any():
    quirks = PRESETS["ollama"].quirks
    assert "tools" not in body(quirks, tools=[tool("add")], tool_choice="none")
    assert "tools" in body(quirks, tools=[tool("add")])


@pytest.mark.parametrize("name", ["mistral", "databricks"])
def test_strict_endpoints_get_no_stream_options(name: str):
    assert "stream_options" not in body(PRESETS[name].quirks)


def test_openai_gets_max_completion_tokens():
    sent = body(PRESETS["openai"].quirks, max_tokens=5)
    assert sent["max_completion_tokens"] == 5
    assert "max_tokens" not in sent


def test_deepseek_gets_its_reasoning_back_and_nobody_else():
    history = [message("user", "Hi"), message("assistant", "Ho", reasoning="hm")]
    assert body(PRESETS["deepseek"].quirks, messages=history)["messages"][1]["reasoning_content"] == "hm"
    assert "reasoning_content" not in body(messages=history)["messages"][1]


def test_gemini_tool_calls_carry_a_signature():
    history = [message("assistant", tool_calls=(ToolCall(id="c", name="add", arguments=""),))]
    call = body(PRESETS["gemini"].quirks, messages=history)["messages"][0]["tool_calls"][0]
    assert call["extra_content"]["google"]["thought_signature"]
    assert call["function"]["arguments"] == "{}"


def test_tools_have_names_that_endpoints_accept():
    call = ToolCall(id="c1", name="time.get_now", arguments="{}")
    sent = body(messages=[message("assistant", "", tool_calls=(call,))], tools=[tool("time.get_now")])
    assert sent["tools"][0]["function"]["name"] == "time__get_now"
    assert sent["messages"][0]["tool_calls"][0]["function"]["name"] == "time__get_now"
    long = [wire_name(f"server.{'x' * 70}{number}") for number in range(2)]
    assert [len(name) for name in long] == [64, 64]
    assert long[0] != long[1]
    assert wire_name("plain_name-1") == "plain_name-1"
    assert wire_name("a.b/c.d") == "a__b_c__d"
