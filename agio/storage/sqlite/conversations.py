"""Conversations: what the branches of all runs say, put together from the journal."""

import json
from collections.abc import Mapping, Sequence

from agio.domain.branches import Branch, Segment, lineage_edits, lineage_segments
from agio.domain.errors import NotFound
from agio.domain.messages import Message
from agio.storage.codec import load_messages, load_record
from agio.storage.port import BRANCHES
from agio.storage.sqlite.catalog import find_record
from agio.storage.sqlite.chunks import put_back
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.part import Part

_LINEAGE = """
WITH RECURSIVE line (id) AS (
    VALUES (:branch_id)
    UNION
    SELECT b.parent_id FROM line JOIN branches AS b ON b.group_id = :group_id AND b.id = line.id
    WHERE b.parent_id IS NOT NULL
)
SELECT b.doc FROM line JOIN branches AS b ON b.group_id = :group_id AND b.id = line.id
"""

_MESSAGES = """
SELECT j.run_no, j.position, j.messages, json_extract(s.value, '$[1]'), json_extract(s.value, '$[2]')
FROM json_each(:segments) AS s CROSS JOIN journal AS j CROSS JOIN runs AS r
WHERE j.branch_id = json_extract(s.value, '$[0]')
    AND j.position >= coalesce((
        SELECT p.position FROM journal AS p CROSS JOIN runs AS q
        WHERE p.branch_id = json_extract(s.value, '$[0]') AND p.position <= json_extract(s.value, '$[1]')
            AND q.no = p.run_no AND q.group_id = :group_id
        ORDER BY p.position DESC LIMIT 1
    ), 0)
    AND j.position < json_extract(s.value, '$[2]')
    AND r.no = j.run_no AND r.group_id = :group_id
"""

_END = """
SELECT j.position + j.message_count FROM journal AS j CROSS JOIN runs AS r
WHERE j.branch_id = :branch_id AND r.no = j.run_no AND r.group_id = :group_id
ORDER BY j.position DESC LIMIT 1
"""

_DEPENDENTS = """
WITH
run (no, created_us) AS (SELECT no, created_us FROM runs WHERE id = :run_id AND group_id = :group_id),
own (branch_id, start) AS (
    SELECT branch_id, min(position) FROM run JOIN journal ON run_no = run.no AND branch_id IS NOT NULL
    GROUP BY branch_id
),
dependent (no) AS (
    SELECT no FROM runs WHERE group_id = :group_id AND parent_run_id = :run_id
    UNION
    SELECT r.no FROM own JOIN runs AS r ON r.group_id = :group_id AND r.branch_id = own.branch_id
    WHERE (r.created_us, r.no) > (SELECT created_us, no FROM run)
    UNION
    SELECT j.run_no FROM own JOIN journal AS j ON j.branch_id = own.branch_id AND j.position > own.start
    UNION
    SELECT r.no FROM own JOIN branches AS b ON b.group_id = :group_id AND b.parent_id = own.branch_id
    JOIN runs AS r ON r.group_id = :group_id AND r.branch_id = b.id
    WHERE json_extract(b.doc, '$.fork_position') > own.start
)
SELECT r.id FROM dependent JOIN runs AS r ON r.no = dependent.no
WHERE r.group_id = :group_id AND r.id <> :run_id
ORDER BY r.created_us, r.no
"""

_NO_END = 2**62


class Conversations(Part):
    """Branches as lines of messages."""

    async def read_messages(
        self, group_id: str, branch_id: str, *, start: int = 0, end: int | None = None
    ) -> list[Message]:
        def read(connection: Connection) -> list[Message]:
            lineage = _lineage(connection, group_id, branch_id)
            messages = _read_segments(connection, group_id, lineage_segments(lineage, end, start=start))
            messages.update({at: edit for at, edit in lineage_edits(lineage, end).items() if at in messages})
            return [messages[position] for position in sorted(messages)]

        return await self._database.read(read)

    async def branch_end(self, group_id: str, branch_id: str) -> int:
        def read(connection: Connection) -> int:
            branch = find_record(connection, BRANCHES, group_id, branch_id)
            row = connection.execute(_END, {"branch_id": branch_id, "group_id": group_id}).fetchone()
            return row[0] if row else branch.fork_position

        return await self._database.read(read)

    async def lineage(self, group_id: str, branch_id: str) -> list[Branch]:
        return await self._database.read(lambda c: _lineage(c, group_id, branch_id))

    async def dependents(self, group_id: str, run_id: str) -> list[str]:
        def read(connection: Connection) -> list[str]:
            values = {"run_id": run_id, "group_id": group_id}
            return [found for (found,) in connection.execute(_DEPENDENTS, values)]

        return await self._database.read(read)


def _lineage(connection: Connection, group_id: str, branch_id: str) -> list[Branch]:
    rows = connection.execute(_LINEAGE, {"group_id": group_id, "branch_id": branch_id}).fetchall()
    branches: Mapping[str | None, Branch] = {b.id: b for b in (load_record(doc, Branch) for (doc,) in rows)}
    if branch_id not in branches:
        raise NotFound(f"there is no branch {branch_id!r}")
    lineage = [branches[branch_id]]
    while (parent := branches.get(lineage[-1].parent_id)) is not None and len(lineage) < len(branches):
        lineage.append(parent)
    return lineage


def _read_segments(connection: Connection, group_id: str, segments: Sequence[Segment]) -> dict[int, Message]:
    """Return messages by position. An entry may reach beyond the bounds of a segment."""
    bounds = json.dumps([(s.branch_id, s.start, _NO_END if s.end is None else s.end) for s in segments])
    messages: dict[int, Message] = {}
    rows = connection.execute(_MESSAGES, {"segments": bounds, "group_id": group_id})
    for run_no, first, text, start, end in rows.fetchall():
        for position, message in enumerate(load_messages(put_back(connection, run_no, text)), first):
            if start <= position < end:
                messages[position] = message
    return messages
