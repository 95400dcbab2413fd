"""The rows of the journal."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from agio.domain.journal import Entry
from agio.storage.codec import EntryParts, load_entry
from agio.storage.sqlite.chunks import keep_chunks, put_back, take_out
from agio.storage.sqlite.connection import Connection

Verdict: TypeAlias = Literal["fresh", "ours", "taken", "homeless"]
"""Written now · there already, from a call whose answer was lost · another owner's is there · there is no
such run."""

_COLUMNS = (
    "first_seq, last_seq, epoch, attempt, at, events, branch_id, position, message_count, messages,"
    " checkpoint, checkpoint_seq, session_id"
)
_ROW_SIZES = (64, 16, 4, 1)
"""Rows of one INSERT. One long statement instead of many short ones: after each statement the thread has to
wait for the interpreter lock, which under load takes milliseconds."""


def _insert_statement(rows: int) -> str:
    places = ", ".join(["(" + ", ".join("?" * 15) + ")"] * rows)
    columns = ", ".join(f"v.column{n}" for n in range(3, 16))
    return (
        f"INSERT OR IGNORE INTO journal (run_no, {_COLUMNS})"  # noqa: S608 - made of constants
        f" SELECT r.no, {columns} FROM (VALUES {places}) AS v CROSS JOIN runs AS r"
        " WHERE r.id = v.column1 AND r.group_id = v.column2"
    )


_INSERTS = {rows: _insert_statement(rows) for rows in _ROW_SIZES}

_SELECT_AFTER = f"""
SELECT {_COLUMNS} FROM journal
WHERE run_no = :no AND last_seq > :after AND first_seq >= coalesce(
    (SELECT max(first_seq) FROM journal WHERE run_no = :no AND first_seq <= :after + 1), 0)
ORDER BY first_seq LIMIT :limit
"""  # noqa: S608 - the columns are the constant above


def insert_entries(connection: Connection, parts: Sequence[EntryParts], inline_limit: int) -> list[Verdict]:
    """Write entries and say of each how it went; nothing but the row itself decides."""
    chunks = {n: taken for n, entry in enumerate(parts) if (taken := take_out(entry, inline_limit))}
    verdicts: list[Verdict] = []
    for stretch in _stretches(parts):
        verdicts += _insert_stretch(connection, stretch)
    for n, taken in chunks.items():
        if verdicts[n] == "fresh":
            keep_chunks(connection, parts[n].run_id, taken)
    return verdicts


def select_entries(connection: Connection, group_id: str, run_id: str, *, after: int, limit: int) -> list[Entry]:
    """Return a run's entries from the one that holds `after + 1` on."""
    row = connection.execute("SELECT no FROM runs WHERE id = ? AND group_id = ?", (run_id, group_id)).fetchone()
    if row is None:
        return []
    (no,) = row
    rows = connection.execute(_SELECT_AFTER, {"no": no, "after": after, "limit": limit}).fetchall()
    entries = []
    for first, last, epoch, attempt, at, events, branch, position, count, messages, *checkpoint in rows:
        parts = EntryParts(
            run_id=run_id,
            group_id=group_id,
            first_seq=first,
            last_seq=last,
            epoch=epoch,
            attempt=attempt,
            at=at,
            events=put_back(connection, no, events),
            branch_id=branch,
            position=position,
            message_count=count,
            messages=messages and put_back(connection, no, messages),
            checkpoint=checkpoint[0] and put_back(connection, no, checkpoint[0]),
            checkpoint_seq=checkpoint[1],
            session_id=checkpoint[2],
        )
        entries.append(load_entry(parts))
    return entries


def _stretches(parts: Sequence[EntryParts]) -> Iterator[Sequence[EntryParts]]:
    start = 0
    for size in _ROW_SIZES:
        while len(parts) - start >= size:
            yield parts[start : start + size]
            start += size


def _insert_stretch(connection: Connection, parts: Sequence[EntryParts]) -> list[Verdict]:
    values = [value for entry in parts for value in _values(entry)]
    cursor = connection.execute(_INSERTS[len(parts)], values)
    if cursor.rowcount == len(parts):
        return ["fresh"] * len(parts)
    # Rows get consecutive numbers, so those of this statement are the last `rowcount` ones.
    last_old = (cursor.lastrowid or 0) - cursor.rowcount if cursor.rowcount else None
    return [_judge(connection, entry, last_old) for entry in parts]


def _judge(connection: Connection, entry: EntryParts, last_old: int | None) -> Verdict:
    run = connection.execute(
        "SELECT no FROM runs WHERE id = ? AND group_id = ?", (entry.run_id, entry.group_id)
    ).fetchone()
    if run is None:
        return "homeless"
    there = connection.execute(
        "SELECT rowid, epoch, last_seq FROM journal WHERE run_no = ? AND first_seq = ?", (run[0], entry.first_seq)
    ).fetchone()
    if last_old is not None and there[0] > last_old:
        return "fresh"
    return "ours" if there[1:] == (entry.epoch, entry.last_seq) else "taken"


def _values(entry: EntryParts) -> tuple[str | int | None, ...]:
    return (
        entry.run_id,
        entry.group_id,
        entry.first_seq,
        entry.last_seq,
        entry.epoch,
        entry.attempt,
        entry.at,
        entry.events,
        entry.branch_id,
        entry.position,
        entry.message_count,
        entry.messages,
        entry.checkpoint,
        entry.checkpoint_seq,
        entry.session_id,
    )
