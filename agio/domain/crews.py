"""Crews and tasks that people keep, as they wrote them down. What they mean: see `crew`. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

Written: TypeAlias = str | dict[str, Any] | list[Any]
"""A text in YAML, or what such a text says; kept as it was given."""
OnRestart = Literal["resume", "cancel"]
"""What becomes of an execution whose worker died or stopped: another one goes on with it · it is cancelled."""

NAME_WORDS = 4
_SMALL_WORDS = re.compile(
    r"a|an|and|are|as|at|be|by|for|from|how|in|into|is|it|its|of|on|or|that|the|their|then|this|to|using|with|your",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCrew:
    """A crew that may be set to work again and again."""

    id: str
    group_id: str
    name: str
    description: str = ""
    agents_yaml: Written = ""
    tasks_yaml: Written = ""
    agent_ids: tuple[str, ...] = ()
    """Stored agents that belong to it, besides those written down."""
    task_ids: tuple[str, ...] = ()
    """Stored tasks that belong to it, behind those written down."""
    model: str | None = None
    """Of agents that name none."""
    process: Literal["sequential", "hierarchical"] = "sequential"
    verbose: bool = False
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTask:
    """A task that crews may be made of."""

    id: str
    group_id: str
    name: str
    description: str
    expected_output: str = ""
    agent: str | None = None
    """Name or id of the agent that does it."""
    tools: tuple[str, ...] = ()
    """Tools that its agent has for it besides its own."""
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime


def name_of(texts: Iterable[str], fallback: str = "Execution") -> str:
    """Return a short name made from the first text that says something: its first words that mean something."""
    for text in texts:
        words = [word for word in _WORD.findall(text) if not _SMALL_WORDS.fullmatch(word) and not word.isdigit()]
        if words:
            return " ".join(word[:1].upper() + word[1:] for word in words[:NAME_WORDS])[:80]
    return fallback
