"""A provider that answers by script, for tests of anything that calls a model.

    provider = ScriptedProvider([
        Answer(calls=[Call("calculator", {"expression": "1+1"})]),
        Answer("It is ", gate := Gate(), "2."),
    ])
    …
    await gate.reached.wait()      # the stream holds here
    gate.open()                    # and goes on
    assert provider.requests[1].messages[-1].content == "2"

Each call takes the next answer; after the last, `default` answers or the call fails the test.
Time never passes by itself: what shall happen later waits at a `Gate`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agio.domain.errors import ProviderError
from agio.domain.metrics import Usage
from agio.providers.base import (
    FinishPart,
    ModelPart,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    UsagePart,
)


class Gate:
    """A place in a script where the stream holds until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        """Set when a stream has come here."""
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let every stream pass, now and later."""
        self._opened.set()

    async def _pass(self) -> None:
        self.reached.set()
        await self._opened.wait()


class Silence:
    """The model says nothing more until the caller leaves."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A whole tool call."""

    name: str
    arguments: Any = field(default_factory=dict)
    """The arguments; a string is taken as it is, malformed or not."""
    id: str | None = None
    """None: `call_<number of the call to the model>_<index>`."""


Item: TypeAlias = str | Reasoning | Call | Gate | Silence | ProviderError | Usage | Sequence[ModelPart]
"""A text delta, or something else that the stream does. A list of parts is one batch."""


class Answer:
    """What one call streams, in order."""

    def __init__(
        self,
        *items: Item,
        calls: Iterable[Call] = (),
        usage: Usage | None = None,
        finish: str | None = "",
    ) -> None:
        """Write the script.

        Args:
            items: strings are text deltas, one batch each.
            calls: tool calls after the items.
            usage: sent before the end; None: one token per text delta.
            finish: the finish reason; empty: `tool_calls` or `stop`, as fits; None: the stream is
                cut off without one.
        """
        self.items = (*items, *calls)
        self.usage = usage
        self.finish = finish


def long_answer(deltas: int, text: str = "word ") -> Answer:
    """Return an answer of so many equal deltas."""
    return Answer(*([text] * deltas))


@dataclass(slots=True)
class _Counter:
    opened: int = 0
    closed: int = 0
    completed: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedProvider:
    """Plays one `Answer` per call and keeps every request."""

    def __init__(
        self,
        answers: Iterable[Answer | str | ProviderError] = (),
        *,
        name: str = "scripted",
        default: Answer | str | Callable[[ModelRequest], Answer | str] | None = None,
        is_demo: bool = False,
    ) -> None:
        """Make the provider.

        Args:
            answers: one per call; a string is its whole text, an error is raised on entering.
            name: as agents name it.
            default: for calls after the last answer; a callable decides from the request. None:
                such a call is an `AssertionError`.
            is_demo: as the port has it.
        """
        self.name = name
        self.is_demo = is_demo
        self.requests: list[ModelRequest] = []
        """Every request, in order."""
        self.was_closed = False
        self._answers = list(answers)
        self._default = default
        self._count = _Counter()

    @property
    def open_streams(self) -> int:
        """Streams that were entered and not left."""
        return self._count.opened - self._count.closed

    @property
    def completed_streams(self) -> int:
        """Streams that were read to their end."""
        return self._count.completed

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return len(self.requests)

    def add(self, *answers: Answer | str | ProviderError) -> None:
        """Append answers to the script."""
        self._answers.extend(answers)

    async def wait_for_calls(self, number: int) -> None:
        """Wait until so many calls were made."""
        await self._wait(lambda: self.calls >= number)

    async def wait_until_closed(self) -> None:
        """Wait until every stream was left."""
        await self._wait(lambda: self.open_streams == 0)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        """Play the next answer; see `Provider.stream`."""
        self.requests.append(request)
        number = len(self.requests)
        answer = self._next(request)
        self._notify()
        if isinstance(answer, ProviderError):
            raise answer
        self._count.opened += 1
        self._notify()
        try:
            async with aclosing(self._play(answer, number)) as batches:
                yield batches
        finally:
            self._count.closed += 1
            self._notify()

    async def close(self) -> None:
        """Note that it was closed."""
        self.was_closed = True

    def _next(self, request: ModelRequest) -> Answer | ProviderError:
        answer: Answer | str | ProviderError
        if self._answers:
            answer = self._answers.pop(0)
        elif callable(self._default):
            answer = self._default(request)
        elif self._default is not None:
            answer = self._default
        else:
            raise AssertionError(f"the script has no answer for call {self.calls}")
        return Answer(answer) if isinstance(answer, str) else answer

    async def _play(self, answer: Answer, number: int) -> AsyncGenerator[Sequence[ModelPart], None]:
        texts = tools = 0
        for item in answer.items:
            match item:
                case Gate():
                    await item._pass()
                case Silence():
                    await asyncio.get_running_loop().create_future()
                case ProviderError():
                    raise item
                case Call():
                    yield [_call_part(item, number, tools)]
                    tools += 1
                case _:
                    yield _batch(item)
                    texts += isinstance(item, str)
                    await asyncio.sleep(0)  # as a network read would, let others run
        if answer.finish is not None:
            usage = answer.usage or Usage(completion_tokens=texts, total_tokens=texts)
            reason = answer.finish or ("tool_calls" if tools else "stop")
            yield [UsagePart(usage), FinishPart(reason)]
        self._count.completed += 1

    def _notify(self) -> None:
        self._count.changed.set()
        self._count.changed = asyncio.Event()

    async def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._count.changed.wait()


def _batch(item: str | Reasoning | Usage | Sequence[ModelPart]) -> Sequence[ModelPart]:
    match item:
        case str():
            return [TextPart(item)]
        case Reasoning():
            return [ReasoningPart(item.text)]
        case Usage():
            return [UsagePart(item)]
    return item


def _call_part(call: Call, number: int, index: int) -> ToolCallPart:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    return ToolCallPart(index, call.id or f"call_{number}_{index}", call.name, arguments)
