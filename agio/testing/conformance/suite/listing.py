"""`list_runs`: order, filters, search and paging."""

from dataclasses import replace
from typing import Any

import pytest

from agio.domain.agents import AgentSnapshot
from agio.domain.errors import Invalid
from agio.domain.runs import Parent, Run, RunFilter
from agio.domain.status import RunStatus
from agio.domain.workflow import Place
from agio.storage.port import Store
from agio.testing.conformance.records import instant, make_creation, start


class TestListRuns:
    async def test_newest_come_first_unless_told_otherwise(self, store: Store, group: str) -> None:
        made = await _make(store, group, 5)
        assert (await store.list_runs(group, RunFilter(), limit=10)).items == made[::-1]
        assert (await store.list_runs(group, RunFilter(), limit=10, newest_first=False)).items == made

    async def test_time_of_creation_counts_not_the_order_of_arrival(self, store: Store, group: str) -> None:
        young = await store.create_run(make_creation(group, at_s=9))
        old = await store.create_run(make_creation(group, at_s=3))
        assert (await store.list_runs(group, RunFilter(), limit=10)).items == [young, old]

    async def test_no_runs_are_an_empty_page(self, store: Store, group: str) -> None:
        page = await store.list_runs(group, RunFilter(), limit=10)
        assert (page.items, page.total, page.next_cursor) == ([], 0, None)

    async def test_list_shows_the_present_record(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        ended = await owner.end()
        assert (await store.list_runs(group, RunFilter(), limit=1)).items == [ended]


class TestCountLive:
    async def test_runs_that_have_not_ended_are_counted_over_all_groups(self, store: Store, group: str) -> None:
        before = await store.count_live()
        for one in (f"{group}-a", f"{group}-b"):
            await store.create_run(make_creation(one))
            await start(store, one, at_s=1)
        await (await start(store, group, at_s=2)).end(RunStatus.FAILED)
        after = await store.count_live()
        grown = {status: after[status] - before.get(status, 0) for status in after}
        assert {status: count for status, count in grown.items() if count} == {
            RunStatus.QUEUED: 2,
            RunStatus.RUNNING: 2,
        }


class TestRunFilter:
    async def test_workflows_are_those_that_stand_in_no_other_one(self, store: Store, group: str) -> None:
        snapshot = AgentSnapshot(agent_id="workflow:é", version=1, provider="none", model="none")
        wanted = await store.create_run(make_creation(group, snapshot=snapshot, tags=("t",)))
        place = Place(root_run_id=wanted.id, parent_run_id=wanted.id, task_id="a", depth=1)
        await store.create_run(make_creation(group, snapshot=snapshot, place=place, at_s=1))
        await store.create_run(make_creation(group, snapshot=replace(snapshot, agent_id="workflows"), at_s=2))
        await store.create_run(make_creation(group, at_s=3))
        await _assert_found(store, group, [wanted], workflows_only=True)
        await _assert_found(store, group, [wanted], workflows_only=True, tag="t", agent_id="workflow:é", text="FLOW")
        await _assert_found(store, group, [], workflows_only=True, agent_id="researcher")

    async def test_runs_are_narrowed_by_status(self, store: Store, group: str) -> None:
        queued = await store.create_run(make_creation(group))
        failed = await (await start(store, group, at_s=1)).end(RunStatus.FAILED)
        running = (await start(store, group, at_s=2)).run
        await _assert_found(store, group, [queued], statuses=frozenset({RunStatus.QUEUED}))
        both = frozenset({RunStatus.FAILED, RunStatus.RUNNING})
        await _assert_found(store, group, [failed, running], statuses=both)
        await _assert_found(store, group, [], statuses=frozenset({RunStatus.PAUSED}))
        await _assert_found(store, group, [], statuses=frozenset())

    @pytest.mark.parametrize(
        ("name", "fields"),
        [
            ("agent_id", {"agent_id": "writer"}),
            ("session_id", {"session_id": "the-session"}),
            ("branch_id", {"branch_id": "the-branch"}),
            ("parent_run_id", {"parent": Parent(run_id="the-parent", checkpoint_id="the-parent.2", kind="fork")}),
            ("tag", {"tags": ("x", "the-tag")}),
        ],
    )
    async def test_runs_are_narrowed_by_field(
        self, store: Store, group: str, name: str, fields: dict[str, Any]
    ) -> None:
        await _make(store, group, 2, tags=("the-tag-2", "other"))
        if name == "parent_run_id":
            await store.create_run(make_creation(group, id="the-parent"))
        wanted = await store.create_run(make_creation(group, at_s=9, **fields))
        value = {"agent_id": "writer", "tag": "the-tag", "parent_run_id": "the-parent"}.get(
            name, f"the-{name.removesuffix('_id')}"
        )
        await _assert_found(store, group, [wanted], **{name: value})
        await _assert_found(store, group, [], **{name: f"{value}x"})

    async def test_since_is_inclusive_and_until_is_not(self, store: Store, group: str) -> None:
        made = await _make(store, group, 5)
        await _assert_found(store, group, made[2:], since=instant(2))
        await _assert_found(store, group, made[:2], until=instant(2))
        await _assert_found(store, group, made[1:3], since=instant(1), until=instant(3))
        await _assert_found(store, group, made[3:], since=instant(2.000001))

    async def test_filters_narrow_together(self, store: Store, group: str) -> None:
        made = await _make(store, group, 4, tags=("a",), preview="sky")
        await _make(store, group, 2, tags=("a",), preview="sea")
        await _assert_found(store, group, made[2:], tag="a", text="sky", since=instant(2), agent_id="researcher")

    @pytest.mark.parametrize("text", ["sky blue", "SKY", "S the sk", "blue?"])
    async def test_text_is_searched_in_the_preview(self, store: Store, group: str, text: str) -> None:
        wanted = await store.create_run(make_creation(group, preview="Why is the sky blue?"))
        await store.create_run(make_creation(group, preview="Why is the sea salty?"))
        await _assert_found(store, group, [wanted], text=text)

    async def test_text_is_searched_in_the_id_and_the_agent(self, store: Store, group: str) -> None:
        by_id = await store.create_run(make_creation(group, id=f"{group}-Needle-1"))
        by_agent = await store.create_run(make_creation(group, agent_id="the-NEEDLE-agent", at_s=1))
        await store.create_run(make_creation(group, preview="hay"))
        await _assert_found(store, group, [by_id, by_agent], text="needle")

    async def test_upper_and_lower_case_are_alike_in_any_alphabet(self, store: Store, group: str) -> None:
        wanted = await store.create_run(make_creation(group, preview="Ärger in Ελλάδα и Москва"))
        for text in ("ÄRGER", "ärger", "ΕΛΛΆΔΑ", "москва"):
            await _assert_found(store, group, [wanted], text=text)

    @pytest.mark.parametrize("text", ["100%", "a_b", ".*", "(", "[", "\\", "'", '"', "$", "^x", "*", "a|b", "?"])
    async def test_text_is_taken_literally(self, store: Store, group: str, text: str) -> None:
        await store.create_run(make_creation(group, id=f"{group}-1", preview="100 aXb x ab a b"))
        wanted = await store.create_run(make_creation(group, id=f"{group}-2", preview=f"so {text} it is"))
        await _assert_found(store, group, [wanted], text=text)


class TestRunPaging:
    async def test_offsets_cut_the_list(self, store: Store, group: str) -> None:
        made = await _make(store, group, 5)
        pages = [await store.list_runs(group, RunFilter(), limit=2, offset=offset) for offset in (0, 2, 4, 6)]
        assert [page.items for page in pages] == [made[4:2:-1], made[2:0:-1], made[:1], []]
        assert {page.total for page in pages} == {5}

    @pytest.mark.parametrize("newest_first", [True, False])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
    async def test_cursors_walk_through_every_run_once(
        self, store: Store, group: str, limit: int, newest_first: bool
    ) -> None:
        made = await _make(store, group, 7)
        walked = await _walk(store, group, RunFilter(), limit, newest_first=newest_first)
        assert walked == (made[::-1] if newest_first else made)

    async def test_runs_of_one_instant_are_walked_once_each(self, store: Store, group: str) -> None:
        made = [await store.create_run(make_creation(group)) for _ in range(9)]
        walked = await _walk(store, group, RunFilter(), 2)
        assert sorted(run.id for run in walked) == sorted(run.id for run in made)
        offsets = [(await store.list_runs(group, RunFilter(), limit=2, offset=i)).items for i in range(0, 9, 2)]
        assert sorted(run.id for page in offsets for run in page) == sorted(run.id for run in made)

    async def test_walk_is_not_disturbed_by_newer_runs(self, store: Store, group: str) -> None:
        made = await _make(store, group, 4)
        first = await store.list_runs(group, RunFilter(), limit=2)
        await store.create_run(make_creation(group, at_s=100))
        second = await store.list_runs(group, RunFilter(), limit=2, cursor=first.next_cursor)
        assert first.items + second.items == made[::-1]

    async def test_walk_keeps_to_the_filter(self, store: Store, group: str) -> None:
        made = await _make(store, group, 5, tags=("a",))
        await _make(store, group, 5, tags=("b",))
        assert await _walk(store, group, RunFilter(tag="a"), 2) == made[::-1]

    async def test_total_counts_all_on_every_page(self, store: Store, group: str) -> None:
        await _make(store, group, 5)
        first = await store.list_runs(group, RunFilter(), limit=2)
        second = await store.list_runs(group, RunFilter(), limit=2, cursor=first.next_cursor)
        assert (first.total, second.total) == (5, 5)

    async def test_cursor_replaces_the_offset(self, store: Store, group: str) -> None:
        made = await _make(store, group, 5)
        first = await store.list_runs(group, RunFilter(), limit=2)
        second = await store.list_runs(group, RunFilter(), limit=2, offset=3, cursor=first.next_cursor)
        assert second.items == made[2:0:-1]

    async def test_last_page_has_no_cursor_though_it_is_full(self, store: Store, group: str) -> None:
        await _make(store, group, 4)
        first = await store.list_runs(group, RunFilter(), limit=2)
        second = await store.list_runs(group, RunFilter(), limit=2, cursor=first.next_cursor)
        assert first.next_cursor is not None
        assert second.next_cursor is None

    @pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "bm9uc2Vuc2U=", "💥", "1", "{}", "e30", "a.b", "W10="])
    async def test_foreign_cursor_is_invalid(self, store: Store, group: str, cursor: str) -> None:
        await _make(store, group, 2)
        with pytest.raises(Invalid) as caught:
            await store.list_runs(group, RunFilter(), limit=2, cursor=cursor)
        assert caught.value.field == "cursor"


async def _make(store: Store, group: str, count: int, **fields: Any) -> list[Run]:
    return [await store.create_run(make_creation(group, at_s=i, **fields)) for i in range(count)]


async def _walk(store: Store, group: str, where: RunFilter, limit: int, *, newest_first: bool = True) -> list[Run]:
    walked: list[Run] = []
    cursor = None
    while True:
        page = await store.list_runs(group, where, limit=limit, cursor=cursor, newest_first=newest_first)
        assert 0 < len(page.items) <= limit
        walked += page.items
        cursor = page.next_cursor
        if cursor is None:
            return walked


async def _assert_found(store: Store, group: str, wanted: list[Run], **where: Any) -> None:
    page = await store.list_runs(group, RunFilter(**where), limit=50, newest_first=False)
    assert [run.id for run in page.items] == [run.id for run in wanted]
    assert page.total == len(wanted)
