"""Journal entries as documents.

The key is the run and the first sequence number, so the one unique index is the fence and the range.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agio.domain.checkpoints import Checkpoint
from agio.domain.journal import Entry
from agio.storage.codec import EntryParts, dump_entry, load_checkpoint, load_entry
from agio.storage.mongo import keys
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.inserts import insert_absent
from agio.storage.mongo.recent import Recent
from agio.storage.mongo.run_records import RunState
from agio.storage.mongo.schema import JOURNAL, SPECS

_TEXTS = ("events", "messages", "checkpoint")


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A first entry under way."""

    task: asyncio.Task[None]
    spec: str
    document: Document


class Entries:
    """Turns entries into documents and back; sees to the first one."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._begun = Recent()
        """Keys of specs, which unlike run ids are never used again."""
        self._beginnings: dict[str, _Beginning] = {}
        """First entries that are under way, or failed, by run id."""

    async def document(self, entry: Entry) -> Document:
        """Return the document to store; parts that are too large for it are stored already."""
        parts = dump_entry(entry)
        document: Document = {
            "_id": keys.entry(parts.run_id, parts.first_seq),
            "group_id": parts.group_id,
            "last_seq": parts.last_seq,
            "epoch": parts.epoch,
            "attempt": parts.attempt,
            "at": parts.at,
            "by": self._database.writer,
            "events": await self._blobs.shrink(parts.run_id, parts.events),
        }
        if parts.messages is not None:
            document["branch_id"] = parts.branch_id
            document["position"] = parts.position
            document["message_count"] = parts.message_count
            document["messages"] = await self._blobs.shrink(parts.run_id, parts.messages)
        if parts.checkpoint is not None:
            document["run_id"] = parts.run_id
            document["session_id"] = parts.session_id
            document["checkpoint_seq"] = parts.checkpoint_seq
            document["checkpoint"] = await self._blobs.shrink(parts.run_id, parts.checkpoint)
        return document

    async def load_all(self, documents: Sequence[Document]) -> list[Entry]:
        """Return the entries that documents store, in the same order."""
        found = [(number, name) for number, each in enumerate(documents) for name in _TEXTS if name in each]
        texts = await self._blobs.expand_all(
            [(keys.split_entry(documents[number]["_id"])[0], documents[number][name]) for number, name in found]
        )
        whole = [dict(document) for document in documents]
        for (number, name), text in zip(found, texts, strict=True):
            whole[number][name] = text
        return [_load(document) for document in whole]

    async def load_checkpoints(self, documents: Sequence[Document]) -> list[Checkpoint]:
        """Return the checkpoints of entries, from their `checkpoint` and `note` alone."""
        texts = await self._blobs.expand_all(
            [(keys.split_entry(document["_id"])[0], document["checkpoint"]) for document in documents]
        )
        return [_annotated(load_checkpoint(text), document) for text, document in zip(texts, documents, strict=True)]

    def begin(self, run_id: str, spec: str, document: Document) -> None:
        """Begin to store the first entry of a run that was accepted just now; the key is its spec's."""
        beginning = asyncio.create_task(
            self._database.commits.finish(self._insert_first(run_id, spec, document), tell=True)
        )
        beginning.add_done_callback(_heard)
        self._beginnings[run_id] = _Beginning(beginning, spec, document)

    async def begun(self, run_ids: Iterable[str]) -> None:
        """Return when the first entries of these runs are there, as far as `begin` was asked for them."""
        for run_id in run_ids:
            beginning = self._beginnings.get(run_id)
            if beginning is None:
                continue
            await asyncio.wait([beginning.task])
            if run_id in self._beginnings:  # it failed
                await self._insert_first(run_id, beginning.spec, beginning.document)

    async def _insert_first(self, run_id: str, spec: str, document: Document) -> None:
        await insert_absent(self._database, JOURNAL, document)
        self._begun.add(spec)
        self._beginnings.pop(run_id, None)

    async def ensure_begun(self, state: RunState) -> None:
        """Store the run's first entry when its creator died before it could."""
        if state.spec in self._begun:
            return
        key = keys.entry(state.run.id, 1)
        if await self._database.look_up(JOURNAL, key, "_id") is None:
            spec = await self._database.look_up(SPECS, state.spec, "first")
            if spec is None:  # the run was deleted meanwhile
                return
            await insert_absent(self._database, JOURNAL, spec["first"])
        self._begun.add(state.spec)


def _heard(task: asyncio.Task[None]) -> None:
    """See that a failure is not reported: whoever appends to the run hears of it."""
    if not task.cancelled():
        task.exception()


def _load(document: Document) -> Entry:
    run_id, first_seq = keys.split_entry(document["_id"])
    entry = load_entry(
        EntryParts(
            run_id=run_id,
            group_id=document["group_id"],
            first_seq=first_seq,
            last_seq=document["last_seq"],
            epoch=document["epoch"],
            attempt=document["attempt"],
            at=document["at"],
            events=document["events"],
            branch_id=document.get("branch_id"),
            position=document.get("position"),
            message_count=document.get("message_count", 0),
            messages=document.get("messages"),
            checkpoint=document.get("checkpoint"),
        )
    )
    if entry.checkpoint is not None and "note" in document:
        return replace(entry, checkpoint=_annotated(entry.checkpoint, document))
    return entry


def _annotated(checkpoint: Checkpoint, document: Document) -> Checkpoint:
    note = document.get("note")
    if note is None:
        return checkpoint
    return replace(checkpoint, label=note["label"], tags=tuple(note["tags"]))
