"""Inserts that may be repeated."""

from pymongo.errors import DuplicateKeyError

from agio.storage.mongo.commits import Unsettled
from agio.storage.mongo.database import Database, Document


async def insert_absent(database: Database, collection: str, document: Document) -> bool:
    """Insert the document unless its key is taken; False: it is, maybe by an earlier attempt of ours."""

    async def attempt(_: bool) -> bool:
        try:
            await database[collection].insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    return await database.commits.repeat(attempt)


async def insert_new(database: Database, collection: str, document: Document) -> None:
    """Insert a document that carries a stamp of ours in `writes`.

    Raises:
        DuplicateKeyError: its key, or another unique field, is another document's.
    """

    async def attempt(again: bool) -> None:
        try:
            await database[collection].insert_one(document)
        except DuplicateKeyError as error:
            if not again:
                raise
            found = await database[collection].find_one({"_id": document["_id"]}, {"writes": 1})
            if found is None and "_id" in (error.details or {}).get("keyPattern", ()):
                raise Unsettled("the document is not yet in what a majority has") from error
            if found is None or document["writes"][0] not in found.get("writes", ()):
                raise

    await database.commits.repeat(attempt)
