"""The built-in tool `http_request`: one request of any method, such as a workflow's task is."""

import json
from typing import Any

from agio.domain.errors import ToolError
from agio.tools.base import Tool, ToolContext
from agio.tools.net import GuardedClient, WebRequest

CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
"""Headers that are refused: a call's arguments are kept and shown. A stored tool of type `http` keeps its own."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "description": "Starts with http:// or https://."},
        "method": {"type": "string", "enum": list(METHODS), "default": "GET", "description": "Of HTTP."},
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "None that hold credentials.",
        },
        "body": {"description": "A text is sent as it is, anything else as JSON."},
    },
    "required": ["url"],
    "additionalProperties": False,
}


def http_request_tool(client: GuardedClient, *, max_bytes: int, timeout_s: float) -> Tool:
    """Make the tool on a guarded client; see `http_get_tool`."""

    async def call(context: ToolContext, arguments: dict[str, Any]) -> str:
        headers = {str(name): str(value) for name, value in (arguments.get("headers") or {}).items()}
        for name in headers:
            if name.lower() in CREDENTIALS:
                raise ToolError(
                    f"the header {name!r} is not sent from here: make a tool of type http that keeps it",
                    code="invalid_arguments",
                )
        headers["Idempotency-Key"] = context.idempotency_key
        body = arguments.get("body")
        content = None
        if body is not None:
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "text/plain" if isinstance(body, str) else "application/json"
        request = WebRequest(
            url=str(arguments["url"]),
            method=str(arguments.get("method") or "GET"),
            headers=headers,
            content=content,
        )
        return (await client.send(request, timeout_s=timeout_s, max_bytes=max_bytes)).expect_text()

    return Tool(
        name="http_request",
        description="Send an HTTP request to a public address and return the answer's text.",
        parameters=_PARAMETERS,
        call=call,
        timeout_s=timeout_s,
    )
