"""The scripted provider keeps to its script."""

import asyncio

import pytest

from agio.domain.errors import ProviderError
from agio.domain.metrics import Usage
from agio.providers.base import FinishPart, Provider, TextPart, UsagePart
from agio.testing.provider import Answer, Call, Gate, Reasoning, ScriptedProvider, Silence, long_answer
from tests.unit.providers.calls import ask, calls_in, collect, finish_of, reasoning_in, text_in, usage_of


async def test_answers_come_in_order_and_requests_are_kept():
    provider: Provider = (scripted := ScriptedProvider(["one", Answer("t", "w", "o")]))
    assert text_in(await collect(provider, ask("first"))) == "one"
    assert text_in(await collect(provider, ask("second"))) == "two"
    assert [request.messages[0].content for request in scripted.requests] == ["first", "second"]
    assert (scripted.calls, scripted.completed_streams, scripted.open_streams) == (2, 2, 0)


async def test_parts_of_every_kind():
    answer = Answer(
        Reasoning("hm"),
        "Hi",
        [TextPart(" th"), TextPart("ere")],
        calls=[Call("add", {"x": 1}), Call("sub", "{malformed", id="mine")],
        usage=Usage(prompt_tokens=7),
    )
    parts = await collect(ScriptedProvider([answer]), ask())
    assert (reasoning_in(parts), text_in(parts), finish_of(parts)) == ("hm", "Hi there", "tool_calls")
    assert calls_in(parts) == {0: ("call_1_0", "add", '{"x": 1}'), 1: ("mine", "sub", "{malformed")}
    assert usage_of(parts).usage.prompt_tokens == 7


async def test_usage_counts_deltas_unless_given():
    parts = await collect(ScriptedProvider([long_answer(50)]), ask())
    assert parts[-2:] == [UsagePart(Usage(completion_tokens=50, total_tokens=50)), FinishPart("stop")]


async def test_gate_holds_the_stream_until_opened():
    gate, seen = Gate(), list[str]()
    provider = ScriptedProvider([Answer("before", gate, "after")])

    async def read() -> None:
        async with provider.stream(ask()) as batches:
            async for batch in batches:
                seen.append(text_in(batch))

    task = asyncio.create_task(read())
    await gate.reached.wait()
    assert seen == ["before"]
    assert provider.open_streams == 1
    gate.open()
    await task
    assert seen == ["before", "after", ""]


async def test_cut_off_stream_has_no_finish():
    assert finish_of(await collect(ScriptedProvider([Answer("half", finish=None)]), ask())) is None


async def test_errors_before_and_in_the_middle():
    error = ProviderError("no", code="provider_timeout", retryable=True)
    provider = ScriptedProvider([error, Answer("half", error)])
    for _ in range(2):
        with pytest.raises(ProviderError, match="no"):
            await collect(provider, ask())
    assert provider.open_streams == 0
    assert provider.completed_streams == 0


async def test_silence_lasts_until_cancelled():
    provider = ScriptedProvider([Answer("x", Silence())])
    task = asyncio.create_task(collect(provider, ask()))
    await provider.wait_for_calls(1)
    task.cancel()
    await provider.wait_until_closed()
    assert (await asyncio.wait([task]))[0]


async def test_default_answers_after_the_script():
    provider = ScriptedProvider(["first"], default=lambda request: f"echo {request.messages[0].content}")
    assert text_in(await collect(provider, ask("a"))) == "first"
    assert text_in(await collect(provider, ask("b"))) == "echo b"


async def test_call_that_the_script_does_not_know_fails_the_test():
    with pytest.raises(AssertionError, match="no answer for call 1"):
        await collect(ScriptedProvider(), ask())
