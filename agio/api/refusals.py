"""Answers of middleware that lets a request go no further, in the form that its path's readers know."""

import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from agio.api.problems import problem

RPC_PATHS = ("/", "/tasks")
"""Paths that speak JSON-RPC when they are posted to."""
RPC_UNAUTHORISED = -32001
POLICY_VIOLATION = 1008
"""WebSocket close code."""


def path_of(scope: Scope) -> str:
    """Return the path within the application."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root) else path


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer a request, or deny a WebSocket, and be done with it."""
    if scope["type"] == "websocket":
        await _deny(scope, send, status, detail, headers or {})
        return
    answer = _answer(scope, status, code, detail, headers)
    await answer(scope, receive, send)


def _answer(scope: Scope, status: int, code: str, detail: str, headers: Mapping[str, str] | None) -> Response:
    path = path_of(scope)
    if path == "/api" or path.startswith("/api/"):
        return problem(Request(scope), status, code, detail, headers=headers, retryable=status in (429, 503))
    if scope["method"] == "POST" and path in RPC_PATHS:
        error = {"code": RPC_UNAUTHORISED, "message": detail, "data": {"type": code}}
        return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status, headers=headers)
    return JSONResponse({"detail": detail}, status, headers=headers)


async def _deny(scope: Scope, send: Send, status: int, detail: str, headers: Mapping[str, str]) -> None:
    """Answer the handshake with the status where the server can, else close before it was accepted (403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": detail[:120]})
        return
    named = {"content-type": "application/json", **headers}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "websocket.http.response.start", "status": status, "headers": raw})
    await send({"type": "websocket.http.response.body", "body": json.dumps({"detail": detail}).encode()})
