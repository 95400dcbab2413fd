"""Lets what a request starts belong to its caller's trace (W3C `traceparent`). Pure ASGI."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from agio.observability.traces import Traces


class CallersTrace:
    """Reads the header of HTTP requests and WebSockets; a library that has done so already wins."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = Headers(scope=scope).get("traceparent") if scope["type"] in ("http", "websocket") else None
        if parent is None:
            await self._app(scope, receive, send)
            return
        with self._traces.within(parent):
            await self._app(scope, receive, send)
