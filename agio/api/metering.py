"""Counts requests and open streams, for HTTP and WebSocket alike. Pure ASGI, outside of everything but request ids."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agio.observability.metrics import Metrics

UNMATCHED = "none"
"""The route of a request that none takes: paths that callers make up must not become labels."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


PREFIXES = ("/api/v1", "/api")
"""A route does not know the prefix that it was included under."""


def _template(scope: Scope) -> str:
    """Return the path of the request's route, with names in place of values."""
    template: str | None = getattr(scope.get("route"), "path", None)
    if template is None:
        return UNMATCHED
    path = f"{scope['path']}/"
    prefix = next((prefix for prefix in PREFIXES if path.startswith(f"{prefix}/")), "")
    return template if template.startswith(f"{prefix}/") and prefix else prefix + template


class _Seen:
    """What became of one request."""

    def __init__(self, metrics: Metrics, send: Send) -> None:
        self._metrics = metrics
        self._send = send
        self.status = 500
        self.streams = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kind = Headers(raw=message.get("headers", ())).get("content-type", "")
            if kind.startswith("text/event-stream"):
                self.streams = True
                self._metrics.streams.labels("sse").inc()
        await self._send(message)


class Metering:
    """Tells the metrics of every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, began = _Seen(self._metrics, send), time.monotonic()
        try:
            await self._app(scope, receive, seen.send)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = _template(scope)
            self._metrics.requests.labels(method, route, str(seen.status)).inc()
            if seen.streams:
                self._metrics.streams.labels("sse").dec()
            else:
                self._metrics.request_time.labels(method, route).observe(time.monotonic() - began)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.streams.labels("websocket").inc()
        try:
            await self._app(scope, receive, send)
        finally:
            self._metrics.streams.labels("websocket").dec()
