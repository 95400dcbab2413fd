"""Branches: lines of conversation that share their past with their parents.

A branch is a pointer: it holds its own messages from `fork_position` on and takes everything before
from its parent. A position is the index of a message, counted from the very start of the
conversation, so it means the same on a branch and on its ancestors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agio.domain.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEdit:
    """A message of the shared past as a branch wants to see it."""

    position: int
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One line of conversation."""

    id: str
    group_id: str
    session_id: str
    parent_id: str | None = None
    fork_position: int = 0
    """How many messages it takes from its parent."""
    edits: tuple[MessageEdit, ...] = ()
    """Replacements for messages before `fork_position`; the parent keeps its own."""
    kind: Literal["root", "restore", "fork", "retry", "busy", "task"] = "root"
    """A session that expired goes on with another root. `task`: a child run's own, which begins empty."""
    from_checkpoint_id: str | None = None
    name: str | None = None
    created_by: str = "anonymous"
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Messages `start` (inclusive) to `end` (exclusive) that are stored on `branch_id`."""

    branch_id: str
    start: int
    end: int | None
    """None: to the branch's head."""


def lineage_segments(lineage: Sequence[Branch], end: int | None = None, *, start: int = 0) -> list[Segment]:
    """Return where the messages of a branch are stored, oldest first.

    Args:
        lineage: the branch, its parent, its grandparent, … up to the root.
        end: only messages before this position; None: all.
        start: only messages from this position on.
    """
    segments: list[Segment] = []
    limit = end
    for branch in lineage:
        if limit is None or limit > branch.fork_position:
            begin = max(branch.fork_position, start)
            if limit is None or begin < limit:
                segments.append(Segment(branch_id=branch.id, start=begin, end=limit))
            limit = branch.fork_position
    return list(reversed(segments))


def lineage_edits(lineage: Sequence[Branch], end: int | None = None) -> Mapping[int, Message]:
    """Return the edited messages by position; a branch's edit wins over its ancestors'.

    An ancestor's edit beyond the point where its child left it does not count.
    """
    edits: dict[int, Message] = {}
    limit = end
    for branch in lineage:
        for edit in branch.edits:
            if limit is None or edit.position < limit:
                edits.setdefault(edit.position, edit.message)
        limit = branch.fork_position if limit is None else min(limit, branch.fork_position)
    return edits
