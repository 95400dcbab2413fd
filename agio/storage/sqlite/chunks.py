"""Parts of entries that are too large to stand in their row."""

from collections.abc import Iterable

from agio.storage.codec import EntryParts, cut, reference, referenced
from agio.storage.sqlite.connection import Connection

_PARTS = ("events", "messages", "checkpoint")

_REFERENCES = " UNION ALL ".join(
    f"SELECT {part} FROM journal WHERE run_no = :no AND substr({part}, 1, 1) = '@'"  # noqa: S608 - named above
    for part in _PARTS
)


def take_out(parts: EntryParts, inline_limit: int) -> dict[str, bytes]:
    """Replace every part over `inline_limit` bytes by a reference; return `{hash: bytes}` of their chunks."""
    chunks: dict[str, bytes] = {}
    for name in _PARTS:
        text: str | None = getattr(parts, name)
        if text is not None and is_over(text, inline_limit):
            pieces = list(cut(text))
            chunks.update(pieces)
            setattr(parts, name, reference([digest for digest, _ in pieces]))
    return chunks


def keep_chunks(connection: Connection, run_id: str, chunks: dict[str, bytes]) -> None:
    """Write chunks of a run's entry, those left out that the run has already."""
    connection.executemany(
        "INSERT OR IGNORE INTO chunks SELECT no, ?, ? FROM runs WHERE id = ?",
        [(digest, piece, run_id) for digest, piece in chunks.items()],
    )


def put_back(connection: Connection, run_no: int, text: str) -> str:
    """Return the part that `text` is or stands for."""
    digests = referenced(text)
    if digests is None:
        return text
    return b"".join(_pieces(connection, run_no, digests)).decode()


def drop_unreferenced(connection: Connection, run_no: int) -> None:
    """Delete the chunks of a run that no entry of it refers to any more."""
    rows = connection.execute(_REFERENCES, {"no": run_no}).fetchall()
    needed = {digest for (text,) in rows for digest in referenced(text) or ()}
    there = connection.execute("SELECT hash FROM chunks WHERE run_no = ?", (run_no,)).fetchall()
    connection.executemany(
        "DELETE FROM chunks WHERE run_no = ? AND hash = ?",
        [(run_no, digest) for (digest,) in there if digest not in needed],
    )


def _pieces(connection: Connection, run_no: int, digests: Iterable[str]) -> Iterable[bytes]:
    query = "SELECT bytes FROM chunks WHERE run_no = ? AND hash = ?"
    for digest in digests:
        (piece,) = connection.execute(query, (run_no, digest)).fetchone()
        yield piece


def is_over(text: str, limit: int) -> bool:
    """Say whether a part is too large to stand inline."""
    if len(text) > limit:
        return True
    return not text.isascii() and len(text) * 4 > limit and len(text.encode()) > limit
