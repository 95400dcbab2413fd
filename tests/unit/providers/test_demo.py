"""The offline model does what a person trying Agio out asks of it."""

import asyncio
import json
import time
from typing import Any

import pytest

from agio.domain.messages import Message, ToolCall
from agio.providers.base import ToolSchema
from agio.providers.demo import DemoProvider
from agio.providers.demo_answer import NOTICE
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

CALCULATOR = tool("calculator", expression="string")
CLOCK = ToolSchema(name="current_time", description="", parameters={})
SENDER = tool("send_message", to="string", text="string")
TOOLS = (CALCULATOR, CLOCK, SENDER)


async def answer(question: str = "", **more: Any):
    return await collect(DemoProvider(delay_s=0), ask(question, **more))


async def calls(question: str, tools: tuple[ToolSchema, ...] = TOOLS, **more: Any) -> list[tuple[str, Any]]:
    found = calls_in(await answer(question, tools=tools, **more))
    return [(name, json.loads(arguments)) for _, name, arguments in found.values()]


async def test_plain_answer_reasons_and_says_once_that_it_is_the_demo():
    parts = await answer("Hello there")
    assert reasoning_in(parts)
    assert "Hello there" in text_in(parts)
    assert text_in(parts).count(NOTICE) == 1
    assert finish_of(parts) == "stop"


async def test_same_request_gives_the_same_answer():
    assert await answer("Hello", tools=TOOLS) == await answer("Hello", tools=TOOLS)


async def test_another_system_prompt_changes_the_answer():
    texts = {
        text_in(await answer(messages=[message("system", prompt), message("user", "Hi")]))
        for prompt in ("Be a pirate.", "Be brief.")
    }
    assert len(texts) == 2
    assert any("Be a pirate." in text for text in texts)


async def test_answer_tells_how_many_messages_it_sees():
    history = [message("user", "a"), message("assistant", "b"), message("user", "c")]
    assert "I see 3 messages" in text_in(await answer(messages=history))


@pytest.mark.parametrize(
    ("question", "expression"),
    [
        ("What is 17*23?", "17*23"),
        ("calculate (2 + 3) * 4.5 please", "(2 + 3) * 4.5"),
        ("What is 6 times 7?", "6 * 7"),
        ("what's 10 divided by 4", "10 / 4"),
        ("2^10?", "2**10"),
        ("(what is 1+1)", "1+1"),
        ("Calculate 12", "12"),
    ],
)
async def test_arithmetic_goes_to_the_calculator(question: str, expression: str):
    assert [(name, args["expression"].replace(" ", "")) for name, args in await calls(question)] == [
        ("calculator", expression.replace(" ", ""))
    ]


@pytest.mark.parametrize("question", ["See 2024-01-02", "Version 1.2.3?", "What is love?", "At 12:30", "1 apple"])
async def test_what_is_no_arithmetic_is_left_alone(question: str):
    assert await calls(question) == []


@pytest.mark.parametrize(
    "question", ["What time is it?", "what's the date today", "Tell me the time", "What day is it?"]
)
async def test_time_and_date_go_to_the_clock(question: str):
    assert await calls(question) == [("current_time", {})]


@pytest.mark.parametrize(
    ("question", "arguments"),
    [
        ('Send "Hello Bob" to bob@example.com', {"to": "bob@example.com", "text": "Hello Bob"}),
        ("e-mail to Alice saying the build is green", {"to": "Alice", "text": "the build is green"}),
        ("Please delete the old records", {"to": "operator@example.com", "text": "Please delete the old records"}),
        ("mail the team: lunch is ready", {"to": "operator@example.com", "text": "lunch is ready"}),
        ("Approve the invoice", {"to": "operator@example.com", "text": "Approve the invoice"}),
    ],
)
async def test_what_needs_approval_goes_to_the_guarded_tool(question: str, arguments: dict[str, str]):
    assert await calls(question) == [("send_message", arguments)]


async def test_several_questions_are_called_at_once_in_their_order():
    parts = await answer("What time is it, and what are 2+2 and 3*3?", tools=TOOLS)
    found = calls_in(parts)
    assert [name for _, name, _ in found.values()] == ["current_time", "calculator", "calculator"]
    assert len({call_id for call_id, _, _ in found.values()}) == 3
    assert finish_of(parts) == "tool_calls"


async def test_then_means_one_call_after_the_other():
    question = message("user", "Calculate 2+2, then send it to bob@example.com")
    first = calls_in(await answer(messages=[question], tools=TOOLS))
    assert [name for _, name, _ in first.values()] == ["calculator"]
    history = [question, *round_of("calculator", "4")]
    second = calls_in(await answer(messages=history, tools=TOOLS))
    assert [name for _, name, _ in second.values()] == ["send_message"]
    assert second[0][0] != first[0][0]
    history += round_of("send_message", "sent")
    assert finish_of(await answer(messages=history, tools=TOOLS)) == "stop"


async def test_any_tool_is_called_when_it_is_named():
    weather = ToolSchema(
        name="get_weather",
        description="",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["c", "f"]},
                "note": {"type": "string"},
            },
            "required": ["city", "days", "unit"],
        },
    )
    assert await calls("get weather for 3 days", (weather,)) == [
        ("get_weather", {"city": "get weather for 3 days", "days": 3, "unit": "c"})
    ]


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("Fetch https://example.com/a.", "http_get", {"url": "https://example.com/a"}),
        ("Search for cats", "web_search", {"query": "cats"}),
    ],
)
async def test_pages_and_searches(question: str, name: str, arguments: dict[str, str]):
    assert await calls(question, (tool(name, **dict.fromkeys(arguments, "string")),)) == [(name, arguments)]


@pytest.mark.parametrize("more", [{}, {"tools": (CLOCK,)}, {"tools": TOOLS, "tool_choice": "none"}])
async def test_without_the_tool_it_answers_in_words(more: dict[str, Any]):
    parts = await answer("What is 2+2?", **more)
    assert calls_in(parts) == {}
    assert NOTICE in text_in(parts)


def round_of(name: str, result: str, **more: Any) -> list[Message]:
    call = ToolCall(id="c", name=name, arguments="{}")
    return [message("assistant", tool_calls=(call,)), message("tool", result, tool_call_id="c", name=name, **more)]


async def test_results_are_summed_up_without_calling_again():
    history = [message("user", "What is 6*7?"), *round_of("calculator", "42")]
    parts = await answer(messages=history, tools=TOOLS)
    assert calls_in(parts) == {}
    assert "The result is 42." in text_in(parts)
    assert text_in(parts).count(NOTICE) == 1


async def test_rejected_call_is_told():
    history = [message("user", "Delete it"), *round_of("send_message", "no", error="tool_rejected")]
    assert "send_message did not succeed (tool_rejected)" in text_in(await answer(messages=history, tools=TOOLS))


async def test_next_question_is_answered_by_itself():
    history = [message("user", "What is 6*7?"), *round_of("calculator", "42"), message("assistant", "42")]
    assert calls_in(await answer(messages=[*history, message("user", "And 2+2?")], tools=TOOLS))[0][1] == "calculator"


@pytest.mark.parametrize(
    "messages",
    [
        [message("system", "Write a short numbered plan."), message("user", "Bake a cake")],
        [message("user", "Bake a cake"), Message(id="instruction", role="user", content="Your plan, please.")],
        [message("system", "Be nice."), message("user", "Bake a cake"), message("user", "Write the plan only.")],
    ],
)
async def test_plan_is_short_and_numbered(messages: list[Message]):
    lines = text_in(await answer(messages=messages)).splitlines()
    assert [line[:2] for line in lines] == ["1.", "2.", "3."]


async def test_plan_in_the_instructions_is_not_a_wish_for_one():
    history = [message("system", "Be nice.\n\nYour plan:\n1. Bake."), message("user", "Go on")]
    assert "You said" in text_in(await answer(messages=history))


async def test_engines_last_instruction_is_not_taken_for_the_question():
    history = [
        message("user", "What is 6*7?"),
        *round_of("calculator", "42"),
        Message(id="instruction", role="user", content="The step limit is reached: no more tools."),
    ]
    assert "The result is 42." in text_in(await answer(messages=history))


@pytest.mark.parametrize("question", ["Count to 200", "Please count from 1 to 200", "count slowly to 200"])
async def test_counting_streams_one_number_at_a_time(question: str):
    async with DemoProvider(delay_s=0).stream(ask(question)) as batches:
        texts = [text_in(batch) async for batch in batches]
    assert [text.strip(" .") for text in texts if text.strip(" .").isdigit()][:200] == [str(n) for n in range(1, 201)]


async def test_long_answer_is_long():
    assert len(text_in(await answer("Write a long answer about trees")).split()) > 300


async def test_slowly_takes_longer_per_word():
    pauses = []
    for question in ("count to 3", "count slowly to 3"):
        began = time.monotonic()
        await collect(DemoProvider(delay_s=0.001), ask(question))
        pauses.append(time.monotonic() - began)
    assert pauses[1] > 2 * pauses[0]


async def test_cancel_is_honoured_at_once():
    async def read() -> None:
        async with DemoProvider(delay_s=30).stream(ask("Hi")) as batches:
            async for _ in batches:
                pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1)
    assert done


async def test_usage_counts_words():
    usage = usage_of(await answer("one two three")).usage
    assert usage.prompt_tokens == 3
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 10


async def test_max_tokens_cuts_the_answer():
    parts = await answer("Count to 100", max_tokens=20)
    assert finish_of(parts) == "length"
    assert usage_of(parts).usage.completion_tokens == 20


async def test_wanted_json_fits_its_schema():
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tools": {"type": "array", "items": {"type": "string"}},
            "limit": {"type": ["integer", "null"]},
            "ok": {"type": "boolean"},
            "inner": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        },
        "required": ["name", "tools", "limit", "ok", "inner"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "agent", "schema": schema}}
    said = text_in(await answer("A cook", params={"response_format": wanted}))
    assert json.loads(said) == {"name": "A cook", "tools": ["A cook"], "limit": 1, "ok": True, "inner": {"x": 1.0}}
