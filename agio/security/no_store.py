"""The catalog of those who have no store: it holds nothing and keeps nothing."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from agio.domain.errors import NotFound, Unsupported
from agio.storage.port import Kind, Page

T = TypeVar("T")


class NoStore:
    """Implements `Catalog`."""

    async def insert(self, kind: Kind[T], record: T) -> T:
        raise Unsupported("this application has no store to keep that in")

    async def get(self, kind: Kind[T], group_id: str, record_id: str) -> T:
        raise NotFound(f"there is no {record_id!r} among the {kind.name}")

    async def find(
        self,
        kind: Kind[T],
        group_id: str,
        where: Mapping[str, Any] | None = None,
        *,
        text: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        newest_first: bool = False,
    ) -> Page[T]:
        return Page(items=[], total=0)

    async def update(self, kind: Kind[T], group_id: str, record_id: str, change: Callable[[T], T]) -> T:
        raise NotFound(f"there is no {record_id!r} among the {kind.name}")

    async def delete(self, kind: Kind[T], group_id: str, record_id: str) -> None:
        raise NotFound(f"there is no {record_id!r} among the {kind.name}")

    async def count_since(self, kind: Kind[T], field: str, since: datetime) -> int:
        return 0

    async def find_until(self, kind: Kind[T], field: str, until: datetime, *, limit: int) -> list[T]:
        return []

    async def prune(self, kind: Kind[T], before: datetime) -> int:
        return 0
