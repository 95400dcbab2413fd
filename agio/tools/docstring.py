"""Reads what a model should know of a function from its Google-style docstring."""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(
    r"(Args|Arguments|Parameters|Attributes|Returns?|Yields?|Raises|Examples?|Notes?|References|See Also|Todo"
    r"|Warnings?|Warns):\s*"
)
_ARGUMENT_SECTIONS = frozenset({"Args", "Arguments", "Parameters"})
_ARGUMENT = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """The two parts that a model reads."""

    description: str = ""
    """Everything before the first section."""
    arguments: dict[str, str] = field(default_factory=dict)
    """Name of an argument to its description, on one line."""


def parse_docstring(text: str | None) -> Docstring:
    """Split a docstring; what is not in its form is left out, never an error."""
    if not text:
        return Docstring()
    description: list[str] = []
    arguments: list[str] = []
    section: str | None = None
    for line in inspect.cleandoc(text).splitlines():
        if heading := _SECTION.fullmatch(line):
            section = heading[1]
        elif section is None:
            description.append(line)
        elif section in _ARGUMENT_SECTIONS:
            arguments.append(line)
    return Docstring(description="\n".join(description).strip(), arguments=_parse_arguments(arguments))


def _parse_arguments(lines: list[str]) -> dict[str, str]:
    """Read `name (type): text` entries; a line indented deeper than its entry continues it."""
    found: dict[str, list[str]] = {}
    indent: int | None = None
    name: str | None = None
    for line in filter(str.strip, lines):
        depth = len(line) - len(line.lstrip())
        indent = depth if indent is None else indent
        entry = _ARGUMENT.fullmatch(line.strip()) if depth <= indent else None
        if entry:
            name = entry["name"]
            found[name] = [entry["text"]]
        elif name is not None:
            found[name].append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in found.items()}
