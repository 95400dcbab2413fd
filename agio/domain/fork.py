"""Fork plans: what a restore or fork reuses, changes and will run again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agio.domain.agents import AgentSnapshot
from agio.domain.branches import MessageEdit
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import Invalid
from agio.domain.ids import new_id
from agio.domain.messages import Content, Message, open_tool_calls

AGENT_KEYS = frozenset({"system_prompt", "model", "provider", "temperature", "max_tokens", "tools", "max_steps"})
"""Modifications that replace a field of the agent snapshot."""

MODIFICATION_KEYS = AGENT_KEYS | {"modified_query", "modified_messages", "tool_results", "metadata"}
"""All modifications."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkPlan:
    """What the new run starts from."""

    fork_position: int
    """How many messages are taken over."""
    edits: tuple[MessageEdit, ...] = ()
    """Replacements among them."""
    query: Content | None = None
    """A user message to add behind them."""
    snapshot: AgentSnapshot
    base_step: int
    """The step that the new run continues from."""
    tool_results: dict[str, Content] = field(default_factory=dict)
    """Results for calls that are still open at the fork position."""
    metadata: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0
    """Messages of the checkpoint that the new branch leaves out."""


def plan_fork(
    checkpoint: Checkpoint,
    messages: Sequence[Message],
    snapshot: AgentSnapshot,
    modifications: Mapping[str, Any],
    *,
    offset: int = 0,
) -> ForkPlan:
    """Return the plan for continuing from `checkpoint` with `modifications`.

    Args:
        checkpoint: where to start.
        messages: the conversation up to it, from position `offset` on.
        offset: 0 where messages or tool results are modified. Otherwise the messages must reach back
            to the last user message if there is a `modified_query`, else to the last message.
        snapshot: the agent as it was there.
        modifications: see `MODIFICATION_KEYS`; values have been checked for type.

    Raises:
        Invalid: an unknown key, an edit of a message that is not there, or a tool result for a
            call that is not there.
    """
    unknown = sorted(set(modifications) - MODIFICATION_KEYS)
    if unknown:
        raise Invalid(f"unknown modification {unknown[0]!r}", field=f"modifications.{unknown[0]}")
    kept, edits = _edit(messages, modifications.get("modified_messages"))
    given = dict(modifications.get("tool_results") or {})
    edits, given = _edit_results(kept, edits, given)
    query = modifications.get("modified_query")
    base_step = checkpoint.step
    if query is not None:
        position = offset + _last_user(kept)
        base_step = 0
    else:
        position = offset + len(kept)
        last = kept[-1] if kept else None
        if last is not None and last.role == "assistant" and not last.tool_calls and not last.is_question:
            position -= 1
            base_step = max(0, checkpoint.step - 1)
    _refuse_leftovers(given, list(kept[: position - offset]))
    latest = {edit.position: edit for edit in edits if edit.position < position}
    return ForkPlan(
        fork_position=position,
        edits=tuple(latest.values()),
        query=query,
        snapshot=_modify(snapshot, modifications),
        base_step=base_step,
        tool_results=given,
        metadata=dict(modifications.get("metadata") or {}),
        dropped=max(0, checkpoint.position - position),
    )


def _edit(
    messages: Sequence[Message], wanted: Sequence[Mapping[str, Any]] | None
) -> tuple[list[Message], list[MessageEdit]]:
    kept, edits = list(messages), []
    if not wanted:
        return kept, []
    if all("role" in item for item in wanted):
        return _replace_all(messages, wanted)
    for number, item in enumerate(wanted):
        position = _find(kept, item, f"modifications.modified_messages.{number}")
        kept[position] = replace(kept[position], content=item["content"])
        edits.append(MessageEdit(position=position, message=kept[position]))
    return kept, edits


def _replace_all(
    messages: Sequence[Message], wanted: Sequence[Mapping[str, Any]]
) -> tuple[list[Message], list[MessageEdit]]:
    if len(wanted) > len(messages):
        raise Invalid(
            f"a full list may not be longer than the checkpoint's {len(messages)} messages; "
            "use modified_query to add one",
            field="modifications.modified_messages",
        )
    kept, edits = [], []
    for position, item in enumerate(wanted):
        old = messages[position]
        message = (
            replace(old, content=item["content"])
            if old.role == item["role"]
            else Message(id=new_id(), role=item["role"], content=item["content"])
        )
        if message != old:
            edits.append(MessageEdit(position=position, message=message))
        kept.append(message)
    return kept, edits


def _find(messages: Sequence[Message], item: Mapping[str, Any], where: str) -> int:
    if "message_id" in item:
        for position, message in enumerate(messages):
            if message.id == item["message_id"]:
                return position
        raise Invalid(f"no message {item['message_id']!r} at this checkpoint", field=where)
    index = item.get("index")
    if not isinstance(index, int) or not -len(messages) <= index < len(messages):
        raise Invalid(f"there is no message {index!r}; the checkpoint has {len(messages)}", field=where)
    return index % len(messages)


def _edit_results(
    kept: list[Message], edits: list[MessageEdit], given: dict[str, Content]
) -> tuple[list[MessageEdit], dict[str, Content]]:
    """Turn results for calls that are answered already into edits; return the rest."""
    rest = dict(given)
    for position, message in enumerate(kept):
        if message.role == "tool" and message.tool_call_id in rest:
            kept[position] = replace(message, content=rest.pop(message.tool_call_id), error=None)
            edits = [*edits, MessageEdit(position=position, message=kept[position])]
    return edits, rest


def _refuse_leftovers(given: Mapping[str, Content], kept: list[Message]) -> None:
    still_open = {call.id for call in open_tool_calls(kept)}
    for call_id in given:
        if call_id not in still_open:
            raise Invalid(f"no tool call {call_id!r} at this checkpoint", field=f"modifications.tool_results.{call_id}")


def _last_user(messages: Sequence[Message]) -> int:
    for position in range(len(messages) - 1, -1, -1):
        if messages[position].role == "user":
            return position
    return len(messages)


def _modify(snapshot: AgentSnapshot, modifications: Mapping[str, Any]) -> AgentSnapshot:
    changes = {key: value for key, value in modifications.items() if key in AGENT_KEYS}
    if "tools" in changes:
        changes["tools"] = tuple(changes["tools"])
    if changes.get("provider", snapshot.provider) != snapshot.provider:
        changes["api_key_name"] = None  # it was the other one's
    return replace(snapshot, **changes)
