"""`sse_stream`: an agent's answer as a plain event stream, for applications of one's own."""

import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from agio.api.sse import data_line
from agio.domain.errors import AgioError

log = logging.getLogger(__name__)

FAILED = "the run failed"


async def sse_stream(agent: Any, prompt: Any, **options: Any) -> AsyncIterator[str]:
    """Yield `data: {"text": …}` frames while the agent answers, and `data: [DONE]` at the end.

    A failure is told by `data: {"error": …}` before the end; only Agio's own errors are quoted.

    Args:
        agent: anything with `run_stream(prompt, **options)` that gives texts: an async iterator of them, as
            `agio.Agent` has it, or an async context manager with `stream_text(delta=True)`; awaited if need be.
        prompt: what to do.
        options: handed on.
    """
    try:
        async for text in _texts(agent, prompt, options):
            yield _frame({"text": text})
    except AgioError as error:
        yield _frame({"error": str(error)})
    except Exception:
        log.exception("an agent failed while its answer was streamed")
        yield _frame({"error": FAILED})
    yield "data: [DONE]\n\n"


async def _texts(agent: Any, prompt: Any, options: dict[str, Any]) -> AsyncIterator[str]:
    streaming = agent.run_stream(prompt, **options)
    if inspect.isawaitable(streaming):
        streaming = await streaming
    if isinstance(streaming, AbstractAsyncContextManager):
        async with streaming as stream:
            async for text in stream.stream_text(delta=True):
                yield text
        return
    async for text in streaming:
        yield text


def _frame(data: dict[str, Any]) -> str:
    return data_line(data).decode() + "\n"
