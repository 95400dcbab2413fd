"""Models and tools that say more than anybody asked for."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from agio.domain.status import RunStatus
from agio.engine import thinking
from agio.providers.base import ModelPart, ModelRequest, ReasoningPart, TextPart, ToolCallPart
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools.decorator import tool
from agio.tools.execution import MAX_RESULT_BYTES
from tests.engine.world import World, check_sequence, dump, read, settled, start, text_of, types

LIMIT = 5_000


class Endless(ScriptedProvider):
    """Never stops by itself."""

    def __init__(self, parts: Iterator[Sequence[ModelPart]]) -> None:
        super().__init__()
        self._parts = parts
        self.closed = False

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        async def batches() -> AsyncIterator[Sequence[ModelPart]]:
            for parts in self._parts:
                yield parts

        try:
            yield batches()
        finally:
            self.closed = True


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinking, "MAX_ANSWER_CHARS", LIMIT)


async def test_an_answer_without_end_is_cut_and_its_connection_closed(world: World):
    provider = Endless([TextPart("word ")] * 10 for _ in count())
    engine = await world.add_process(provider=provider)
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    (warning,) = [event for event in events if event["type"] == "warning"]
    assert (warning["code"], str(LIMIT) in warning["message"].replace(",", "")) == ("answer_truncated", True)
    assert LIMIT <= len(text_of(events)) <= LIMIT + 100
    assert events[-1]["response"] == text_of(events)
    assert provider.closed


async def test_reasoning_without_end_is_cut_too(world: World):
    provider = Endless([ReasoningPart("hm ")] for _ in count())
    engine = await world.add_process(provider=provider)
    events = await read(engine, (await start(engine)).id)
    assert types(events)[-1] == "run_completed"
    assert "answer_truncated" in [event.get("code") for event in events]


@pytest.mark.parametrize("kind", ["arguments", "calls"])
async def test_tool_calls_without_end_fail_the_run_and_none_is_made(world: World, kind: str):
    called: list[str] = []

    @tool
    async def note(text: str) -> str:
        called.append(text)
        return "noted"

    def parts() -> Iterator[Sequence[ModelPart]]:
        for number in count():
            index = 0 if kind == "arguments" else number
            first = number == 0 or kind == "calls"
            name = "note" if first else None
            call_id = f"c{index}" if first else None
            yield [ToolCallPart(index=index, id=call_id, name=name, arguments='{"text": "x' if first else "x" * 50)]

    provider = Endless(parts())
    engine = await world.add_process(provider=provider, tools=[note])
    run = await start(engine)
    events = await read(engine, run.id)
    assert (events[-1]["type"], events[-1]["error"]["code"]) == ("run_failed", "provider_flood")
    assert (called, provider.closed) == ([], True)
    assert not events[-1]["error"]["retryable"]


async def test_a_tool_that_says_too_much_is_cut_in_events_and_history_alike(world: World, provider: ScriptedProvider):
    @tool
    async def shout() -> str:
        return "€" * 5_000_000

    provider.add(Answer(calls=[Call("shout", {})]), "heard")
    engine = await world.add_process(tools=[shout])
    run = await start(engine)
    events = await read(engine, run.id)
    (result,) = [event["result"] for event in events if event["type"] == "tool_call_completed"]
    assert len(result.encode()) <= MAX_RESULT_BYTES
    assert "[cut off: the result had 15000000 bytes" in result
    kept: Any = await dump(engine, run.id)
    assert sum(map(len, kept["messages"])) < 2 * MAX_RESULT_BYTES
    await settled(engine, run.id, RunStatus.COMPLETED)
