"""Accepting a run.

The document of the run is the accept point. What it needs (spec, snapshot, session, branch) is written before
it and is garbage without it. The first entry of the journal is written after it, behind the caller's back, or by
whoever finds it missing; the process that accepted the run appends nothing before that is done. So the run is
there whole for every reader, and a crash at any point leaves a run or none.
"""

import time
from typing import TypeVar

from pymongo.errors import DuplicateKeyError

from agio import crashes
from agio.domain.branches import Branch
from agio.domain.control import accept
from agio.domain.errors import AgioError, AlreadyExists, BranchBusy, NotFound
from agio.domain.runs import Run
from agio.storage.codec import dump_record
from agio.storage.mongo import keys
from agio.storage.mongo.calls import Part
from agio.storage.mongo.commits import together
from agio.storage.mongo.database import Document
from agio.storage.mongo.inserts import insert_absent, insert_new
from agio.storage.mongo.run_records import RunState, first_state
from agio.storage.mongo.schema import RUNS, SPECS
from agio.storage.port import BRANCHES, SESSIONS, Kind, RunCreation

T = TypeVar("T")


class Creation(Part):
    """Implements `create_run`."""

    async def _create(self, creation: RunCreation) -> RunState:
        stamp = self._database.stamp()
        spec = keys.part(creation.run.id, f"{stamp:x}")
        first = await self._entries.document(creation.first)
        session, branch, (waits, refusal), lost, _, _ = await together(
            self._borrow(SESSIONS, creation.session),
            self._borrow(BRANCHES, creation.branch),
            self._look(creation),
            self._lost_branch(creation),
            self._put_spec(creation, spec, first),
            self._snapshots.keep(creation.run.group_id, creation.snapshot),
        )
        try:
            if (refusal := refusal or lost) is not None:
                raise refusal
            await self._check_branch(creation.branch, made=branch is not None)
            await self._check_parent(creation.run)
            crashes.at("fork")
            state = await self._accept(creation, spec, stamp, waits=waits)
        except (AlreadyExists, BranchBusy, NotFound):
            await together(
                self._kinds[SESSIONS].take_back(session),
                self._kinds[BRANCHES].take_back(branch),
                self._database[SPECS].delete_one({"_id": spec}),
            )
            raise
        self._entries.begin(creation.run.id, spec, first)
        return await self._turns.settle(None, state)

    async def _lost_branch(self, creation: RunCreation) -> NotFound | None:
        """Return why a run cannot go on with a branch, if that is so."""
        run = creation.run
        found = {"_id": keys.in_group(run.group_id, run.branch_id)}
        if creation.branch is not None or await self._database[BRANCHES.name].find_one(found, {"_id": 1}):
            return None
        return NotFound(f"there is no branch {run.branch_id!r} any more")

    async def _check_parent(self, run: Run) -> None:
        """Refuse to continue what was deleted since the caller read it.

        Whoever deletes it looks for branches after it is out of sight, and the run's branch is there by now: one
        of the two sees the other.
        """
        if run.parent is None:
            return
        found = {"_id": run.parent.run_id, "group_id": run.group_id}
        if await self._database[RUNS].find_one(found, {"_id": 1}) is None:
            raise NotFound(f"there is no run {run.parent.run_id!r} any more")

    async def _look(self, creation: RunCreation) -> tuple[bool, AgioError | None]:
        """Return whether the run has to wait, and why it is refused, if it is."""
        if creation.branch is not None:  # its run holds a new branch; where another one does, the indexes tell
            return False, None
        run = creation.run
        branch = keys.in_group(run.group_id, run.branch_id)
        known = self._database[RUNS].find({"$or": [{"_id": run.id}, {"holds": branch}]}, {"holds": 1})
        holder = None
        async for each in known:
            if each["_id"] == run.id:
                return False, _taken(run.id)
            holder = each
        if holder is None:
            # Where runs wait and none holds the branch, it is about to be passed on to one of them.
            holder = await self._database[RUNS].find_one({"waits": branch}, {"_id": 1})
        if holder is None or creation.may_wait:
            return holder is not None, None
        holder_id = holder["_id"]
        return True, BranchBusy(f"branch {run.branch_id!r} is held by run {holder_id!r}", holder=holder_id)

    async def _accept(self, creation: RunCreation, spec: str, stamp: int, *, waits: bool) -> RunState:
        while True:
            run = accept(creation.run, holds_branch=not waits, owner=creation.owner)
            state = first_state(run, spec=spec, stamp=stamp)
            try:
                await insert_new(self._database, RUNS, await self._runs.document(state))
            except DuplicateKeyError as error:
                if await self._database[RUNS].find_one({"_id": state.run.id}, {"_id": 1}) is not None:
                    raise _taken(state.run.id) from error
                busy = await self._turns.busy(state.run)
            else:
                self._runs.remember(state)
                return state
            if busy is not None and not creation.may_wait:
                raise busy
            waits = waits or busy is not None

    async def _put_spec(self, creation: RunCreation, key: str, first: Document) -> None:
        text = await self._blobs.shrink(creation.run.id, dump_record(creation.spec))
        at = time.time_ns() // 1_000
        document = {"_id": key, "group_id": creation.run.group_id, "at": at, "doc": text, "first": first}
        await insert_absent(self._database, SPECS, document)

    async def _borrow(self, kind: Kind[T], record: T | None) -> Document | None:
        return await self._kinds[kind].borrow(record) if record is not None else None

    async def _check_branch(self, branch: Branch | None, *, made: bool) -> None:
        """Refuse a branch whose id another one has. One that is the same was made by an earlier attempt."""
        if branch is None or made:
            return
        there = await self._kinds[BRANCHES].get(branch.group_id, branch.id)
        if _course(there) != _course(branch):
            raise AlreadyExists(f"there is another branch with id {branch.id!r}")


def _course(branch: Branch) -> tuple[object, ...]:
    """Return what makes a branch the same line of conversation."""
    return branch.session_id, branch.parent_id, branch.fork_position, branch.edits


def _taken(run_id: str) -> AlreadyExists:
    return AlreadyExists(f"there is already a run with id {run_id!r}")
