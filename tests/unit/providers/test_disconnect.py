"""Whoever leaves a stream closes the connection to the endpoint at once."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from agio.providers.openai_compatible import OpenAICompatibleProvider
from agio.testing.openai_server import RunningServer
from tests.unit.providers.calls import ask

ATTEMPTS = 5

SITUATIONS = {
    "before the headers": "fake?headers_after_s=30",
    "before the first token": "fake?silent_s=30",
    "between tokens": "fake?tokens=1000&pace=100",
    "in a flood": "fake?tokens=200000&token_chars=50",
}


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the server lives in another thread
            await asyncio.sleep(0.001)


async def read_all(provider: OpenAICompatibleProvider, model: str) -> None:
    async with provider.stream(ask(model=model)) as batches:
        async for _ in batches:
            await asyncio.sleep(0)


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_cancelling_the_task_closes_the_connection(
    provider: OpenAICompatibleProvider, server: RunningServer, situation: str
):
    delays = []
    for attempt in range(ATTEMPTS):
        task = asyncio.create_task(read_all(provider, SITUATIONS[situation]))
        await wait_for(lambda expected=attempt + 1: len(server.app.recorded) == expected)  # type: ignore[misc]
        await asyncio.sleep(0.03)  # the client has come as far as it will
        left_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_for(lambda expected=attempt + 1: len(server.app.closed) == expected)  # type: ignore[misc]
        delays.append(server.app.closed[-1].at - left_at)
    # The best of several: a busy machine may be late, code that waits for something always is.
    assert min(delays) < 0.02
    assert server.app.open_streams == 0


async def test_leaving_the_context_closes_the_connection(provider: OpenAICompatibleProvider, server: RunningServer):
    async with provider.stream(ask(model=SITUATIONS["between tokens"])) as batches:
        await anext(batches)
    await wait_for(lambda: len(server.app.closed) == 1)
    assert server.app.closed[0].writes < 50


async def test_callers_own_failure_closes_the_connection_and_stays_its_own(
    provider: OpenAICompatibleProvider, server: RunningServer
):
    async def read_and_fail() -> None:
        async with provider.stream(ask(model=SITUATIONS["between tokens"])) as batches:
            await anext(batches)
            raise FileNotFoundError("mine")

    with pytest.raises(FileNotFoundError, match="mine"):
        await read_and_fail()
    await wait_for(lambda: len(server.app.closed) == 1)


async def test_second_cancellation_does_not_keep_it_open(provider: OpenAICompatibleProvider, server: RunningServer):
    task = asyncio.create_task(read_all(provider, SITUATIONS["before the first token"]))
    await wait_for(lambda: len(server.app.recorded) == 1)
    await asyncio.sleep(0.03)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await wait_for(lambda: len(server.app.closed) == 1)


async def test_callers_timeout_closes_the_connection(provider: OpenAICompatibleProvider, server: RunningServer):
    async def call() -> None:
        async with asyncio.timeout(0.05):
            await read_all(provider, SITUATIONS["before the headers"])

    with pytest.raises(TimeoutError):
        await call()
    await wait_for(lambda: len(server.app.closed) == 1)


async def test_cancelling_one_of_many_leaves_the_others_alone(
    provider: OpenAICompatibleProvider, server: RunningServer
):
    async def read() -> int:
        seen = 0
        async with provider.stream(ask(model="fake?tokens=30&pace=100")) as batches:
            async for batch in batches:
                seen += len(batch)
        return seen

    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(read()) for _ in range(20)]
    await wait_for(lambda: len(server.app.recorded) == 20)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [32] * 19
    assert len(server.app.closed) == 1
