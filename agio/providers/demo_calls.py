"""Which tools the demo model calls for what the user asked."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agio.providers.base import ToolCallPart, ToolSchema
from agio.providers.demo_arguments import fill_schema, find_url, message_arguments

_WORDS_FOR_OPERATORS = (
    (r"\bdivided by\b|÷", "/"),
    (r"\bmultiplied by\b|\btimes\b|×|(?<=\d)\s*x\s*(?=\d)", "*"),
    (r"\bplus\b", "+"),
    (r"\bminus\b|−", "-"),
    (r"\bto the power of\b|\^", "**"),
)
_NOT_ARITHMETIC = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|https?://\S+|\d+(?:\.\d+){2,}|\d{1,2}:\d{2}")
_EXPRESSION = re.compile(r"\(*\s*-?\d+(?:\.\d+)?\s*\)*(?:\s*(?:\*\*|[-+*/%])\s*\(*\s*-?\d+(?:\.\d+)?\s*\)*)+")
_CALCULATE = re.compile(r"\b(?:calculate|compute|work out)\b[^\d(-]*([-\d(][\d\s.+*/%()-]*)", re.IGNORECASE)
_TIME = re.compile(
    r"\bwhat(?:'s| is)? (?:the )?(?:current )?(?:time|date|day)\b|\bcurrent (?:time|date)\b"
    r"|\btime is it\b|\btoday's date\b|\bdate today\b|\b(?:tell|show|give)(?: me)? the (?:time|date)\b",
    re.IGNORECASE,
)
_GUARDED = re.compile(
    r"\b(?:send|e-?mail|notify|delete|remove|approve|approval|refund|pay|deploy)\b"
    r"|\b(?:mail|message)\s+(?:to|him|her|them|the|my)\b",
    re.IGNORECASE,
)
_SEARCH = re.compile(r"\b(?:search|look up|google|find out)\b(?: (?:for|the web for|about))?\s*(.*)", re.IGNORECASE)
_IN_TURN = re.compile(r"\bthen\b|\bafter that\b|\bone after (?:the other|another)\b|\bin turn\b", re.IGNORECASE)

Wish = tuple[int, ToolSchema, dict[str, Any]]
"""Where in the text it is asked for, the tool, the arguments."""


def wanted_calls(text: str, tools: Sequence[ToolSchema], round_number: int) -> list[ToolCallPart]:
    """Return the calls to make in this round, in the order in which the text asks for them.

    All are made at once in round 0; "first …, then …" makes one per round.
    """
    wishes = _wishes(text, {tool.name: tool for tool in tools})
    if _IN_TURN.search(text):
        wishes = wishes[round_number : round_number + 1]
    elif round_number:
        wishes = []
    return [
        ToolCallPart(
            index,
            f"call_demo_{round_number}_{index}",
            tool.name,
            _arguments(tool, text, arguments),
        )
        for index, (_, tool, arguments) in enumerate(wishes)
    ]


def find_expressions(text: str) -> list[tuple[int, str]]:
    """Return every arithmetic expression in the text with its position."""
    plain = _NOT_ARITHMETIC.sub(lambda found: " " * len(found[0]), text)
    for words, operator in _WORDS_FOR_OPERATORS:
        plain = re.sub(words, operator, plain, flags=re.IGNORECASE)
    found = [(match.start(), _balanced(match[0])) for match in _EXPRESSION.finditer(plain)]
    if not found and (asked := _CALCULATE.search(plain)):
        found = [(asked.start(), _balanced(asked[1].strip(" .")))]
    return [(at, expression) for at, expression in found if expression]


def _arguments(tool: ToolSchema, text: str, known: Mapping[str, Any]) -> str:
    schema = {**tool.parameters, "type": "object"}
    return json.dumps(fill_schema(schema, text, known), ensure_ascii=False)


def _wishes(text: str, tools: Mapping[str, ToolSchema]) -> list[Wish]:
    found: list[Wish] = []
    for name, look in _BUILTIN.items():
        if tool := tools.get(name):
            found += [(at, tool, arguments) for at, arguments in look(text)]
    for name, tool in tools.items():
        spoken = name.replace("_", " ")
        named = re.search(rf"\b(?:{re.escape(name)}|{re.escape(spoken)})\b", text, re.IGNORECASE)
        if named and not any(wish[1] is tool for wish in found):
            found.append((named.start(), tool, {}))
    return sorted(found, key=lambda wish: wish[0])


def _calculations(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, expression in find_expressions(text):
        yield at, {"expression": expression}


def _times(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if asked := _TIME.search(text):
        yield asked.start(), {}


def _messages(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if asked := _GUARDED.search(text):
        yield asked.start(), message_arguments(text)


def _pages(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if url := find_url(text):
        yield text.index(url), {"url": url}


def _searches(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if asked := _SEARCH.search(text):
        yield asked.start(), {"query": asked[1].strip(" .?!") or text}


_BUILTIN: dict[str, Callable[[str], Iterator[tuple[int, dict[str, Any]]]]] = {
    "calculator": _calculations,
    "current_time": _times,
    "send_message": _messages,
    "http_get": _pages,
    "web_search": _searches,
}
"""Tools that the demo knows the use of, by name; others are called when the text names them."""


def _balanced(expression: str) -> str:
    """Drop brackets that belong to the sentence around the expression."""
    expression = " ".join(expression.split())
    while expression.count("(") > expression.count(")") and expression.startswith("("):
        expression = expression[1:].strip()
    while expression.count(")") > expression.count("(") and expression.endswith(")"):
        expression = expression[:-1].strip()
    return expression if expression.count("(") == expression.count(")") else ""
