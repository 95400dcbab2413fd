import asyncio
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from agio.domain.errors import ToolError
from agio.tools import Tool, ToolContext, decode_arguments, execute, tool
from agio.tools.execution import MAX_ERROR_CHARS
from tests.unit.tools.calls import call, make_context


def plain_tool(function: Callable[..., Any], **fields: Any) -> Tool:
    """A tool that somebody made by hand."""
    parameters = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    return Tool(name="plain", description="", call=function, **({"parameters": parameters} | fields))


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_no_arguments_are_an_empty_object(text: str):
    assert decode_arguments(text) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1', "not valid JSON: Expecting ',' delimiter at line 1, column 8"),
        ("[1]", "must be one JSON object"),
        ('"x"', "must be one JSON object"),
        ('{"a": NaN}', "number that is too large"),
        ('{"a": -Infinity}', "number that is too large"),
        ('{"a": 1e999}', "number that is too large"),
        ('{"a": ' + "9" * 5000 + "}", "number that is too large"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_object_is_refused(text: str, message: str):
    with pytest.raises(ToolError, match=message) as caught:
        decode_arguments(text)
    assert caught.value.code == "invalid_arguments"


async def test_tool_without_own_validation_is_checked_against_its_schema():
    async def echo(context: ToolContext, arguments: dict[str, Any]) -> Any:
        return arguments

    assert await execute(plain_tool(echo), make_context(), '{"count": 1}') == '{"count":1}'
    with pytest.raises(ToolError, match="'count' must be of type integer"):
        await execute(plain_tool(echo), make_context(), '{"count": "1"}')


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        ({"a": [1, 2.5, "é"]}, '{"a":[1,2.5,"é"]}'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (math.nan, "null"),
        (2**100, "1267650600228229401496703205376"),
        ((1, 2), "[1,2]"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
    ],
)
async def test_result_becomes_text(result: Any, text: str):
    @tool(name="give")
    async def give() -> Any:
        return result

    assert await call(give) == text


def _cycle() -> Any:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize("result", [object(), {"a": threading.Lock()}, _cycle(), ["\ud800"]])
async def test_result_that_json_cannot_say_is_a_clear_failure(result: Any):
    @tool(name="give")
    async def give() -> Any:
        return result

    with pytest.raises(ToolError) as caught:
        await call(give)
    assert str(caught.value) == "Tool 'give' worked, but its result cannot be written as JSON."
    assert caught.value.code == "tool_failed"


async def test_long_result_is_cut_off_and_says_so():
    @tool
    async def give(count: int) -> str:
        return "é" * count

    text = await execute(give, make_context(), '{"count": 600}', max_bytes=1_000)
    assert len(text.encode()) <= 1_000
    kept, marker = text.split("\n")
    assert set(kept) == {"é"}
    assert marker == "[cut off: the result had 1200 bytes, of which at most 1000 are kept]"
    assert await execute(give, make_context(), '{"count": 500}', max_bytes=1_000) == "é" * 500
    assert len(await execute(give, make_context(), '{"count": 600000}')) < 1_000_000


async def test_tool_error_passes_as_it_is_but_not_at_any_length():
    @tool
    async def refuse(length: int) -> None:
        raise ToolError("x" * length, code="outcome_unknown")

    with pytest.raises(ToolError, match=r"^xxx$") as caught:
        await call(refuse, length=3)
    assert caught.value.code == "outcome_unknown"
    with pytest.raises(ToolError) as caught:
        await call(refuse, length=1_000_000)
    assert len(str(caught.value)) < MAX_ERROR_CHARS + 20
    assert caught.value.code == "outcome_unknown"


@pytest.mark.parametrize("error", [ValueError("key=s3cret"), KeyError("s3cret"), SystemExit("s3cret"), StopIteration()])
async def test_other_errors_tell_the_model_nothing_and_the_log_everything(
    error: BaseException, caplog: pytest.LogCaptureFixture
):
    @tool(name="bad")
    def in_thread() -> None:
        raise error

    @tool(name="bad")
    async def on_loop() -> None:
        raise error

    for bad in (in_thread, on_loop):
        with pytest.raises(ToolError) as caught:
            await call(bad)
        assert str(caught.value) == "Tool 'bad' failed unexpectedly; the reason is in the server's log."
        assert caught.value.code == "tool_failed"
    assert [record.__dict__["tool_call_id"] for record in caplog.records] == ["call-1", "call-1"]
    assert all(record.exc_info for record in caplog.records)


async def test_time_limit_ends_an_async_tool():
    ended: list[str] = []

    @tool(timeout_s=0.02)
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    with pytest.raises(ToolError, match=r"Tool 'slow' did not answer within 0.02 s.") as caught:
        await call(slow)
    assert caught.value.code == "tool_timeout"
    assert ended == ["cancelled"]


async def test_time_limit_counts_also_when_the_tool_hides_its_cancellation():
    @tool(timeout_s=0.02)
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("hidden") from None

    with pytest.raises(ToolError) as caught:
        await call(slow)
    assert caught.value.code == "tool_timeout"


async def test_own_timeout_of_a_tool_is_a_failure_of_the_tool():
    @tool
    async def fetch() -> None:
        raise TimeoutError

    with pytest.raises(ToolError) as caught:
        await call(fetch)
    assert caught.value.code == "tool_failed"


async def test_time_limit_of_a_synchronous_tool_returns_at_once_and_tells_the_thread():
    told = threading.Event()

    @tool(timeout_s=0.05)
    def stubborn(context: ToolContext) -> None:
        while not context.is_cancelled():
            time.sleep(0.001)
        told.set()

    with pytest.raises(ToolError) as caught:
        await call(stubborn)
    assert caught.value.code == "tool_timeout"
    assert await asyncio.to_thread(told.wait, 10)


async def test_cancelling_returns_at_once_although_the_thread_runs_on():
    started, release, told = threading.Event(), threading.Event(), threading.Event()

    @tool
    def stubborn(context: ToolContext) -> None:
        started.set()
        release.wait(10)
        if context.is_cancelled():
            told.set()

    task = asyncio.create_task(call(stubborn))
    assert await asyncio.to_thread(started.wait, 10)
    task.cancel("stop")
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    release.set()
    assert await asyncio.to_thread(told.wait, 10)


async def test_many_hanging_tools_do_not_keep_others_from_running():
    release = threading.Event()

    @tool
    def hang() -> None:
        release.wait(10)

    @tool
    def quick() -> str:
        return "done"

    tasks = [asyncio.create_task(call(hang)) for _ in range(40)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.wait_for(call(quick), 5) == "done"
    finally:
        release.set()
        await asyncio.gather(*tasks)


async def test_run_that_was_cancelled_is_seen_by_the_tool():
    @tool
    def look(context: ToolContext) -> bool:
        return context.is_cancelled()

    assert await execute(look, make_context(is_cancelled=lambda: True), "") == "true"
    assert await execute(look, make_context(), "") == "false"


async def test_cancellation_of_the_caller_passes_untouched():
    started = asyncio.Event()

    @tool
    async def wait() -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(call(wait))
    await started.wait()
    task.cancel("by the user")
    with pytest.raises(asyncio.CancelledError, match="by the user"):
        await task


async def test_cancellation_inside_the_tool_is_not_taken_for_the_callers():
    @tool
    async def confused() -> None:
        inner = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        inner.cancel()
        await inner

    with pytest.raises(ToolError, match="failed unexpectedly"):
        await call(confused)
