"""What the demo model answers: a pure function of the request."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agio.domain.messages import Message, text_of
from agio.providers.base import ModelRequest, ToolCallPart
from agio.providers.demo_arguments import fill_schema
from agio.providers.demo_calls import wanted_calls

NOTICE = "This is Agio's offline demo model, not a real one."

_INSTRUCTION_ID = "instruction"
"""Id that the engine gives to instructions of its own, which stand after the conversation."""

_MAX_COUNT = 2_000
_LONG_SENTENCES = 40
_QUOTE_CHARS = 80

_PLAN = re.compile(r"\bplan\b", re.IGNORECASE)
_ASKS_FOR_PLAN = re.compile(
    r"\b(?:make|write|give|draw up|create|produce|propose|revise|update|return)\b[^.]{0,60}\bplan\b", re.IGNORECASE
)
_COUNT = re.compile(r"\bcount(?:ing)?\b(?:[^.?!]{0,40}?\bto|\D{0,20}?)\s+(\d+)", re.IGNORECASE)
_SLOWLY = re.compile(r"\bslowly\b", re.IGNORECASE)
_LONG = re.compile(r"\blong (?:answer|text|story|reply)\b|\bessay\b|\bin detail\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the demo model."""

    text: str = ""
    reasoning: str = ""
    calls: Sequence[ToolCallPart] = ()
    slow: bool = False
    """Streamed at a fifth of the pace."""


def answer_request(request: ModelRequest) -> Answer:
    """Return the answer; the same for the same request."""
    messages = request.messages
    question_at = _question_at(messages)
    question = text_of(messages[question_at].content).strip() if question_at >= 0 else ""
    schema = _wanted_schema(request)
    if schema is not None:
        return Answer(text=json.dumps(fill_schema(schema, question), ensure_ascii=False))
    if _asks_for_plan(messages):
        return Answer(text=_plan(question))
    turn = messages[question_at + 1 :]
    if request.tools and request.tool_choice != "none":
        rounds = sum(bool(message.tool_calls) for message in turn)
        if calls := wanted_calls(question, request.tools, rounds):
            names = " and ".join(dict.fromkeys(call.name or "" for call in calls))
            return Answer(reasoning=f"The question needs {names}, so I call that first.", calls=calls)
    results = [message for message in turn if message.role == "tool"]
    if results:
        text = " ".join([*(_report(result) for result in results), *_about(messages)])
        return Answer(text=text, reasoning="The tools have answered, so I can sum up.")
    return _plain(question, messages)


def _question_at(messages: Sequence[Message]) -> int:
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user" and messages[at].id != _INSTRUCTION_ID:
            return at
    return -1


def _asks_for_plan(messages: Sequence[Message]) -> bool:
    if not messages:
        return False
    first, last = messages[0], messages[-1]
    if last.role in ("user", "system") and last is not first and _PLAN.search(text_of(last.content)):
        return last.id == _INSTRUCTION_ID or bool(_ASKS_FOR_PLAN.search(text_of(last.content)))
    return first.role == "system" and bool(_ASKS_FOR_PLAN.search(text_of(first.content)))


def _wanted_schema(request: ModelRequest) -> dict[str, object] | None:
    wanted = request.params.get("response_format")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("json_schema"), dict):
        return None
    schema = wanted["json_schema"].get("schema")
    return schema if isinstance(schema, dict) else None


def _plan(question: str) -> str:
    return (
        f"1. Understand the question: {_quote(question)}.\n"
        "2. Call the tools that it needs.\n"
        "3. Sum up the results and answer."
    )


def _plain(question: str, messages: Sequence[Message]) -> Answer:
    slow = bool(_SLOWLY.search(question))
    counted = _COUNT.search(question)
    if counted or slow:
        last = min(int(counted[1]) if counted else 30, _MAX_COUNT)
        body = " ".join(str(number) for number in range(1, last + 1)) + "."
    elif _LONG.search(question):
        body = " ".join(
            f"Sentence {number} of a long answer, there to be paused, resumed, cancelled or forked."
            for number in range(1, _LONG_SENTENCES + 1)
        )
    else:
        body = f"You said {_quote(question)}."
    return Answer(
        text=" ".join([body, *_about(messages)]),
        reasoning="No tool is needed, so I answer at once.",
        slow=slow,
    )


def _about(messages: Sequence[Message]) -> list[str]:
    """Say what the model sees, so that a changed prompt or history shows in the answer."""
    system = next((text_of(message.content) for message in messages if message.role == "system"), "")
    rules = f"My instructions are {_quote(system)}." if system else "I have no instructions."
    plural = "message" if len(messages) == 1 else "messages"
    return [rules, f"I see {len(messages)} {plural}.", NOTICE]


def _report(result: Message) -> str:
    name, text = result.name or "The tool", text_of(result.content).strip()
    if result.error:
        return f"{name} did not succeed ({result.error}): {_quote(text)}."
    if result.name == "calculator":
        return f"The result is {text}."
    if result.name == "current_time":
        return f"The time is {text}."
    return f"{name} says {_quote(text)}."


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line[:_QUOTE_CHARS]}…”" if len(line) > _QUOTE_CHARS else f"“{line}”"
