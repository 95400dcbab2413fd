"""What turns the tables of an earlier version into those of this one."""

from agio.storage.sqlite.connection import Connection

_ENDED_US = "CAST(round((julianday(json_extract(doc, '$.ended_at')) - 2440587.5) * 86400000) AS INTEGER) * 1000"

_TO_2 = f"""
ALTER TABLE runs ADD COLUMN ended_us INTEGER;
ALTER TABLE runs ADD COLUMN loose_us INTEGER;
UPDATE runs SET ended_us = {_ENDED_US}, loose_us = {_ENDED_US} WHERE status IN ('completed', 'failed', 'cancelled');
CREATE INDEX runs_ended ON runs (status, ended_us, id) WHERE ended_us IS NOT NULL;
CREATE INDEX runs_loose ON runs (loose_us, id) WHERE loose_us IS NOT NULL;
ALTER TABLE snapshots ADD COLUMN unused_us INTEGER;
CREATE TABLE run_snapshots (
    group_id TEXT, digest TEXT, run_no INTEGER, PRIMARY KEY (group_id, digest, run_no)
) WITHOUT ROWID;
INSERT OR IGNORE INTO run_snapshots SELECT group_id, json_extract(doc, '$.agent_digest'), no FROM runs;
INSERT OR IGNORE INTO run_snapshots
    SELECT r.group_id, json_extract(j.checkpoint, '$.agent_digest'), r.no
    FROM journal AS j JOIN runs AS r ON r.no = j.run_no
    WHERE j.checkpoint IS NOT NULL AND substr(j.checkpoint, 1, 1) = '{{'
"""  # noqa: S608 - the expression is a constant
"""Compaction, retention, collection: when a run ended, whether its journal is compacted, which agents it needs."""

UPGRADES = {2: _TO_2}
"""Statements by the version that they lead to."""


def upgrade(connection: Connection, found: int, wanted: int) -> None:
    """Bring the tables from version `found` to `wanted`, within the transaction that is under way."""
    for version in range(found + 1, wanted + 1):
        for statement in UPGRADES[version].split(";\n"):
            connection.execute(statement)
    if found < wanted:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(wanted),))
