"""Use cases on prompt templates: keep, find, change, forget."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agio.domain.errors import AlreadyExists
from agio.domain.templates import Template, check_variables
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.records import Records
from agio.storage.port import TEMPLATES, Store


class Templates(Records[Template]):
    """Keeps prompt templates."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, TEMPLATES, "template")

    async def create(self, caller: Caller, record: Template) -> Template:
        """As `Records.create`. Raises `AlreadyExists`: the name is taken."""
        try:
            return await super().create(caller, record)
        except AlreadyExists:
            raise _taken(record.name) from None

    async def find(self, caller: Caller, name: str) -> Template | None:
        """Return the one of that name; None: there is none."""
        page = await self._store.find(TEMPLATES, caller.group_id, text=name)
        return next((one for one in page.items if one.name == name), None)

    async def change(self, caller: Caller, record_id: str, changes: Mapping[str, Any]) -> Template:
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
            return await self._update(caller, record_id, change)
        except AlreadyExists:
            raise _taken(changes["name"]) from None


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"there is a template {name!r} already")
