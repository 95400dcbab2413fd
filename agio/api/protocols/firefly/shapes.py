"""What Firefly's clients send and get."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from agio.api.native.schemas.common import MAX_MESSAGE_CHARS, SESSION_ID, JsonObject, View
from agio.api.native.schemas.traces import MessageView
from agio.api.protocols.plain import LenientBody, PlainDetail
from agio.domain.messages import Content, text_of

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE_CHARS, pattern=r"\S")]
ConversationId = Annotated[str, Field(pattern=SESSION_ID, examples=["abc123"])]


class PromptPart(LenientBody):
    """A part of a prompt that is more than text."""

    type: Literal["text", "image_url", "binary"]
    content: str = Field(min_length=1, description="The text, the URL, or the bytes in base64.")
    media_type: str | None = Field(default=None, pattern=r"^[a-z]+/[a-z0-9.+-]+$", description="Of `binary`.")

    def to_part(self) -> dict[str, Any]:
        """Return the part in the chat-completions form."""
        if self.type == "text":
            return {"type": "text", "text": self.content}
        binary = f"data:{self.media_type or 'image/png'};base64,{self.content}"
        return {"type": "image_url", "image_url": {"url": binary if self.type == "binary" else self.content}}


def _bounded(parts: list[PromptPart]) -> list[PromptPart]:
    if len(text_of([part.to_part() for part in parts])) > MAX_MESSAGE_CHARS:
        raise ValueError("the prompt is too large")
    return parts


Parts = Annotated[list[PromptPart], Field(min_length=1), AfterValidator(_bounded)]


class RunBody(LenientBody):
    """A prompt for an agent."""

    prompt: Text | Parts = Field(examples=["Summarise this document."])
    deps: JsonObject | None = Field(default=None, description="Kept with the run, as `metadata.deps`.")
    conversation_id: ConversationId | None = Field(
        default=None, description="Goes on with that conversation; made where there is none."
    )

    def to_content(self) -> Content:
        """Return the prompt as the engine takes it."""
        return self.prompt if isinstance(self.prompt, str) else [part.to_part() for part in self.prompt]


class RunAnswer(BaseModel):
    """What came of a run. A run that failed is told by `success` and `error`, with status 200."""

    agent_name: str
    output: str | None
    success: bool = True
    error: str | None = None
    metadata: dict[str, Any] = Field(
        description="`run_id`, `conversation_id`, `usage`, `steps` and `duration_ms`.", examples=[{"run_id": "r1"}]
    )


class RunProblem(PlainDetail):
    """There is no answer yet; the run goes on."""

    run_id: str
    conversation_id: str


class AgentInfo(View):
    """An agent; `name` is what the paths take."""

    name: str = Field(examples=["summariser"])
    title: str
    description: str
    version: str
    model: str
    tools: list[str]
    tags: list[str]
    metadata: dict[str, Any]


class ConversationMade(BaseModel):
    """A new, empty conversation."""

    conversation_id: str


class ConversationView(BaseModel):
    """What was said, up to the last checkpoint."""

    conversation_id: str
    message_count: int
    messages: list[MessageView]


class ConversationCleared(BaseModel):
    """A conversation that is empty now."""

    status: Literal["cleared"] = "cleared"
    conversation_id: str
