"""`Idempotency-Key` at the edge: the same request under the same key creates once and answers the same."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.responses import Response

from agio.domain.ids import new_id
from agio.domain.requests import KeyedRequest
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.keyed import MAX_KEY_CHARS


async def _key(
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=MAX_KEY_CHARS,
            pattern=r"^[ -~]+$",
            description="The same request under the same key creates once; kept for a day.",
        ),
    ] = None,
) -> None:
    """Check and describe the header; `reserve` reads it."""


KEYED = Depends(_key)
"""Of every route that creates something."""


async def reserve(
    request: Request, engine: Engine, caller: Caller, *, wanted_id: str | None = None
) -> tuple[KeyedRequest | None, bool]:
    """Note the request under its key.

    Returns:
        The note, None without a key; and whether an earlier request made it. Its `resource_id` is to
        be used for what is created.

    Raises:
        as `engine.keyed.KeyedRequests.reserve`.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None, False
    target = f"{request.method} {request.url.path}?{request.url.query}"
    fingerprint = hashlib.sha256(target.encode() + b"\n" + await request.body()).hexdigest()
    return await engine.keyed.reserve(caller, key, fingerprint, wanted_id=wanted_id)


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
        headers = {"Idempotent-Replayed": "true"}
        return Response(note.body, note.status, headers, "application/json")
    answer = await make(note.resource_id)
    if answer.status_code < 400:
        await engine.keyed.answered(note, answer.status_code, bytes(answer.body).decode())
    return answer
