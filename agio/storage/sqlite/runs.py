"""Runs: their records, their specs and the agents that they pin."""

from collections.abc import Callable

from agio import crashes
from agio.domain.agents import AgentSnapshot
from agio.domain.control import accept
from agio.domain.errors import AlreadyExists, BranchBusy, NotFound
from agio.domain.runs import Run, RunFilter, RunSpec
from agio.domain.status import RunStatus
from agio.storage.codec import dump_entry, dump_record, load_record
from agio.storage.port import BRANCHES, SESSIONS, Page, RunCreation
from agio.storage.sqlite.catalog import insert_missing_record, insert_record
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.entries import insert_entries
from agio.storage.sqlite.listing import Window, list_page
from agio.storage.sqlite.part import Part
from agio.storage.sqlite.rows import find_holder, find_run, insert_run, write_run
from agio.storage.sqlite.schema import IS_LIVE

_HAS_RUN = "SELECT 1 FROM runs WHERE id = ? AND group_id = ?"
_HAS_BRANCH = "SELECT 1 FROM branches WHERE group_id = ? AND id = ?"

_COUNT_LIVE = f"SELECT status, COUNT(*) FROM runs WHERE {IS_LIVE} GROUP BY status"  # noqa: S608 - a constant
_KEEP_SNAPSHOT = """
INSERT INTO snapshots (group_id, digest, doc) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET unused_us = NULL WHERE unused_us IS NOT NULL
"""


class Runs(Part):
    """The records of runs."""

    async def create_run(self, creation: RunCreation) -> Run:
        return await self._database.write(lambda c: _create(c, creation, self._inline_limit))

    async def get_run(self, group_id: str, run_id: str) -> Run:
        return (await self._database.read(lambda c: find_run(c, group_id, run_id))).run

    async def get_spec(self, group_id: str, run_id: str) -> RunSpec:
        def read(connection: Connection) -> RunSpec:
            no = find_run(connection, group_id, run_id).no
            (doc,) = connection.execute("SELECT doc FROM specs WHERE run_no = ?", (no,)).fetchone()
            return load_record(doc, RunSpec)

        return await self._database.read(read)

    async def list_runs(
        self,
        group_id: str,
        where: RunFilter,
        *,
        limit: int,
        offset: int = 0,
        cursor: str | None = None,
        newest_first: bool = True,
    ) -> Page[Run]:
        window = Window(limit=limit, offset=offset, cursor=cursor, newest_first=newest_first)
        return await self._database.read(lambda c: list_page(c, group_id, where, window))

    async def count_live(self) -> dict[RunStatus, int]:
        rows = await self._database.read(lambda c: c.execute(_COUNT_LIVE).fetchall())
        return {RunStatus(status): count for status, count in rows}

    async def update_run(self, group_id: str, run_id: str, change: Callable[[Run], Run]) -> Run:
        def work(connection: Connection) -> Run:
            stored = find_run(connection, group_id, run_id)
            return write_run(connection, stored, change(stored.run))

        return await self._database.write(work)

    async def get_snapshot(self, group_id: str, digest: str) -> AgentSnapshot:
        def read(connection: Connection) -> AgentSnapshot:
            row = connection.execute(
                "SELECT doc FROM snapshots WHERE group_id = ? AND digest = ?", (group_id, digest)
            ).fetchone()
            if row is None:
                raise NotFound(f"there is no agent snapshot {digest!r}")
            return load_record(row[0], AgentSnapshot)

        return await self._database.read(read)

    async def put_snapshot(self, group_id: str, snapshot: AgentSnapshot) -> None:
        await self._database.write(lambda c: _keep_snapshot(c, group_id, snapshot))


def _create(connection: Connection, creation: RunCreation, inline_limit: int) -> Run:
    run = creation.run
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (run.id,)).fetchone():
        raise AlreadyExists(f"the run id {run.id!r} is taken")
    holder = find_holder(connection, run.group_id, run.branch_id)
    if holder is not None and not creation.may_wait:
        raise BranchBusy(f"run {holder!r} holds branch {run.branch_id!r}", holder=holder)
    if creation.session is not None:
        insert_missing_record(connection, SESSIONS, creation.session)
    _check_past(connection, creation)
    if creation.branch is not None:
        insert_record(connection, BRANCHES, creation.branch)
        crashes.at("fork")
    run = accept(run, holds_branch=holder is None, owner=creation.owner)
    no = insert_run(connection, run)
    connection.execute("INSERT INTO specs VALUES (?, ?)", (no, dump_record(creation.spec)))
    _keep_snapshot(connection, run.group_id, creation.snapshot)
    insert_entries(connection, [dump_entry(creation.first)], inline_limit)
    return run


def _check_past(connection: Connection, creation: RunCreation) -> None:
    """Refuse to continue what was deleted since the caller read it."""
    run = creation.run
    parent = run.parent.run_id if run.parent else None
    if parent and not connection.execute(_HAS_RUN, (parent, run.group_id)).fetchone():
        raise NotFound(f"there is no run {parent!r} any more")
    if creation.branch is None and not connection.execute(_HAS_BRANCH, (run.group_id, run.branch_id)).fetchone():
        raise NotFound(f"there is no branch {run.branch_id!r} any more")


def _keep_snapshot(connection: Connection, group_id: str, snapshot: AgentSnapshot) -> None:
    connection.execute(_KEEP_SNAPSHOT, (group_id, snapshot.digest, dump_record(snapshot)))
