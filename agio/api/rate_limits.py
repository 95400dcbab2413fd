"""How many requests a caller may make: pure ASGI middleware. Only beginnings count; what streams is never cut."""

import inspect
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agio.api.access import OPEN_TO_POST, AccessControl, address_of, insert_middleware, is_open
from agio.api.refusals import path_of, refuse
from agio.domain.errors import Invalid
from agio.domain.windows import Admission, Limit
from agio.security import Access, Principal, Windows

KeyFunction: TypeAlias = Callable[[Request], str | Awaitable[str]]

EXCEEDED = "Rate limit exceeded"
"""The detail that Firefly's clients know."""


class RateLimit:
    """Refuses requests of a caller beyond the limit with 429; says on every answer what is left.

    What is open to everyone (probes, documentation, the UI's files) is not counted; logins are.
    """

    def __init__(self, app: ASGIApp, windows: Windows, limit: Limit, key_func: KeyFunction | None = None) -> None:
        """Args: key_func: says who a request is of; None: the caller that was recognised, else its address."""
        self._app = app
        self._windows = windows
        self._limit = limit
        self._key_func = key_func or caller_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _is_free(scope):
            await self._app(scope, receive, send)
            return
        admission = await self._windows.admit(f"requests of {await self._key(scope)}", self._limit)
        headers = _headers(self._limit, admission)
        if not admission.granted:
            headers["Retry-After"] = headers["RateLimit-Reset"]
            await refuse(scope, receive, send, 429, "rate_limited", EXCEEDED, headers=headers)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    async def _key(self, scope: Scope) -> str:
        # A handshake has headers, an address and a query as a request has; key functions know requests.
        request = Request({**scope, "type": "http", "method": "GET"} if scope["type"] == "websocket" else scope)
        found = self._key_func(request)
        return str(await found if inspect.isawaitable(found) else found)


def caller_of(request: Request) -> str:
    """Return the caller that was recognised, else the address that a request comes from."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None or principal.kind == "anonymous":
        return f"address {address_of(request.scope)}"
    return f"{principal.kind} {principal.group_id} {principal.name}"


def add_rate_limit_middleware(
    app: Starlette,
    *,
    max_requests: int = 60,
    window_seconds: float = 60.0,
    key_func: KeyFunction | None = None,
) -> None:
    """Let `max_requests` of one caller pass within any `window_seconds`; more are answered with 429.

    Applications of `create_app` count in their store, so all processes share the window; others count by themselves.

    Args:
        app: the application, before it has begun to answer.
        max_requests: at least 1.
        window_seconds: of a day at most.
        key_func: says who a request is of: `lambda request: request.headers.get("X-API-Key", "anonymous")`. None: the
            caller that was recognised, else the address.

    Raises:
        Invalid: a number is out of bounds.
    """
    if max_requests < 1 or not 0 < window_seconds <= 86_400:
        raise Invalid("max_requests must be at least 1, window_seconds more than 0 and of a day at most")
    access = getattr(app.state, "access", None)
    windows = access.windows if isinstance(access, Access) else Windows(None)
    limit = Limit(count=max_requests, window_s=window_seconds)
    insert_middleware(app, Middleware(RateLimit, windows=windows, limit=limit, key_func=key_func), inside=AccessControl)


def _is_free(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return False
    method, path = scope["method"], path_of(scope)
    return method == "OPTIONS" or (is_open(method, path) and path not in OPEN_TO_POST)


def _headers(limit: Limit, admission: Admission) -> dict[str, str]:
    """Return what the caller is told: names and meaning as of the IETF's draft, 07 and before."""
    return {
        "RateLimit-Limit": str(limit.count),
        "RateLimit-Remaining": str(admission.remaining),
        "RateLimit-Reset": str(math.ceil(admission.retry_after_s)),
        "RateLimit-Policy": f"{limit.count};w={math.ceil(limit.window_s)}",
    }
