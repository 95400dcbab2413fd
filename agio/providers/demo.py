"""The offline demo provider: deterministic answers without a network or a key."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager

from agio.domain.messages import text_of
from agio.domain.metrics import Usage
from agio.providers.base import (
    FinishPart,
    ModelPart,
    ModelRequest,
    ReasoningPart,
    TextPart,
    UsagePart,
)
from agio.providers.demo_answer import Answer, answer_request

_SLOW_FACTOR = 5

_WORD = re.compile(r"\S+\s*|\s+")


class DemoProvider:
    """Streams what `demo_answer` says, word by word.

    What it can be asked: to calculate, the time, to send, delete or approve something, to fetch or
    search, for any tool by its name (several at once, or one after the other with "then"), to
    count to a number, to answer slowly or at length, for a plan.
    """

    name = "demo"
    model = "demo"
    """Its only model; other names are accepted."""
    is_demo = True

    def __init__(self, *, delay_s: float = 0.015) -> None:
        """Make the provider.

        Args:
            delay_s: pause after every word; 0: none.
        """
        self._delay_s = delay_s

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        """Stream the answer; see `Provider.stream`."""
        async with aclosing(self._batches(request)) as batches:
            yield batches

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    async def _batches(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelPart], None]:
        answer = answer_request(request)
        delay_s = self._delay_s * (_SLOW_FACTOR if answer.slow else 1)
        words, cut = _shorten(answer, request.max_tokens)
        for part in words:
            yield [part]
            await asyncio.sleep(delay_s)
        if answer.calls:
            yield list(answer.calls)
        reason = "length" if cut else "tool_calls" if answer.calls else "stop"
        spoken = len(words) + sum(_count_words(call.arguments) for call in answer.calls)
        yield [UsagePart(_usage(request, spoken)), FinishPart(reason)]


def _shorten(answer: Answer, max_tokens: int | None) -> tuple[list[TextPart | ReasoningPart], bool]:
    """Return the words to stream, and whether `max_tokens` left some out."""
    parts = [*_words(answer)]
    if max_tokens is None or len(parts) <= max_tokens:
        return parts, False
    return parts[:max_tokens], True


def _words(answer: Answer) -> Iterator[TextPart | ReasoningPart]:
    for word in _WORD.findall(answer.reasoning):
        yield ReasoningPart(word)
    for word in _WORD.findall(answer.text):
        yield TextPart(word)


def _usage(request: ModelRequest, spoken: int) -> Usage:
    heard = sum(_count_words(text_of(message.content)) for message in request.messages)
    return Usage(prompt_tokens=heard, completion_tokens=spoken, total_tokens=heard + spoken)


def _count_words(text: str) -> int:
    return len(text.split())
