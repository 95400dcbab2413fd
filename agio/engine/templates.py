"""Use cases on prompt templates: keep, find, change, forget, fill in."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agio.domain.errors import AlreadyExists, NotFound
from agio.domain.templates import Template, check_variables
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.storage.port import TEMPLATES, Page, Store


class Templates:
    """Keeps prompt templates."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, caller: Caller, template: Template) -> Template:
        """Keep a new one; where its id is there, it is what an earlier try kept.

        Raises:
            AlreadyExists: the name is taken.
        """
        try:
            return await self._store.insert(TEMPLATES, template)
        except AlreadyExists:
            with suppress(NotFound):
                return await self.get(caller, template.id)
            raise AlreadyExists(f"there is a template {template.name!r} already") from None

    async def get(self, caller: Caller, template_id: str) -> Template:
        """Return one. Raises `NotFound`."""
        try:
            return await self._store.get(TEMPLATES, caller.group_id, template_id)
        except NotFound:
            raise NotFound(f"there is no template {template_id!r}") from None

    async def find(self, caller: Caller, name: str) -> Template | None:
        """Return the one of that name; None: there is none."""
        page = await self._store.find(TEMPLATES, caller.group_id, text=name)
        return next((one for one in page.items if one.name == name), None)

    async def list(self, caller: Caller, *, limit: int, offset: int, text: str | None = None) -> Page[Template]:
        """Return them by time of creation."""
        return await self._store.find(TEMPLATES, caller.group_id, text=text, limit=limit, offset=offset)

    async def change(self, caller: Caller, template_id: str, changes: Mapping[str, Any]) -> Template:
        """Change some fields. The variables are those of the new text, unless they are named too.

        Raises:
            NotFound: there is no such template. AlreadyExists: the new name is taken.
            Invalid: the variables are not those in the text's braces.
        """
        now = utc_now()

        def change(record: Template) -> Template:
            fresh = replace(record, **changes, updated_at=now)
            given = changes.get("variables", None if "text" in changes else record.variables)
            return replace(fresh, variables=check_variables(fresh.text, given))

        try:
            return await self._store.update(TEMPLATES, caller.group_id, template_id, change)
        except NotFound:
            raise NotFound(f"there is no template {template_id!r}") from None
        except AlreadyExists:
            raise AlreadyExists(f"there is a template {changes['name']!r} already") from None

    async def delete(self, caller: Caller, template_id: str) -> None:
        """Forget one. Raises `NotFound`."""
        try:
            await self._store.delete(TEMPLATES, caller.group_id, template_id)
        except NotFound:
            raise NotFound(f"there is no template {template_id!r}") from None
