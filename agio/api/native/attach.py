"""How a reader is put on a run's events."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from fastapi.responses import Response

from agio.api.sse import EventStream, IdStyle, stream
from agio.domain.errors import Invalid
from agio.domain.events import TERMINAL_EVENTS
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.engine import Engine

T = TypeVar("T")


async def attach(
    engine: Engine, caller: Caller, run: Run, *, after: int, style: IdStyle, follow: bool = True
) -> Response:
    """Answer with the run's events behind `after`; 204 when an ended run has none left.

    Raises:
        Invalid: the run has not come that far.
    """
    if after and await is_at_end(engine, caller, run, after):
        return Response(status_code=204)
    tail = engine.tail(caller, run.id, after=after, follow=follow)
    if not follow:  # nobody asks again for a replay that ends: a store that is away must be told by the status
        tail = await _begun(tail)
    headers = {"X-Run-ID": run.id, "X-Session-ID": run.session_id, "Location": f"/api/runs/{run.id}"}
    body = stream(tail, style=style, on_leave=_leave(engine, caller, run.id))
    return EventStream(body, headers)


async def _begun(tail: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Return the same items, the first of which is there already. Raises what the first one raises."""
    first = await anext(tail, None)

    async def items() -> AsyncGenerator[T, None]:
        async with aclosing(tail):
            if first is not None:
                yield first
            async for item in tail:
                yield item

    return items()


async def is_at_end(engine: Engine, caller: Caller, run: Run, after: int) -> bool:
    """Say whether a reader that has the events up to `after` has all that there will be.

    Raises:
        Invalid: the run has not come that far.
    """
    head = await engine.store.head(caller.group_id, run.id)
    if after > head:
        raise Invalid(f"event {after} does not exist; the run's last one is {head}", field="after")
    return after == head and await _has_ended(engine, caller, run, head)


async def _has_ended(engine: Engine, caller: Caller, run: Run, head: int) -> bool:
    entries = await engine.store.read_entries(caller.group_id, run.id, after=head - 1, limit=1)
    if not entries or not isinstance(entries[0].events[-1], TERMINAL_EVENTS):
        return False
    current = await engine.store.get_run(caller.group_id, run.id)
    return entries[0].attempt >= current.attempt


def _leave(engine: Engine, caller: Caller, run_id: str) -> Callable[[], Awaitable[None]]:
    async def leave() -> None:
        await engine.leave(caller, run_id)

    return leave


def stream_example() -> str:
    """Return a short stream, for the API's description."""
    common = '"run_id":"r1","at":"2026-11-21T12:00:00.000Z"'
    frames = [
        ("run_started", f'{{"type":"run_started",{common},"seq":1,"session_id":"s1","agent_id":"assistant"}}'),
        ("content_delta", f'{{"type":"content_delta",{common},"seq":2,"step":1,"message_id":"m1","content":"42"}}'),
        ("run_completed", f'{{"type":"run_completed",{common},"seq":3,"response":"42","metrics":{{"steps":1}}}}'),
    ]
    blocks = [f"event: {name}\ndata: {data}\nid: {number}\n\n" for number, (name, data) in enumerate(frames, 1)]
    return "retry: 1000\n\n" + "".join(blocks)
