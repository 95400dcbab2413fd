"""Appending to journals: many runs in one call, in three waves.

First what an entry refers to (chunks, approvals), then the entries, then the records of their runs. A crash
between two waves leaves garbage or a record that is behind its journal, never an entry with something missing.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress

from pymongo.errors import BulkWriteError

from agio import crashes
from agio.domain.approvals import Approval
from agio.domain.errors import AgioError, LeaseLost, NotFound
from agio.domain.runs import Run
from agio.storage.mongo import keys
from agio.storage.mongo.approvals import ApprovalMethods
from agio.storage.mongo.calls import write
from agio.storage.mongo.commits import Unsettled, together
from agio.storage.mongo.database import Document
from agio.storage.mongo.failures import DUPLICATE_KEY, MONGO_ERRORS
from agio.storage.mongo.projection import Projection
from agio.storage.mongo.run_records import RunState
from agio.storage.mongo.schema import JOURNAL
from agio.storage.port import Append, AppendResult

log = logging.getLogger(__name__)


class JournalMethods(ApprovalMethods):
    """Implements `append` of `RunStore`."""

    @write
    async def append(self, batch: Sequence[Append]) -> list[AppendResult]:
        if not batch:
            return []
        documents = [await self._entries.document(item.entry) for item in batch]
        await self._entries.begun(item.entry.run_id for item in batch)
        made = [await self._put_approvals(item) for item in batch]
        refused, found = await self._put_entries(documents)
        await self._drop_approvals([approval for number in refused for approval in made[number]])
        accepted = {n: item for n, item in enumerate(batch) if n not in refused and item.update is not None}
        crashes.at("append")
        projection = Projection(self._runs, accepted, found)
        await projection.write()
        for run in await self._follow_up(projection.changed):
            projection.replace_result(run)
        if projection.failure is not None:
            raise projection.failure
        return [refused.get(number) or projection.results.get(number) for number in range(len(batch))]

    async def _put_approvals(self, item: Append) -> list[Approval]:
        """Make the approvals that are not there; return those."""
        return [each for each in item.approvals if await self._approvals.insert_absent(each)]

    async def _drop_approvals(self, approvals: Sequence[Approval]) -> None:
        """Take back what belongs to entries that were refused: their owner is not the run's owner any more."""
        for each in approvals:
            with suppress(NotFound):
                await self._approvals.delete(each.group_id, each.id)

    async def _put_entries(self, documents: Sequence[Document]) -> tuple[dict[int, LeaseLost], set[int]]:
        """Insert entries; return why some were refused, and which were there already, both by number."""
        waiting = dict(enumerate(documents))
        refused: dict[int, LeaseLost] = {}
        found: set[int] = set()

        async def attempt(_: bool) -> None:
            numbers = list(waiting)
            try:
                await self._database[JOURNAL].insert_many([waiting[n] for n in numbers], ordered=False)
            except BulkWriteError as error:
                failed = {numbers[each["index"]]: each["code"] for each in error.details["writeErrors"]}
                in_doubt = bool(error.details.get("writeConcernErrors"))
                for number in numbers:
                    if number not in failed and not in_doubt:
                        del waiting[number]
                taken = [number for number, code in failed.items() if code == DUPLICATE_KEY]
                await self._judge(taken, waiting, refused, found)
                if in_doubt or len(taken) < len(failed):
                    raise
                if waiting:
                    raise Unsettled("an entry is not yet in what a majority has") from error
            else:
                waiting.clear()

        await self._database.commits.repeat(attempt)
        return refused, found

    async def _judge(
        self,
        taken: Sequence[int],
        waiting: dict[int, Document],
        refused: dict[int, LeaseLost],
        found: set[int],
    ) -> None:
        """Settle which of the entries whose key is taken are ours, from a call whose answer was lost."""
        numbers = {waiting[number]["_id"]: number for number in taken}
        wanted = {"_id": {"$in": list(numbers)}}
        async for there in self._database[JOURNAL].find(wanted, {"epoch": 1, "last_seq": 1}):
            number = numbers[there["_id"]]
            mine = waiting.pop(number)
            if (there["epoch"], there["last_seq"]) == (mine["epoch"], mine["last_seq"]):
                found.add(number)
            else:
                run_id, first_seq = keys.split_entry(there["_id"])
                refused[number] = LeaseLost(
                    f"run {run_id!r} has an entry of epoch {there['epoch']} at {first_seq}; "
                    f"the writer has epoch {mine['epoch']}"
                )

    async def _follow_up(self, changed: Sequence[RunState]) -> list[Run]:
        """Do what a change of the records entails; return the runs that it changed again.

        What fails here is made up for by `sweep`: the entries are there, so the append has succeeded.
        """
        ends = {state.run.id: state.run.ended_at for state in changed if state.run.ended_at is not None}
        again: list[Run] = []
        try:
            if ends:
                freed = [state.branch for state in changed if state.run.id in ends]
                await together(self._cancel_pending(ends), self._turns.pass_on(freed))
            for state in changed:
                if state.waits is not None:
                    again.append((await self._turns.settle(None, state)).run)
        except (AgioError, *MONGO_ERRORS) as error:
            log.warning("left to the sweep", extra={"error": type(error).__name__, "runs": len(changed)})
        return again
