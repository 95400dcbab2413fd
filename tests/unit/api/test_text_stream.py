"""`sse_stream`, with agents of several kinds."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agio import Agent, sse_stream
from agio.bootstrap.embedded import RunFailed


class Plain:
    """Gives texts, as `agio.Agent` does."""

    async def run_stream(self, prompt: str, **options: Any) -> AsyncIterator[str]:
        yield prompt
        yield str(options)


class Stream:
    async def stream_text(self, *, delta: bool) -> AsyncIterator[str]:
        assert delta
        yield "one "
        yield "two"


class Managed:
    """Gives a context manager, and that only when it is awaited."""

    async def run_stream(self, prompt: str) -> Any:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Stream]:
        yield Stream()


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run_stream(self, prompt: str) -> AsyncIterator[str]:
        yield "so far"
        raise self._error


async def _frames(agent: Any, prompt: str = "hi", **options: Any) -> list[str]:
    return [frame async for frame in sse_stream(agent, prompt, **options)]


async def test_texts_become_frames_and_done_ends_them():
    assert await _frames(Plain(), "a\u2028b", deps=1) == [
        'data: {"text":"a\\u2028b"}\n\n',
        'data: {"text":"{\'deps\': 1}"}\n\n',
        "data: [DONE]\n\n",
    ]


async def test_context_manager_is_entered():
    assert await _frames(Managed()) == ['data: {"text":"one "}\n\n', 'data: {"text":"two"}\n\n', "data: [DONE]\n\n"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RunFailed("too many steps", code="max_steps", run_id="r"), "too many steps"),
        (ValueError("secret"), "the run failed"),
    ],
)
async def test_failure_is_told_without_what_others_say(error: Exception, told: str):
    assert await _frames(Failing(error)) == [
        'data: {"text":"so far"}\n\n',
        f'data: {{"error":"{told}"}}\n\n',
        "data: [DONE]\n\n",
    ]


async def test_agent_of_ours_is_streamed():
    frames = await _frames(Agent("Helper"), "Hello there")
    texts = [json.loads(frame.removeprefix("data: "))["text"] for frame in frames[:-1]]
    assert "Hello there" in "".join(texts)
    assert len(texts) > 3
    assert frames[-1] == "data: [DONE]\n\n"


async def test_run_that_fails_is_told_by_run_stream():
    with pytest.raises(RunFailed):
        async for _ in Agent("Helper", model="openai/nope").run_stream("hi"):
            pass
