"""Collecting what nobody refers to: snapshots, specs, chunks.

Whoever writes stores contents first and the document that refers to them after, so what is there without being
referred to may belong to a write under way. That is why nothing young is touched, and nothing of a live run.
"""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import groupby
from typing import Any

from agio.domain.status import TERMINAL
from agio.storage.codec import referenced
from agio.storage.mongo import keys
from agio.storage.mongo.calls import Part, write
from agio.storage.mongo.database import Document
from agio.storage.mongo.schema import APPROVALS, BLOBS, JOURNAL, RUNS, SNAPSHOTS, SPECS
from agio.storage.port import KINDS
from agio.storage.upkeep import Collected

YOUNG_S = 3600
"""Seconds; no write takes that long."""

_WHAT_MATTERS = {
    SNAPSHOTS: {"group_id": 1, "unused_since": 1},
    SPECS: {"at": 1},
    BLOBS: {"_id": 1},  # the index has it: a chunk is a megabyte to read
}
_ENDED = tuple(sorted(status.value for status in TERMINAL))
_RECORDS = frozenset({SNAPSHOTS, APPROVALS, *(kind.name for kind in KINDS)})
"""Collections whose documents may have chunks."""


class GarbageMethods(Part):
    """Implements `collect` of `Upkeep`."""

    @write
    async def collect(self, *, limit: int, cursor: str | None = None) -> Collected:
        looks: dict[str, Callable[[Sequence[Document]], Coroutine[Any, Any, int]]] = {
            SNAPSHOTS: self._collect_snapshots,
            SPECS: self._collect_specs,
            BLOBS: self._collect_chunks,
        }
        name, _, after = (cursor or f"{SNAPSHOTS} ").partition(" ")
        found = self._database[name].find({"_id": {"$gt": after}}, _WHAT_MATTERS[name])
        documents = await found.sort("_id", 1).limit(limit).to_list(None)
        count = await looks[name](documents)
        if len(documents) == limit:
            return Collected(count=count, next_cursor=f"{name} {documents[-1]['_id']}")
        following = list(looks)[list(looks).index(name) + 1 :]
        return Collected(count=count, next_cursor=f"{following[0]} " if following else None)

    async def _collect_snapshots(self, documents: Sequence[Document]) -> int:
        """Mark those that no run needs; delete those that were marked long ago and are so still."""
        unused = [each for each in documents if not await self._is_used(each)]
        old = _old()
        ripe = [each["_id"] for each in unused if each.get("unused_since", old) < old]
        fresh = [each["_id"] for each in unused if "unused_since" not in each]
        again = [each["_id"] for each in documents if "unused_since" in each and each not in unused]
        snapshots = self._database[SNAPSHOTS]

        async def attempt(_: bool) -> None:
            if ripe:
                await snapshots.delete_many({"_id": {"$in": ripe}, "unused_since": {"$lt": old}})
            if fresh:
                await snapshots.update_many({"_id": {"$in": fresh}}, {"$set": {"unused_since": _now()}})
            if again:
                await snapshots.update_many({"_id": {"$in": again}}, {"$unset": {"unused_since": ""}})

        await self._database.commits.repeat(attempt)
        return len(unused)

    async def _is_used(self, snapshot: Document) -> bool:
        digest = snapshot["_id"].partition("/")[2]
        # A run that a process of an earlier version wrote does not say which ones it needs.
        wanted = {"group_id": snapshot["group_id"], "digests": {"$in": [digest, None]}}
        return await self._database[RUNS].find_one(wanted, {"_id": 1}) is not None

    async def _collect_specs(self, documents: Sequence[Document]) -> int:
        """Delete those whose run was never accepted."""
        owners = {each["_id"]: each["_id"].rpartition(":")[0] for each in documents if each.get("at", 0) < _old()}
        runs = self._database[RUNS].find({"_id": {"$in": list(set(owners.values()))}}, {"spec": 1})
        needed = {each["spec"] async for each in runs}
        lost = [key for key in owners if key not in needed]

        async def attempt(_: bool) -> None:
            if lost:
                await self._database[SPECS].delete_many({"_id": {"$in": lost}})

        await self._database.commits.repeat(attempt)
        return len(lost)

    async def _collect_chunks(self, documents: Sequence[Document]) -> int:
        lost: list[str] = []
        for owner, chunks in groupby(documents, key=_owner):
            needed = await self._needed_of(owner)
            if needed is not None:
                lost += [each["_id"] for each in chunks if each["_id"].rpartition(":")[2] not in needed]
        old = {"$or": [{"at": {"$lt": _old()}}, {"at": {"$exists": False}}]}
        count = 0

        async def attempt(_: bool) -> None:
            nonlocal count
            if lost:
                count += (await self._database[BLOBS].delete_many({"_id": {"$in": lost}, **old})).deleted_count

        await self._database.commits.repeat(attempt)
        return count

    async def _needed_of(self, owner: str) -> frozenset[str] | None:
        """Return the hashes of the chunks that an owner refers to; None: they are not to be touched."""
        collection, _, key = owner.partition("/")
        if key and collection in _RECORDS:
            record = await self._database[collection].find_one({"_id": key}, {"doc": 1})
            return _hashes([record["doc"]]) if record else frozenset()
        run = await self._database[RUNS].find_one({"_id": owner}, {"doc": 1, "status": 1})
        if run is None:
            return frozenset()
        if run.get("status") not in _ENDED:
            return None
        texts = [run["doc"]]
        async for spec in self._database[SPECS].find({"_id": keys.parts(owner)}, {"doc": 1, "first": 1}):
            texts += [spec["doc"], *_texts(spec["first"])]
        large = {"$regex": "^@"}
        wanted = {"$or": [{"events": large}, {"messages": large}, {"checkpoint": large}]}
        parts = {"events": 1, "messages": 1, "checkpoint": 1}
        async for entry in self._database[JOURNAL].find({"_id": keys.entries(owner), **wanted}, parts):
            texts += _texts(entry)
        return _hashes(texts)


def _texts(entry: Document) -> list[str]:
    return [entry[name] for name in ("events", "messages", "checkpoint") if name in entry]


def _hashes(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(digest for text in texts for digest in referenced(text) or ())


def _owner(chunk: Document) -> str:
    owner: str = chunk["_id"].rpartition(":")[0]
    return owner


def _now() -> int:
    return time.time_ns() // 1_000


def _old() -> int:
    return _now() - YOUNG_S * 1_000_000
