"""Firefly's routes to conversations: Agio's sessions, by another name."""

from typing import Annotated

from fastapi import APIRouter, Path

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.traces import view_message
from agio.api.protocols.firefly.shapes import ConversationCleared, ConversationMade, ConversationView
from agio.api.protocols.plain import PlainRoute, plainly

router = APIRouter(prefix="/agents/conversations", tags=["firefly"], route_class=PlainRoute)

ConversationPath = Annotated[str, Path(max_length=128, examples=["abc123"])]


@router.post("", operation_id="fireflyOpenConversation", summary="Make an empty conversation", responses=plainly())
async def open_conversation(engine: EngineDep, caller: CallerDep) -> ConversationMade:
    """Not needed before a prompt: one that names a conversation makes it."""
    return ConversationMade(conversation_id=(await engine.conversations.open(caller)).id)


@router.get(
    "/{conversation_id}",
    operation_id="fireflyGetConversation",
    summary="Read a conversation",
    responses=plainly(404),
)
async def get_conversation(conversation_id: ConversationPath, engine: EngineDep, caller: CallerDep) -> ConversationView:
    """What was said over any wire."""
    messages = await engine.conversations.messages(caller, conversation_id)
    return ConversationView(
        conversation_id=conversation_id,
        message_count=len(messages),
        messages=[view_message(message) for message in messages],
    )


@router.delete(
    "/{conversation_id}",
    operation_id="fireflyClearConversation",
    summary="Clear a conversation",
    responses=plainly(404, 409),
)
async def clear_conversation(
    conversation_id: ConversationPath, engine: EngineDep, caller: CallerDep
) -> ConversationCleared:
    """Its runs are cancelled and deleted; the conversation stays, empty."""
    await engine.conversations.clear(caller, conversation_id)
    return ConversationCleared(conversation_id=conversation_id)
