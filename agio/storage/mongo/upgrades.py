"""What brings the documents of an earlier version to the form of this one."""

from agio.storage.codec import load_checkpoint
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.commits import together
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.run_records import RunRecords, RunState, derived_fields
from agio.storage.mongo.schema import JOURNAL, META, RUNS, SCHEMA_VERSION

AT_ONCE = 100


async def upgrade(database: Database, runs: RunRecords, blobs: Blobs, found: int) -> None:
    """Bring the documents from version `found` to this program's; several processes may do so at once."""
    if found < 2:
        await _to_2(database, runs, blobs)
    if found < SCHEMA_VERSION:

        async def attempt(_: bool) -> None:
            newer = {"_id": "schema", "version": {"$lt": SCHEMA_VERSION}}
            await database[META].update_one(newer, {"$set": {"version": SCHEMA_VERSION}})

        await database.commits.repeat(attempt)


async def _to_2(database: Database, runs: RunRecords, blobs: Blobs) -> None:
    """Compaction, retention, collection: when a run ended, and which agents it needs."""
    while True:
        old = database[RUNS].find({"digests": {"$exists": False}, "gone": {"$exists": False}}).limit(AT_ONCE)
        documents = await old.to_list(None)
        if not documents:
            return
        states = await runs.load_all(documents)
        await together(*(_complete(database, blobs, state) for state in states))


async def _complete(database: Database, blobs: Blobs, state: RunState) -> None:
    fields: Document = {name: value for name, value in derived_fields(state.run).items() if value is not None}
    if state.run.attempt > 1:
        fields["digests"] = sorted({*fields["digests"], *await _pinned(database, blobs, state.run.id)})

    async def attempt(_: bool) -> None:
        await database[RUNS].update_one({"_id": state.run.id, "rev": state.rev}, {"$set": fields})

    await database.commits.repeat(attempt)


async def _pinned(database: Database, blobs: Blobs, run_id: str) -> set[str]:
    """Return the digests in a run's checkpoints: those of earlier attempts are in no record."""
    found = database[JOURNAL].find({"run_id": run_id, "checkpoint_seq": {"$gt": 0}}, {"checkpoint": 1})
    texts = await blobs.expand_all([(run_id, each["checkpoint"]) async for each in found])
    return {load_checkpoint(text).agent_digest for text in texts}
