"""Approvals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agio.domain.approvals import Approval
from agio.domain.errors import NotFound
from agio.domain.runs import Run
from agio.storage.codec import dump_record, load_record, to_micros
from agio.storage.port import Page
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.part import Part


class Approvals(Part):
    """Decisions that runs wait for."""

    async def get_approval(self, group_id: str, approval_id: str) -> Approval:
        return await self._database.read(lambda c: _find(c, group_id, approval_id)[1])

    async def update_approval(
        self, group_id: str, approval_id: str, change: Callable[[Approval], Approval]
    ) -> Approval:
        def work(connection: Connection) -> Approval:
            no, before = _find(connection, group_id, approval_id)
            after = change(before)
            if after is not before:
                _write(connection, no, after)
            return after

        return await self._database.write(work)

    async def list_approvals(
        self,
        group_id: str,
        *,
        status: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page[Approval]:
        given = [("group_id", group_id), ("status", status), ("run_id", run_id)]
        wanted = [(column, value) for column, value in given if value is not None]
        where = " AND ".join(f"{column} = ?" for column, _ in wanted)
        values: list[Any] = [value for _, value in wanted]
        count = f"SELECT COUNT(*) FROM approvals WHERE {where}"  # noqa: S608 - columns named above
        query = f"SELECT doc FROM approvals WHERE {where} ORDER BY created_us, no LIMIT ? OFFSET ?"  # noqa: S608

        def read(connection: Connection) -> Page[Approval]:
            (total,) = connection.execute(count, values).fetchone()
            rows = connection.execute(query, (*values, limit, offset)).fetchall()
            return Page(items=[load_record(doc, Approval) for (doc,) in rows], total=total)

        return await self._database.read(read)


def insert_missing(connection: Connection, approvals: tuple[Approval, ...]) -> None:
    """Write the approvals that are not there yet."""
    connection.executemany(
        "INSERT OR IGNORE INTO approvals (group_id, id, run_id, status, created_us, doc) VALUES (?, ?, ?, ?, ?, ?)",
        [(a.group_id, a.id, a.run_id, a.status, to_micros(a.created_at), dump_record(a)) for a in approvals],
    )


def cancel_pending(connection: Connection, run: Run) -> None:
    """Cancel what the ended run still waited for."""
    rows = connection.execute(
        "SELECT no, doc FROM approvals WHERE group_id = ? AND run_id = ? AND status = 'pending'",
        (run.group_id, run.id),
    ).fetchall()
    for no, doc in rows:
        approval = load_record(doc, Approval)
        _write(connection, no, replace(approval, status="cancelled", resolved_at=run.ended_at or run.updated_at))


def _find(connection: Connection, group_id: str, approval_id: str) -> tuple[int, Approval]:
    row = connection.execute(
        "SELECT no, doc FROM approvals WHERE group_id = ? AND id = ?", (group_id, approval_id)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no approval {approval_id!r}")
    return row[0], load_record(row[1], Approval)


def _write(connection: Connection, no: int, approval: Approval) -> None:
    connection.execute(
        "UPDATE approvals SET status = ?, doc = ? WHERE no = ?", (approval.status, dump_record(approval), no)
    )
