"""Messages of a conversation, as a model sees them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
MessageKind: TypeAlias = Literal["question", "message"]
"""What an agent's message is, where it is no answer: a question to the user · a message in place of a task."""
Content: TypeAlias = str | list[dict[str, Any]]
"""Text, or content parts in the chat-completions form (`{"type": "text", "text": …}`, …)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call as the model asked for it."""

    id: str
    name: str
    arguments: str
    """JSON text, exactly as the model wrote it; may be malformed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message on a branch."""

    id: str
    role: Role
    content: Content
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """Set on tool messages: the call that this answers."""
    name: str | None = None
    """Set on tool messages: the tool's name."""
    step: int | None = None
    run_id: str | None = None
    created_at: datetime | None = None
    reasoning: str | None = None
    incomplete: bool = False
    """True when the run was stopped in mid-answer."""
    error: str | None = None
    """Set on tool messages that are not results: the stable code of the tool error."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """`a2a`: what that wire told besides · `parts`: the parts that it came with, where its content says less ·
    `kind`: see `MessageKind`."""

    @property
    def is_question(self) -> bool:
        """An agent asks the user; the run waits for an answer."""
        return self.metadata.get("kind") == "question"


def text_of(content: Content) -> str:
    """Return the text of `content`, parts joined by line breaks; parts without text are left out."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in content if "text" in part)


def open_tool_calls(messages: list[Message]) -> list[ToolCall]:
    """Return the tool calls of the last assistant message that no tool message answers yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if message.role == "tool" and message.tool_call_id is not None:
            answered.add(message.tool_call_id)
        elif message.role == "assistant":
            return [call for call in message.tool_calls if call.id not in answered]
        else:
            break
    return []
