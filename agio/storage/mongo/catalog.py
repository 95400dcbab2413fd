"""The catalog: records that people and code manage."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from agio.domain.errors import Invalid
from agio.storage.codec import to_micros
from agio.storage.mongo.calls import Part, read, write
from agio.storage.mongo.kinds import condition
from agio.storage.port import Kind, Page

T = TypeVar("T")


class CatalogMethods(Part):
    """Implements `Catalog`."""

    @write
    async def insert(self, kind: Kind[T], record: T) -> T:
        await self._kinds[kind].insert(record)
        return record

    @read
    async def get(self, kind: Kind[T], group_id: str, record_id: str) -> T:
        return await self._kinds[kind].get(group_id, record_id)

    @read
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
        if not where and text is None and limit is None and not offset and not newest_first:
            records = await self._kinds[kind].all(group_id)
            return Page(items=records, total=len(records))
        found = condition(kind, group_id, where or {}, text)
        return await self._kinds[kind].page(found, limit=limit, offset=offset, newest_first=newest_first)

    @write
    async def update(self, kind: Kind[T], group_id: str, record_id: str, change: Callable[[T], T]) -> T:
        return await self._kinds[kind].change(group_id, record_id, change)

    @write
    async def delete(self, kind: Kind[T], group_id: str, record_id: str) -> None:
        await self._kinds[kind].delete(group_id, record_id)

    @read
    async def count_since(self, kind: Kind[T], field: str, since: datetime) -> int:
        if field not in kind.instants:
            raise Invalid(f"{kind.name} are not counted by {field!r}", field=field)
        return await self._kinds[kind].count({f"f.{field}": {"$gte": to_micros(since)}})

    @read
    async def find_until(self, kind: Kind[T], field: str, until: datetime, *, limit: int) -> list[T]:
        if field not in kind.instants:
            raise Invalid(f"{kind.name} are not found by {field!r}", field=field)
        return await self._kinds[kind].first({f"f.{field}": {"$lte": to_micros(until)}}, by=f"f.{field}", limit=limit)

    @write
    async def prune(self, kind: Kind[T], before: datetime) -> int:
        return await self._kinds[kind].prune(to_micros(before))
