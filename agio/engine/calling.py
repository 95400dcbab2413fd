"""Runs that are one tool call: a Python function or an HTTP request as a task of a workflow."""

import json

from agio.domain import events as ev
from agio.domain.ids import new_id
from agio.domain.journal import calls_as_wire
from agio.domain.messages import Message, ToolCall, text_of
from agio.engine.conducting import say_answer
from agio.engine.drive import Drive


async def call_or_answer(drive: Drive) -> bool:
    """Ask for the call, or, when it was answered, end the run with what it said; True when the run ended."""
    state = drive.state
    call = state.spec.call
    assert call is not None
    last = state.messages[-1] if state.messages else None
    is_new = state.checkpoint is not None and state.checkpoint.kind == "input"
    if last is None or last.role != "tool" or (is_new and not state.in_step):  # what an earlier attempt was told
        await drive.make_room()
        asked = ToolCall(id=f"call_{new_id()}", name=call.name, arguments=json.dumps(call.arguments))
        message = Message(id=new_id(), role="assistant", content="", tool_calls=(asked,))
        state.step += 1
        drive.begin_step()
        drive.journal.emit(
            ev.MessageCompleted(
                step=state.step,
                message_id=message.id,
                role="assistant",
                content="",
                tool_calls=calls_as_wire(message),
            )
        )
        drive.say(message)
        return False
    text = text_of(last.content)
    if last.error is not None:
        await drive.fail(last.error, text.removeprefix("error: "))
    else:
        await say_answer(drive, text)
    return True
