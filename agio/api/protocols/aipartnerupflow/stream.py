"""A tree's run as unnamed frames: the JSON-RPC answer first, then what happens, `stream_end` last."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi.responses import Response

from agio.api.protocols.aipartnerupflow.convert import Teller
from agio.api.sse import FAREWELL, STORE_AWAY, EventStream, by_itself, data_line
from agio.domain.errors import StoreUnavailable
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.engine.task_trees import Executed
from agio.engine.trees import Leaf


def stream_execution(engine: Engine, caller: Caller, done: Executed, first: Mapping[str, Any]) -> Response:
    """Return the answer; who asks again gets the frames of the present attempt from its beginning."""
    headers = {"X-Run-ID": done.run.id, "X-Session-ID": done.run.session_id}
    return EventStream(_frames(engine, caller, done, first), headers)


async def _frames(engine: Engine, caller: Caller, done: Executed, first: Mapping[str, Any]) -> AsyncIterator[bytes]:
    yield _frame(first)
    run = done.run
    try:
        after = done.after or await engine.reading.attempt_start(caller, run)
        progress = 0.0 if after == 0 else (await engine.trees.read(caller, run.id)).progress
        teller = Teller(done.tree.root_id, run.id, progress)
        async with aclosing(engine.trees.follow(caller, run.id, {run.id: after})) as items:
            async for frames in _told(items, teller):
                yield frames
    except StoreUnavailable:
        yield STORE_AWAY
    finally:
        by_itself(engine.leave(caller, run.id))


async def _told(items: AsyncGenerator[Leaf | Draining, None], teller: Teller) -> AsyncIterator[bytes]:
    tops: dict[str, str] = {}
    """The tree's task that each run below works for."""
    async for item in items:
        if isinstance(item, Draining):
            yield FAREWELL
            return
        entry, place, task_id = item.published.entry, item.place, None
        if place is not None:
            task_id = tops.setdefault(entry.run_id, tops.get(place.parent_run_id, place.task_id))
        if frames := teller.tell(task_id, entry):
            yield b"".join(_frame(one) for one in frames)


def _frame(value: Mapping[str, Any]) -> bytes:
    return data_line(value) + b"\n"
