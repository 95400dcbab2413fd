"""Collections, their indexes and the version of their form."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from agio.domain.errors import Unsupported
from agio.domain.status import LIVE
from agio.storage.mongo.database import Database
from agio.storage.port import (
    BRANCHES,
    DELIVERIES,
    FIRES,
    KINDS,
    REQUESTS,
    REVOKED_TOKENS,
    SESSIONS,
    STREAM_TOKENS,
    WEBHOOKS,
    WINDOWS,
    Kind,
)

SCHEMA_VERSION = 2

RUNS = "runs"
SPECS = "specs"
SNAPSHOTS = "snapshots"
JOURNAL = "journal"
BLOBS = "blobs"
APPROVALS = "approvals"
WORKERS = "workers"
META = "meta"

WORKER_DAYS = 1
"""Days after which the last beat of a worker that did not retire is thrown away. It died long before."""


LIVE_STATUSES = sorted(status.value for status in LIVE)


def _index(*keys: str, where: str | None = None, unique: bool = False, **more: Any) -> IndexModel:
    """Describe an index; `-` before a key: descending; `where`: only documents that have this field."""
    order = [(key.lstrip("-"), DESCENDING if key.startswith("-") else ASCENDING) for key in keys]
    if where is not None:
        more["partialFilterExpression"] = {where: {"$exists": True}}
    return IndexModel(order, unique=unique, **more)


_RUN_INDEXES = (
    _index("holds", where="holds", unique=True),
    _index("slot", where="slot", unique=True),
    _index("seat", where="seat", unique=True),
    _index("waits", "waits_since", "_id", where="waits"),
    _index("ready", "ready_at", where="ready"),
    _index("owner", "group_id", where="owner"),
    _index("parent", where="parent"),
    _index("gone", where="gone"),
    _index("status", "ended_at", "_id", where="ended_at"),
    _index("loose", "_id", where="loose"),
    _index("group_id", "digests"),
    _index("group_id", "tags", "created_at", "_id", where="tags"),
    _index("group_id", "created_at", "_id", where="flow", name="flows"),
    _index("group_id", "created_at", "_id"),
    _index("group_id", "session_id", "created_at", "_id"),
    _index("group_id", "status", "created_at", "_id"),
    _index("branch", "created_at", "_id"),
    _index("status", partialFilterExpression={"status": {"$in": LIVE_STATUSES}}),
)
_INDEXES: Mapping[str, tuple[IndexModel, ...]] = {
    RUNS: _RUN_INDEXES,
    # Only entries with messages or a checkpoint are in these; token deltas cost the index on _id alone.
    JOURNAL: (
        _index("branch_id", "position", where="branch_id"),
        _index("run_id", "checkpoint_seq", where="checkpoint_seq"),
        _index("session_id", where="session_id"),
    ),
    APPROVALS: (
        _index("group_id", "created_at", "_id"),
        _index("group_id", "status", "created_at", "_id"),
        _index("run_id"),
        _index("pending", where="pending"),
    ),
    WORKERS: (_index("beat_at", expireAfterSeconds=WORKER_DAYS * 24 * 3600),),
}
_KIND_INDEXES: Mapping[str, tuple[IndexModel, ...]] = {
    SESSIONS.name: (_index("group_id", "f.user_id", "created_at"),),
    BRANCHES.name: (_index("group_id", "f.session_id"), _index("group_id", "f.parent_id")),
    WEBHOOKS.name: (_index("group_id", "f.run_id", "created_at"),),
    DELIVERIES.name: (_index("group_id", "f.webhook_id", "created_at"), _index("created_at")),
    FIRES.name: (_index("group_id", "f.schedule_id", "created_at"), _index("created_at")),
    **{kind.name: (_index("created_at"),) for kind in (REQUESTS, REVOKED_TOKENS, STREAM_TOKENS, WINDOWS)},
}


def _indexes_of(kind: Kind[Any]) -> tuple[IndexModel, ...]:
    unique = tuple(_index("group_id", f"f.{name}", unique=True) for name in kind.unique)
    instants = tuple(_index(f"f.{name}", where=f"f.{name}") for name in kind.instants)
    return (_index("group_id", "created_at", "_id"), *unique, *instants, *_KIND_INDEXES.get(kind.name, ()))


async def prepare(database: Database) -> int:
    """Check the schema's version, then make the indexes that are missing; return the version that was found.

    Raises:
        Unsupported: a newer program wrote this database.
    """
    meta = database[META]
    found = await meta.find_one({"_id": "schema"})
    if found is None:
        found = {"_id": "schema", "version": SCHEMA_VERSION}
        try:
            await meta.insert_one(dict(found))
        except DuplicateKeyError:  # another process was quicker; it may have been a newer one
            found = await meta.find_one({"_id": "schema"}) or found
    version = found["version"]
    if version > SCHEMA_VERSION:
        raise Unsupported(
            f"the database has schema version {version}, this program knows {SCHEMA_VERSION}; "
            "run the newer program, or use another database"
        )
    wanted = {**_INDEXES, **{kind.name: _indexes_of(kind) for kind in KINDS}}
    await asyncio.gather(*(database[name].create_indexes(list(made)) for name, made in wanted.items()))
    return int(version)
