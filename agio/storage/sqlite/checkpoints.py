"""Checkpoints: they stand in the journal, in the entries that made them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import NotFound
from agio.domain.ids import split_checkpoint_id
from agio.storage.codec import dump_checkpoint, load_checkpoint
from agio.storage.port import Page
from agio.storage.sqlite.chunks import put_back
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.part import Part

_OF_RUN = """
FROM journal AS j JOIN runs AS r ON r.no = j.run_no
WHERE r.id = :run_id AND r.group_id = :group_id AND j.checkpoint_seq IS NOT NULL
"""
_COUNT = f"SELECT COUNT(*) {_OF_RUN}"
_LIST = f"SELECT j.run_no, j.checkpoint {_OF_RUN} ORDER BY j.checkpoint_seq LIMIT :limit OFFSET :offset"
_LAST = f"SELECT j.run_no, j.checkpoint {_OF_RUN} ORDER BY j.checkpoint_seq DESC LIMIT 1"
_ONE = f"SELECT j.run_no, j.checkpoint {_OF_RUN} AND j.checkpoint_seq = :seq"
_OF_SESSION = """
SELECT j.run_no, j.checkpoint FROM journal AS j CROSS JOIN runs AS r
WHERE j.session_id = :session_id AND r.no = j.run_no AND r.group_id = :group_id
"""


class Checkpoints(Part):
    """Points that runs can be restored or forked from."""

    async def list_checkpoints(
        self, group_id: str, run_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Page[Checkpoint]:
        values = {"group_id": group_id, "run_id": run_id, "limit": -1 if limit is None else limit, "offset": offset}

        def read(connection: Connection) -> Page[Checkpoint]:
            (total,) = connection.execute(_COUNT, values).fetchone()
            return Page(items=_load_all(connection, connection.execute(_LIST, values).fetchall()), total=total)

        return await self._database.read(read)

    async def session_checkpoints(self, group_id: str, session_id: str) -> list[Checkpoint]:
        values = {"group_id": group_id, "session_id": session_id}
        return await self._database.read(lambda c: _load_all(c, c.execute(_OF_SESSION, values).fetchall()))

    async def last_checkpoint(self, group_id: str, run_id: str) -> Checkpoint | None:
        values = {"group_id": group_id, "run_id": run_id}
        found = await self._database.read(lambda c: _load_all(c, c.execute(_LAST, values).fetchall()))
        return found[0] if found else None

    async def get_checkpoint(self, group_id: str, checkpoint_id: str) -> Checkpoint:
        return await self._database.read(lambda c: _find(c, group_id, checkpoint_id)[1])

    async def annotate_checkpoint(
        self, group_id: str, checkpoint_id: str, *, label: str | None, tags: Sequence[str]
    ) -> Checkpoint:
        def work(connection: Connection) -> Checkpoint:
            run_no, checkpoint = _find(connection, group_id, checkpoint_id)
            checkpoint = replace(checkpoint, label=label, tags=tuple(tags))
            connection.execute(
                "UPDATE journal SET checkpoint = ? WHERE run_no = ? AND checkpoint_seq = ?",
                (dump_checkpoint(checkpoint), run_no, checkpoint.seq),
            )
            return checkpoint

        return await self._database.write(work)


def _find(connection: Connection, group_id: str, checkpoint_id: str) -> tuple[int, Checkpoint]:
    match split_checkpoint_id(checkpoint_id):
        case (run_id, seq):
            row = connection.execute(_ONE, {"group_id": group_id, "run_id": run_id, "seq": seq}).fetchone()
            if row is not None:
                return row[0], _load(connection, *row)
    raise NotFound(f"there is no checkpoint {checkpoint_id!r}")


def _load(connection: Connection, run_no: int, text: str) -> Checkpoint:
    return load_checkpoint(put_back(connection, run_no, text))


def _load_all(connection: Connection, rows: Iterable[tuple[int, str]]) -> list[Checkpoint]:
    return [_load(connection, run_no, text) for run_no, text in rows]
