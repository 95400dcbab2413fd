"""Prompt templates: texts with variables in braces. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agio.domain.errors import Invalid

_PIECE = re.compile(r"\{\{\w*\}\}|\{([A-Za-z_]\w*)\}", re.ASCII)
"""A name in doubled braces, which is text, or a variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A prompt with gaps."""

    id: str
    group_id: str
    name: str
    """Unique in the group."""
    text: str
    """`{name}` stands for the variable of that name; other braces are text."""
    variables: tuple[str, ...]
    """Those of the text, in the order of their first appearance or as they were given."""
    description: str = ""
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime


def find_variables(text: str) -> tuple[str, ...]:
    """Return the names in braces, each once, in order. Doubled braces, and those around anything else, are text."""
    return tuple(dict.fromkeys(name for name in _PIECE.findall(text) if name))


def check_variables(text: str, given: Iterable[str] | None) -> tuple[str, ...]:
    """Return the variables of a text as they were given; None: as they stand in it.

    Raises:
        Invalid: they are not those in the text's braces; names the field.
    """
    found = find_variables(text)
    if given is None:
        return found
    named = tuple(given)
    if len(set(named)) != len(named):
        raise Invalid("a variable is named twice", field="variables")
    if absent := [name for name in found if name not in named]:
        raise Invalid(f"the text has {{{absent[0]}}}, which is not among the variables", field="variables")
    if unused := [name for name in named if name not in found]:
        raise Invalid(f"the variable {unused[0]!r} does not stand in the text", field="variables")
    return named


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its variables filled in; unknown ones stay."""
    return _PIECE.sub(lambda found: values.get(found[1] or "", found[0]), text)
