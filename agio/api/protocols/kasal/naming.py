"""What a model is asked for that shall name an execution (seed item S39). Pure."""

import json
from typing import Any

from agio.domain.crews import Written
from agio.domain.errors import Invalid
from agio.engine.generating import Wish

MAX_CHARS = 60
SHOWN_CHARS = 8000
"""Of each text: a name needs no more."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": MAX_CHARS}},
    "required": ["name"],
    "additionalProperties": False,
}


def name_wish(agents: Written, tasks: Written) -> Wish[str]:
    """Return the wish for a name of two to four words."""
    shown = [text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in (agents, tasks)]
    return Wish(
        name="run_name",
        system="You name what a crew of agents does, in two to four words, without quotes or a full stop.",
        question="Agents:\n{}\n\nTasks:\n{}".format(*(text[:SHOWN_CHARS] for text in shown)),
        schema=_SCHEMA,
        parse=_parse,
    )


def _parse(answer: dict[str, Any]) -> str:
    given = answer.get("name")
    name = " ".join(given.split()) if isinstance(given, str) else ""
    if not 0 < len(name) <= MAX_CHARS:
        raise Invalid(f"'name' must be a text of 1 to {MAX_CHARS} characters")
    return name
