"""Who may pass: pure ASGI middleware for HTTP and WebSocket alike, and what routes demand of those who did."""

import logging
import math
import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agio.api.middleware import RequestId
from agio.api.problems import RETRY_AFTER_S
from agio.api.refusals import POLICY_VIOLATION, path_of, refuse
from agio.domain.access import Permission
from agio.domain.errors import Denied, StoreUnavailable
from agio.security import (
    Access,
    AccessSettings,
    Credential,
    Principal,
    StaticKey,
    StreamScope,
    find_credentials,
    hide_credentials,
    name_keys,
)

log = logging.getLogger(__name__)

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN = frozenset(
    {
        *("/", "/ui", "/favicon.ico", "/auth/login", "/health", "/health/ready", "/api/health", "/api/v1/health"),
        *("/docs", "/redoc", "/openapi.json", "/api-docs", "/api-redoc", "/api-openapi.json"),
    }
)
"""Paths that everyone may read."""
OPEN_BELOW = ("/ui/", "/docs-assets/", "/.well-known/")
OPEN_TO_POST = frozenset({"/auth/login"})
GROUP_HEADER = "x-group-id"
"""Chooses one of the caller's groups."""

UNAUTHORISED = "Unauthorized"
"""The detail that Firefly's clients know."""
NOT_PUBLIC = (
    "this server checks nobody, so it serves its own machine only; set AGIO_API_KEYS or another way to check callers, "
    "or AGIO_ALLOW_OPEN=true to serve everyone"
)

_RUN_EVENTS = re.compile(r"/api(?:/v1)?/(?:(?:runs|workflows)/([^/]+)/events|execution-logs/([^/]+)/stream)")
_ALL_EVENTS = re.compile(r"/api(?:/v1)?/events")

F = TypeVar("F", bound=Callable[..., Any])


class AccessControl:
    """Recognises the caller of every request that is not open, and notes it as `principal` in the scope's state.

    An embedding application that has put a `caller` there is believed.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or "caller" in scope.get("state", {}):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        credentials = find_credentials(scope)
        offered = list(scope.get("subprotocols") or ())
        hide_credentials(scope)
        if not self._is_open(scope, headers):
            try:
                principal = await self._admit(scope, receive, send, credentials, headers)
            except StoreUnavailable as error:
                wait = {"Retry-After": str(RETRY_AFTER_S)}
                await refuse(scope, receive, send, 503, error.code, str(error), headers=wait)
                return
            if principal is None:
                return
            scope.setdefault("state", {})["principal"] = principal
        await self._app(scope, receive, _choosing_protocol(scope, offered, send))

    def _is_open(self, scope: Scope, headers: Headers) -> bool:
        if scope["type"] == "websocket":
            return path_of(scope) in self._access.settings.open_paths
        method, path = scope["method"], path_of(scope)
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return True
        return path in self._access.settings.open_paths or is_open(method, path)

    async def _admit(
        self, scope: Scope, receive: Receive, send: Send, credentials: Sequence[Credential], headers: Headers
    ) -> Principal | None:
        """Return who calls; None: the request was answered."""
        if not self._access.checks and not self._access.settings.allow_open and is_remote(scope):
            await refuse(scope, receive, send, 403, "server_not_public", NOT_PUBLIC)
            return None
        usable = [one for one in credentials if one.place != "cookie" or self._is_own_page(scope, headers)]
        from_proxy = bool(scope.get("state", {}).get("from_proxy"))
        principal = await self._access.identify(usable, headers, from_proxy=from_proxy)
        address = address_of(scope)
        if principal is None:
            wait_s = await self._access.note_failure(address) if usable else None
            await self._refuse_stranger(scope, receive, send, wait_s, tried=bool(usable))
            return None
        if principal.is_guessable and (wait_s := await self._access.locked_s(address)):
            await self._refuse_stranger(scope, receive, send, wait_s, tried=True)
            return None
        try:
            chosen = headers.get(GROUP_HEADER)
            principal = principal.in_group(chosen) if chosen and self._access.checks else principal
            _check_stream(principal, scope)
        except Denied as error:
            await refuse(scope, receive, send, 403, error.code, str(error))
            return None
        return principal

    def _is_own_page(self, scope: Scope, headers: Headers) -> bool:
        """Say whether a cookie may count: other sites' pages could make a browser send it."""
        origin = headers.get("origin")
        if origin is None:
            return scope["type"] == "http" and (
                scope["method"] in SAFE or headers.get("sec-fetch-site", "none") in ("same-origin", "none")
            )
        return urlsplit(origin).netloc == headers.get("host") or origin in self._access.settings.trusted_origins

    async def _refuse_stranger(
        self, scope: Scope, receive: Receive, send: Send, wait_s: float | None, *, tried: bool
    ) -> None:
        if wait_s:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            text = "Too many failed attempts"
            await refuse(scope, receive, send, 429, "too_many_failures", text, headers=headers)
            return
        challenge = 'Bearer realm="agio"' + (', error="invalid_token"' if tried else "")
        headers = {"WWW-Authenticate": challenge}
        await refuse(scope, receive, send, 401, "unauthorized", UNAUTHORISED, headers=headers)


def is_open(method: str, path: str) -> bool:
    """Say whether everyone may call it, in every installation."""
    if method == "POST":
        return path in OPEN_TO_POST
    return method in SAFE and (path in OPEN or path.startswith(OPEN_BELOW))


def address_of(scope: Scope) -> str:
    """Return the caller's address, as far as trusted proxies tell it."""
    client = scope.get("client")
    return client[0] if client else ""


def is_remote(scope: Scope) -> bool:
    """Say whether another machine calls. Callers without an address are in this process or behind its socket."""
    try:
        address = ip_address(address_of(scope))
    except ValueError:
        return False
    return not (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _check_stream(principal: Principal, scope: Scope) -> None:
    """Refuse a stream token everything but what it is for."""
    if principal.stream is not None and not _reads(principal.stream, scope):
        raise Denied("this token reads the stream that it was issued for, nothing else")


def _reads(stream: StreamScope, scope: Scope) -> bool:
    is_free = stream.run_id is None and stream.session_id is None
    path = path_of(scope)
    match = _RUN_EVENTS.fullmatch(path)
    if scope["type"] == "websocket":
        return is_free or (match is not None and match[2] is not None and match[2] == stream.run_id)
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    if scope["method"] not in SAFE:
        return False
    if match is not None:
        return is_free or (match[1] or match[2]) == stream.run_id
    if not _ALL_EVENTS.fullmatch(path):
        return False
    asked = [(name, value) for name, value in query if name in ("runs", "session_id", "all")]
    wanted = {("runs", stream.run_id), ("session_id", stream.session_id)}
    return is_free or (len(asked) == 1 and asked[0] in wanted)


def _choosing_protocol(scope: Scope, offered: list[str], send: Send) -> Send:
    """Let the answer to a WebSocket name a sub-protocol where credentials were among them: browsers insist on one."""
    if not offered or offered == scope.get("subprotocols"):
        return send
    others: list[str] = scope["subprotocols"]
    chosen = (others or offered)[0]

    async def send_chosen(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": chosen}
        await send(message)

    return send_chosen


# -- what routes demand


def needs(permission: Permission) -> Callable[[F], F]:
    """Say what a route demands of its caller, where it is not `read` for safe methods and `run` for the others."""

    def mark(endpoint: F) -> F:
        endpoint.__agio_needs__ = permission  # type: ignore[attr-defined]
        return endpoint

    return mark


def authorise(connection: HTTPConnection) -> None:
    """Check that the caller may use the route; a dependency of the whole application.

    Raises:
        Denied: it may not.
        WebSocketException: the same, of a WebSocket.
    """
    principal: Principal | None = getattr(connection.state, "principal", None)
    if principal is None:
        return
    endpoint = connection.scope.get("endpoint")
    usual = Permission.READ if connection.scope.get("method") in SAFE else Permission.RUN
    if principal.stream is not None:
        usual = Permission.READ
    try:
        principal.require(getattr(endpoint, "__agio_needs__", usual))
    except Denied as error:
        if connection.scope["type"] == "websocket":
            raise WebSocketException(POLICY_VIOLATION, str(error)[:120]) from error
        raise


# -- for applications made elsewhere


def add_auth_middleware(
    app: Starlette,
    *,
    api_keys: Iterable[str] = (),
    bearer_tokens: Iterable[str] = (),
    exclude_paths: Iterable[str] = (),
) -> None:
    """Check the callers of an application: any of these keys and tokens suffices.

    Works for those of `create_app`, beside what their settings accept, and for any other Starlette application.
    Health, documentation, login and CORS preflights stay open; so do `exclude_paths`.

    Raises:
        ValueError: neither a key nor a token was named, so nobody could call.
    """
    keys = name_keys((key for key in api_keys if key), "api-key")
    tokens = name_keys((token for token in bearer_tokens if token), "bearer-token")
    if not keys and not tokens:
        raise ValueError("name at least one API key or bearer token")
    access = getattr(app.state, "access", None)
    if isinstance(access, Access):
        access.accept(api_keys=keys, bearer_tokens=tokens, open_paths=exclude_paths)
        return
    access = _alone(keys, tokens, exclude_paths)
    app.state.access = access
    insert_middleware(app, Middleware(AccessControl, access=access))


def _alone(keys: Sequence[StaticKey], tokens: Sequence[StaticKey], open_paths: Iterable[str]) -> Access:
    settings = AccessSettings(
        checks=True, api_keys=tuple(keys), bearer_tokens=tuple(tokens), open_paths=frozenset(open_paths)
    )
    return Access(settings, None)


def insert_middleware(app: Starlette, middleware: Middleware, *, inside: type | None = None) -> None:
    """Add middleware inside of what gives every answer its CORS headers and request id, refusals included.

    `inside` names another one to be inside of.
    """
    if app.middleware_stack is not None:
        raise RuntimeError("the application has begun to answer; add middleware before")
    outermost: tuple[Any, ...] = (CORSMiddleware, RequestId, inside)
    outer = [place for place, each in enumerate(app.user_middleware) if each.cls in outermost]
    app.user_middleware.insert(outer[-1] + 1 if outer else 0, middleware)
