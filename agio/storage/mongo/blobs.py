"""Texts too large to stand in a document, in chunks by content hash.

The chunks of a text belong to an owner (a run, a catalog record) and are deleted with it; the same chunk of
another owner is another document. So nobody counts references, and no group can find out what another stores.
"""

import time
from collections.abc import Sequence

from pymongo.errors import BulkWriteError

from agio.domain.errors import NotFound
from agio.storage.codec import cut, reference, referenced
from agio.storage.mongo import keys
from agio.storage.mongo.commits import Unsettled
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.failures import DUPLICATE_KEY
from agio.storage.mongo.schema import BLOBS

MOST_INLINE_BYTES = 3 * 1024 * 1024
"""Bound on `inline_limit`: a spec and the three parts of a first entry still fit into a document of 16 MB."""

CHUNKS_AT_ONCE = 16


class Blobs:
    """Moves large texts out of documents and back."""

    def __init__(self, database: Database, inline_limit: int) -> None:
        self._database = database
        self._limit = min(inline_limit, MOST_INLINE_BYTES)

    async def shrink(self, owner: str, text: str) -> str:
        """Return what stands inline for `text`: itself, or the reference to chunks that are now stored."""
        if len(text) * 4 <= self._limit or len(text.encode()) <= self._limit:
            return text
        hashes: list[str] = []
        chunks: list[Document] = []
        for digest, chunk in cut(text):
            hashes.append(digest)
            chunks.append({"_id": keys.part(owner, digest), "data": chunk, "at": time.time_ns() // 1_000})
            if len(chunks) == CHUNKS_AT_ONCE:
                await self._store(chunks)
                chunks = []
        if chunks:
            await self._store(chunks)
        return reference(hashes)

    async def _store(self, chunks: list[Document]) -> None:
        """Store chunks; one that is there counts as new from now on, so that nobody collects it before its use."""

        async def attempt(_: bool) -> None:
            try:
                await self._database[BLOBS].insert_many(chunks, ordered=False)
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise
                failed = error.details["writeErrors"]
                if any(item["code"] != DUPLICATE_KEY for item in failed):
                    raise
                there = {chunks[item["index"]]["_id"] for item in failed}
                renewed = {"$set": {"at": time.time_ns() // 1_000}}
                update = await self._database[BLOBS].update_many({"_id": {"$in": sorted(there)}}, renewed)
                if update.matched_count < len(there):
                    raise Unsettled("a chunk was collected a moment ago") from error

        await self._database.commits.repeat(attempt)

    async def expand(self, owner: str, text: str) -> str:
        """Return the text that `text` stands for. Raises `NotFound` when it was deleted meanwhile."""
        if not text.startswith("@"):
            return text
        return (await self.expand_all([(owner, text)]))[0]

    async def expand_all(self, texts: Sequence[tuple[str, str]]) -> list[str]:
        """Return the texts that `(owner, text)` pairs stand for, in the same order."""
        wanted = [[keys.part(owner, digest) for digest in referenced(text) or ()] for owner, text in texts]
        missing = list(dict.fromkeys(key for chunk_keys in wanted for key in chunk_keys))
        chunks: dict[str, bytes] = {}
        for start in range(0, len(missing), CHUNKS_AT_ONCE):
            batch = missing[start : start + CHUNKS_AT_ONCE]
            async for chunk in self._database[BLOBS].find({"_id": {"$in": batch}}):
                chunks[chunk["_id"]] = chunk["data"]
        try:
            return [
                b"".join(chunks[key] for key in chunk_keys).decode() if chunk_keys else text
                for chunk_keys, (_, text) in zip(wanted, texts, strict=True)
            ]
        except KeyError as error:
            owner = str(error.args[0]).rpartition(":")[0]
            raise NotFound(f"{owner!r} was deleted while it was read") from error

    async def delete(self, owner: str) -> None:
        """Delete every chunk of the owner."""
        await self._database[BLOBS].delete_many({"_id": keys.parts(owner)})
