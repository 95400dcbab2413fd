"""Small records, one document each: fields to find them by, the record as text, and compare-and-swap on `rev`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pymongo.errors import DuplicateKeyError

from agio.domain.errors import AlreadyExists, NotFound
from agio.storage.codec import dump_record, load_record, to_micros
from agio.storage.mongo import keys
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.gathering import Gathering
from agio.storage.mongo.inserts import insert_absent, insert_new
from agio.storage.mongo.run_records import KEPT_WRITES
from agio.storage.port import Page

T = TypeVar("T")


class Records(Generic[T]):
    """The records of one collection: frozen dataclasses with `id`, `group_id` and `created_at`."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        collection: str,
        record_type: type[T],
        fields: Callable[[T], Mapping[str, Any]],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._collection = collection
        self._type = record_type
        self._fields = fields
        self._groups = Gathering(self._read_groups)
        self._noun = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", record_type.__name__).lower()

    async def insert(self, record: T) -> None:
        """Keep a new record. Raises `AlreadyExists`."""
        document = await self._document(record, rev=0, writes=[])
        try:
            await insert_new(self._database, self._collection, document)
        except DuplicateKeyError as error:
            raise self._taken(error, document) from error

    async def insert_absent(self, record: T) -> bool:
        """Keep a record unless its id is taken; False: it is, maybe by an earlier attempt of ours."""
        document = await self._document(record, rev=0, writes=[])
        return await insert_absent(self._database, self._collection, document)

    async def borrow(self, record: T) -> Document | None:
        """See that there is a record with this id; return what `take_back` needs if it was made just now.

        Whoever finds a record that was made and not changed since marks it as used, so that its maker, if its
        work comes to nothing, cannot take it away from under them.
        """
        document = await self._document(record, rev=0, writes=[])
        untouched = {"_id": document["_id"], "rev": 0}
        while True:
            try:
                await insert_new(self._database, self._collection, document)
            except DuplicateKeyError:
                if await self._mark_used(untouched):
                    return None
            else:
                return {**untouched, "writes": document["writes"]}

    async def _mark_used(self, untouched: Document) -> bool:
        collection = self._database[self._collection]

        async def attempt(_: bool) -> bool:
            found = await collection.find_one({"_id": untouched["_id"]}, {"rev": 1})
            if found is None or found["rev"] > 0:
                return found is not None
            return (await collection.update_one(untouched, {"$inc": {"rev": 1}})).matched_count > 0

        return await self._database.commits.repeat(attempt)

    async def take_back(self, borrowed: Document | None) -> None:
        """Delete what `borrow` made, unless someone else uses it by now."""
        if borrowed is not None:
            await self._database.commits.repeat(lambda _: self._database[self._collection].delete_one(borrowed))

    async def get(self, group_id: str, record_id: str) -> T:
        """Return a record. Raises `NotFound`."""
        return await self._load(await self._find(group_id, record_id))

    async def page(self, where: Document, *, limit: int | None, offset: int = 0, newest_first: bool = False) -> Page[T]:
        """Return records by time of creation."""
        collection = self._database[self._collection]
        documents: list[Document] = []
        if limit != 0:
            direction = -1 if newest_first else 1
            found = collection.find(where).sort([("created_at", direction), ("_id", direction)])
            documents = await found.skip(offset).limit(limit or 0).to_list(None)
        if (documents or not offset) and (limit is None or len(documents) < limit):
            total = offset + len(documents)
        else:
            total = await collection.count_documents(where)
        return Page(items=await self._load_all(documents), total=total)

    async def all(self, group_id: str) -> list[T]:
        """Return all records of a group by time of creation; many tasks that ask at the same moment ask once."""
        return list(await self._groups.get(group_id) or ())

    async def _read_groups(self, group_ids: Sequence[str]) -> dict[str, list[T]]:
        found: dict[str, list[T]] = {}
        where = {"group_id": {"$in": list(group_ids)}}
        documents = self._database[self._collection].find(where).sort([("created_at", 1), ("_id", 1)])
        read = await documents.to_list(None)
        for document, record in zip(read, await self._load_all(read), strict=True):
            found.setdefault(document["group_id"], []).append(record)
        return found

    async def first(self, where: Document, *, by: str, limit: int) -> list[T]:
        """Return the records that fit and have the smallest `by`, in its order."""
        found = self._database[self._collection].find(where).sort(by, 1).limit(limit)
        return await self._load_all(await found.to_list(None))

    async def count(self, where: Document) -> int:
        """Return how many records fit."""
        return await self._database[self._collection].count_documents(where)

    async def change(self, group_id: str, record_id: str, change: Callable[[T], T]) -> T:
        """Change a record by a pure function. Raises `NotFound`, `AlreadyExists` and what the function raises."""
        while True:
            document = await self._find(group_id, record_id)
            before = await self._load(document)
            after = change(before)
            if after is before or await self._swap(document, after):
                return after

    async def delete(self, group_id: str, record_id: str) -> None:
        """Delete a record. Raises `NotFound`."""
        key = keys.in_group(group_id, record_id)

        async def attempt(again: bool) -> bool:
            found = {"_id": key, "group_id": group_id}
            return (await self._database[self._collection].delete_one(found)).deleted_count > 0 or again

        if not await self._database.commits.repeat(attempt):
            raise self._absent(record_id)
        await self._blobs.delete(self._owner(key))

    async def prune(self, before: int) -> int:
        """Delete the records of every group that were created before; return how many."""
        pruned = 0

        async def attempt(_: bool) -> None:
            nonlocal pruned
            old = {"created_at": {"$lt": before}}
            pruned += (await self._database[self._collection].delete_many(old)).deleted_count

        await self._database.commits.repeat(attempt)
        return pruned

    async def _swap(self, document: Document, record: T) -> bool:
        rev: int = document["rev"]
        fresh = await self._document(record, rev=rev + 1, writes=document["writes"])

        async def attempt(again: bool) -> bool:
            collection = self._database[self._collection]
            if (await collection.replace_one({"_id": document["_id"], "rev": rev}, fresh)).matched_count:
                return True
            if not again:
                return False
            found = await collection.find_one({"_id": document["_id"]}, {"writes": 1})
            return found is not None and fresh["writes"][-1] in found["writes"]

        try:
            return await self._database.commits.repeat(attempt)
        except DuplicateKeyError as error:
            raise self._taken(error, fresh) from error

    async def _find(self, group_id: str, record_id: str) -> Document:
        key = keys.in_group(group_id, record_id)
        found = await self._database.look_up(self._collection, key)
        if found is None or found.get("group_id") != group_id:
            raise self._absent(record_id)
        return found

    async def _load(self, document: Document) -> T:
        text = await self._blobs.expand(self._owner(document["_id"]), document["doc"])
        return load_record(text, self._type)

    async def _load_all(self, documents: list[Document]) -> list[T]:
        texts = await self._blobs.expand_all([(self._owner(each["_id"]), each["doc"]) for each in documents])
        return [load_record(text, self._type) for text in texts]

    async def _document(self, record: T, *, rev: int, writes: list[int]) -> Document:
        raw: Any = record
        key = keys.in_group(raw.group_id, raw.id)
        return {
            "_id": key,
            "group_id": raw.group_id,
            "created_at": to_micros(raw.created_at),
            **self._fields(record),
            "rev": rev,
            "writes": [*writes[1 - KEPT_WRITES :], self._database.stamp()],
            "doc": await self._blobs.shrink(self._owner(key), dump_record(record)),
        }

    def _owner(self, key: str) -> str:
        return f"{self._collection}/{key}"

    def _absent(self, record_id: str) -> NotFound:
        return NotFound(f"there is no {self._noun} {record_id!r}")

    def _taken(self, error: DuplicateKeyError, document: Document) -> AlreadyExists:
        pattern = (error.details or {}).get("keyPattern", ())
        taken = next((name.partition(".")[2] for name in pattern if name.startswith("f.")), "id")
        value = document["f"][taken] if taken != "id" else document["_id"].partition("/")[2]
        return AlreadyExists(f"there is already a {self._noun} with {taken} {value!r}")
