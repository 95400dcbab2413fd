"""Events of an execution as lines of its log. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from agio.domain.messages import text_of
from agio.domain.workflow import Place

MAX_CHARS = 2000
"""Of one line's message."""

Event = Mapping[str, Any]
"""An event as it stands on the native wire."""


def line_of(event: Event, place: Place | None) -> dict[str, Any] | None:
    """Return `{timestamp, level, message, step?, task_id?}`; None: the log does not tell of it.

    `place`: of the event's run; None: it is the execution itself.
    """
    said = _SAID.get(event["type"])
    if place is None and event["type"] in _OF_EXECUTION:
        said = _OF_EXECUTION[event["type"]]
    found = said(event) if said is not None else None
    if found is None:
        return None
    level, message = found
    line = {"timestamp": event["at"], "level": level, "message": _short(message)}
    if event.get("step"):
        line["step"] = event["step"]
    task_id = event.get("task_id") or (place.task_id if place is not None else None)
    return line if task_id is None else {**line, "task_id": task_id}


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}…"


Said = Callable[[Event], tuple[str, str] | None]
"""Level and message."""


def _error(event: Event) -> str:
    return str((event.get("error") or {}).get("message", "no reason given"))


def _because(event: Event) -> str:
    return f": {event['reason']}" if event.get("reason") else ""


def _answer(event: Event) -> tuple[str, str] | None:
    text = text_of(event.get("content") or "").strip()
    return ("INFO", text) if event.get("role") == "assistant" and text else None


def _prepared(event: Event) -> tuple[str, str] | None:
    is_first = event.get("parent_checkpoint_id") is None and event["step"] == 0
    return ("INFO", "PREPARING: the crew is put together") if is_first else None


def _waits(event: Event) -> tuple[str, str] | None:
    return None if event["reason"] == "children" else ("WARNING", f"waits for a person: {event['reason']}")


_SAID: dict[str, Said] = {
    "task_started": lambda e: ("INFO", f"RUNNING: task {e['name'] or e['task_id']} begins"),
    "task_completed": lambda e: ("INFO", f"task {e['name'] or e['task_id']} completed in {e['duration_ms']} ms"),
    "task_failed": lambda e: ("ERROR", f"task {e['name'] or e['task_id']} failed: {_error(e)}"),
    "step_started": lambda e: ("DEBUG", f"step {e['step']} begins"),
    "step_completed": lambda e: ("DEBUG", f"step {e['step']} completed in {e['duration_ms']} ms"),
    "message_completed": _answer,
    "plan_updated": lambda e: ("INFO", f"plan: {e['plan']}"),
    "tool_call_started": lambda e: ("INFO", f"calls the tool {e['name']}"),
    "tool_call_completed": lambda e: ("INFO", f"the tool {e['name']} answered in {e['duration_ms']} ms"),
    "tool_call_failed": lambda e: ("ERROR", f"the tool {e['name']} failed: {_error(e)}"),
    "approval_required": lambda e: ("WARNING", f"the tool {e['name']} needs an approval: {e['reason']}"),
    "approval_resolved": lambda e: ("INFO", f"{e['by']} decided: {e['decision']}"),
    "run_pause_requested": lambda e: ("INFO", f"{e['by']} asked for a pause"),
    "run_paused": lambda e: ("INFO", f"paused by {e['by']}"),
    "run_resumed": lambda e: ("INFO", f"resumed by {e['by']}"),
    "run_waiting": _waits,
    "run_interrupted": lambda e: ("ERROR", f"its workers died {e['claims']} times without progress"),
    "run_recovered": lambda e: ("WARNING", f"another worker goes on with it ({e['reason']})"),
    "run_restored": lambda e: ("INFO", f"attempt {e['attempt']} begins, asked for by {e['by']}"),
    "warning": lambda e: ("WARNING", e["message"]),
}
_OF_EXECUTION: dict[str, Said] = {
    "run_started": lambda e: ("INFO", "PENDING: the execution is accepted"),
    "checkpoint_created": _prepared,
    "message_completed": lambda e: None,
    "step_started": lambda e: None,
    "step_completed": lambda e: None,
    "run_completed": lambda e: ("INFO", "COMPLETED"),
    "run_failed": lambda e: ("ERROR", f"FAILED: {_error(e)}"),
    "run_cancelled": lambda e: ("WARNING", f"CANCELLED by {e['by']}{_because(e)}"),
}
"""What only the execution itself is told of, in place of the above."""
