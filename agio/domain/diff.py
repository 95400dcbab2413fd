"""What differs between two checkpoints. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agio.domain.agents import AgentSnapshot
from agio.domain.checkpoints import Checkpoint
from agio.domain.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageChange:
    """A message that both have at one position, with different content."""

    position: int
    before: Message
    after: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A value that differs."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a checkpoint stands for."""

    checkpoint: Checkpoint
    messages: Sequence[Message]
    snapshot: AgentSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What turns one state into the other."""

    common: int
    """How many leading messages are equal."""
    added: list[Message] = field(default_factory=list)
    removed: list[Message] = field(default_factory=list)
    changed: list[MessageChange] = field(default_factory=list)
    configuration: list[FieldChange] = field(default_factory=list)
    metrics: list[FieldChange] = field(default_factory=list)
    state: list[FieldChange] = field(default_factory=list)


def diff_states(before: State, after: State) -> Diff:
    """Return what was added, removed and changed on the way from `before` to `after`."""
    common = 0
    for left, right in zip(before.messages, after.messages, strict=False):
        if not _same(left, right):
            break
        common += 1
    changed: list[MessageChange] = []
    left_rest, right_rest = list(before.messages[common:]), list(after.messages[common:])
    removed: list[Message] = []
    added: list[Message] = []
    for offset in range(max(len(left_rest), len(right_rest))):
        left_one = left_rest[offset] if offset < len(left_rest) else None
        right_one = right_rest[offset] if offset < len(right_rest) else None
        if left_one and right_one and _same(left_one, right_one):
            continue
        if left_one and right_one and left_one.role == right_one.role:
            changed.append(MessageChange(position=common + offset, before=left_one, after=right_one))
            continue
        if left_one:
            removed.append(left_one)
        if right_one:
            added.append(right_one)
    return Diff(
        common=common,
        added=added,
        removed=removed,
        changed=changed,
        configuration=_fields(asdict(before.snapshot), asdict(after.snapshot)),
        metrics=_fields(asdict(before.checkpoint.metrics), asdict(after.checkpoint.metrics)),
        state=_fields(
            {"step": before.checkpoint.step, "plan": before.checkpoint.plan},
            {"step": after.checkpoint.step, "plan": after.checkpoint.plan},
        ),
    )


def _same(left: Message, right: Message) -> bool:
    return (left.role, left.content, left.tool_calls, left.tool_call_id) == (
        right.role,
        right.content,
        right.tool_calls,
        right.tool_call_id,
    )


def _fields(before: dict[str, Any], after: dict[str, Any]) -> list[FieldChange]:
    return [
        FieldChange(field=key, before=before.get(key), after=after.get(key))
        for key in before | after
        if before.get(key) != after.get(key)
    ]
