"""What Kawai's clients send and get."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from agio.api.native.schemas.common import MAX_MESSAGE_CHARS, SESSION_ID, Instant, View
from agio.api.protocols.plain import LenientBody, PlainDetail

Message = Annotated[str, Field(min_length=1, max_length=MAX_MESSAGE_CHARS, pattern=r"\S", examples=["What is 6 * 7?"])]
SessionId = Annotated[str, Field(pattern=SESSION_ID, examples=["user-123"])]
MaxSteps = Annotated[int, Field(ge=1, le=100_000)]
AgentId = Annotated[str, Field(min_length=1, max_length=64)]


class ChatBody(LenientBody):
    """A message for the served agent."""

    message: Message
    session_id: SessionId | None = Field(default=None, description="Goes on with it; made where there is none.")
    max_steps: MaxSteps | None = Field(default=None, description="Instead of the agent's own.")
    force_provide_answer: bool = Field(default=True, description="Demand an answer once the steps are used up.")
    agent: AgentId | None = Field(default=None, description="Another agent than the served one (our addition).")


class ChatAnswer(BaseModel):
    """What the agent came to."""

    answer: Any = Field(description="Null where there is none.", examples=["42"])
    session_id: str
    steps: int = Field(description="A forced answer counts as one more.")
    completed: bool
    plan: str | None
    run_id: str = Field(description="Our addition: what to command, restore or fork.")


class ChatProblem(PlainDetail):
    """The run failed, or its answer takes too long; the session goes on."""

    session_id: str
    run_id: str


class SessionView(View):
    """A live session."""

    session_id: str
    created_at: Instant
    last_accessed: Instant
    message_count: int


class SessionDeleted(BaseModel):
    """A session that is no more."""

    session_id: str
    deleted: bool = True
