"""Use cases on records that people keep and nothing else knows of: make, find, change, delete."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from agio.domain.errors import AlreadyExists, NotFound
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.storage.port import Catalog, Kind, Page


class Record(Protocol):
    """What is kept: a frozen dataclass with these fields."""

    @property
    def id(self) -> str:
        """Unique in its group."""
        ...

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        ...


R = TypeVar("R", bound=Record)


class Records(Generic[R]):
    """Keeps records of one kind."""

    def __init__(self, store: Catalog, kind: Kind[R], noun: str) -> None:
        self._store = store
        self._kind = kind
        self._noun = noun

    async def create(self, caller: Caller, record: R) -> R:
        """Keep a new record; where its id is there, it is what an earlier try of the same request kept.

        Raises:
            AlreadyExists: something else that is unique is taken.
        """
        try:
            return await self._store.insert(self._kind, record)
        except AlreadyExists:
            with suppress(NotFound):
                return await self.get(caller, record.id)
            raise

    async def get(self, caller: Caller, record_id: str) -> R:
        """Return a record. Raises `NotFound`."""
        try:
            return await self._store.get(self._kind, caller.group_id, record_id)
        except NotFound:
            raise self._absent(record_id) from None

    async def list(self, caller: Caller, *, limit: int, offset: int, text: str | None = None) -> Page[R]:
        """Return records by time of creation."""
        return await self._store.find(self._kind, caller.group_id, text=text, limit=limit, offset=offset)

    async def change(self, caller: Caller, record_id: str, changes: Mapping[str, Any]) -> R:
        """Change some fields. Raises `NotFound`."""
        now = utc_now()

        def change(record: R) -> R:
            changed: R = replace(record, **changes)  # type: ignore[type-var]  # a protocol cannot say that it is one
            return record if changed == record else replace(changed, updated_at=now)  # type: ignore[type-var]

        return await self._update(caller, record_id, change)

    async def _update(self, caller: Caller, record_id: str, change: Callable[[R], R]) -> R:
        try:
            return await self._store.update(self._kind, caller.group_id, record_id, change)
        except NotFound:
            raise self._absent(record_id) from None

    async def delete(self, caller: Caller, record_id: str) -> None:
        """Delete a record. Raises `NotFound`."""
        try:
            await self._store.delete(self._kind, caller.group_id, record_id)
        except NotFound:
            raise self._absent(record_id) from None

    def _absent(self, record_id: str) -> NotFound:
        return NotFound(f"there is no {self._noun} {record_id!r}")
