"""Whose turn it is: the next ready run that limits allow."""

from collections.abc import Iterator

from agio.storage.port import WorkerLimits
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.rows import Stored, load_run

_NEXT_GROUP = "SELECT group_id FROM runs WHERE queue = 'ready' AND group_id > ? ORDER BY group_id LIMIT 1"

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
        kinds = (True,) if _is_full(connection, group_id, limits.of(group_id)) else (True, False)
        rows = [connection.execute(_OLDEST, (group_id, has_command)).fetchone() for has_command in kinds]
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


def _is_full(connection: Connection, group_id: str, limit: int | None) -> bool:
    if limit is None:
        return False
    (owned,) = connection.execute(_OWNED, (group_id, limit)).fetchone()
    return bool(owned >= limit)
