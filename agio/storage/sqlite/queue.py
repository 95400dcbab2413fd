"""Whose turn it is: the next ready run that limits allow."""

from collections.abc import Iterator

from agio.storage.port import WorkerLimits
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.rows import COMMAND, FRESH, TAKES_ROOM, Stored, load_run

_NEXT_GROUP = "SELECT group_id FROM runs WHERE queue = 'ready' AND group_id > ? ORDER BY group_id LIMIT 1"

_HEEDED = (COMMAND, COMMAND | FRESH, COMMAND | TAKES_ROOM)
_BEGUN = (0, TAKES_ROOM)
_UNTOUCHED = (FRESH,)

_AT_WORK = """
SELECT COUNT(*) FROM (
    SELECT 1 FROM runs WHERE group_id = ?1 AND owner IS NOT NULL AND has_command >= 4
    UNION ALL SELECT 1 FROM runs WHERE queue = 'ready' AND group_id = ?1 AND has_command IN (4, 5)
    UNION ALL SELECT 1 FROM runs WHERE group_id = ?1 AND status = 'waiting' AND queue IS NULL AND has_command >= 4
    LIMIT ?2)
"""

_OWNED = "SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE group_id = ? AND owner IS NOT NULL LIMIT ?)"

_OLDEST = """
SELECT queued_us, no, doc FROM runs WHERE queue = 'ready' AND group_id = ? AND has_command = ?
ORDER BY queued_us, no LIMIT 1
"""


def find_next_ready(connection: Connection, limits: WorkerLimits, *, after_group: str) -> Stored | None:
    """Return the ready run that is longest so, of the first group after `after_group` that has one it may.

    Over its limit a group still gets its runs with commands. None: there is no such run.
    """
    for group_id in _turns(connection, after_group):
        kinds = _allowed(connection, group_id, limits.of(group_id))
        rows = [connection.execute(_OLDEST, (group_id, kind)).fetchone() for kind in kinds]
        oldest = min((row for row in rows if row is not None), default=None)
        if oldest is not None:
            return Stored(oldest[1], load_run(oldest[2]))
    return None


def _turns(connection: Connection, after_group: str) -> Iterator[str]:
    """Yield the groups that have ready runs, once each, `after_group` last."""
    group_id = after_group
    wrapped = False
    while True:
        row = connection.execute(_NEXT_GROUP, (group_id,)).fetchone()
        if row is None:
            if wrapped:
                return
            wrapped, group_id = True, ""
            continue
        (group_id,) = row
        yield group_id
        if wrapped and group_id >= after_group:
            return


def _allowed(connection: Connection, group_id: str, limit: int | None) -> tuple[int, ...]:
    """Return the kinds of runs of the group that may be claimed now."""
    if limit is None:
        return (*_HEEDED, *_BEGUN, *_UNTOUCHED)
    if _reaches(connection, _OWNED, group_id, limit):
        return _HEEDED
    if _reaches(connection, _AT_WORK, group_id, limit):
        return (*_HEEDED, *_BEGUN)
    return (*_HEEDED, *_BEGUN, *_UNTOUCHED)


def _reaches(connection: Connection, query: str, group_id: str, limit: int) -> bool:
    (found,) = connection.execute(query, (group_id, limit)).fetchone()
    return bool(found >= limit)
