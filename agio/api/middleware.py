"""Pure ASGI middleware: request ids, limits of heads and bodies, for HTTP and WebSocket alike."""

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agio.api.problems import problem
from agio.observability.context import bound

_SANE_ID = re.compile(r"[!-~]{1,128}")


class RequestId:
    """Gives every answer an `X-Request-ID`: the caller's own if it is sane, else a fresh one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE_ID.fullmatch(given) else str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with bound(request_id=request_id):
            await self._app(scope, receive, send_with_id)


class HeadLimit:
    """Refuses heads above a limit with 431. One without an end never gets here: see `bootstrap.protocol`."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and head_bytes(scope) > self._max_bytes:
            detail = f"the request line and headers are larger than the limit of {self._max_bytes} bytes"
            answer = problem(Request(scope), 431, "head_too_large", detail, headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def head_bytes(scope: Scope) -> int:
    """Return about how many bytes the head of a request had."""
    line = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


class _TooLarge(Exception):
    pass


class _Exchange:
    """One request and its answer, the bytes of the request counted."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._left = max_bytes
        self.answered = False

    @property
    def too_large(self) -> bool:
        return self._left < 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self.too_large:
                raise _TooLarge
        return message

    async def send(self, message: Message) -> None:
        if self.too_large and not self.answered:
            return  # FastAPI calls a body that it could not read a bad request; it is refused with 413 instead
        self.answered = True
        await self._send(message)


class BodyLimit:
    """Refuses bodies above a limit with 413, declared or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self._max_bytes)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except _TooLarge:
            if exchange.answered:
                raise
        if exchange.too_large and not exchange.answered:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"the body is larger than the limit of {self._max_bytes} bytes"
        answer = problem(Request(scope), 413, "too_large", detail, headers={"Connection": "close"})
        await answer(scope, receive, send)
