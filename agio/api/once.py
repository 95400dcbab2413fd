"""`Idempotency-Key`: the same request under the same key creates once and answers the same."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound
from agio.domain.ids import new_id
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.storage.port import REQUESTS, KeyedRequest

KEPT = timedelta(hours=24)
MAX_KEY_CHARS = 255


async def reserve(
    request: Request, engine: Engine, caller: Caller, *, wanted_id: str | None = None
) -> tuple[KeyedRequest | None, bool]:
    """Note the request under its key.

    Returns:
        The note, None without a key; and whether an earlier request made it. Its `resource_id` is to
        be used for what is created.

    Raises:
        Conflict: another request was made under this key.
        Invalid: the key is too long or not printable.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None, False
    if not key or len(key) > MAX_KEY_CHARS or not key.isprintable():
        raise Invalid(f"an Idempotency-Key has 1 to {MAX_KEY_CHARS} printable characters", field="Idempotency-Key")
    target = f"{request.method} {request.url.path}?{request.url.query}"
    fingerprint = hashlib.sha256(target.encode() + b"\n" + await request.body()).hexdigest()
    note = KeyedRequest(
        id=hashlib.sha256(key.encode()).hexdigest(),
        group_id=caller.group_id,
        fingerprint=fingerprint,
        resource_id=wanted_id or new_id(),
        created_at=utc_now(),
    )
    while True:
        try:
            return await engine.store.insert(REQUESTS, note), False
        except AlreadyExists:
            earlier = await _earlier(engine, note)
        if earlier is None:
            continue
        if earlier.fingerprint != fingerprint:
            raise Conflict("this Idempotency-Key was used for another request; use a new one")
        return earlier, True


async def _earlier(engine: Engine, note: KeyedRequest) -> KeyedRequest | None:
    try:
        earlier = await engine.store.get(REQUESTS, note.group_id, note.id)
    except NotFound:
        return None
    if earlier.created_at >= note.created_at - KEPT:
        return earlier
    try:
        await engine.store.delete(REQUESTS, note.group_id, note.id)
    except NotFound:
        return None
    return None


async def once(
    request: Request,
    engine: Engine,
    caller: Caller,
    make: Callable[[str], Awaitable[Response]],
    *,
    wanted_id: str | None = None,
) -> Response:
    """Answer through `make(id for the new resource)`, or repeat the first answer to this key.

    Only successes are kept: what failed created nothing and may be tried again.
    """
    note, repeated = await reserve(request, engine, caller, wanted_id=wanted_id)
    if note is None:
        return await make(wanted_id or new_id())
    if repeated and note.status is not None:
        return JSONResponse(None, note.status) if note.body is None else _replay(note)
    answer = await make(note.resource_id)
    if answer.status_code < 400:
        status, body = answer.status_code, bytes(answer.body).decode()
        await engine.store.update(REQUESTS, note.group_id, note.id, lambda record: _answered(record, status, body))
    return answer


def _answered(record: KeyedRequest, status: int, body: str) -> KeyedRequest:
    return KeyedRequest(
        id=record.id,
        group_id=record.group_id,
        fingerprint=record.fingerprint,
        resource_id=record.resource_id,
        status=status,
        body=body,
        created_at=record.created_at,
    )


def _replay(note: KeyedRequest) -> Response:
    return Response(note.body, note.status or 200, {"Idempotent-Replayed": "true"}, "application/json")
