"""Calls that are cancelled half-way: nothing is left half done, and doing it again ends well."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from agio.domain.errors import AlreadyExists
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.port import AGENTS, BRANCHES, SESSIONS, Store, WorkerLimits
from agio.testing.conformance.kinds import make_agent
from agio.testing.conformance.records import (
    Owner,
    claim_one,
    holder,
    make_creation,
    make_message,
    on_branch,
    start,
    take,
)

TURNS = pytest.mark.parametrize("turns", [0, 1, 2, 4, 8, 16])
"""How many turns of the event loop the call is given before it is cancelled."""


@TURNS
class TestCancelledCalls:
    async def test_creation_is_whole_or_can_be_done_again(self, store: Store, group: str, turns: int) -> None:
        wanted = make_creation(group)
        await _cancel(store.create_run(wanted), turns)
        with suppress(AlreadyExists):
            await store.create_run(wanted)
        run = await store.get_run(group, wanted.run.id)
        assert await store.get_spec(group, run.id) == wanted.spec
        assert await store.read_entries(group, run.id) == [wanted.first]
        assert await store.get(SESSIONS, group, run.session_id) == wanted.session
        assert await store.get(BRANCHES, group, run.branch_id) == wanted.branch
        assert await holder(store, run) == run.id

    async def test_append_is_done_or_can_be_done_again(self, store: Store, group: str, turns: int) -> None:
        owner = await start(store, group)
        append = owner.write(messages=(make_message("a"),), checkpoint="step", step=1)
        await _cancel(store.append([append]), turns)
        (result,) = await store.append([append])
        assert isinstance(result, Run)
        assert result.step == 1
        assert (await store.read_entries(group, owner.run.id))[1:] == [append.entry]
        assert len(await store.read_messages(group, owner.run.branch_id)) == 1

    async def test_ending_hands_the_branch_on_in_the_end(self, store: Store, group: str, turns: int) -> None:
        first = make_creation(group)
        owner = Owner(store, await take(store, await store.create_run(first)))
        waiter = await store.create_run(make_creation(group, after=first, at_s=1))
        append = owner.write(status=RunStatus.COMPLETED)
        await _cancel(store.append([append]), turns)
        await store.append([append])
        await store.sweep()
        assert await holder(store, waiter) == waiter.id
        assert [run.id for run in await on_branch(store, waiter)] == [first.run.id, waiter.id]

    async def test_change_happened_once_or_not_at_all(self, store: Store, group: str, turns: int) -> None:
        run = await store.create_run(make_creation(group))
        await _cancel(store.update_run(group, run.id, lambda r: replace(r, tags=(*r.tags, "x"))), turns)
        after = await store.update_run(group, run.id, lambda r: replace(r, preview="y"))
        assert after.tags in ((), ("x",))

    async def test_claimed_run_has_an_owner_or_is_still_ready(self, store: Store, group: str, turns: int) -> None:
        run = await store.create_run(make_creation(group))
        await _cancel(claim_one(store, "worker-1", WorkerLimits()), turns)
        claimed = await claim_one(store, "worker-2", WorkerLimits())
        owned = await store.owned("worker-1")
        assert [one.id for one in (*owned, *([claimed] if claimed else []))] == [run.id]

    async def test_record_is_kept_whole_or_not_at_all(self, store: Store, group: str, turns: int) -> None:
        agent = make_agent(group)
        await _cancel(store.insert(AGENTS, agent), turns)
        with suppress(AlreadyExists):
            await store.insert(AGENTS, agent)
        assert (await store.find(AGENTS, group)).items == [agent]


async def _cancel(call: Awaitable[Any], turns: int) -> None:
    """Begin the call, cancel it after some turns of the loop, and wait for its end."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.done()
    assert task.cancelled() or task.exception() is None
