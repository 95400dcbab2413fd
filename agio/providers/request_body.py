"""Model requests, as the body of a chat-completions call."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agio.domain.errors import ProviderError
from agio.domain.messages import Message
from agio.providers.base import ModelRequest, ToolSchema, wire_name
from agio.providers.presets import Quirks

RESERVED_PARAMS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "tools",
        "n",
        # Gateways (LiteLLM and others) take these from the body and would call elsewhere.
        "api_key",
        "base_url",
        "api_base",
        "extra_headers",
        "extra_query",
        "extra_body",
        "headers",
    }
)
"""Names that the `params` of an agent cannot set."""

_encode = msgspec.json.Encoder().encode


def encode_request(request: ModelRequest, quirks: Quirks) -> bytes:
    """Return the body.

    `params` fill in what the request does not say itself.

    Raises:
        ProviderError: `provider_rejected`, when `params` hold a reserved name or something that
            JSON cannot say.
    """
    if taken := RESERVED_PARAMS & request.params.keys():
        names = ", ".join(repr(name) for name in sorted(taken))
        raise ProviderError(f"params cannot set {names}; remove it", code="provider_rejected")
    body = dict(request.params)
    body |= {"model": request.model, "messages": _messages(request.messages, quirks), "stream": True}
    if quirks.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        for name in ("max_tokens", "max_completion_tokens"):
            body.pop(name, None)
        body[quirks.max_tokens_field] = request.max_tokens
    _add_tools(body, request, quirks)
    try:
        return _encode(body)
    except (TypeError, msgspec.EncodeError, UnicodeEncodeError, RecursionError) as exc:
        raise ProviderError(f"the request cannot be written as JSON: {exc}", code="provider_rejected") from None


def _add_tools(body: dict[str, Any], request: ModelRequest, quirks: Quirks) -> None:
    forbidden = request.tool_choice == "none"
    if not request.tools or (forbidden and not quirks.tool_choice):
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
        return
    body["tools"] = [_tool(tool) for tool in request.tools]
    if forbidden:
        # The tools stay: some endpoints want those that the history calls to be declared.
        body["tool_choice"] = "none"


def _tool(tool: ToolSchema) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": wire_name(tool.name),
            "description": tool.description,
            "parameters": tool.parameters or {"type": "object", "properties": {}},
        },
    }


def _messages(messages: Iterable[Message], quirks: Quirks) -> list[dict[str, Any]]:
    wire = []
    for message in messages:
        if message.role == "assistant":
            # Endpoints refuse an assistant message that says nothing (a run stopped at once).
            if message.content or message.tool_calls:
                wire.append(_assistant(message, quirks))
        elif message.role == "tool":
            wire.append({"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content})
        else:
            wire.append({"role": message.role, "content": message.content})
    return wire


def _assistant(message: Message, quirks: Quirks) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant", "content": message.content or None}
    if quirks.reasoning_field and message.reasoning:
        wire[quirks.reasoning_field] = message.reasoning
    if message.tool_calls:
        extra = quirks.tool_call_extra or {}
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": wire_name(call.name), "arguments": call.arguments or "{}"},
                **extra,
            }
            for call in message.tool_calls
        ]
    return wire
