"""How requests start runs, once: whatever the wire, however often the request is sent."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import Request

from agio.api.once import reserve
from agio.domain.errors import AlreadyExists, Invalid, NotFound
from agio.domain.ids import new_id
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.starting import StartRequest


async def start_once(
    request: Request,
    engine: Engine,
    caller: Caller,
    make: Callable[[str], StartRequest],
    *,
    wanted_id: str | None = None,
) -> tuple[Run, bool]:
    """Start a run from `make(run id)`, unless another request under the same `Idempotency-Key` did.

    Args:
        wanted_id: the run id that the client chose, if any.

    Returns:
        The run, and whether the request was made before.
    """

    async def begin(run_id: str) -> Run:
        return await engine.starting.start(caller, make(run_id))

    return await begin_once(request, engine, caller, begin, wanted_id=wanted_id)


async def begin_once(
    request: Request,
    engine: Engine,
    caller: Caller,
    begin: Callable[[str], Awaitable[Run]],
    *,
    wanted_id: str | None = None,
) -> tuple[Run, bool]:
    """Begin a run by `begin(run id)`, whatever it is; as `start_once`."""
    note, repeated = await reserve(request, engine, caller, wanted_id=wanted_id)
    run_id = note.resource_id if note else wanted_id or new_id()
    since = note.created_at if note else None

    async def there() -> Run | None:
        with suppress(NotFound):
            run = await engine.store.get_run(caller.group_id, run_id)
            if wanted_id is None or (since is not None and run.created_at >= since):
                return run
        return None

    if repeated and (found := await there()) is not None:  # else the first request died before it was accepted
        return found, repeated
    try:
        return await begin(run_id), repeated
    except AlreadyExists:
        if (found := await there()) is None:
            raise
        return found, repeated


async def get_followed(engine: Engine, caller: Caller, run_id: str | None, last_event_id: str | None) -> Run:
    """Return the run that a reconnect was following. A browser that is refused with 400 stops reconnecting.

    Raises:
        Invalid: the id names no run of the caller's.
    """
    text = f"{(last_event_id or '')[:80]!r} is not an event id of this stream"
    if run_id is None:
        raise Invalid(f"{text}: it has the form <run>/<seq>", field="Last-Event-ID")
    try:
        return await engine.store.get_run(caller.group_id, run_id)
    except NotFound:
        raise Invalid(f"{text}: there is no such run", field="Last-Event-ID") from None
