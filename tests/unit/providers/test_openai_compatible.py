"""The client against a real server: answers, errors, keys."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from agio.domain.errors import ProviderError
from agio.providers import openai_compatible
from agio.providers.base import TextPart
from agio.providers.openai_compatible import OpenAICompatibleProvider
from agio.providers.presets import Quirks
from agio.testing.openai_server import RunningServer
from tests.unit.providers.calls import (
    ask,
    calls_in,
    collect,
    finish_of,
    message,
    reasoning_in,
    text_in,
    tool,
    usage_of,
)

Make = Callable[..., OpenAICompatibleProvider]


def model(**behaviour: Any) -> str:
    return "fake?" + urlencode(behaviour)


async def failure_of(provider: OpenAICompatibleProvider, **behaviour: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await collect(provider, ask(model=model(**behaviour)))
    return caught.value


async def test_answer_arrives_whole_with_usage_and_finish(provider: OpenAICompatibleProvider):
    parts = await collect(provider, ask(model=model(tokens=500, reasoning="let me see")))
    assert text_in(parts) == "".join(f"word{n} " for n in range(500))
    assert reasoning_in(parts) == "let me see "
    assert finish_of(parts) == "stop"
    assert usage_of(parts).usage.completion_tokens == 500


async def test_one_network_read_gives_one_batch_of_many_deltas(provider: OpenAICompatibleProvider):
    async with provider.stream(ask(model=model(tokens=500))) as stream:
        batches = [batch async for batch in stream]
    assert len(batches) < 100
    assert max(len(batch) for batch in batches) > 20


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_characters_split_between_reads_stay_whole(provider: OpenAICompatibleProvider, size: int):
    parts = await collect(provider, ask(model=model(text="Grüße 😀 日本", split_bytes=size, split_pause_s=0.0005)))
    assert text_in(parts) == "Grüße 😀 日本"


async def test_crlf_comments_and_missing_spaces_are_understood(provider: OpenAICompatibleProvider):
    chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    raw = f": OPENROUTER PROCESSING\r\n\r\nevent: x\r\ndata:{json.dumps(chunk)}\r\n\r\ndata:[DONE]\r\n\r\n"
    parts = await collect(provider, ask(model=model(raw=raw, split_bytes=5)))
    assert (text_in(parts), finish_of(parts)) == ("Hi", "stop")


async def test_tool_call_arguments_arrive_as_the_model_wrote_them(provider: OpenAICompatibleProvider):
    request = ask(model=model(tool_rounds=1, tool_arguments='{"broken": '), tools=[tool("calculator")])
    parts = await collect(provider, request)
    assert calls_in(parts) == {0: ("call_1", "calculator", '{"broken": ')}
    assert finish_of(parts) == "tool_calls"


async def test_answer_that_is_not_streamed_is_read_all_the_same(provider: OpenAICompatibleProvider):
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    parts = await collect(provider, ask(model=model(raw=json.dumps(whole), content_type="application/json")))
    assert (text_in(parts), finish_of(parts)) == ("Hi", "stop")


async def test_answer_that_is_not_streamed_has_a_bound(
    provider: OpenAICompatibleProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(openai_compatible, "MOST_BYTES", 1_000)
    flood = {"choices": [{"message": {"content": "Hi" * 2_000}, "finish_reason": "stop"}]}
    failure = await failure_of(provider, raw=json.dumps(flood), content_type="application/json")
    assert (failure.code, failure.retryable) == ("provider_flood", False)


async def test_stream_that_ends_early_has_no_finish(provider: OpenAICompatibleProvider):
    parts = await collect(provider, ask(model=model(tokens=10, cut_after=3)))
    assert text_in(parts) == "word0 word1 word2 "
    assert finish_of(parts) is None


async def test_last_line_cut_in_its_middle_is_left_out(provider: OpenAICompatibleProvider):
    raw = 'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: {"choices": [{"delta": {"cont'
    parts = await collect(provider, ask(model=model(raw=raw)))
    assert parts == [TextPart("Hi")]


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        ({"status": 401}, "provider_auth", False),
        ({"status": 403}, "provider_auth", False),
        ({"status": 408}, "provider_unavailable", True),
        ({"status": 429}, "provider_rate_limited", True),
        ({"status": 429, "error_code": "insufficient_quota"}, "provider_rate_limited", False),
        ({"status": 500}, "provider_unavailable", True),
        ({"status": 503}, "provider_unavailable", True),
        ({"status": 529}, "provider_unavailable", True),
        ({"status": 400}, "provider_rejected", False),
        ({"status": 404}, "provider_rejected", False),
        ({"status": 422}, "provider_rejected", False),
        ({"status": 400, "error_code": "context_length_exceeded"}, "context_exceeded", False),
        ({"status": 400, "error": "This model's maximum context length is 9 tokens"}, "context_exceeded", False),
        ({"status": 413, "error": "prompt is too long: 9 tokens > 8 maximum"}, "context_exceeded", False),
        ({"raw": 'data: {"error": {"message": "x", "code": 429}}\n\n'}, "provider_rate_limited", True),
        ({"raw": "data: {not json}\n\n"}, "provider_stream_broken", True),
        ({"raw": "<html>", "content_type": "text/html"}, "provider_rejected", False),
        ({"raw": '{"object": "x"}', "content_type": "application/json"}, "provider_stream_broken", True),
        ({"tokens": 9, "cut_after": 3, "tear": True}, "provider_stream_broken", True),
    ],
)
async def test_failures_are_told_apart(
    provider: OpenAICompatibleProvider, behaviour: dict[str, Any], code: str, retryable: bool
):
    failure = await failure_of(provider, **behaviour)
    assert (failure.code, failure.retryable) == (code, retryable)


async def test_failure_in_the_middle_comes_after_what_arrived(provider: OpenAICompatibleProvider):
    raw = 'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: {"error": {"message": "gone"}}\n\n'
    async with provider.stream(ask(model=model(raw=raw, split_bytes=52))) as batches:
        assert text_in(await anext(batches)) == "Hi"
        with pytest.raises(ProviderError, match="gone"):
            await anext(batches)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("inf", None)],
)
async def test_retry_after_is_read(provider: OpenAICompatibleProvider, header: str, seconds: float | None):
    assert (await failure_of(provider, status=429, retry_after=header)).retry_after_s == seconds


async def test_nobody_listening_is_unavailable(make_provider: Make):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        provider = make_provider(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        failure = await failure_of(provider)
    assert (failure.code, failure.retryable) == ("provider_unavailable", True)


async def test_connection_closed_before_headers_is_no_timeout(make_provider: Make):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        failure = await failure_of(make_provider(base_url=f"http://127.0.0.1:{port}/v1"))
    assert (failure.code, failure.retryable) == ("provider_unavailable", True)


async def test_answer_that_is_no_http_is_unavailable(make_provider: Make):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-nonsense\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        failure = await failure_of(make_provider(base_url=f"http://127.0.0.1:{port}/v1"))
    assert failure.code == "provider_unavailable"


@pytest.mark.parametrize("behaviour", [{"headers_after_s": 5}, {"silent_s": 5}, {"tokens": 5, "pace": 0.5}])
async def test_silence_is_a_timeout(make_provider: Make, behaviour: dict[str, Any]):
    failure = await failure_of(make_provider(read_timeout_s=0.1), **behaviour)
    assert (failure.code, failure.retryable) == ("provider_timeout", True)


async def test_endpoint_is_called_once_even_when_it_fails(provider: OpenAICompatibleProvider, server: RunningServer):
    await failure_of(provider, status=500)
    assert len(server.app.recorded) == 1


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_messages_and_causes_hold_no_key(provider: OpenAICompatibleProvider, status: int):
    error = "Incorrect API key provided: sk-of-the-server (sk-of-***rver). " + "x" * 1000
    failure = await failure_of(provider, status=status, error=error)
    assert "sk-of" not in str(failure)
    assert "rver" not in str(failure)
    assert len(str(failure)) < 350
    assert failure.__cause__ is None
    assert failure.__context__ is None


async def test_requests_key_wins_and_concurrent_calls_keep_their_own(
    provider: OpenAICompatibleProvider, server: RunningServer
):
    keys = [None, *(f"sk-user-{n}" for n in range(20))]
    await asyncio.gather(
        *(collect(provider, ask(f"{key}", model=model(headers_after_s=0.02), api_key=key)) for key in keys)
    )
    sent = {item.body["messages"][0]["content"]: item.headers["authorization"] for item in server.app.recorded}
    assert sent == {f"{key}": f"Bearer {key or 'sk-of-the-server'}" for key in keys}


async def test_key_is_asked_for_at_every_call(make_provider: Make, server: RunningServer):
    keys = iter(["sk-one", "sk-two"])
    provider = make_provider(key=lambda: next(keys))
    await collect(provider, ask())
    await collect(provider, ask())
    assert [item.headers["authorization"] for item in server.app.recorded] == ["Bearer sk-one", "Bearer sk-two"]


@pytest.mark.parametrize("key", [None, "", "  "])
async def test_missing_key_is_named_and_nothing_is_sent(make_provider: Make, server: RunningServer, key: str | None):
    provider = make_provider(key=lambda: key, key_names=("AGIO_OPENAI_API_KEY", "OPENAI_API_KEY"))
    with pytest.raises(ProviderError, match="set AGIO_OPENAI_API_KEY or OPENAI_API_KEY") as caught:
        await collect(provider, ask())
    assert caught.value.code == "provider_not_configured"
    assert not server.app.recorded


async def test_key_with_a_line_break_is_trimmed_and_one_inside_is_refused(make_provider: Make, server: RunningServer):
    await collect(make_provider(key=lambda: "sk-abc\n"), ask())
    assert server.app.recorded[0].headers["authorization"] == "Bearer sk-abc"
    failure = await failure_of(make_provider(key=lambda: "sk-a\nbc"))
    assert failure.code == "provider_auth"
    assert "bc" not in str(failure)


async def test_endpoint_without_key_gets_no_authorization(
    make_provider: Make, server: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ambient")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-ambient")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    await collect(make_provider(key=lambda: None, needs_key=False), ask())
    assert not {"authorization", "openai-organization"} & server.app.recorded[0].headers.keys()


async def test_request_is_sent_as_the_quirks_say(make_provider: Make, server: RunningServer):
    provider = make_provider(quirks=Quirks(stream_usage=False))
    await collect(provider, ask(messages=[message("user", "Grüße")], max_tokens=7, params={"seed": 1}))
    assert server.app.recorded[0].body == {
        "seed": 1,
        "model": "fake",
        "messages": [{"role": "user", "content": "Grüße"}],
        "stream": True,
        "max_tokens": 7,
    }


async def test_connection_is_used_again_after_a_whole_answer(provider: OpenAICompatibleProvider):
    ports = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername")[1])
        while await reader.read(65536):
            chunk = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
            await asyncio.sleep(0.005)
            writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        provider.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        for _ in range(3):
            await collect(provider, ask())
        await provider.close()
    assert len(ports) == 1


@pytest.mark.parametrize(
    "url", ["", "api.example.com/v1", "ftp://x/v1", "http:///v1", "http://[::bad/v1", "http://x:y/v1"]
)
def test_base_url_that_is_none_is_refused(url: str):
    with pytest.raises(ProviderError) as caught:
        OpenAICompatibleProvider("x", url)
    assert caught.value.code == "provider_not_configured"


async def test_provider_works_again_after_close(provider: OpenAICompatibleProvider):
    await collect(provider, ask())
    await provider.close()
    assert finish_of(await collect(provider, ask())) == "stop"
