"""Tables and indexes, and the version that tells programs apart that disagree about them."""

import sqlite3
from typing import Any

from agio.domain.errors import Unsupported
from agio.domain.status import LIVE
from agio.storage.port import KINDS, Kind
from agio.storage.sqlite.connection import Connection, begin, patiently, roll_back
from agio.storage.sqlite.upgrades import upgrade

SCHEMA_VERSION = 2
"""Grows with every change that an older program would not understand."""

MIN_SQLITE = (3, 37, 0)

IS_LIVE = f"status IN ({', '.join(repr(status.value) for status in sorted(LIVE))})"
"""Said the same wherever it is meant: only then the index of it is used."""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    group_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    branch_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    parent_run_id TEXT,
    status TEXT NOT NULL,
    owner TEXT,
    holds TEXT, -- the branch, while it holds it
    queue TEXT, -- 'ready' while a worker may claim it
    queued_us INTEGER NOT NULL, -- since when that is so, or is not
    waits_us INTEGER, -- since when it waits for its branch; NULL: it does not
    has_command INTEGER NOT NULL, -- 1: it has; 2: nobody has begun it; 4: it takes room; 0: none of these
    control_seq INTEGER NOT NULL,
    control_ack INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    ended_us INTEGER, -- NULL while it is live
    loose_us INTEGER, -- the same, until its journal is compacted
    search TEXT NOT NULL,
    doc TEXT NOT NULL
);
CREATE UNIQUE INDEX runs_holds ON runs (group_id, holds) WHERE holds IS NOT NULL;
CREATE INDEX runs_ready ON runs (group_id, has_command, queued_us) WHERE queue = 'ready';
CREATE INDEX runs_waiting ON runs (group_id, branch_id, waits_us) WHERE waits_us IS NOT NULL;
CREATE INDEX runs_owned ON runs (group_id, owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_owner ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_commands ON runs (owner) WHERE owner IS NOT NULL AND control_seq > control_ack;
CREATE INDEX runs_created ON runs (group_id, created_us);
CREATE INDEX runs_status ON runs (group_id, status, created_us);
CREATE INDEX runs_agent ON runs (group_id, agent_id, created_us);
CREATE INDEX runs_session ON runs (group_id, session_id, created_us);
CREATE INDEX runs_branch ON runs (group_id, branch_id, created_us);
CREATE INDEX runs_parent ON runs (group_id, parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_ended ON runs (status, ended_us, id) WHERE ended_us IS NOT NULL;
CREATE INDEX runs_loose ON runs (loose_us, id) WHERE loose_us IS NOT NULL;

CREATE TABLE run_tags (tag TEXT, run_no INTEGER, PRIMARY KEY (tag, run_no)) WITHOUT ROWID;
CREATE INDEX run_tags_run ON run_tags (run_no);

CREATE TABLE specs (run_no INTEGER PRIMARY KEY, doc TEXT NOT NULL);

CREATE TABLE snapshots (
    group_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    doc TEXT NOT NULL,
    unused_us INTEGER, -- since when no run needs it; NULL: one does, or nobody looked
    PRIMARY KEY (group_id, digest)
);

-- Which runs need which snapshot.
CREATE TABLE run_snapshots (
    group_id TEXT, digest TEXT, run_no INTEGER, PRIMARY KEY (group_id, digest, run_no)
) WITHOUT ROWID;

-- Rows of all runs in the order they come in, found through an index of small integers: that writes a fifth
-- of the pages that a table sorted by run does.
CREATE TABLE journal (
    run_no INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    events TEXT NOT NULL,
    branch_id TEXT,
    position INTEGER,
    message_count INTEGER NOT NULL,
    messages TEXT,
    checkpoint TEXT,
    checkpoint_seq INTEGER,
    session_id TEXT,
    UNIQUE (run_no, first_seq)
);
CREATE INDEX journal_branch ON journal (branch_id, position) WHERE branch_id IS NOT NULL;
CREATE INDEX journal_checkpoint ON journal (run_no, checkpoint_seq) WHERE checkpoint_seq IS NOT NULL;
CREATE INDEX journal_session ON journal (session_id) WHERE session_id IS NOT NULL;

-- Parts of entries that are too large to stand inline. They belong to one run and go with it.
CREATE TABLE chunks (run_no INTEGER, hash TEXT, bytes BLOB NOT NULL, UNIQUE (run_no, hash));

CREATE TABLE approvals (
    no INTEGER PRIMARY KEY,
    group_id TEXT NOT NULL,
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    doc TEXT NOT NULL,
    UNIQUE (group_id, id)
);
CREATE INDEX approvals_created ON approvals (group_id, created_us);
CREATE INDEX approvals_status ON approvals (group_id, status, created_us);
CREATE INDEX approvals_run ON approvals (group_id, run_id, created_us);

CREATE TABLE workers (id TEXT PRIMARY KEY, beat_us INTEGER NOT NULL, about TEXT NOT NULL) WITHOUT ROWID;
"""


def prepare(connection: Connection, timeout_s: float) -> None:
    """Make the tables, unless they are there, and check that this program understands them.

    Several processes may do so at once. A failure of SQLite is raised as it is.

    Raises:
        Unsupported: the tables are another program's, or a newer Agio's.
    """
    (mode,) = patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone(), timeout_s)
    if mode != "wal":
        raise Unsupported(f"SQLite's journal mode stays {mode!r} where the database file is; put it on a local disk")
    begin(connection, timeout_s)
    try:
        if not _has_table(connection, "meta"):
            _create(connection)
        _check_version(connection)
        for kind in KINDS:
            _complete(connection, kind)
        connection.execute(f"CREATE INDEX IF NOT EXISTS runs_live ON runs (status) WHERE {IS_LIVE}")
        connection.execute("COMMIT")
    finally:
        roll_back(connection)


def check_library() -> None:
    """Raise `Unsupported` when the SQLite library is too old."""
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        wanted = ".".join(map(str, MIN_SQLITE))
        raise Unsupported(f"this Python comes with SQLite {sqlite3.sqlite_version}; {wanted} or newer is needed")


def catalog_columns(kind: Kind[Any]) -> list[str]:
    """Return the columns that a kind of record has besides those that all have."""
    return list(dict.fromkeys((*kind.filters, *kind.members, *kind.unique, *kind.instants)))


def _create(connection: Connection) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchone():
        raise Unsupported("the database file belongs to another program; name another file")
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))


def _complete(connection: Connection, kind: Kind[Any]) -> None:
    """Make the table of a kind, and what a file of an earlier program lacks of it: older programs can live with it."""
    columns = catalog_columns(kind)
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{kind.name}" (group_id TEXT NOT NULL, id TEXT NOT NULL, '
        "created_us INTEGER NOT NULL, search TEXT NOT NULL, doc TEXT NOT NULL, "
        + "".join(f'"{name}", ' for name in columns)
        + "PRIMARY KEY (group_id, id))"
    )
    there = {name for _, name, *_ in connection.execute(f'PRAGMA table_info("{kind.name}")')}
    for name in columns:
        if name not in there:
            connection.execute(f'ALTER TABLE "{kind.name}" ADD COLUMN "{name}"')
    for statement in _index_statements(kind):
        connection.execute(statement)


def _index_statements(kind: Kind[Any]) -> list[str]:
    table = kind.name
    indexes = [
        (f"{table}_created", "(group_id, created_us)"),
        (f"{table}_age", "(created_us)"),
        *((f"{table}_{name}", f'(group_id, "{name}", created_us)') for name in kind.filters),
        *((f"{table}_{name}", f'("{name}")') for name in kind.instants),
    ]
    unique = [(f"{table}_one_{name}", f'(group_id, "{name}")') for name in kind.unique]
    return [
        *(f'CREATE INDEX IF NOT EXISTS "{index}" ON "{table}" {columns}' for index, columns in indexes),
        *(f'CREATE UNIQUE INDEX IF NOT EXISTS "{index}" ON "{table}" {columns}' for index, columns in unique),
    ]


def _check_version(connection: Connection) -> None:
    found = int(connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()[0])
    if found > SCHEMA_VERSION:
        raise Unsupported(
            f"the database has schema version {found}, this Agio knows version {SCHEMA_VERSION}; "
            "install the newer Agio that made it, or name another file"
        )
    upgrade(connection, found, SCHEMA_VERSION)


def _has_table(connection: Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None
