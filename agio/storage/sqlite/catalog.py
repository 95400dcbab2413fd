"""The catalog: one table per kind of record, the record as JSON beside the columns that lists need."""

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from agio.domain.errors import AlreadyExists, Invalid, NotFound
from agio.storage.codec import dump_record, load_record, to_micros
from agio.storage.port import Kind, Page
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.part import Part
from agio.storage.sqlite.rows import SEPARATOR
from agio.storage.sqlite.schema import catalog_columns

T = TypeVar("T")


class Catalog(Part):
    """Records that people and code manage."""

    async def insert(self, kind: Kind[T], record: T) -> T:
        await self._database.write(lambda c: insert_record(c, kind, record))
        return record

    async def get(self, kind: Kind[T], group_id: str, record_id: str) -> T:
        return await self._database.read(lambda c: find_record(c, kind, group_id, record_id))

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
        clause, values = _condition(kind, group_id, where or {}, text)
        order = "DESC" if newest_first else "ASC"
        count = f'SELECT COUNT(*) FROM "{kind.name}" WHERE {clause}'  # noqa: S608 - names come from KINDS
        query = (
            f'SELECT doc FROM "{kind.name}" WHERE {clause}'  # noqa: S608 - names come from KINDS
            f" ORDER BY created_us {order}, rowid {order} LIMIT ? OFFSET ?"
        )

        def read(connection: Connection) -> Page[T]:
            (total,) = connection.execute(count, values).fetchone()
            rows = connection.execute(query, (*values, -1 if limit is None else limit, offset)).fetchall()
            return Page(items=[load_record(doc, kind.type) for (doc,) in rows], total=total)

        return await self._database.read(read)

    async def update(self, kind: Kind[T], group_id: str, record_id: str, change: Callable[[T], T]) -> T:
        def work(connection: Connection) -> T:
            before = find_record(connection, kind, group_id, record_id)
            after = change(before)
            if after is not before:
                _replace(connection, kind, group_id, record_id, after)
            return after

        return await self._database.write(work)

    async def delete(self, kind: Kind[T], group_id: str, record_id: str) -> None:
        statement = f'DELETE FROM "{kind.name}" WHERE group_id = ? AND id = ?'  # noqa: S608 - names come from KINDS

        def work(connection: Connection) -> None:
            if connection.execute(statement, (group_id, record_id)).rowcount == 0:
                raise NotFound(f"there is no {record_id!r} among the {kind.name}")

        await self._database.write(work)

    async def count_since(self, kind: Kind[T], field: str, since: datetime) -> int:
        if field not in kind.instants:
            raise Invalid(f"{kind.name} are not counted by {field!r}", field=field)
        query = f'SELECT COUNT(*) FROM "{kind.name}" WHERE "{field}" >= ?'  # noqa: S608 - names come from KINDS
        count: int = (await self._database.read(lambda c: c.execute(query, (to_micros(since),)).fetchone()))[0]
        return count

    async def find_until(self, kind: Kind[T], field: str, until: datetime, *, limit: int) -> list[T]:
        if field not in kind.instants:
            raise Invalid(f"{kind.name} are not found by {field!r}", field=field)
        query = f'SELECT doc FROM "{kind.name}" WHERE "{field}" <= ? ORDER BY "{field}" LIMIT ?'  # noqa: S608 - as above
        rows = await self._database.read(lambda c: c.execute(query, (to_micros(until), limit)).fetchall())
        return [load_record(doc, kind.type) for (doc,) in rows]

    async def prune(self, kind: Kind[T], before: datetime) -> int:
        statement = f'DELETE FROM "{kind.name}" WHERE created_us < ?'  # noqa: S608 - names come from KINDS
        return await self._database.write(lambda c: c.execute(statement, (to_micros(before),)).rowcount)


def find_record(connection: Connection, kind: Kind[T], group_id: str, record_id: str) -> T:
    """Return a record. Raises `NotFound`."""
    row = connection.execute(
        f'SELECT doc FROM "{kind.name}" WHERE group_id = ? AND id = ?',  # noqa: S608 - names come from KINDS
        (group_id, record_id),
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no {record_id!r} among the {kind.name}")
    return load_record(row[0], kind.type)


def insert_record(connection: Connection, kind: Kind[T], record: T) -> None:
    """Write a new record. Raises `AlreadyExists`."""
    try:
        _insert(connection, kind, record, "INSERT")
    except sqlite3.IntegrityError as error:
        raise _taken(kind, record) from error


def insert_missing_record(connection: Connection, kind: Kind[T], record: T) -> None:
    """Write a record, unless it is there."""
    _insert(connection, kind, record, "INSERT OR IGNORE")


def _insert(connection: Connection, kind: Kind[T], record: T, verb: str) -> None:
    values = _values(kind, record)
    columns = ", ".join(f'"{name}"' for name in values)
    places = ", ".join("?" * len(values))
    connection.execute(
        f'{verb} INTO "{kind.name}" ({columns}) VALUES ({places})',
        list(values.values()),
    )


def _replace(connection: Connection, kind: Kind[T], group_id: str, record_id: str, record: T) -> None:
    values = _values(kind, record)
    changes = ", ".join(f'"{name}" = ?' for name in values)
    statement = f'UPDATE "{kind.name}" SET {changes} WHERE group_id = ? AND id = ?'  # noqa: S608 - names as above
    try:
        connection.execute(statement, (*values.values(), group_id, record_id))
    except sqlite3.IntegrityError as error:
        raise _taken(kind, record) from error


def _taken(kind: Kind[T], record: T) -> AlreadyExists:
    unique = "".join(f" or the {name} {getattr(record, name)!r}" for name in kind.unique)
    record_id: str = getattr(record, "id")  # noqa: B009 - T has no bound: see Kind
    return AlreadyExists(f"the id {record_id!r}{unique} is taken among the {kind.name}")


def _values(kind: Kind[T], record: Any) -> dict[str, Any]:
    """Return the columns of a record."""
    own = {name: _column(kind, name, getattr(record, name)) for name in catalog_columns(kind)}
    texts = (getattr(record, name) or "" for name in kind.search)
    return {
        "group_id": record.group_id,
        "id": record.id,
        "created_us": to_micros(record.created_at),
        **own,
        "search": SEPARATOR.join(texts).casefold(),
        "doc": dump_record(record),
    }


def _column(kind: Kind[T], name: str, value: Any) -> Any:
    if name in kind.members:
        return "".join(f"{SEPARATOR}{member}" for member in value) + SEPARATOR
    if name in kind.instants:
        return to_micros(value)
    return value.value if isinstance(value, Enum) else value


def _condition(kind: Kind[T], group_id: str, where: Mapping[str, Any], text: str | None) -> tuple[str, list[Any]]:
    conditions, values = ["group_id = ?"], [group_id]
    for name, value in where.items():
        if name in kind.members:
            conditions.append(f'instr("{name}", ?)')
            values.append(f"{SEPARATOR}{value}{SEPARATOR}")
        elif name in kind.filters:
            conditions.append(f'"{name}" IS ?')
            values.append(_column(kind, name, value))
        else:
            raise Invalid(f"{kind.name} cannot be narrowed by {name!r}", field=name)
    if text is not None:
        conditions.append("instr(search, ?)")
        values.append(text.casefold())
    return " AND ".join(conditions), values
