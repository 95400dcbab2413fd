"""The rows of runs: the record as JSON, and beside it the columns that queries need.

Everything that follows from a change of a run happens here, in the transaction of the change: a branch
that becomes free is given to the run that waits longest for it, and approvals of an ended run are
cancelled.
"""

import time
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from agio.domain.control import promote
from agio.domain.errors import BranchBusy, NotFound
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.codec import dump_record, load_record, to_micros
from agio.storage.sqlite.approvals import cancel_pending
from agio.storage.sqlite.connection import Connection

COMMAND, FRESH, TAKES_ROOM = 1, 2, 4
"""Bits of the column `has_command`: what decides whether a run may be claimed where runs are limited."""

SEPARATOR = "\x1f"
"""Between the texts of a `search` column, so that nothing is found across two of them."""

_INSERT = """
INSERT INTO runs (
    id, group_id, session_id, branch_id, agent_id, parent_run_id, status, owner, holds, queue, queued_us,
    waits_us, has_command, control_seq, control_ack, created_us, ended_us, loose_us, search, doc
) VALUES (
    :id, :group_id, :session_id, :branch_id, :agent_id, :parent_run_id, :status, :owner, :holds, :queue, :now_us,
    CASE WHEN :waits THEN :now_us END, :has_command, :control_seq, :control_ack, :created_us, :ended_us, :loose_us,
    :search, :doc
)
"""

_UPDATE = """
UPDATE runs SET
    session_id = :session_id, branch_id = :branch_id, agent_id = :agent_id, parent_run_id = :parent_run_id,
    status = :status, owner = :owner, holds = :holds, queue = :queue,
    queued_us = CASE WHEN queue IS :queue THEN queued_us ELSE :now_us END,
    waits_us = CASE WHEN :waits THEN coalesce(waits_us, :now_us) END,
    has_command = :has_command, control_seq = :control_seq, control_ack = :control_ack,
    created_us = :created_us, ended_us = :ended_us, loose_us = :loose_us, search = :search, doc = :doc
WHERE no = :no
"""

_UPDATE_DOC = "UPDATE runs SET control_seq = :control_seq, control_ack = :control_ack, doc = :doc WHERE no = :no"
"""For the many changes that leave the run in its place: SQLite then touches one index in place of ten."""


class Stored(NamedTuple):
    """A run and the number that other tables know it by."""

    no: int
    run: Run


def load_run(doc: str) -> Run:
    """Return the run in a `doc` column."""
    return load_record(doc, Run)


def find_run(connection: Connection, group_id: str, run_id: str) -> Stored:
    """Return a run. Raises `NotFound`."""
    row = connection.execute("SELECT no, doc FROM runs WHERE id = ? AND group_id = ?", (run_id, group_id)).fetchone()
    if row is None:
        raise NotFound(f"there is no run {run_id!r}")
    return Stored(row[0], load_run(row[1]))


def find_holder(connection: Connection, group_id: str, branch_id: str) -> str | None:
    """Return the id of the run that holds the branch."""
    row = connection.execute("SELECT id FROM runs WHERE group_id = ? AND holds = ?", (group_id, branch_id)).fetchone()
    return row[0] if row else None


def insert_run(connection: Connection, run: Run) -> int:
    """Write a new run and return its number."""
    values = {"id": run.id, "group_id": run.group_id, "doc": dump_record(run), **_marks(run), **_place(run)}
    values["now_us"] = _now_us()
    no = connection.execute(_INSERT, values).lastrowid
    assert no is not None
    _insert_tags(connection, no, run)
    _insert_snapshots(connection, no, run)
    return no


def write_run(connection: Connection, stored: Stored, after: Run) -> Run:
    """Write the changed run with everything that follows from the change; return it as it is then.

    Raises:
        BranchBusy: it would hold a branch that another run holds.
    """
    no, before = stored
    if after is before:
        return before
    after = replace(after, revision=before.revision + 1)
    values = {"no": no, "doc": dump_record(after), **_marks(after)}
    place = _place(after)
    moved = place != _place(before)
    if moved:
        _refuse_second_holder(connection, after)
        connection.execute(_UPDATE, {**values, **place, "now_us": _now_us()})
    else:
        connection.execute(_UPDATE_DOC, values)
    if after.tags != before.tags:
        connection.execute("DELETE FROM run_tags WHERE run_no = ?", (no,))
        _insert_tags(connection, no, after)
    if after.agent_digest != before.agent_digest:
        _insert_snapshots(connection, no, after)
    if not moved:
        return after
    if after.is_terminal and before.is_live:
        cancel_pending(connection, after)
    if before.holds_branch and (not after.holds_branch or after.branch_id != before.branch_id):
        promote_waiting(connection, before.group_id, before.branch_id, after.updated_at)
    if not _waits(after):
        return after
    promote_waiting(connection, after.group_id, after.branch_id, after.updated_at)
    return find_run(connection, after.group_id, after.id).run


def promote_waiting(connection: Connection, group_id: str, branch_id: str, at: datetime) -> None:
    """Give the branch to the run that waits longest for it, if nobody holds it."""
    if find_holder(connection, group_id, branch_id) is not None:
        return
    row = connection.execute(
        "SELECT no, doc FROM runs WHERE group_id = ? AND branch_id = ? AND waits_us IS NOT NULL"
        " ORDER BY waits_us, no LIMIT 1",
        (group_id, branch_id),
    ).fetchone()
    if row is not None:
        waiting = load_run(row[1])
        write_run(connection, Stored(row[0], waiting), promote(waiting, at=at))


def _refuse_second_holder(connection: Connection, run: Run) -> None:
    if run.holds_branch:
        holder = find_holder(connection, run.group_id, run.branch_id)
        if holder not in (None, run.id):
            raise BranchBusy(f"run {holder!r} holds branch {run.branch_id!r}", holder=holder)


def _insert_tags(connection: Connection, no: int, run: Run) -> None:
    connection.executemany("INSERT OR IGNORE INTO run_tags VALUES (?, ?)", [(tag, no) for tag in run.tags])


def _insert_snapshots(connection: Connection, no: int, run: Run) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO run_snapshots VALUES (?, ?, ?)",
        [(run.group_id, digest, no) for digest in (run.agent_digest, *run.former_digests)],
    )


def _waits(run: Run) -> bool:
    return run.status is RunStatus.QUEUED and not run.holds_branch


def _now_us() -> int:
    """Return Unix microseconds by the machine's clock: the database's too, but SQLite tells milliseconds only."""
    return time.time_ns() // 1000


def _marks(run: Run) -> dict[str, Any]:
    """Return the columns that change without the run changing its place."""
    return {"control_seq": run.control_seq, "control_ack": run.control_ack}


def _place(run: Run) -> dict[str, Any]:
    """Return the columns that indexes are made of."""
    ended_us = to_micros(run.ended_at) if run.ended_at and run.is_terminal else None
    return {
        "session_id": run.session_id,
        "branch_id": run.branch_id,
        "agent_id": run.agent_id,
        "parent_run_id": run.parent.run_id if run.parent else None,
        "status": run.status.value,
        "owner": run.owner,
        "holds": run.branch_id if run.holds_branch else None,
        "queue": "ready" if run.is_ready else None,
        "waits": _waits(run),
        "has_command": COMMAND * run.has_command | FRESH * run.is_fresh | TAKES_ROOM * run.takes_room,
        "created_us": to_micros(run.created_at),
        "ended_us": ended_us,
        "loose_us": None if run.is_compacted else ended_us,
        "search": SEPARATOR.join((run.id, run.preview, run.agent_id)).casefold(),
    }
