"""Reading a journal back: paging, and the last number."""

import pytest

from agio.domain.journal import Entry
from agio.storage.port import Append, Store
from agio.testing.conformance.records import make_deltas, start


class TestReadEntries:
    async def test_entries_come_in_order_of_their_numbers(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        written = [owner.write(make_deltas("a", "b")).entry for _ in range(5)]
        for entry in written:
            await store.append([Append(entry=entry)])
        assert (await store.read_entries(group, owner.run.id))[1:] == written

    @pytest.mark.parametrize(
        ("after", "first"), [(0, 1), (1, 2), (2, 2), (3, 2), (4, 5), (5, 6), (6, 6), (8, 6), (9, None), (99, None)]
    )
    async def test_reading_starts_with_the_entry_that_holds_the_next_number(
        self, store: Store, group: str, after: int, first: int | None
    ) -> None:
        owner = await start(store, group)
        await owner.append(make_deltas("a", "b", "c"))
        await owner.append()
        await owner.append(make_deltas("d", "e", "f", "g"))
        entries = await store.read_entries(group, owner.run.id, after=after)
        firsts = [1, 2, 5, 6]
        assert [e.first_seq for e in entries] == ([] if first is None else firsts[firsts.index(first) :])

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
    async def test_pages_hold_every_entry_once(self, store: Store, group: str, limit: int) -> None:
        owner = await start(store, group)
        for i in range(10):
            await owner.append(make_deltas(*"abcd"[: i % 4 + 1]))
        seen: list[Entry] = []
        while page := await store.read_entries(group, owner.run.id, after=_end(seen), limit=limit):
            assert len(page) <= limit
            seen += page
        assert seen == await store.read_entries(group, owner.run.id)
        assert len(seen) == 11

    async def test_limit_counts_from_the_middle_of_an_entry(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.append(make_deltas("a", "b", "c"))
        await owner.append()
        entries = await store.read_entries(group, owner.run.id, after=3, limit=1)
        assert [(e.first_seq, e.last_seq) for e in entries] == [(2, 4)]

    async def test_five_hundred_entries_are_read_unless_told_otherwise(self, store: Store, group: str) -> None:
        owners = [await start(store, group)]
        for _ in range(520):
            await owners[0].append()
        assert len(await store.read_entries(group, owners[0].run.id)) == 500
        assert len(await store.read_entries(group, owners[0].run.id, limit=1000)) == 521

    async def test_journal_of_an_unknown_run_is_empty(self, store: Store, group: str) -> None:
        assert await store.read_entries(group, "nobody") == []

    async def test_journals_do_not_mix(self, store: Store, group: str) -> None:
        first, second = await start(store, group, id=f"{group}-1"), await start(store, group, id=f"{group}-10")
        await first.append(make_deltas("first"))
        await second.append(make_deltas("second"))
        for owner, text in ((first, "first"), (second, "second")):
            (_, entry) = await store.read_entries(group, owner.run.id)
            assert entry.events == (make_deltas(text),)


class TestHead:
    async def test_head_is_the_last_number(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        assert await store.head(group, owner.run.id) == 1
        await owner.append(make_deltas("a", "b", "c"))
        assert await store.head(group, owner.run.id) == 4

    async def test_head_of_an_empty_journal_is_zero(self, store: Store, group: str) -> None:
        assert await store.head(group, "nobody") == 0

    async def test_head_is_ahead_of_a_record_that_was_not_updated(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        await owner.append()
        assert (await store.get_run(group, owner.run.id)).last_seq == 1
        assert await store.head(group, owner.run.id) == 2

    async def test_heads_of_many_runs_of_any_group(self, store: Store, group: str) -> None:
        owners = [await start(store, f"{group}-{i}") for i in range(4)]
        for i, owner in enumerate(owners):
            await owner.append(make_deltas(*"abcde"[: i + 1]))
        heads = await store.heads([*(owner.run.id for owner in owners), "nobody"])
        assert {run_id: head for run_id, head in heads.items() if head} == {
            owner.run.id: owner.head for owner in owners
        }

    async def test_heads_of_nothing_are_none(self, store: Store) -> None:
        assert await store.heads([]) == {}

    async def test_heads_of_a_thousand_runs(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        heads = await store.heads([owner.run.id, *(f"{group}-{i}" for i in range(1_500))])
        assert heads[owner.run.id] == 1


def _end(entries: list[Entry]) -> int:
    return entries[-1].last_seq if entries else 0
