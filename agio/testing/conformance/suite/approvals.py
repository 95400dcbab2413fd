"""Approvals and agent snapshots."""

import asyncio
from dataclasses import replace

import pytest

from agio.domain.agents import AgentSnapshot
from agio.domain.approvals import Approval, decide
from agio.domain.errors import Conflict, NotFound
from agio.storage.port import Store
from agio.testing.conformance.records import SNAPSHOT, Owner, instant, make_approval, start


class TestApprovals:
    async def test_approval_is_kept_as_it_was_asked(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        approval = make_approval(owner.run, arguments={"a.b": ["ü", None, 1.5]}, reason="'; --")
        await owner.append(approvals=(approval,))
        assert await store.get_approval(group, approval.id) == approval

    async def test_unknown_approval_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.get_approval(group, "nobody")
        with pytest.raises(NotFound):
            await store.update_approval(group, "nobody", lambda a: a)

    async def test_decision_is_kept(self, store: Store, group: str) -> None:
        (approval,) = await _ask(store, group, 1)
        after = await store.update_approval(
            group,
            approval.id,
            lambda a: decide(a, "approve", by="ann", at=instant(5), note="ok", arguments={"path": "b.txt"}),
        )
        assert after == decide(approval, "approve", by="ann", at=instant(5), note="ok", arguments={"path": "b.txt"})
        assert await store.get_approval(group, approval.id) == after

    async def test_change_that_raises_writes_nothing(self, store: Store, group: str) -> None:
        (approval,) = await _ask(store, group, 1)
        await store.update_approval(group, approval.id, lambda a: replace(a, status="cancelled"))
        with pytest.raises(Conflict):
            await store.update_approval(group, approval.id, lambda a: decide(a, "approve", by="ann", at=instant(5)))
        assert (await store.get_approval(group, approval.id)).status == "cancelled"

    async def test_change_that_returns_its_argument_writes_nothing(self, store: Store, group: str) -> None:
        (approval,) = await _ask(store, group, 1)
        assert await store.update_approval(group, approval.id, lambda a: a) == approval

    async def test_of_opposite_decisions_at_once_one_is_taken(self, store: Store, other: Store, group: str) -> None:
        (approval,) = await _ask(store, group, 1)
        outcomes = await asyncio.gather(
            store.update_approval(group, approval.id, lambda a: decide(a, "approve", by="ann", at=instant(5))),
            other.update_approval(group, approval.id, lambda a: decide(a, "reject", by="bob", at=instant(5))),
            return_exceptions=True,
        )
        taken = [outcome for outcome in outcomes if isinstance(outcome, Approval)]
        assert [type(o) for o in outcomes if not isinstance(o, Approval)] == [Conflict]
        assert await store.get_approval(group, approval.id) == taken[0]

    async def test_many_changes_at_once_lose_none(self, store: Store, other: Store, group: str) -> None:
        (approval,) = await _ask(store, group, 1)
        await asyncio.gather(
            *(
                s.update_approval(group, approval.id, lambda a: replace(a, note=(a.note or "") + "."))
                for s in [store, other] * 10
            )
        )
        assert (await store.get_approval(group, approval.id)).note == "." * 20


class TestListApprovals:
    async def test_oldest_come_first(self, store: Store, group: str) -> None:
        asked = await _ask(store, group, 4)
        page = await store.list_approvals(group)
        assert (page.items, page.total) == (asked, 4)

    async def test_age_counts_not_the_order_of_arrival(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        young, old = make_approval(owner.run, at_s=9), make_approval(owner.run, at_s=3)
        await owner.append(approvals=(young,))
        await owner.append(approvals=(old,))
        assert (await store.list_approvals(group)).items == [old, young]

    async def test_list_is_narrowed_by_status_and_run(self, store: Store, group: str) -> None:
        first, second = await _ask(store, group, 2), await _ask(store, group, 2)
        done = await store.update_approval(group, first[0].id, lambda a: replace(a, status="approved"))
        assert (await store.list_approvals(group, status="approved")).items == [done]
        assert (await store.list_approvals(group, status="pending")).total == 3
        assert (await store.list_approvals(group, run_id=second[0].run_id)).items == second
        both = await store.list_approvals(group, status="pending", run_id=first[0].run_id)
        assert (both.items, both.total) == (first[1:], 1)

    async def test_pages_are_stretches_of_the_list(self, store: Store, group: str) -> None:
        asked = await _ask(store, group, 5)
        pages = [await store.list_approvals(group, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
        assert [page.items for page in pages] == [asked[:2], asked[2:4], asked[4:], []]
        assert {page.total for page in pages} == {5}


class TestSnapshots:
    async def test_snapshot_is_kept(self, store: Store, group: str) -> None:
        snapshot = AgentSnapshot(
            agent_id="a",
            version=3,
            provider="openai",
            model="m",
            system_prompt="Grüße\u2028",
            tools=("x", "y"),
            planning_interval=2,
            temperature=0.1,
            max_tokens=5,
            params={"a.b": {"$c": [1, 2.5]}},
        )
        await store.put_snapshot(group, snapshot)
        assert await store.get_snapshot(group, snapshot.digest) == snapshot

    async def test_putting_it_again_changes_nothing(self, store: Store, other: Store, group: str) -> None:
        await asyncio.gather(*(s.put_snapshot(group, SNAPSHOT) for s in [store, other] * 5))
        assert await store.get_snapshot(group, SNAPSHOT.digest) == SNAPSHOT

    async def test_unknown_digest_is_not_found(self, store: Store, group: str) -> None:
        with pytest.raises(NotFound):
            await store.get_snapshot(group, SNAPSHOT.digest)

    async def test_large_prompt_is_kept(self, store: Store, group: str) -> None:
        snapshot = replace(SNAPSHOT, system_prompt="€" * 400_000)
        await store.put_snapshot(group, snapshot)
        assert await store.get_snapshot(group, snapshot.digest) == snapshot


async def _ask(store: Store, group: str, count: int) -> list[Approval]:
    owner: Owner = await start(store, group)
    asked = [make_approval(owner.run, tool_call_id=f"call-{i}", at_s=i) for i in range(count)]
    await owner.append(approvals=tuple(asked))
    return asked
