"""Which workers live, and which runs they may take."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from pymongo.errors import DuplicateKeyError

from agio.domain.control import claim, take_over
from agio.domain.runs import Run
from agio.domain.status import TERMINAL
from agio.storage.mongo import keys
from agio.storage.mongo.calls import read, write
from agio.storage.mongo.commits import together
from agio.storage.mongo.database import Document
from agio.storage.mongo.journal import JournalMethods
from agio.storage.mongo.removal import RemovalMethods
from agio.storage.mongo.run_records import EXPRESS_LINE, RunState, line_of
from agio.storage.mongo.schema import APPROVALS, JOURNAL, RUNS, WORKERS
from agio.storage.port import WorkerLimits

FEW_HEADS = 8
"""Up to so many heads are read one by one, at once; more of them in one call."""

SWEPT_AT_ONCE = 200


class LeaseMethods(JournalMethods, RemovalMethods):
    """Implements `Leases`, but for the hints."""

    _last_line: str = EXPRESS_LINE
    """The line that had its turn last."""
    _swept_to: str = ""
    """The run whose approvals were looked at last."""

    @write
    async def beat(self, worker_id: str, about: Mapping[str, str]) -> None:
        beat = {"$set": {"about": dict(about)}, "$currentDate": {"beat_at": True}}

        async def attempt(_: bool) -> None:
            await self._database[WORKERS].update_one({"_id": worker_id}, beat, upsert=True)

        await self._database.commits.repeat(attempt)

    @write
    async def retire(self, worker_id: str) -> None:
        async def attempt(_: bool) -> None:
            await self._database[WORKERS].delete_one({"_id": worker_id})

        await self._database.commits.repeat(attempt)

    @read
    async def read_clock(self) -> datetime:
        return (await self._database.now()).replace(tzinfo=UTC)

    @read
    async def living(self, lease_s: float) -> frozenset[str]:
        return await self._living(lease_s)

    async def _living(self, lease_s: float) -> frozenset[str]:
        # Both instants are the primary's: $currentDate when it beat, the time of its `hello` now.
        oldest = await self._database.now() - timedelta(seconds=lease_s)
        found = self._database[WORKERS].find({"beat_at": {"$gt": oldest}}, {"_id": 1})
        return frozenset([each["_id"] async for each in found])

    @read
    async def workers(self) -> dict[str, dict[str, str]]:
        return {each["_id"]: dict(each["about"]) async for each in self._database[WORKERS].find({}, {"about": 1})}

    @write
    async def claim_ready(self, worker_id: str, limits: WorkerLimits, *, limit: int) -> list[Run]:
        if limit > 1:  # with limits, whether one may be claimed depends on which others are: one after the other
            is_limited = limits.runs_per_group is not None or bool(limits.own)
            if (many := await self._claim_many(worker_id, limit, with_command=is_limited)) or not is_limited:
                return many
        one = await self._claim_one(worker_id, limits)
        return [one] if one is not None else []

    async def _claim_many(self, worker_id: str, limit: int, *, with_command: bool) -> list[Run]:
        """Claim several in one call; `with_command`: only such as have a waiting command."""
        while found := await self._next_many(limit, with_command=with_command):
            at = datetime.now(UTC)
            tried = [(state, claim(state.run, worker_id, at=at)) for state in found]
            changes = [(state, run) for state, run in tried if run is not None]
            if not changes:  # as below: one after the other is written anew
                one = await self._claim_one(worker_id, WorkerLimits(runs_per_group=0 if with_command else None))
                return [one] if one is not None else []
            owned = list((await self._runs.swap_all(changes)).values())
            await together(*map(self._entries.ensure_begun, owned))
            if owned:  # else others took all of these; there may be more
                lines = [line_of(state.run.group_id) for state, _ in changes if not state.run.has_command]
                self._last_line = lines[-1] if lines else self._last_line
                return [state.run for state in owned]
        return []

    async def _next_many(self, limit: int, *, with_command: bool) -> list[RunState]:
        """Return the runs whose turn it is, those with a waiting command first, then group by group."""
        if with_command:
            return await self._ready({"ready": EXPRESS_LINE}, limit)
        last = self._last_line
        following, others = await asyncio.gather(
            self._ready({"$or": [{"ready": EXPRESS_LINE}, {"ready": {"$gt": last}}]}, limit),
            self._ready({"ready": {"$gt": EXPRESS_LINE, "$lte": last}}, limit),
        )
        return [*following, *others][:limit]

    async def _ready(self, where: Document, limit: int) -> list[RunState]:
        found = self._database[RUNS].find(where).sort([("ready", 1), ("ready_at", 1)]).limit(limit)
        return await self._runs.load_all(await found.to_list(None))

    async def _claim_one(self, worker_id: str, limits: WorkerLimits) -> Run | None:
        full: set[str] = set()
        begun_only: set[str] = set()
        while (state := await self._next_ready(full, begun_only)) is not None:
            line = line_of(state.run.group_id)
            slot = seat = None
            limit = limits.of(state.run.group_id)
            if limit is not None and not state.run.has_command:
                slot = await self._free_slot(state.run.group_id, limit)
                seat = await self._free_seat(state.run.group_id, limit) if slot and state.run.is_fresh else None
                if slot is None or (state.run.is_fresh and seat is None):
                    # A document of an earlier version does not say that it is fresh: its group is full, then.
                    (full if slot is None or line in begun_only else begun_only).add(line)
                    continue
            claimed = claim(state.run, worker_id, at=datetime.now(UTC))
            if claimed is None:  # the fields that it was found by are of another version: write them anew
                await self._runs.swap(state, state.run)
                continue
            try:
                owned = await self._runs.swap(state, claimed, slot=slot, seat=seat)
            except DuplicateKeyError:  # another process took the slot, or the seat
                continue
            if owned is not None:
                if not state.run.has_command:
                    self._last_line = line
                await self._entries.ensure_begun(owned)
                return owned.run
        return None

    async def _next_ready(self, full: Collection[str], begun_only: Collection[str]) -> RunState | None:
        """Return a run with a waiting command, else the run ready longest of the group whose turn it is.

        Nothing of the lines that are full; of others only what was begun.
        """
        last = self._last_line
        may: Document = {"$nor": [{"ready": {"$in": sorted(begun_only)}, "fresh": True}]} if begun_only else {}
        following, others = await asyncio.gather(
            self._first_ready(
                {"$or": [{"ready": EXPRESS_LINE}, {"ready": {"$gt": last, "$nin": sorted(full)}}], **may}
            ),
            self._first_ready({"ready": {"$lte": last, "$nin": sorted(full)}, **may}),
        )
        return following or others

    async def _first_ready(self, where: Document) -> RunState | None:
        return await self._runs.find(where, sort=[("ready", 1), ("ready_at", 1)])

    async def _free_slot(self, group_id: str, limit: int) -> str | None:
        """Return a slot that a run of the group may take, None when there are as many runs as may be.

        The unique index on slots makes the limit exact however many processes claim at once. Runs that took
        none (claimed for a command, or by a worker without limits) count too, as far as they can be seen.
        """
        owned = self._database[RUNS].find({"owner": {"$gt": ""}, "group_id": group_id}, {"slot": 1})
        taken = [each.get("slot") async for each in owned]
        if len(taken) >= limit:
            return None
        names = (keys.in_group(group_id, str(number)) for number in range(limit))
        return next(name for name in names if name not in taken)

    async def _free_seat(self, group_id: str, limit: int) -> str | None:
        """Return a seat that a run of the group may take which nobody has begun; as `_free_slot`."""
        places: list[Document] = [{"owner": {"$gt": ""}}, {"ready": line_of(group_id)}, {"status": "waiting"}]
        where: Document = {"$or": [{**place, "group_id": group_id, "room": True} for place in places]}
        taken = [each.get("seat") async for each in self._database[RUNS].find(where, {"seat": 1})]
        if len(taken) >= limit:
            return None
        names = (keys.in_group(group_id, f"seat-{number}") for number in range(limit))
        return next(name for name in names if name not in taken)

    @write
    async def claim_abandoned(self, worker_id: str, lease_s: float, *, limit: int) -> list[Run]:
        # Who asks lives, even if its beat is late: it must not take its runs over from itself.
        living = await self._living(lease_s) | {worker_id}
        while True:
            found = self._database[RUNS].find({"owner": {"$gt": "", "$nin": sorted(living)}}).limit(limit)
            states = await self._runs.load_all(await found.to_list(None))
            at = datetime.now(UTC)
            taken = [(state, take_over(state.run, worker_id, living=living, at=at)) for state in states]
            changes = [(state, run) for state, run in taken if run is not None]
            if not changes:
                return []
            owned = list((await self._runs.swap_all(changes)).values())
            await together(*map(self._entries.ensure_begun, owned))
            if owned:  # else others took all of these; there may be more
                return [state.run for state in owned]

    @read
    async def commands(self, worker_id: str) -> list[Run]:
        found = self._database[RUNS].find({"owner": worker_id, "unheard": True})
        return [state.run for state in await self._runs.load_all(await found.to_list(None))]

    @read
    async def owned(self, worker_id: str) -> list[Run]:
        found = self._database[RUNS].find({"owner": worker_id})
        return [state.run for state in await self._runs.load_all(await found.to_list(None))]

    @read
    async def heads(self, run_ids: Collection[str]) -> dict[str, int]:
        wanted = list(dict.fromkeys(run_ids))
        if len(wanted) > FEW_HEADS:
            return await self._many_heads(wanted)
        found = await asyncio.gather(*map(self._head, wanted))
        return {run_id: seq for run_id, seq in zip(wanted, found, strict=True) if seq}

    async def _head(self, run_id: str) -> int:
        wanted = {"_id": keys.entries(run_id)}
        last = await self._database[JOURNAL].find_one(wanted, {"last_seq": 1}, sort=[("_id", -1)])
        return int(last["last_seq"]) if last is not None else 0

    async def _many_heads(self, run_ids: list[str]) -> dict[str, int]:
        newest: list[Document] = [
            {"$match": {"$expr": {"$and": [{"$gte": ["$_id", "$$low"]}, {"$lt": ["$_id", "$$high"]}]}}},
            {"$sort": {"_id": -1}},
            {"$limit": 1},
            {"$project": {"last_seq": 1}},
        ]
        bounds = {"low": {"$concat": ["$_id", ":"]}, "high": {"$concat": ["$_id", ";"]}}
        lookup = {"from": JOURNAL, "let": bounds, "pipeline": newest, "as": "last"}
        found = await self._database[RUNS].aggregate(
            [{"$match": {"_id": {"$in": run_ids}}}, {"$project": {"_id": 1}}, {"$lookup": lookup}]
        )
        return {each["_id"]: int(each["last"][0]["last_seq"]) async for each in found if each["last"]}

    @write
    async def sweep(self) -> None:
        await together(self._turns.sweep(), self._clear_leftovers(), self._sweep_approvals())

    async def _sweep_approvals(self) -> None:
        """Cancel approvals of ended runs; look at some of those that are pending, at others next time."""
        wanted = {"pending": {"$gt": self._swept_to}}
        found = self._database[APPROVALS].find(wanted, {"group_id": 1, "pending": 1})
        pending = await found.sort("pending", 1).limit(SWEPT_AT_ONCE).to_list(None)
        self._swept_to = pending[-1]["pending"] if len(pending) == SWEPT_AT_ONCE else ""
        run_ids = sorted({each["pending"] for each in pending})
        if not run_ids:
            return
        ended = {"_id": {"$in": run_ids}, "status": {"$in": sorted(status.value for status in TERMINAL)}}
        states = await self._runs.load_all(await self._database[RUNS].find(ended).to_list(None))
        ends = {state.run.id: state.run.ended_at for state in states}
        for each in pending:
            if (end := ends.get(each["pending"])) is not None:
                await self._cancel(each, end)
