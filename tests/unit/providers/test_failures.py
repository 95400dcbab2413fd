"""Error bodies as the vendors really send them, and what must never show."""

from typing import Any

import pytest

from agio.providers.failures import Endpoint, scrub

KEY = "mykey-0123456789abcdef"


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ({"message": "busy", "code": 429}, "provider_rate_limited", True),
        ({"message": "broke", "code": 502}, "provider_unavailable", True),
        ({"message": "no", "code": 402}, "provider_rejected", False),
        ({"message": "no", "code": "401"}, "provider_auth", False),
        ({"message": "no", "type": "authentication_error"}, "provider_auth", False),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, "provider_rate_limited", True),
        ({"message": "pay", "code": "insufficient_quota"}, "provider_rate_limited", False),
        (
            {"message": "x", "code": "context_length_exceeded", "type": "invalid_request_error"},
            "context_exceeded",
            False,
        ),
        ({"message": "prompt is too long: 9 > 8", "type": "invalid_request_error"}, "context_exceeded", False),
        ({"message": "bad", "type": "invalid_request_error"}, "provider_rejected", False),
        ({"message": "Overloaded", "type": "overloaded_error"}, "provider_unavailable", True),
        ("something went wrong", "provider_unavailable", True),
        ([{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}], "provider_rejected", False),
    ],
)
def test_errors_inside_a_stream_keep_their_kind(error: Any, code: str, retryable: bool):
    failure = Endpoint("openai").from_stream(error)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert str(failure).startswith("openai: error in the stream: ")


def test_message_names_what_the_vendor_behind_a_gateway_said():
    error = {"message": "Provider returned error", "code": 502, "metadata": {"raw": "out of memory"}}
    assert "out of memory" in str(Endpoint("openrouter").from_stream(error))


def test_message_is_short_and_on_one_line():
    failure = Endpoint("openai").from_stream({"message": "a\nb" * 1000})
    assert len(str(failure)) < 320
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    "leak",
    [
        f"key {KEY} is wrong",
        f"Bearer {KEY}",
        f"starts with {KEY[:10]}, ends",
        "Incorrect API key provided: sk-proj-abcDEF123_456-x.",
        "Incorrect API key provided: sk-ab*******wxyz.",
        "Incorrect API key provided: mykey-01**********cdef.",
        "header Authorization: Bearer abcdefg12345 was sent",
        "gsk_abc123def",
        "AIzaSyA1234567890abcd",
    ],
)
def test_keys_and_their_echoes_do_not_show(leak: str):
    shown = scrub(leak, (KEY,))
    for secret in (KEY, KEY[:8], "cdef", "wxyz", "abcDEF123", "abcdefg12345", "abc123def", "SyA123"):
        assert secret not in shown
    assert "***" in shown


def test_ordinary_text_stays():
    text = "This model's maximum context length is 8192 tokens; ask about basic settings or missing bearer token"
    assert scrub(text, ("k",)) == text
