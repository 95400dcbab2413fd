"""What holds for every answer, whoever made it, those to our own mistakes included: pure ASGI middleware."""

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agio.api.access import AccessControl
from agio.api.forwarded import Forwarded
from agio.api.middleware import BodyLimit, HeadLimit
from agio.api.problems import answer_bug
from agio.api.rate_limits import RateLimit
from agio.api.refusals import path_of
from agio.domain.windows import Limit
from agio.security import Access
from agio.settings import Settings

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
NOTHING = "default-src 'none'; connect-src *; frame-ancestors 'none'"
"""An answer of the API is no page: should a browser take it for one, it may load and run nothing.

Connections are left to the browser's console, where developers try event streams.
"""
PAGES = ("/docs", "/redoc", "/api-docs", "/api-redoc", "/ui", "/docs-assets")


class SecurityHeaders:
    """Tells browsers not to guess types, not to frame, not to send addresses on, and nobody to keep an answer.

    Where an answer says itself how it is to be treated, that counts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        is_page = path_of(scope).startswith(PAGES)

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in EVERYWHERE.items():
                    headers.setdefault(name, value)
                if not is_page:
                    headers.setdefault("Content-Security-Policy", NOTHING)
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AnswerBugs:
    """Answers what nobody caught with 500, inside of what adds CORS headers: Starlette itself does so outside of it.

    An answer that has begun is left to the server, which cuts it off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception as error:  # whatever it is
            if has_begun:
                raise
            await answer_bug(Request(scope), error)(scope, receive, send)


def guard(app: FastAPI, settings: Settings, access: Access, limit: Limit | None) -> None:
    """Check who calls, how much, and from where; what is added last is outermost."""
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    if limit is not None:
        app.add_middleware(RateLimit, windows=access.windows, limit=limit)
    app.add_middleware(AccessControl, access=access)
    app.add_middleware(HeadLimit, max_bytes=settings.max_head_bytes)
    if settings.trust_proxy:
        app.add_middleware(Forwarded, trusted=settings.trust_proxy)
    app.add_middleware(AnswerBugs)
