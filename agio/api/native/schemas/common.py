"""Shapes that several resources share."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from agio.api.sse import instant

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


class Body(BaseModel):
    """A request body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


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


def as_utc(at: datetime | None) -> datetime | None:
    """Read an instant without a zone as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


Metadata = Annotated[dict[str, Any], Field(default_factory=dict, description="Anything; kept as it is.")]
