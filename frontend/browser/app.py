"""The application that the browser suite drives.

Agio with a tool that answers what a browser must not obey, and three models: `brisk` writes 200 words a second, `busy`
calls tools until its run has 10,000 events, `terse` says three words.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agio import create_app, tool
from agio.providers.base import FinishPart, ModelPart, ModelRequest, TextPart, ToolCallPart
from agio.providers.demo import DemoProvider

BUSY_STEPS = 80
BUSY_CALLS = 64

HOSTILE = (
    "<script>window.pwned = 1</script>"
    '<img src="https://elsewhere.invalid/x.png" onerror="window.pwned = 2">'
    '<svg onload="window.pwned = 3"><a href="javascript:window.pwned=4">x</a></svg>'
    '<iframe src="https://elsewhere.invalid/"></iframe>'
    "![pixel](https://elsewhere.invalid/p.png) [click](javascript:window.pwned=5)"
    '<style>body{display:none}</style><form action="https://elsewhere.invalid/"><input name="q"></form>'
)


@tool
def read_page() -> str:
    """Read a page whose author means harm."""
    return HOSTILE


@tool
def note(line: int) -> str:
    """Do next to nothing."""
    return f"line {line}"


class Brisk(DemoProvider):
    """The demo at the pace of a fast model."""

    name = "brisk"
    is_demo = False


class Busy(DemoProvider):
    """Calls a tool many times in every step."""

    name = "busy"
    is_demo = False

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        """Stream the calls of the next step, or the end; see `Provider.stream`."""
        yield _calls(sum(bool(message.tool_calls) for message in request.messages))


async def _calls(step: int) -> AsyncIterator[Sequence[ModelPart]]:
    if step < BUSY_STEPS:
        lines = range(BUSY_CALLS)
        yield [ToolCallPart(index=i, id=f"{step}-{i}", name="note", arguments=f'{{"line": {i}}}') for i in lines]
        yield [FinishPart("tool_calls")]
    else:
        yield [TextPart("Done."), FinishPart("stop")]


class Terse(DemoProvider):
    """Says three words."""

    name = "terse"
    is_demo = False

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        """Stream them one by one; see `Provider.stream`."""
        yield _words("1 ", "2 ", "3.")


async def _words(*words: str) -> AsyncIterator[Sequence[ModelPart]]:
    for word in words:
        yield [TextPart(word)]
    yield [FinishPart("stop")]


app = create_app(tools=[read_page, note])
app.state.runtime.engine.providers.register("brisk", Brisk(delay_s=0.005))
app.state.runtime.engine.providers.register("busy", Busy())
app.state.runtime.engine.providers.register("terse", Terse())
