"""Keeping the file small: runs that are over, journals that are compacted, snapshots that nobody needs."""

from collections.abc import Sequence
from datetime import datetime

from agio.domain.journal import Entry
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.codec import cut, dump_events, reference, to_micros
from agio.storage.sqlite.chunks import drop_unreferenced, is_over, keep_chunks
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.part import Part
from agio.storage.sqlite.rows import load_run
from agio.storage.upkeep import Collected

UNUSED_S = 3600
"""Seconds after which a snapshot that is still not needed is deleted."""

_ENDED = """
SELECT doc FROM runs WHERE status = :status AND ended_us IS NOT NULL AND ended_us < :before
    AND (ended_us, id) < (:behind_us, :behind_id)
ORDER BY ended_us DESC, id DESC LIMIT :limit
"""

_LOOSE = """
SELECT doc FROM runs WHERE loose_us IS NOT NULL AND loose_us < :before AND (loose_us, id) < (:behind_us, :behind_id)
ORDER BY loose_us DESC, id DESC LIMIT :limit
"""

_REACH = """
SELECT max(last_seq), max(epoch), min(epoch),
    max(first_seq > :first AND (messages IS NOT NULL OR checkpoint IS NOT NULL)), max(substr(events, 1, 1) = '@')
FROM journal WHERE run_no = :no AND first_seq >= :first AND first_seq <= :last
"""

_SNAPSHOTS = """
SELECT s.rowid, s.unused_us,
    EXISTS (SELECT 1 FROM run_snapshots AS u WHERE u.group_id = s.group_id AND u.digest = s.digest)
FROM snapshots AS s WHERE s.rowid > ? ORDER BY s.rowid LIMIT ?
"""

_NO_END = 2**62


class Upkeep(Part):
    """What keeps the file small, but for the deletion of runs."""

    async def ended_runs(
        self, status: RunStatus, *, before: datetime, limit: int, behind: Run | None = None
    ) -> list[Run]:
        return await self._list(_ENDED, before, limit, behind, status=status.value)

    async def uncompacted_runs(self, *, before: datetime, limit: int, behind: Run | None = None) -> list[Run]:
        return await self._list(_LOOSE, before, limit, behind)

    async def _list(self, query: str, before: datetime, limit: int, behind: Run | None, **values: str) -> list[Run]:
        place = (to_micros(behind.ended_at), behind.id) if behind is not None and behind.ended_at else (_NO_END, "")
        given = {"before": to_micros(before), "behind_us": place[0], "behind_id": place[1], "limit": limit, **values}
        rows = await self._database.read(lambda c: c.execute(query, given).fetchall())
        return [load_run(doc) for (doc,) in rows]

    async def rewrite_entries(self, entries: Sequence[Entry]) -> None:
        texts = [dump_events(entry) for entry in entries]  # here, not under the write lock

        def work(connection: Connection) -> None:
            for entry, text in zip(entries, texts, strict=True):
                _rewrite(connection, entry, text, self._inline_limit)

        await self._database.write(work)

    async def collect(self, *, limit: int, cursor: str | None = None) -> Collected:
        """Chunks go with their run or its compaction here, so it is the snapshots that are looked at."""
        after = int(cursor or 0)
        now_us = to_micros(self._clock())

        def work(connection: Connection) -> Collected:
            found = connection.execute(_SNAPSHOTS, (after, limit)).fetchall()
            count = sum(_judge(connection, no, mark, is_needed=need == 1, now_us=now_us) for no, mark, need in found)
            return Collected(count=count, next_cursor=str(found[-1][0]) if len(found) == limit else None)

        return await self._database.write(work)


def _judge(connection: Connection, rowid: int, unused_us: int | None, *, is_needed: bool, now_us: int) -> bool:
    """Mark a snapshot that no run needs, delete one that was marked long ago; say whether it was either."""
    if is_needed or unused_us is None:
        if is_needed != (unused_us is None):
            mark = None if is_needed else now_us
            connection.execute("UPDATE snapshots SET unused_us = ? WHERE rowid = ?", (mark, rowid))
        return not is_needed
    if unused_us < now_us - UNUSED_S * 1_000_000:
        connection.execute("DELETE FROM snapshots WHERE rowid = ?", (rowid,))
    return True


def _rewrite(connection: Connection, entry: Entry, text: str, inline_limit: int) -> None:
    run = connection.execute(
        "SELECT no FROM runs WHERE id = ? AND group_id = ?", (entry.run_id, entry.group_id)
    ).fetchone()
    if run is None:
        return
    (no,) = run
    values = {"no": no, "first": entry.first_seq, "last": entry.last_seq}
    *reach, has_chunks = connection.execute(_REACH, values).fetchone()
    if reach != [entry.last_seq, entry.epoch, entry.epoch, 0]:
        return
    if is_over(text, inline_limit):
        pieces = list(cut(text))
        keep_chunks(connection, entry.run_id, dict(pieces))
        text = reference([digest for digest, _ in pieces])
    connection.execute(
        "UPDATE journal SET last_seq = ?, events = ? WHERE run_no = ? AND first_seq = ?",
        (entry.last_seq, text, no, entry.first_seq),
    )
    connection.execute(
        "DELETE FROM journal WHERE run_no = ? AND first_seq > ? AND first_seq <= ?",
        (no, entry.first_seq, entry.last_seq),
    )
    if has_chunks:
        drop_unreferenced(connection, no)
