"""Journal entries to Firefly's stream: texts, then the end. Pure."""

from typing import Any

from agio.api.speech import Speech
from agio.api.sse import data_line
from agio.domain import events as ev
from agio.domain.journal import Entry
from agio.domain.runs import Run

DONE = b"data: [DONE]\n\n"
"""Not JSON: clients compare it before they parse."""
CANCELLED = "the run was cancelled"


def failure_of(end: ev.Event) -> str | None:
    """Return why there is no answer; None: there is one."""
    match end:
        case ev.RunFailed():
            return str(end.error.get("message", "the run failed"))
        case ev.RunCancelled():
            return CANCELLED
    return None


def frames(entry: Entry, speech: Speech) -> bytes:
    """Return an entry's frames."""
    made = [data_line({"text": text}) + b"\n" for text in speech.take(entry)]
    end = entry.events[-1]
    if isinstance(end, ev.RunFailed):
        made.append(data_line({"error": failure_of(end)}) + b"\n")
    if isinstance(end, ev.TERMINAL_EVENTS):
        made.append(DONE)
    return b"".join(made)


def closing(message: str) -> bytes:
    """Return the frames that end a stream before its run ended."""
    return data_line({"error": message}) + b"\n" + DONE


def facts_of(run: Run, end: ev.RunCompleted | ev.RunFailed | ev.RunCancelled) -> dict[str, Any]:
    """Return the metadata of an answer."""
    spent = end.metrics
    usage = {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.total_tokens,
        "cost": spent.cost,
    }
    about = {"run_id": run.id, "conversation_id": run.session_id}
    return about | {"usage": usage, "steps": spent.steps, "duration_ms": spent.duration_ms}
