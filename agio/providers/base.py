"""The port between the engine and a model's endpoint."""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from agio.domain.messages import Message
from agio.domain.metrics import Usage
from agio.domain.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSchema:
    """A tool as the model is told of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments object."""


_NOT_ON_THE_WIRE = re.compile(r"[^A-Za-z0-9_-]")
_MOST_NAME_CHARS = 64


def wire_name(tool: str) -> str:
    """Return the name of a tool as endpoints accept it: 64 letters, digits, `_` and `-`.

    Their models call it by that name; whoever reads their answers turns it back.
    """
    name = _NOT_ON_THE_WIRE.sub("_", tool.replace(".", "__"))
    if len(name) <= _MOST_NAME_CHARS:
        return name
    return f"{name[:55]}_{hashlib.sha256(tool.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which run calls, for models that are functions of this process."""

    run_id: str
    session_id: str
    group_id: str
    key: str
    """The same for every repetition of this call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One model call."""

    model: str
    messages: Sequence[Message]
    """The conversation; the system prompt, if any, comes first."""
    tools: Sequence[ToolSchema] = ()
    tool_choice: Literal["auto", "none"] = "auto"
    temperature: float | None = None
    max_tokens: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    """Further body fields, handed on as they are."""
    api_key: str | None = field(default=None, repr=False)
    """A caller's own key for this call; wins over the provider's. Never stored or logged."""
    origin: Origin | None = None
    """Not for endpoints: nothing of it leaves the process."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A piece of a tool call; pieces with one `index` belong together, their arguments concatenate."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class UsagePart:
    """What the call has cost so far; the last one counts."""

    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactPart:
    """An artifact, or a chunk of one; durable before the next batch is asked for."""

    artifact_id: str
    parts: tuple[Part, ...]
    name: str = ""
    description: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    append: bool = False
    """Comes behind what the artifact has; else in its place."""
    last: bool = True


@dataclass(frozen=True, slots=True)
class FinishPart:
    """The model is done. `length` means that `max_tokens` cut the answer."""

    reason: str
    """`stop`, `tool_calls`, `length`, `content_filter`, …; of agents in Python also `question` (the run waits for the
    user's next message) and `message` (the answer is one message and no task)."""
    parts: tuple[Part, ...] = ()
    """Of a question or message."""


ModelPart: TypeAlias = TextPart | ReasoningPart | ToolCallPart | UsagePart | ArtifactPart | FinishPart


class Provider(Protocol):
    """An endpoint that models are called at. One instance serves all runs of a process."""

    name: str
    """As agents name it: `openai`, `demo`, …"""
    is_demo: bool
    """True when it is no real model; whoever shows its answers says so."""

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelPart]]]:
        """Call the model and stream its answer.

        The iterator yields batches: all parts that arrived with one network read, in order.
        Leaving the context, by cancellation too, closes the connection to the endpoint at once.
        A stream that ends without a `FinishPart` was cut off; the caller treats it as a failure.
        No retries: the engine does them, visibly.

        Raises:
            ProviderError: on entering or while iterating; `retryable` says whether a new call may
                help, the message never holds a key.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Providers(Protocol):
    """Finds providers by name."""

    def get(self, name: str) -> Provider:
        """Return the provider.

        Raises:
            ProviderError: code `provider_not_configured` when there is none of that name, or its
                key is missing.
        """
        ...

    def knows(self, name: str) -> bool:
        """Say whether there is a provider of that name, configured or not."""
        ...

    def canonical(self, name: str) -> str:
        """Return the one name of a provider that has several; of an unknown one its own, in lower case."""
        ...

    def detect(self, model: str) -> tuple[str, str] | None:
        """Return whose model it is and its name there (`openai/gpt-4o`, `gpt-4o`); None when that cannot be told."""
        ...
