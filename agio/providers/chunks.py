"""Chat-completion chunks, decoded and turned into the parts of the port."""

import json
from typing import Any
from uuid import uuid4

import msgspec

from agio.domain.metrics import Usage
from agio.providers.base import (
    FinishPart,
    ModelPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    UsagePart,
)


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None
    """Text; some endpoints send the object itself."""


class _ToolCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    """In place of `delta` when the endpoint does not stream."""
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class ErrorInStream(Exception):
    """The endpoint reports a failure inside a 200 answer."""

    def __init__(self, error: object) -> None:
        super().__init__()
        self.error = error


class MalformedChunk(Exception):
    """What the endpoint sent is not a chat-completion chunk."""


_decode = msgspec.json.Decoder(_Chunk).decode

_FINISH_REASONS = {
    "function_call": "tool_calls",  # OpenAI before tools
    "model_length": "length",  # Mistral
}


class ChunkReader:
    """Reads the chunks of one answer in order."""

    def __init__(self) -> None:
        self.done = False
        """True after `[DONE]`."""
        self._tool_calls = _ToolCalls()
        self._finished = False

    def read(self, payload: bytes, parts: list[ModelPart]) -> None:
        """Append the parts that the payload carries.

        Raises:
            ErrorInStream: it carries an error instead.
            MalformedChunk: it is not a chunk.
        """
        if payload == b"[DONE]":
            self.done = True
            return
        if not payload:
            return
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise MalformedChunk(str(exc)) from None
        if chunk.error:
            raise ErrorInStream(chunk.error)
        for choice in chunk.choices or ():
            if not choice.index:
                self._read_choice(choice, parts)
        if chunk.usage:
            parts.append(UsagePart(_usage(chunk.usage)))

    def _read_choice(self, choice: _Choice, parts: list[ModelPart]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            # vLLM sends both names for a while: reading both would double the text.
            reasoning = delta.reasoning_content or delta.reasoning
            if reasoning and isinstance(reasoning, str):
                parts.append(ReasoningPart(reasoning))
            if delta.content:
                _read_content(delta.content, parts)
            if delta.refusal:
                parts.append(TextPart(delta.refusal))
            for call in delta.tool_calls or ():
                parts.append(self._tool_calls.read(call))
        if choice.finish_reason and not self._finished:
            self._finish(choice.finish_reason, parts)

    def _finish(self, reason: str, parts: list[ModelPart]) -> None:
        if reason == "error":
            raise ErrorInStream({"message": "the model failed in the middle of its answer"})
        self._finished = True
        # Gemini and Ollama end a tool call with `stop` (open-webui/computer#224).
        if reason == "stop" and self._tool_calls:
            reason = "tool_calls"
        parts.append(FinishPart(_FINISH_REASONS.get(reason, reason)))


class _ToolCalls:
    """Gives every tool call an index of its own, whatever the endpoint numbers them.

    Gemini leaves the index out, or sends 0 for each of several parallel calls (openai-python#2806,
    gcli2api#406); a piece that brings a name and another id then begins the next call.
    """

    def __init__(self) -> None:
        self._count = 0
        self._last = 0
        self._by_wire: dict[int, tuple[int, str | None]] = {}
        """Index on the wire → ours, and the id that came with it."""
        self._named: set[int] = set()

    def __bool__(self) -> bool:
        return self._count > 0

    def read(self, call: _ToolCall) -> ToolCallPart:
        """Return the piece with its index; the first piece of a call has an id in any case."""
        function = call.function or _Function()
        index, call_id = self._known_index(call, function.name), None
        if index is None:
            index, call_id = self._count, call.id or f"call_{uuid4().hex}"
            self._count += 1
            if call.index is not None:
                self._by_wire[call.index] = (index, call.id)
        self._last = index
        # Some repeat the name with every piece; the caller would join them.
        name = None if index in self._named else function.name
        if name:
            self._named.add(index)
        return ToolCallPart(index, call_id, name, _arguments(function.arguments))

    def _known_index(self, call: _ToolCall, name: str | None) -> int | None:
        if call.index is None:
            begins = bool(name or call.id) or not self._count
            return None if begins else self._last
        index, call_id = self._by_wire.get(call.index, (None, None))
        if index is not None and name and call.id and call.id != call_id:
            return None
        return index


def _arguments(arguments: Any) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)


def _read_content(content: str | list[dict[str, Any]], parts: list[ModelPart]) -> None:
    if isinstance(content, str):
        parts.append(TextPart(content))
        return
    # Mistral's reasoning models: [{"type": "thinking", "thinking": [{"type": "text", …}]}, …].
    for item in content:
        if text := item.get("text"):
            parts.append(TextPart(str(text)))
        thinking = item.get("thinking") or ()
        for piece in [{"text": thinking}] if isinstance(thinking, str) else thinking:
            parts.append(ReasoningPart(str(piece.get("text", ""))))


def _usage(usage: dict[str, Any]) -> Usage:
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    cost = usage.get("cost")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(usage, "total_tokens") or prompt + completion,
        cost=float(cost) if isinstance(cost, int | float) else None,
    )


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return int(value) if isinstance(value, int | float) else 0
