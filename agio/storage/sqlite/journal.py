"""Journals: appending, and reading in order."""

from collections.abc import Sequence

from agio import crashes
from agio.domain.control import project
from agio.domain.errors import Conflict, LeaseLost
from agio.domain.journal import Entry
from agio.storage.codec import EntryParts, dump_entry
from agio.storage.port import Append, AppendResult
from agio.storage.sqlite.approvals import insert_missing
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.entries import Verdict, insert_entries, select_entries
from agio.storage.sqlite.part import Part
from agio.storage.sqlite.rows import find_run, write_run


class Journal(Part):
    """What happened in runs, in order."""

    async def append(self, batch: Sequence[Append]) -> list[AppendResult]:
        if not batch:
            return []
        parts = [dump_entry(item.entry) for item in batch]  # here, not under the write lock
        return await self._database.write(lambda c: _append(c, batch, parts, self._inline_limit))

    async def head(self, group_id: str, run_id: str) -> int:
        def read(connection: Connection) -> int:
            row = connection.execute(
                "SELECT last_seq FROM journal WHERE run_no = (SELECT no FROM runs WHERE id = ? AND group_id = ?)"
                " ORDER BY first_seq DESC LIMIT 1",
                (run_id, group_id),
            ).fetchone()
            return row[0] if row else 0

        return await self._database.read(read)

    async def read_entries(self, group_id: str, run_id: str, *, after: int = 0, limit: int = 500) -> list[Entry]:
        return await self._database.read(lambda c: select_entries(c, group_id, run_id, after=after, limit=limit))


def _append(
    connection: Connection, batch: Sequence[Append], parts: Sequence[EntryParts], inline_limit: int
) -> list[AppendResult]:
    verdicts = insert_entries(connection, parts, inline_limit)
    crashes.at("append")
    return [_follow_up(connection, item, verdict) for item, verdict in zip(batch, verdicts, strict=True)]


def _follow_up(connection: Connection, item: Append, verdict: Verdict) -> AppendResult:
    """Apply what an entry changes on its run's record, if the entry is in the journal."""
    entry = item.entry
    if verdict == "taken":
        return LeaseLost(f"event {entry.first_seq} of run {entry.run_id!r} is another owner's")
    if verdict == "homeless":
        return LeaseLost(f"run {entry.run_id!r} does not exist any more")
    if item.update is None:
        insert_missing(connection, item.approvals)
        return None
    stored = find_run(connection, entry.group_id, entry.run_id)
    run = stored.run
    # An update is written with its entry or not at all, so an entry of ours from before has had its update:
    # applied twice it would take marks off that came later.
    again = verdict == "ours" and run.epoch == entry.epoch and run.last_seq >= item.update.last_seq
    try:
        after = run if again else project(run, item.update, epoch=entry.epoch, at=entry.at)
    except LeaseLost as lost:
        return lost
    except Conflict as conflict:
        return LeaseLost(f"run {entry.run_id!r} is not its writer's any more: {conflict}")
    insert_missing(connection, item.approvals)
    return write_run(connection, stored, after)
