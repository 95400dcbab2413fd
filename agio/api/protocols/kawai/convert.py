"""Journal entries to Kawai's events. Pure, and without memory: a reader may begin anywhere.

A frame is unnamed: `{"type", "data", "timestamp"}`. There is no event for tokens; a step's thoughts come at once.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeAlias

from agio.api.sse import data_line, instant
from agio.domain import events as ev
from agio.domain.journal import Entry, unfold
from agio.domain.messages import Content, Message, text_of

Told: TypeAlias = tuple[str, dict[str, Any]]
"""Type and data of one event of theirs."""

NO_REASONING = "The model gave no reasoning before it called a tool."
STEPS_USED_UP = "max_steps"


def frames(entry: Entry, prompt: str, *, after: int = 0, with_ids: bool) -> bytes:
    """Return the frames of what an entry holds behind `after`, each with one line of data.

    Args:
        prompt: what the run was asked.
        with_ids: add `id: <run>/<seq>`, to the last frame of each of our events: a reader that was cut off in
            between gets all of them again.
    """
    parts = []
    for seq, told in translate(entry, prompt):
        if seq > after and told:
            last_id = f"id: {entry.run_id}/{seq}\n".encode() if with_ids else b""
            parts.append(b"\n".join(_frame(one, entry.at) for one in told) + last_id + b"\n")
    return b"".join(parts)


def translate(entry: Entry, prompt: str) -> Iterator[tuple[int, list[Told]]]:
    """Yield `(sequence number, their events)` of each of our events."""
    for seq, event in unfold(entry):
        yield seq, _of_run(event, entry, prompt) or _of_step(event, entry)


def _of_run(event: ev.Event, entry: Entry, prompt: str) -> list[Told]:
    match event:
        case ev.RunStarted():
            about = {"prompt": prompt, "model": event.model}
            return [("run_start", about | {"session_id": event.session_id, "run_id": entry.run_id})]
        case ev.RunCompleted():
            return [_end(event.response)]
        case ev.RunCancelled():
            return [("warning", {"message": f"cancelled by {event.by}"}), _end(None)]
        case ev.RunFailed():
            message = event.error.get("message", "the run failed")
            if event.error.get("code") == STEPS_USED_UP:
                return [("warning", {"message": message}), _end(None)]
            return [("error", {"error": message}), _end(None)]
    return []


def _of_step(event: ev.Event, entry: Entry) -> list[Told]:
    match event:
        case ev.StepStarted():
            return [("step_start", {"step_index": event.step - 1})]
        case ev.MessageCompleted():
            return [told for m in entry.messages if m.id == event.message_id for told in _thoughts(m)]
        case ev.PlanUpdated():
            return [("planning", {"plan": event.plan, "updated_plan": event.revised})]
        case ev.ToolCallStarted():
            return [("tool_call", {"tool_name": event.name, "tool_arguments": _as_object(event.arguments)})]
        case ev.ToolCallCompleted():
            return [("tool_result", {"tool_name": event.name, "tool_result": _parsed(event.result)})]
        case ev.ToolCallFailed():
            return [("tool_result", {"tool_name": event.name, "tool_result": {"error": event.error.get("message")}})]
        case ev.Warned():
            return [("warning", {"message": event.message})]
    return []


def closing(message: str, at: datetime) -> bytes:
    """Return the frames that end a stream whose reader cannot come back for the rest."""
    told = [("warning", {"message": message}), _end(None)]
    return b"".join(_frame(one, at) + b"\n" for one in told)


def _frame(told: Told, at: datetime) -> bytes:
    kind, data = told
    return data_line({"type": kind, "data": data, "timestamp": instant(at)})


def _end(answer: str | None) -> Told:
    return "run_end", {"answer": answer}


def _thoughts(message: Message) -> list[Told]:
    """What a model thought before it answered, or said before it called a tool."""
    said = text_of(message.content).strip() if message.tool_calls else ""
    thought = message.reasoning or said
    if thought:
        return [("reasoning", {"reasoning": thought})]
    return [("warning", {"message": NO_REASONING})] if message.tool_calls else []


def _as_object(arguments: Any) -> dict[str, Any]:
    return arguments if isinstance(arguments, dict) else {"arguments": arguments}


def _parsed(result: Content | None) -> Any:
    """Return what a tool answered; a text that is JSON is read."""
    if not isinstance(result, str):
        return result
    try:
        return json.loads(result)
    except ValueError:
        return result
