"""Reading journals: entries, conversations, checkpoints, and the rest of what runs leave behind."""

import asyncio
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

from agio.domain.agents import AgentSnapshot
from agio.domain.branches import Branch, Segment, lineage_edits, lineage_segments
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import NotFound
from agio.domain.ids import split_checkpoint_id
from agio.domain.journal import Entry
from agio.domain.messages import Message
from agio.storage.codec import load_messages
from agio.storage.mongo import keys
from agio.storage.mongo.calls import Part, read, write
from agio.storage.mongo.database import Document
from agio.storage.mongo.gathering import Gathering
from agio.storage.mongo.schema import JOURNAL
from agio.storage.port import BRANCHES, Page

Stretch: TypeAlias = tuple[str, str, int, int | None]
"""Group, branch, and from which position to which one (not included; None: to the end) entries begin."""

_CHECKPOINT: Document = {"checkpoint": 1, "note": 1}


class EntryMethods(Part):
    """Implements the part of `RunStore` that reads entries and the conversations that they make up."""

    @read
    async def head(self, group_id: str, run_id: str) -> int:
        wanted = {"_id": keys.entries(run_id), "group_id": group_id}
        for _ in range(2):
            last = await self._database[JOURNAL].find_one(wanted, {"last_seq": 1}, sort=[("_id", -1)])
            if last is not None:
                return int(last["last_seq"])
            if not await self._begin(group_id, run_id):
                break
        return 0

    @read
    async def read_entries(self, group_id: str, run_id: str, *, after: int = 0, limit: int = 500) -> list[Entry]:
        documents = await self._read(group_id, run_id, after + 1, limit)
        if not documents and after <= 0 and limit > 0 and await self._begin(group_id, run_id):
            documents = await self._read(group_id, run_id, after + 1, limit)
        return await self._entries.load_all(documents)

    async def _read(self, group_id: str, run_id: str, seq: int, limit: int) -> list[Document]:
        """Return the documents of entries, from the one that holds `seq` on, without what compaction passed over.

        While it works, entries that another one has taken in may still be there, or may go during a read.
        """
        found: list[Document] = []
        while len(found) < limit:
            wanted = limit - len(found)
            documents = await self._from(group_id, run_id, seq, wanted)
            unbroken = _unbroken(documents, seq)
            found += unbroken
            is_whole = unbroken == [] or unbroken[-1]["_id"] == documents[-1]["_id"]
            if unbroken == [] or (is_whole and len(documents) < wanted):
                break
            seq = unbroken[-1]["last_seq"] + 1
        return found

    async def _begin(self, group_id: str, run_id: str) -> bool:
        """See to the first entry of a run whose journal is empty; False: there is no such run.

        Its creator stores it a moment after the run, or died before it could.
        """
        try:
            state = await self._runs.get(group_id, run_id)
        except NotFound:
            return False
        await self._entries.ensure_begun(state)
        return True

    async def _from(self, group_id: str, run_id: str, seq: int, limit: int) -> list[Document]:
        """Return the documents of entries, from the one that holds `seq` on."""
        if limit <= 0:
            return []
        wanted = {"_id": keys.entries(run_id, max(seq, 0)), "group_id": group_id}
        documents = await self._database[JOURNAL].find(wanted).sort("_id", 1).limit(limit).to_list(None)
        if seq <= 1 or (documents and documents[0]["_id"] == keys.entry(run_id, seq)):
            return documents
        wanted = {"_id": keys.entries(run_id, 0, seq - 1), "group_id": group_id}
        holder = await self._database[JOURNAL].find_one(wanted, sort=[("_id", -1)])
        if documents and holder is not None and holder["last_seq"] < seq:
            holder = await self._database[JOURNAL].find_one({**wanted, "last_seq": {"$gte": seq}}, sort=[("_id", -1)])
        if holder is None or holder["last_seq"] < seq:
            return documents
        return [holder, *documents][:limit]

    @read
    async def read_messages(
        self, group_id: str, branch_id: str, *, start: int = 0, end: int | None = None
    ) -> list[Message]:
        lineage = await self._lineage(group_id, branch_id)
        segments = lineage_segments(lineage, end, start=start)
        parts = await asyncio.gather(*(self._segment(group_id, each, cut=each.start == start > 0) for each in segments))
        edits = lineage_edits(lineage, end)
        return [edits.get(position, message) for part in parts for position, message in part.items()]

    async def _segment(self, group_id: str, segment: Segment, *, cut: bool) -> dict[int, Message]:
        """Return the messages of a segment by their positions; `cut`: it may begin within an entry."""
        first = await self._entry_at(group_id, segment) if cut else segment.start
        documents = await self._stretches.get((group_id, segment.branch_id, first, segment.end)) or []
        texts = await self._blobs.expand_all(
            [(keys.split_entry(each["_id"])[0], each["messages"]) for each in documents]
        )
        return {
            position: message
            for document, text in zip(documents, texts, strict=True)
            for position, message in enumerate(load_messages(text), document["position"])
            if position >= segment.start and (segment.end is None or position < segment.end)
        }

    @cached_property
    def _stretches(self) -> Gathering[Stretch, list[Document]]:
        return Gathering(self._read_stretches)

    async def _read_stretches(self, stretches: Sequence[Stretch]) -> dict[Stretch, list[Document]]:
        """Return the documents of entries with messages, by stretch, in the order of their positions."""
        wanted = [_within(stretch) for stretch in stretches]
        where = wanted[0] if len(wanted) == 1 else {"$or": wanted}
        shown = {"group_id": 1, "branch_id": 1, "position": 1, "messages": 1}
        found = await self._database[JOURNAL].find(where, shown).sort("position", 1).to_list(None)
        of_branch: dict[tuple[str, str], list[Document]] = {}
        for document in found:
            of_branch.setdefault((document["group_id"], document["branch_id"]), []).append(document)
        return {
            (group_id, branch_id, first, end): [
                document
                for document in of_branch.get((group_id, branch_id), ())
                if first <= document["position"] and (end is None or document["position"] < end)
            ]
            for group_id, branch_id, first, end in stretches
        }

    async def _entry_at(self, group_id: str, segment: Segment) -> int:
        """Return where the entry begins that holds the segment's first message."""
        wanted = {"group_id": group_id, "branch_id": segment.branch_id, "position": {"$lte": segment.start}}
        found = await self._database[JOURNAL].find_one(wanted, {"position": 1}, sort=[("position", -1)])
        return int(found["position"]) if found is not None else segment.start

    @read
    async def branch_end(self, group_id: str, branch_id: str) -> int:
        wanted = {"group_id": group_id, "branch_id": branch_id}
        last, branch = await asyncio.gather(
            self._database[JOURNAL].find_one(wanted, {"position": 1, "message_count": 1}, sort=[("position", -1)]),
            self._kinds[BRANCHES].get(group_id, branch_id),
        )
        return last["position"] + last["message_count"] if last is not None else branch.fork_position

    @read
    async def lineage(self, group_id: str, branch_id: str) -> list[Branch]:
        return await self._lineage(group_id, branch_id)

    async def _lineage(self, group_id: str, branch_id: str) -> list[Branch]:
        lineage = [await self._kinds[BRANCHES].get(group_id, branch_id)]
        while (parent := lineage[-1].parent_id) is not None:
            lineage.append(await self._kinds[BRANCHES].get(group_id, parent))
        return lineage


class CheckpointMethods(Part):
    """Implements the part of `RunStore` that is about checkpoints and what they point to."""

    @read
    async def list_checkpoints(
        self, group_id: str, run_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Page[Checkpoint]:
        wanted = _checkpoints(group_id, run_id, {"$gt": 0})
        total = await self._database[JOURNAL].count_documents(wanted)
        if limit == 0 or offset >= total:
            return Page(items=[], total=total)
        found = self._database[JOURNAL].find(wanted, _CHECKPOINT).sort("checkpoint_seq", 1)
        documents = await found.skip(offset).limit(limit or 0).to_list(None)
        return Page(items=await self._entries.load_checkpoints(documents), total=total)

    @read
    async def session_checkpoints(self, group_id: str, session_id: str) -> list[Checkpoint]:
        wanted = {"group_id": group_id, "session_id": session_id}
        found = self._database[JOURNAL].find(wanted, _CHECKPOINT)
        return await self._entries.load_checkpoints(await found.to_list(None))

    @read
    async def last_checkpoint(self, group_id: str, run_id: str) -> Checkpoint | None:
        wanted = _checkpoints(group_id, run_id, {"$gt": 0})
        last = await self._database[JOURNAL].find_one(wanted, _CHECKPOINT, sort=[("checkpoint_seq", -1)])
        return (await self._entries.load_checkpoints([last]))[0] if last is not None else None

    @read
    async def get_checkpoint(self, group_id: str, checkpoint_id: str) -> Checkpoint:
        run_id, seq = _split(checkpoint_id)
        found = await self._database[JOURNAL].find_one(_checkpoints(group_id, run_id, seq), _CHECKPOINT)
        return await self._one(found, checkpoint_id)

    @write
    async def annotate_checkpoint(
        self, group_id: str, checkpoint_id: str, *, label: str | None, tags: Sequence[str]
    ) -> Checkpoint:
        run_id, seq = _split(checkpoint_id)
        note = {"label": label, "tags": list(tags)}

        async def attempt(_: bool) -> Document | None:
            return await self._database[JOURNAL].find_one_and_update(
                _checkpoints(group_id, run_id, seq),
                {"$set": {"note": note}},
                projection=_CHECKPOINT,
                return_document=True,
            )

        return await self._one(await self._database.commits.repeat(attempt), checkpoint_id)

    async def _one(self, document: Document | None, checkpoint_id: str) -> Checkpoint:
        if document is None:
            raise _no_checkpoint(checkpoint_id)
        return (await self._entries.load_checkpoints([document]))[0]

    @read
    async def get_snapshot(self, group_id: str, digest: str) -> AgentSnapshot:
        return await self._snapshots.get(group_id, digest)

    @write
    async def put_snapshot(self, group_id: str, snapshot: AgentSnapshot) -> None:
        await self._snapshots.keep(group_id, snapshot)


def _within(stretch: Stretch) -> Document:
    group_id, branch_id, first, end = stretch
    position = {"$gte": first} if end is None else {"$gte": first, "$lt": end}
    return {"group_id": group_id, "branch_id": branch_id, "position": position}


def _unbroken(documents: Sequence[Document], seq: int) -> list[Document]:
    """Return those that follow each other from `seq` on; what is within another one is left out."""
    found: list[Document] = []
    for document in documents:
        if found and keys.split_entry(document["_id"])[1] > seq:
            break
        if document["last_seq"] >= seq:
            found.append(document)
            seq = document["last_seq"] + 1
    return found


def _checkpoints(group_id: str, run_id: str, seq: Any) -> Document:
    return {"run_id": run_id, "checkpoint_seq": seq, "group_id": group_id}


def _split(checkpoint_id: str) -> tuple[str, int]:
    found = split_checkpoint_id(checkpoint_id)
    if found is None:
        raise _no_checkpoint(checkpoint_id)
    return found


def _no_checkpoint(checkpoint_id: str) -> NotFound:
    return NotFound(f"there is no checkpoint {checkpoint_id!r}")
