"""Leases: which workers live, and the runs that they claim."""

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from datetime import datetime
from typing import Literal

from agio.domain.control import claim, take_over
from agio.domain.runs import Run
from agio.storage.codec import from_micros
from agio.storage.port import Interest, WorkerLimits
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.queue import find_next_ready
from agio.storage.sqlite.removal import Removal
from agio.storage.sqlite.rows import Stored, load_run, promote_waiting, write_run

NOW_US = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
"""The database's clock, in Unix microseconds."""

FORGOTTEN_US = 24 * 3600 * 1_000_000
"""Microseconds without a beat after which a dead worker's row goes."""

_BEAT = f"""
INSERT INTO workers VALUES (?, {NOW_US}, ?)
ON CONFLICT (id) DO UPDATE SET beat_us = excluded.beat_us, about = excluded.about
"""  # noqa: S608 - the expression is a constant

_LIVING = f"SELECT id FROM workers WHERE beat_us > {NOW_US} - ?"  # noqa: S608 - the expression is a constant

_ABANDONED = (
    "SELECT no, doc FROM runs WHERE owner IS NOT NULL AND owner NOT IN (SELECT value FROM json_each(?)) LIMIT ?"
)

_COMMANDS = "SELECT doc FROM runs WHERE owner = ? AND owner IS NOT NULL AND control_seq > control_ack"

_HEADS = """
SELECT r.id, (SELECT last_seq FROM journal WHERE run_no = r.no ORDER BY first_seq DESC LIMIT 1)
FROM json_each(?) AS wanted JOIN runs AS r ON r.id = wanted.value
"""

_ORPHANS = """
SELECT DISTINCT w.group_id, w.branch_id FROM runs AS w WHERE w.waits_us IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM runs AS h WHERE h.group_id = w.group_id AND h.holds = w.branch_id)
"""

_FORGOTTEN = f"SELECT id FROM workers WHERE beat_us < {NOW_US} - {FORGOTTEN_US}"  # noqa: S608 - constants


class Leases(Removal):
    """Which worker owns which run."""

    hint_source: Literal["change_stream", "data_version", "none"] = "data_version"
    _served_group: str = ""
    """The group that the last claim went to."""

    async def beat(self, worker_id: str, about: Mapping[str, str]) -> None:
        text = json.dumps(dict(about))
        await self._database.write(lambda c: c.execute(_BEAT, (worker_id, text)).rowcount)

    async def retire(self, worker_id: str) -> None:
        await self._database.write(lambda c: c.execute("DELETE FROM workers WHERE id = ?", (worker_id,)).rowcount)

    async def read_clock(self) -> datetime:
        return from_micros(await self._database.read(lambda c: c.execute(f"SELECT {NOW_US}").fetchone()[0]))

    async def living(self, lease_s: float) -> frozenset[str]:
        return await self._database.read(lambda c: _living(c, lease_s))

    async def workers(self) -> dict[str, dict[str, str]]:
        rows = await self._database.read(lambda c: c.execute("SELECT id, about FROM workers").fetchall())
        return {worker_id: json.loads(about) for worker_id, about in rows}

    async def claim_ready(self, worker_id: str, limits: WorkerLimits, *, limit: int) -> list[Run]:
        def look(connection: Connection) -> Stored | None:
            return find_next_ready(connection, limits, after_group=self._served_group)

        def work(connection: Connection) -> list[Run]:
            owned: list[Run] = []
            while len(owned) < limit and (stored := look(connection)) is not None:
                claimed = claim(stored.run, worker_id, at=self._clock())
                if claimed is None:
                    break
                self._served_group = claimed.group_id
                owned.append(write_run(connection, stored, claimed))
            return owned

        if await self._database.read(look) is None:  # most calls end here, without the write lock
            return []
        return await self._database.write(work)

    async def claim_abandoned(self, worker_id: str, lease_s: float, *, limit: int) -> list[Run]:
        def look(connection: Connection) -> tuple[frozenset[str], list[Stored]]:
            living = _living(connection, lease_s) | {worker_id}  # who asks lives
            rows = connection.execute(_ABANDONED, (json.dumps(sorted(living)), limit)).fetchall()
            return living, [Stored(no, load_run(doc)) for no, doc in rows]

        def work(connection: Connection) -> list[Run]:
            living, found = look(connection)
            taken = [(each, take_over(each.run, worker_id, living=living, at=self._clock())) for each in found]
            return [write_run(connection, stored, run) for stored, run in taken if run is not None]

        if not (await self._database.read(look))[1]:
            return []
        return await self._database.write(work)

    async def commands(self, worker_id: str) -> list[Run]:
        rows = await self._database.read(lambda c: c.execute(_COMMANDS, (worker_id,)).fetchall())
        return [load_run(doc) for (doc,) in rows]

    async def owned(self, worker_id: str) -> list[Run]:
        rows = await self._database.read(
            lambda c: c.execute("SELECT doc FROM runs WHERE owner = ?", (worker_id,)).fetchall()
        )
        return [load_run(doc) for (doc,) in rows]

    async def sweep(self) -> None:
        def look(connection: Connection) -> tuple[list[tuple[str, str]], list[tuple[str]]]:
            return connection.execute(_ORPHANS).fetchall(), connection.execute(_FORGOTTEN).fetchall()

        def work(connection: Connection) -> None:
            orphans, forgotten = look(connection)
            for group_id, branch_id in orphans:
                promote_waiting(connection, group_id, branch_id, self._clock())
            connection.executemany("DELETE FROM workers WHERE id = ?", forgotten)

        if any(await self._database.read(look)):
            await self._database.write(work)
        await self._clear_leftovers()

    async def heads(self, run_ids: Collection[str]) -> dict[str, int]:
        wanted = json.dumps(list(run_ids))
        return dict(await self._database.read(lambda c: c.execute(_HEADS, (wanted,)).fetchall()))

    def hints(self, interest: Interest) -> AsyncGenerator[frozenset[str] | None, None]:
        return self._database.changes(interest)


def _living(connection: Connection, lease_s: float) -> frozenset[str]:
    rows = connection.execute(_LIVING, (round(lease_s * 1_000_000),)).fetchall()
    return frozenset(worker_id for (worker_id,) in rows)
