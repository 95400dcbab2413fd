"""The documents of runs: fields to find them by, the record as text, and compare-and-swap on `rev`."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo import ReplaceOne

from agio.domain.errors import NotFound
from agio.domain.executions import is_execution
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.codec import dump_record, load_record, to_micros
from agio.storage.mongo import keys
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.database import Database, Document
from agio.storage.mongo.schema import RUNS

KEPT_WRITES = 8
"""How many of its last writes a document remembers: enough for one whose answer was lost to find itself."""

CACHED_RUNS = 4096

EXPRESS_LINE = "!"
"""The line of runs with a waiting command, of all groups; sorts before every group's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run as it is stored, with what is not part of the record."""

    run: Run
    spec: str
    """Key of its spec."""
    rev: int
    writes: tuple[int, ...]
    slot: str | None = None
    """The place among the group's limited number of runs that it takes while it is owned."""
    seat: str | None = None
    """The place among the group's limited number of runs under way that it takes from its beginning on."""
    ready_at: int | None = None
    """Microseconds; since when it has been ready."""
    waits_since: int | None = None
    """Microseconds; since when it has been waiting for its branch."""

    @property
    def branch(self) -> str:
        """Key of its branch."""
        return keys.in_group(self.run.group_id, self.run.branch_id)

    @property
    def holds(self) -> str | None:
        """Key of the branch that it holds."""
        return self.branch if self.run.holds_branch else None

    @property
    def waits(self) -> str | None:
        """Key of the branch that it waits for."""
        return self.branch if waits(self.run) else None


def waits(run: Run) -> bool:
    """Say whether the run is queued behind another one of its branch."""
    return run.status is RunStatus.QUEUED and not run.holds_branch


def first_state(run: Run, *, spec: str, stamp: int) -> RunState:
    """Return the state that a run is created in."""
    now = time.time_ns() // 1_000
    return RunState(
        run=run,
        spec=spec,
        rev=run.revision,
        writes=(stamp,),
        ready_at=now if run.is_ready else None,
        waits_since=now if waits(run) else None,
    )


def next_state(state: RunState, run: Run, *, stamp: int, slot: str | None = None, seat: str | None = None) -> RunState:
    """Return the state after `run` takes the place of the record.

    It keeps its slot while it is owned, its seat while it takes room.
    """
    now = time.time_ns() // 1_000
    rev = state.rev + 1
    return RunState(
        run=replace(run, revision=rev),
        spec=state.spec,
        rev=rev,
        writes=(*state.writes[1 - KEPT_WRITES :], stamp),
        slot=(slot or state.slot) if run.owner is not None else None,
        seat=(seat or state.seat) if run.takes_room else None,
        ready_at=(state.ready_at or now) if run.is_ready else None,
        waits_since=(state.waits_since or now) if waits(run) else None,
    )


def line_of(group_id: str) -> str:
    """Return the name of the line that the group's ready runs wait in."""
    return f"={group_id}"


def _line(run: Run) -> str:
    return EXPRESS_LINE if run.has_command else line_of(run.group_id)


def derived_fields(run: Run) -> Document:
    """Return the fields that upkeep finds runs by; None: there is none."""
    ended_at = to_micros(run.ended_at) if run.ended_at is not None and run.is_terminal else None
    return {
        "ended_at": ended_at,
        "loose": None if run.is_compacted else ended_at,
        "digests": [run.agent_digest, *run.former_digests],
    }


def _fields(state: RunState, writer: str, text: str) -> Document:
    run = state.run
    optional: Document = {
        "parent": run.parent.run_id if run.parent else None,
        "flow": True if is_execution(run) else None,
        "tags": list(run.tags) or None,
        "holds": state.holds,
        "waits": state.waits,
        "waits_since": state.waits_since,
        "ready": _line(run) if run.is_ready else None,
        "ready_at": state.ready_at,
        "owner": run.owner,
        "slot": state.slot,
        "seat": state.seat,
        "fresh": True if run.is_ready and run.is_fresh else None,
        "room": True if run.takes_room else None,
        "unheard": True if run.owner is not None and run.control_seq > run.control_ack else None,
        **derived_fields(run),
    }
    return {
        "_id": run.id,
        "group_id": run.group_id,
        "session_id": run.session_id,
        "branch": state.branch,
        "agent_id": run.agent_id,
        "status": run.status.value,
        "preview": run.preview,
        "created_at": to_micros(run.created_at),
        **{name: value for name, value in optional.items() if value is not None},
        "spec": state.spec,
        "rev": state.rev,
        "by": writer,
        "writes": list(state.writes),
        "doc": text,
    }


class RunRecords:
    """Reads and swaps the documents of runs; remembers those that this process owns."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._owned: OrderedDict[str, RunState] = OrderedDict()

    async def document(self, state: RunState) -> Document:
        """Return the document to store."""
        text = await self._blobs.shrink(state.run.id, dump_record(state.run))
        return _fields(state, self._database.writer, text)

    async def load(self, document: Document) -> RunState:
        """Return the state that a document stores."""
        return (await self.load_all([document]))[0]

    async def load_all(self, documents: Sequence[Document]) -> list[RunState]:
        """Return the states that documents store, in the same order."""
        texts = await self._blobs.expand_all([(document["_id"], document["doc"]) for document in documents])
        return [
            RunState(
                run=load_record(text, Run),
                spec=document["spec"],
                rev=document["rev"],
                writes=tuple(document["writes"]),
                slot=document.get("slot"),
                seat=document.get("seat"),
                ready_at=document.get("ready_at"),
                waits_since=document.get("waits_since"),
            )
            for document, text in zip(documents, texts, strict=True)
        ]

    async def get(self, group_id: str, run_id: str) -> RunState:
        """Return the state of a run of the group. Raises `NotFound`."""
        document = await self._database.look_up(RUNS, run_id)
        if document is None or document.get("group_id") != group_id:
            raise NotFound(f"there is no run {run_id!r}")
        return await self.load(document)

    async def find(self, where: Document, **how: Any) -> RunState | None:
        """Return one run's state, None when no run matches."""
        document = await self._database[RUNS].find_one(where, **how)
        return await self.load(document) if document is not None else None

    async def current(self, epochs: dict[str, int], *, fresh: Collection[str] = ()) -> dict[str, RunState]:
        """Return states by run id, those remembered at the epoch given without asking the database.

        Args:
            epochs: the epoch that is expected, by run id.
            fresh: runs to be read in any case.
        """
        states = {
            run_id: state
            for run_id, epoch in epochs.items()
            if (state := self._owned.get(run_id)) and state.run.epoch == epoch and run_id not in fresh
        }
        absent = [run_id for run_id in epochs if run_id not in states]
        if absent:
            found = self._database[RUNS].find({"_id": {"$in": absent}, "gone": {"$exists": False}})
            for state in await self.load_all(await found.to_list(None)):
                states[state.run.id] = state
        return states

    async def swap(
        self, state: RunState, run: Run, *, slot: str | None = None, seat: str | None = None
    ) -> RunState | None:
        """Put `run` in the place of the record if nobody changed it since; None when someone did.

        Raises:
            DuplicateKeyError: another run holds the branch, or has the slot or the seat.
        """
        fresh = next_state(state, run, stamp=self._database.stamp(), slot=slot, seat=seat)
        document = await self.document(fresh)

        async def attempt(again: bool) -> bool:
            found = {"_id": run.id, "rev": state.rev}
            if (await self._database[RUNS].replace_one(found, document)).matched_count:
                return True
            return again and bool(await self._written([fresh]))

        self.forget(run.id)
        if not await self._database.commits.repeat(attempt):
            return None
        self.remember(fresh)
        return fresh

    async def swap_all(self, changes: Sequence[tuple[RunState, Run]]) -> dict[str, RunState]:
        """Do many swaps in one call; return the states after those that succeeded, by run id."""
        if len(changes) == 1:
            one = await self.swap(*changes[0])
            return {one.run.id: one} if one else {}
        fresh = [next_state(state, run, stamp=self._database.stamp()) for state, run in changes]
        documents = await asyncio.gather(*map(self.document, fresh))
        swaps = [
            ReplaceOne({"_id": state.run.id, "rev": state.rev}, document)
            for (state, _), document in zip(changes, documents, strict=True)
        ]

        async def attempt(again: bool) -> set[str]:
            result = await self._database[RUNS].bulk_write(swaps, ordered=False)
            if result.matched_count == len(swaps):
                return {state.run.id for state in fresh}
            return await self._written(fresh)

        for state in fresh:
            self.forget(state.run.id)
        written = await self._database.commits.repeat(attempt)
        for state in fresh:
            if state.run.id in written:
                self.remember(state)
        return {state.run.id: state for state in fresh if state.run.id in written}

    async def _written(self, states: Sequence[RunState]) -> set[str]:
        """Return the ids of the runs whose document remembers the write that made the state."""
        stamps = {state.run.id: state.writes[-1] for state in states}
        found = self._database[RUNS].find({"_id": {"$in": list(stamps)}}, {"writes": 1})
        return {each["_id"] async for each in found if stamps[each["_id"]] in each.get("writes", ())}

    def remember(self, state: RunState) -> None:
        """Keep the state of a run that is owned; ask the database for it no more."""
        if state.run.owner is None:
            return
        self._owned[state.run.id] = state
        self._owned.move_to_end(state.run.id)
        while len(self._owned) > CACHED_RUNS:
            self._owned.popitem(last=False)

    def forget(self, run_id: str) -> None:
        """Read the run from the database next time."""
        self._owned.pop(run_id, None)
