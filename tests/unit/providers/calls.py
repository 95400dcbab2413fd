"""Small helpers to call providers with."""

from collections.abc import Sequence
from typing import Any

from agio.domain.messages import Message, Role
from agio.providers.base import (
    FinishPart,
    ModelPart,
    ModelRequest,
    Provider,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolSchema,
    UsagePart,
)


def message(role: Role, content: Any = "", **more: Any) -> Message:
    return Message(id="m", role=role, content=content, **more)


def ask(question: str = "Hi", *, model: str = "fake", **more: Any) -> ModelRequest:
    messages = more.pop("messages", None) or [message("user", question)]
    return ModelRequest(model=model, messages=messages, **more)


def tool(name: str, **properties: str) -> ToolSchema:
    """Return a tool whose arguments are all required: `tool("add", a="number")`."""
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return ToolSchema(name=name, description=name, parameters=parameters)


async def collect(provider: Provider, request: ModelRequest) -> list[ModelPart]:
    async with provider.stream(request) as batches:
        return [part async for batch in batches for part in batch]


def text_in(parts: Sequence[ModelPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def reasoning_in(parts: Sequence[ModelPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, ReasoningPart))


def finish_of(parts: Sequence[ModelPart]) -> str | None:
    return next((part.reason for part in parts if isinstance(part, FinishPart)), None)


def usage_of(parts: Sequence[ModelPart]) -> UsagePart:
    return next(part for part in parts if isinstance(part, UsagePart))


def calls_in(parts: Sequence[ModelPart]) -> dict[int, tuple[str | None, str, str]]:
    """Return `{index: (id, name, arguments)}`, pieces joined as the engine joins them."""
    calls: dict[int, tuple[str | None, str, str]] = {}
    for part in parts:
        if isinstance(part, ToolCallPart):
            call_id, name, arguments = calls.get(part.index, (None, "", ""))
            calls[part.index] = (part.id or call_id, name + (part.name or ""), arguments + part.arguments)
    return calls
