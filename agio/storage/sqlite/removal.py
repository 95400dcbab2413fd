"""Deleting runs: at once for every reader, in small steps for the writers that wait."""

from datetime import datetime
from functools import partial

from agio.domain.errors import InvalidTransition, NotFound
from agio.storage.codec import to_micros
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.part import Part
from agio.storage.sqlite.rows import Stored, find_run

GONE = "\x00"
"""Group of the rows that stand for deleted runs until nothing of them is left; keeps their numbers taken."""

ROWS_AT_ONCE = 2_000
CHUNKS_AT_ONCE = 32
"""Of a megabyte each."""
CLEARED_BY_SWEEP = 10

_BURY = """
UPDATE runs SET
    id = :gone || no, group_id = :gone, session_id = '', branch_id = '', agent_id = '', parent_run_id = NULL,
    status = 'gone', owner = NULL, holds = NULL, queue = NULL, waits_us = NULL, ended_us = NULL, loose_us = NULL,
    search = '', doc = ''
WHERE no = :no
"""

_IS_NEEDED = """
WITH
run (no, created_us) AS (SELECT no, created_us FROM runs WHERE no = :no),
own (branch_id, start) AS (
    SELECT branch_id, min(position) FROM journal WHERE run_no = :no AND branch_id IS NOT NULL GROUP BY branch_id
)
SELECT EXISTS (
    SELECT 1 FROM runs WHERE group_id = :group_id AND parent_run_id = :run_id
) OR EXISTS (
    SELECT 1 FROM own JOIN runs AS r ON r.group_id = :group_id AND r.branch_id = own.branch_id
    WHERE (r.created_us, r.no) > (SELECT created_us, no FROM run)
) OR EXISTS (
    SELECT 1 FROM own JOIN journal AS j ON j.branch_id = own.branch_id AND j.position > own.start
    JOIN runs AS r ON r.no = j.run_no WHERE j.run_no <> :no AND r.group_id = :group_id
) OR EXISTS (
    SELECT 1 FROM own JOIN branches AS b ON b.group_id = :group_id AND b.parent_id = own.branch_id
    WHERE json_extract(b.doc, '$.fork_position') > own.start AND (
        b.created_us > :recent_us
        OR EXISTS (SELECT 1 FROM runs AS r WHERE r.group_id = :group_id AND r.branch_id = b.id AND r.no <> :no))
)
"""
"""Whether another run, or a branch that was just made, stands on a run."""

BRANCH_IS_RECENT_S = 3600
"""Seconds after which a branch without a run will not get one any more."""


class Removal(Part):
    """Deletes runs."""

    async def delete_run(self, group_id: str, run_id: str) -> None:
        def work(connection: Connection) -> int | None:
            stored = find_run(connection, group_id, run_id)
            status = stored.run.status
            if not stored.run.is_terminal:
                raise InvalidTransition(f"run {run_id!r} is {status}; only an ended run can be deleted", status=status)
            return _delete(connection, stored)

        await self._clear(await self._database.write(work))

    async def delete_unneeded(self, group_id: str, run_id: str, *, ended_before: datetime) -> bool:
        recent_us = to_micros(self._clock()) - BRANCH_IS_RECENT_S * 1_000_000

        def look(connection: Connection) -> Stored | None:
            try:
                stored = find_run(connection, group_id, run_id)
            except NotFound:
                return None
            ended_at = stored.run.ended_at
            if not stored.run.is_terminal or ended_at is None or ended_at >= ended_before:
                return None
            values = {"no": stored.no, "run_id": run_id, "group_id": group_id, "recent_us": recent_us}
            (is_needed,) = connection.execute(_IS_NEEDED, values).fetchone()
            return None if is_needed else stored

        def work(connection: Connection) -> tuple[bool, int | None]:
            stored = look(connection)
            return stored is not None, _delete(connection, stored) if stored else None

        if await self._database.read(look) is None:  # without the write lock
            return False
        deleted, left = await self._database.write(work)
        await self._clear(left)
        return deleted

    async def _clear(self, run_no: int | None) -> None:
        """Delete what is left of a run that nobody finds any more; other writes come in between."""
        while run_no is not None:
            run_no = await self._database.write(partial(_clear_some, no=run_no))

    async def _clear_leftovers(self) -> None:
        """Finish deletions that a crash cut short."""
        query = "SELECT no FROM runs WHERE group_id = ? LIMIT ?"
        left = await self._database.read(lambda c: c.execute(query, (GONE, CLEARED_BY_SWEEP)).fetchall())
        for (no,) in left:
            await self._clear(no)


def _delete(connection: Connection, stored: Stored) -> int | None:
    """Take the run out of sight; return its number while something of it is left."""
    no, run = stored
    connection.execute(_BURY, {"no": no, "gone": GONE})
    connection.execute("DELETE FROM approvals WHERE group_id = ? AND run_id = ?", (run.group_id, run.id))
    connection.execute("DELETE FROM run_tags WHERE run_no = ?", (no,))
    connection.execute("DELETE FROM specs WHERE run_no = ?", (no,))
    connection.executemany(
        "DELETE FROM run_snapshots WHERE group_id = ? AND digest = ? AND run_no = ?",
        [(run.group_id, digest, no) for digest in (run.agent_digest, *run.former_digests)],
    )
    return _clear_some(connection, no)


def _clear_some(connection: Connection, no: int) -> int | None:
    """Delete some rows of a buried run; return its number until it is the last of it that was deleted."""
    for table, most in (("journal", ROWS_AT_ONCE), ("chunks", CHUNKS_AT_ONCE)):
        some = f"SELECT rowid FROM {table} WHERE run_no = ? LIMIT ?"  # noqa: S608 - named above
        if connection.execute(f"DELETE FROM {table} WHERE rowid IN ({some})", (no, most)).rowcount == most:  # noqa: S608
            return no
    connection.execute("DELETE FROM runs WHERE no = ? AND group_id = ?", (no, GONE))
    return None
