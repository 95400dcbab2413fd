"""Hypothesis strategies for what a journal may hold: any text but lone surrogates and NUL, any JSON."""

import types
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agio.domain.checkpoints import CheckpointKind
from agio.domain.events import EVENT_TYPES, Deltas, Event, MessageCompleted, ToolCallCompleted
from agio.domain.journal import calls_as_wire
from agio.domain.messages import Content, Message, ToolCall

__all__ = ["Draft", "drafts", "events", "instants", "json_values", "messages", "of_type", "texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What goes into one entry."""

    events: tuple[Event, ...]
    messages: tuple[Message, ...] = ()
    kind: CheckpointKind | None = None
    """None: there is no checkpoint."""
    about: dict[str, Any] = field(default_factory=dict)
    """Further fields of the checkpoint."""


@cache
def texts(*, min_size: int = 0, max_size: int = 40) -> SearchStrategy[str]:
    """Return text with what breaks naive formats: line separators, quotes, escapes, emoji, null bytes' kin."""
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
    awkward = st.sampled_from(
        [
            "\u2028",
            "\u2029",
            "\r\n",
            "data: ",
            "\\u0000",
            "@",
            '"',
            "'",
            "\\",
            "🏳️‍🌈",
            "e\u0301",
            "\ufeff",
            "\x7f",
            "$",
            ".",
        ]
    )
    pieces = st.lists(st.one_of(st.text(letters, max_size=10), awkward), max_size=4).map("".join)
    return pieces.map(lambda text: text[:max_size]).filter(lambda text: len(text) >= min_size)


@cache
def json_values() -> SearchStrategy[Any]:
    """Return whatever JSON can say, integers within 64 bits."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        texts(),
    )
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3), max_leaves=6
    )


@cache
def instants() -> SearchStrategy[datetime]:
    """Return instants in UTC, with microseconds."""
    return st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked


@cache
def contents() -> SearchStrategy[Content]:
    """Return a message's content in both its forms."""
    part = st.one_of(
        texts().map(lambda text: {"type": "text", "text": text}),
        st.dictionaries(texts(), json_values(), max_size=3),
    )
    return st.one_of(texts(), st.lists(part, max_size=3))


@cache
def of_type(hint: Any) -> SearchStrategy[Any]:
    """Return values of a field's type, as far as the domain's dataclasses go."""
    if hint == Content:
        return contents()
    known: dict[Any, SearchStrategy[Any]] = {
        Any: json_values(),
        str: texts(),
        int: st.integers(0, 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        datetime: instants(),
        types.NoneType: st.none(),
    }
    if hint in known:
        return known[hint]
    if is_dataclass(hint):
        return _instances(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if origin is list:
        return st.lists(of_type(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=3)
    raise TypeError(f"no strategy for {hint!r}")


def _union(members: tuple[Any, ...]) -> SearchStrategy[Any]:
    """Return values of a union; the two members that make `Content` belong together."""
    if set(get_args(Content)) <= set(members):
        rest = [member for member in members if member not in get_args(Content)]
        return st.one_of(contents(), *(of_type(member) for member in rest))
    return st.one_of(*(of_type(member) for member in members))


def _instances(cls: Any, **given: SearchStrategy[Any]) -> SearchStrategy[Any]:
    hints = get_type_hints(cls)
    chosen = {f.name: given[f.name] if f.name in given else of_type(hints[f.name]) for f in fields(cls)}
    return st.builds(cls, **chosen)


@cache
def events(kind: str) -> SearchStrategy[Event]:
    """Return events of one type of `EVENT_TYPES`."""
    if kind != Deltas.type:
        return _instances(EVENT_TYPES[kind])
    plain = _instances(Deltas, contents=st.lists(texts(), min_size=1, max_size=5).map(tuple), sizes=st.none())
    return st.one_of(plain, plain.map(_joined))


def _joined(deltas: Deltas) -> Deltas:
    """Return them as compaction leaves them."""
    return replace(deltas, contents=("".join(deltas.contents),), sizes=tuple(map(len, deltas.contents)))


@cache
def messages() -> SearchStrategy[tuple[Message, ...]]:
    """Return messages as one entry may hold them: no id and no tool call twice."""

    def build(made: list[Message]) -> tuple[Message, ...]:
        return tuple(_with_ids(message, i) for i, message in enumerate(made))

    return st.lists(_instances(Message), max_size=3).map(build)


def _with_ids(message: Message, number: int) -> Message:
    given = {f.name: getattr(message, f.name) for f in fields(message)}
    calls = tuple(
        ToolCall(id=f"own-{number}-{i}", name=c.name, arguments=c.arguments) for i, c in enumerate(message.tool_calls)
    )
    answered = f"own-call-{number}" if message.tool_call_id is not None else None
    return Message(**given | {"id": f"own-{number}", "tool_calls": calls, "tool_call_id": answered})


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """Return entries: any events, messages with and without the event that announces them, checkpoints."""
    kinds = st.one_of(*map(events, EVENT_TYPES))
    made = draw(messages())
    written = draw(st.lists(kinds, min_size=0 if made else 1, max_size=4))
    for message in made:
        written += draw(_announcement(message))
    kinds_of_checkpoint: tuple[CheckpointKind | None, ...] = (None, *get_args(CheckpointKind))
    kind = draw(st.sampled_from(kinds_of_checkpoint))
    about: dict[str, Any] = {"label": draw(st.none() | texts()), "tags": draw(st.lists(texts(), max_size=2).map(tuple))}
    about |= {"plan": draw(st.none() | texts())}
    return Draft(
        events=tuple(written or [draw(kinds)]), messages=made, kind=kind, about=about if kind is not None else {}
    )


def _announcement(message: Message) -> SearchStrategy[list[Event]]:
    """Return the event that says that the message is whole, or nothing."""
    whole: Event = MessageCompleted(
        step=1,
        message_id=message.id,
        role=message.role,
        content=message.content,
        tool_calls=calls_as_wire(message),
    )
    options: list[list[Event]] = [[], [whole]]
    if message.tool_call_id is not None:
        options.append(
            [
                ToolCallCompleted(
                    step=1, tool_call_id=message.tool_call_id, name="t", duration_ms=1, result=message.content
                )
            ]
        )
    return st.sampled_from(options)
