"""Lists of runs: filters, and cursors that stay right while runs are added."""

import base64
import re
from dataclasses import dataclass
from typing import Any

from agio.domain.errors import Invalid
from agio.domain.runs import WORKFLOW_AGENT, Run, RunFilter
from agio.storage.codec import to_micros
from agio.storage.port import Page
from agio.storage.sqlite.connection import Connection
from agio.storage.sqlite.rows import load_run

_CURSOR = re.compile(r"runs:(-?\d{1,18}):(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which stretch of a list."""

    limit: int
    offset: int
    cursor: str | None
    newest_first: bool


def list_page(connection: Connection, group_id: str, where: RunFilter, window: Window) -> Page[Run]:
    """Return a stretch of the runs that `where` lets through, by time of creation."""
    conditions = _conditions(group_id, where)
    clause, values = _join(conditions)
    (total,) = connection.execute(f"SELECT COUNT(*) FROM runs WHERE {clause}", values).fetchone()  # noqa: S608
    offset = window.offset
    if window.cursor is not None:
        beyond = "<" if window.newest_first else ">"
        conditions.append((f"(created_us, no) {beyond} (?, ?)", _read_cursor(window.cursor)))
        offset = 0
    clause, values = _join(conditions)
    order = "DESC" if window.newest_first else "ASC"
    rows = connection.execute(
        f"SELECT doc, created_us, no FROM runs WHERE {clause}"  # noqa: S608 - clauses written below
        f" ORDER BY created_us {order}, no {order} LIMIT ? OFFSET ?",
        (*values, window.limit + 1, offset),
    ).fetchall()
    page = rows[: window.limit]
    more = len(rows) > len(page) > 0
    next_cursor = _write_cursor(*page[-1][1:]) if more else None
    return Page(items=[load_run(row[0]) for row in page], total=total, next_cursor=next_cursor)


def _join(conditions: list[tuple[str, tuple[Any, ...]]]) -> tuple[str, list[Any]]:
    clause = " AND ".join(condition for condition, _ in conditions)
    return clause, [value for _, values in conditions for value in values]


def _conditions(group_id: str, where: RunFilter) -> list[tuple[str, tuple[Any, ...]]]:
    conditions: list[tuple[str, tuple[Any, ...]]] = [("group_id = ?", (group_id,))]
    for column in ("agent_id", "session_id", "branch_id", "parent_run_id"):
        if (value := getattr(where, column)) is not None:
            conditions.append((f"{column} = ?", (value,)))
    if where.statuses is not None:
        places = ", ".join("?" * len(where.statuses))
        conditions.append((f"status IN ({places})", tuple(status.value for status in where.statuses)))
    if where.workflows_only:
        is_root = "agent_id >= ? AND agent_id < ? AND json_extract(doc, '$.place') IS NULL"
        conditions.append((is_root, (WORKFLOW_AGENT, WORKFLOW_AGENT[:-1] + chr(ord(WORKFLOW_AGENT[-1]) + 1))))
    if where.tag is not None:
        conditions.append(("no IN (SELECT run_no FROM run_tags WHERE tag = ?)", (where.tag,)))
    if where.text is not None:
        conditions.append(("instr(search, ?)", (where.text.casefold(),)))
    if where.since is not None:
        conditions.append(("created_us >= ?", (to_micros(where.since),)))
    if where.until is not None:
        conditions.append(("created_us < ?", (to_micros(where.until),)))
    return conditions


def _write_cursor(created_us: int, no: int) -> str:
    return base64.urlsafe_b64encode(f"runs:{created_us}:{no}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii")
    except ValueError:
        text = ""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise Invalid(f"{cursor!r} is not a cursor of a list of runs", field="cursor")
    return int(match[1]), int(match[2])
