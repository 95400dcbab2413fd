"""A run's journal as a neighbour's stream: the same tail, another converter."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from fastapi import Request

from agio.api.native.meta import get_default_agent
from agio.api.sse import by_itself
from agio.domain.errors import NotFound
from agio.domain.journal import Entry
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining

Convert = Callable[[Entry], bytes]
"""Makes an entry's frames; nothing where the wire does not tell of it."""


async def feed(
    engine: Engine,
    caller: Caller,
    run: Run,
    convert: Convert,
    *,
    after: int = 0,
    opening: bytes = b"",
    farewell: Callable[[], bytes] | None = None,
) -> AsyncIterator[bytes]:
    """Yield the frames of a run's entries behind `after`; the farewell's where this process stops before it ends."""
    if opening:
        yield opening
    try:
        async with aclosing(engine.tail(caller, run.id, after=after)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    if farewell is not None:
                        yield farewell()
                    return
                frames = convert(item.entry)
                if frames:
                    yield frames
    finally:
        by_itself(engine.leave(caller, run.id))


def headers_of(run: Run) -> dict[str, str]:
    """Return the headers that tell a client what to command."""
    return {"X-Run-ID": run.id, "X-Session-ID": run.session_id}


async def find_agent_id(request: Request, engine: Engine, caller: Caller, named: str | None) -> str:
    """Return which agent answers: the one named, else the installation's default. Raises `NotFound`."""
    if named is not None:
        return named
    agent = await get_default_agent(request, engine, caller)
    if agent is None:
        raise NotFound("this installation has no default agent; name one")
    return agent.id
