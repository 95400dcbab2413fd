"""Use cases on stored models: name one, find it, change it, forget it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agio.domain.errors import AlreadyExists, Invalid
from agio.domain.stored_models import StoredModel
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.records import Records
from agio.providers.base import Providers
from agio.storage.port import MODELS, Page, Store


class Models(Records[StoredModel]):
    """Keeps the names that groups give to models; a record's id is its name, chosen by whoever makes it."""

    def __init__(self, store: Store, providers: Providers) -> None:
        super().__init__(store, MODELS, "model")
        self._providers = providers

    async def create(self, caller: Caller, record: StoredModel, *, since: datetime | None = None) -> StoredModel:
        """Keep a new one; it counts for every run that starts from now on.

        Args:
            since: when this was asked for the first time; one of that name that is younger is its own.

        Raises:
            AlreadyExists: the name is taken. Invalid: there is no such provider.
        """
        self._check(record.provider)
        try:
            return await self._store.insert(MODELS, record)
        except AlreadyExists:
            there = await self.get(caller, record.name)
            if since is not None and there.created_at >= since:
                return there
            raise AlreadyExists(f"there is a model {record.name!r} already") from None

    async def list(
        self, caller: Caller, *, limit: int, offset: int, text: str | None = None, provider: str | None = None
    ) -> Page[StoredModel]:
        """Return them by time of creation; `provider`: of this one only."""
        where = {"provider": provider} if provider is not None else None
        return await self._store.find(MODELS, caller.group_id, where, text=text, limit=limit, offset=offset)

    async def change(self, caller: Caller, record_id: str, changes: Mapping[str, Any]) -> StoredModel:
        """Change some fields; runs that have begun keep what they began with.

        Raises:
            NotFound: there is none of that name. Invalid: there is no such provider.
        """
        if "provider" in changes:
            self._check(changes["provider"])
        now = utc_now()
        return await self._update(caller, record_id, lambda record: replace(record, **changes, updated_at=now))

    def _check(self, provider: str) -> None:
        if not self._providers.knows(provider):
            raise Invalid(f"there is no provider {provider!r}", field="provider")
