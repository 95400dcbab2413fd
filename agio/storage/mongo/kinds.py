"""The records of the catalog's kinds, and the fields that they are found by."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from agio.domain.errors import Invalid
from agio.storage.codec import to_micros
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.records import Records
from agio.storage.port import Kind

T = TypeVar("T")

SEARCHED_CHARACTERS = 4096
"""How much of a text field is searched."""


def containing(text: str) -> Document:
    """Return the condition that a string contains `text`, in upper or lower case."""
    # The pattern travels as a C string, which a NUL would end.
    return {"$regex": re.escape(text).replace("\0", r"\x00"), "$options": "i"}


def condition(kind: Kind[T], group_id: str, where: Mapping[str, Any], text: str | None) -> Document:
    """Return the condition of a list. Raises `Invalid`."""
    found: Document = {"group_id": group_id}
    for name, value in where.items():
        if name not in kind.filters and name not in kind.members:
            raise Invalid(f"{kind.name} cannot be narrowed by {name!r}", field=name)
        found[f"f.{name}"] = value
    if text and not kind.search:
        raise Invalid(f"{kind.name} cannot be searched", field="text")
    if text:
        found["$or"] = [{f"f.{name}": containing(text)} for name in kind.search]
    return found


def _fields(kind: Kind[T], record: T) -> dict[str, Any]:
    searched = {name: (getattr(record, name) or "")[:SEARCHED_CHARACTERS] for name in kind.search}
    exact = {name: getattr(record, name) for name in (*kind.filters, *kind.unique)}
    members = {name: list(getattr(record, name)) for name in kind.members}
    instants = {name: to_micros(getattr(record, name)) for name in kind.instants}
    return {"f": {**searched, **exact, **members, **instants}}


class Kinds:
    """The records of every kind."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._records: dict[str, Records[Any]] = {}

    def __getitem__(self, kind: Kind[T]) -> Records[T]:
        records = self._records.get(kind.name)
        if records is None:
            records = Records(self._database, self._blobs, kind.name, kind.type, partial(_fields, kind))
            self._records[kind.name] = records
        return records
