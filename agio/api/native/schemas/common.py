"""Shapes that several resources share."""

import math
import re
from datetime import UTC, datetime
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from fastapi import Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from agio.api.sse import instant
from agio.domain import ids

T = TypeVar("T")

Instant = Annotated[
    datetime,
    PlainSerializer(instant, return_type=str),
    Field(description="ISO 8601, UTC.", examples=["2026-11-21T12:00:00.000Z"]),
]
"""An instant as it stands on the wire."""

Limit = Annotated[int, Query(ge=1, le=100, description="How many rows at most.")]
Offset = Annotated[int, Query(ge=0, le=2**31, description="How many rows to pass over.")]

MAX_MESSAGE_CHARS = 1_000_000
SESSION_ID = f"^{ids.SESSION_ID}$"
"""Pattern of the ids that sessions may have."""


MAX_DEPTH = 64
"""How deep values of free form may be nested."""


def check_json(value: Any, depth: int = 0) -> Any:
    """Refuse what no JSON document can hold, so that it fails here and not in a store or an answer."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    match value:
        case str():
            _check_text(value)
        case float():
            if not math.isfinite(value):
                raise ValueError("NaN, Infinity and numbers beyond 1.8e308 are no JSON numbers")
        case list():
            for item in value:
                check_json(item, depth + 1)
        case dict():
            for name, item in value.items():
                _check_text(name)
                check_json(item, depth + 1)
    return value


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("text holds half of a surrogate pair") from None


JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]
"""An object of free form."""


class Body(BaseModel):
    """A request body: unknown members and what JSON or UTF-8 cannot say are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _sayable(cls, given: Any) -> Any:
        check_json(given)
        if not isinstance(given, dict):
            return given
        return {name: int(value) if cls._is_whole(name, value) else value for name, value in given.items()}

    @classmethod
    def _is_whole(cls, name: str, value: Any) -> bool:
        """Say whether this is `4.0` where a whole number is wanted: to JSON Schema that is one."""
        if not isinstance(value, float) or not value.is_integer():
            return False
        field = cls.model_fields.get(name)
        return field is not None and _takes_int(field.annotation)


def _takes_int(annotation: Any) -> bool:
    """Say whether whole numbers are among what a field takes, whatever their bounds."""
    if get_origin(annotation) is Annotated or isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return any(_takes_int(inner) for inner in get_args(annotation))
    return annotation is int


class View(BaseModel):
    """An answer."""

    model_config = ConfigDict(from_attributes=True)


class ListOf(BaseModel, Generic[T]):
    """A stretch of a list."""

    items: list[T]
    total: int = Field(description="How many there are in all.")
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None = Field(default=None, description="Hands on to the next page, where the list takes one.")


def listed(items: list[T], total: int, limit: int, offset: int, next_cursor: str | None = None) -> ListOf[T]:
    """Wrap rows in the list envelope."""
    more = next_cursor is not None or offset + len(items) < total
    return ListOf(items=items, total=total, limit=limit, offset=offset, has_more=more, next_cursor=next_cursor)


def _iso(given: Any) -> Any:
    if isinstance(given, str) and _DATE.match(given) is None:
        raise ValueError("an instant is written in ISO 8601")
    return given


_DATE = re.compile(r"\d{4}-\d\d-\d\d")
When = Annotated[datetime, BeforeValidator(_iso, json_schema_input_type=datetime)]
"""An instant that a caller names; seconds since 1970 are none."""


def as_utc(at: datetime | None) -> datetime | None:
    """Read an instant without a zone as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


Metadata = Annotated[dict[str, Any], Field(default_factory=dict, description="Anything; kept as it is.")]
