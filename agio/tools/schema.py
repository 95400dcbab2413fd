"""Checks a tool's arguments against its JSON Schema, for tools that do not validate by themselves.

Knows the keywords that describe arguments and ignores the rest: a full validator would follow `$ref` to the network
and run a stranger's `pattern` on our event loop.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agio.domain.errors import ToolError

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every provider accepts as the name of a function."""

_MAX_PROBLEMS = 10


def check_arguments(parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise `ToolError` (`invalid_arguments`) when the arguments break the schema.

    Arguments that the schema does not name are refused unless it sets `additionalProperties`.
    """
    schema = dict(parameters)
    if schema.get("properties"):
        schema.setdefault("additionalProperties", False)
    problems = []
    for problem in _find_problems(arguments, schema, ""):
        problems.append(problem)
        if len(problems) == _MAX_PROBLEMS:
            break
    if problems:
        raise ToolError(" ".join(problems), code="invalid_arguments")


def _find_problems(value: Any, schema: Any, path: str) -> Iterator[str]:
    if schema is False:
        yield f"{_named(path)} is not allowed."
    if not isinstance(schema, Mapping):
        return
    if not _has_type(value, schema.get("type")):
        yield f"{_named(path)} must be of type {_type_text(schema['type'])}."
        return
    yield from _find_choice_problems(value, schema, path)
    if isinstance(value, Mapping):
        yield from _find_object_problems(value, schema, path)
    elif isinstance(value, list):
        yield from _find_array_problems(value, schema, path)
    yield from _find_range_problems(value, schema, path)


def _find_choice_problems(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(choices, list) and not any(_equal(value, choice) for choice in choices):
        yield f"{_named(path)} must be one of {choices!r}."
    for keyword in ("anyOf", "oneOf"):
        options = schema.get(keyword)
        if isinstance(options, list) and all(any(_find_problems(value, one, path)) for one in options):
            yield f"{_named(path)} fits none of the allowed forms."


def _find_object_problems(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    known = schema.get("properties")
    properties: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str) and name not in value:
            yield f"{_named(_join(path, name))} is missing."
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            yield from _find_problems(item, properties[name], _join(path, name))
        elif others is False:
            yield f"{_named(_join(path, name))} is unknown; known are: {', '.join(properties)}."
        else:
            yield from _find_problems(item, others, _join(path, name))


def _find_array_problems(value: list[Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for index, item in enumerate(value):
        yield from _find_problems(item, schema.get("items"), f"{path}[{index}]")


_RANGES: tuple[tuple[str, type | tuple[type, ...], Callable[[Any, Any], bool], str], ...] = (
    ("minimum", (int, float), lambda value, bound: value >= bound, "at least {}"),
    ("maximum", (int, float), lambda value, bound: value <= bound, "at most {}"),
    ("exclusiveMinimum", (int, float), lambda value, bound: value > bound, "more than {}"),
    ("exclusiveMaximum", (int, float), lambda value, bound: value < bound, "less than {}"),
    ("minLength", str, lambda value, bound: len(value) >= bound, "at least {} characters long"),
    ("maxLength", str, lambda value, bound: len(value) <= bound, "at most {} characters long"),
    ("minItems", list, lambda value, bound: len(value) >= bound, "a list of at least {}"),
    ("maxItems", list, lambda value, bound: len(value) <= bound, "a list of at most {}"),
)


def _find_range_problems(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, bool):
        return
    for keyword, kind, holds, text in _RANGES:
        bound = schema.get(keyword)
        if _is_number(bound) and isinstance(value, kind) and not holds(value, bound):
            yield f"{_named(path)} must be {text.format(bound)}."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == value // 1,
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}


def _has_type(value: Any, wanted: Any) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    return any(not isinstance(name, str) or name not in _TYPES or _TYPES[name](value) for name in names)


def _type_text(wanted: Any) -> str:
    return " or ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)


def _equal(value: Any, choice: Any) -> bool:
    """Compare as JSON does, where `true` is not `1`."""
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _named(path: str) -> str:
    return f"Argument {path!r}" if path else "The arguments"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
