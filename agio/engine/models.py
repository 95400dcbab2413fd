"""Use cases on stored models: name one, find it, change it, forget it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agio.domain.errors import AlreadyExists, Invalid, NotFound
from agio.domain.stored_models import StoredModel
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.providers.base import Providers
from agio.storage.port import MODELS, Page, Store


class Models:
    """Keeps the names that groups give to models."""

    def __init__(self, store: Store, providers: Providers) -> None:
        self._store = store
        self._providers = providers

    async def create(self, caller: Caller, model: StoredModel, *, since: datetime | None = None) -> StoredModel:
        """Keep a new one; it counts for every run that starts from now on.

        Args:
            since: when this was asked for the first time; one of that name that is younger is its own.

        Raises:
            AlreadyExists: the name is taken. Invalid: there is no such provider.
        """
        self._check(model.provider)
        try:
            return await self._store.insert(MODELS, model)
        except AlreadyExists:
            there = await self.get(caller, model.name)
            if since is not None and there.created_at >= since:
                return there
            raise AlreadyExists(f"there is a model {model.name!r} already") from None

    async def get(self, caller: Caller, name: str) -> StoredModel:
        """Return the one of that name. Raises `NotFound`."""
        try:
            return await self._store.get(MODELS, caller.group_id, name)
        except NotFound:
            raise NotFound(f"there is no model {name!r}") from None

    async def list(
        self, caller: Caller, *, limit: int, offset: int, provider: str | None = None, text: str | None = None
    ) -> Page[StoredModel]:
        """Return them by time of creation."""
        where = {"provider": provider} if provider is not None else None
        return await self._store.find(MODELS, caller.group_id, where, text=text, limit=limit, offset=offset)

    async def change(self, caller: Caller, name: str, changes: Mapping[str, Any]) -> StoredModel:
        """Change some fields; runs that have begun keep what they began with.

        Raises:
            NotFound: there is none of that name. Invalid: there is no such provider.
        """
        if "provider" in changes:
            self._check(changes["provider"])
        now = utc_now()
        try:
            return await self._store.update(
                MODELS, caller.group_id, name, lambda record: replace(record, **changes, updated_at=now)
            )
        except NotFound:
            raise NotFound(f"there is no model {name!r}") from None

    async def delete(self, caller: Caller, name: str) -> None:
        """Forget one: from now on the name is what a provider calls its model. Raises `NotFound`."""
        try:
            await self._store.delete(MODELS, caller.group_id, name)
        except NotFound:
            raise NotFound(f"there is no model {name!r}") from None

    def _check(self, provider: str) -> None:
        if not self._providers.knows(provider):
            raise Invalid(f"there is no provider {provider!r}", field="provider")
