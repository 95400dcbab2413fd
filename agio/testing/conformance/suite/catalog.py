"""The catalog: records of every kind, found, changed, and pruned."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound
from agio.domain.ids import new_id
from agio.domain.webhooks import NEVER
from agio.storage.port import (
    AGENT_VERSIONS,
    AGENTS,
    BRANCHES,
    DELIVERIES,
    FIRES,
    KINDS,
    LLM_KEYS,
    MODELS,
    SCHEDULES,
    SESSIONS,
    TASK_TREES,
    TOOLS,
    WEBHOOKS,
    Kind,
    Store,
)
from agio.testing.conformance.kinds import MAKE, make_agent, make_delivery, make_tool
from agio.testing.conformance.records import instant, make_creation, make_session

EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


@EVERY_KIND
class TestEveryKind:
    async def test_record_is_kept_as_it_is(self, store: Store, other: Store, group: str, kind: Kind[Any]) -> None:
        record = MAKE[kind.name](group, at_s=0.123457)
        assert await store.insert(kind, record) == record
        assert await other.get(kind, group, record.id) == record
        assert (await other.find(kind, group)).items == [record]

    async def test_unknown_id_is_not_found(self, store: Store, group: str, kind: Kind[Any]) -> None:
        with pytest.raises(NotFound):
            await store.get(kind, group, "nobody")
        with pytest.raises(NotFound):
            await store.update(kind, group, "nobody", lambda r: r)
        with pytest.raises(NotFound):
            await store.delete(kind, group, "nobody")

    async def test_taken_id_is_refused(self, store: Store, group: str, kind: Kind[Any]) -> None:
        record = MAKE[kind.name](group)
        await store.insert(kind, record)
        with pytest.raises(AlreadyExists):
            await store.insert(kind, MAKE[kind.name](group, id=record.id, at_s=1))
        assert await store.get(kind, group, record.id) == record

    async def test_of_many_inserts_of_one_id_at_once_one_is_taken(
        self, store: Store, other: Store, group: str, kind: Kind[Any]
    ) -> None:
        records = [MAKE[kind.name](group, id="same", at_s=i) for i in range(10)]
        outcomes = await asyncio.gather(
            *(s.insert(kind, record) for s, record in zip([store, other] * 5, records, strict=True)),
            return_exceptions=True,
        )
        taken = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(taken) == 1
        assert {type(o) for o in outcomes if isinstance(o, BaseException)} == {AlreadyExists}
        assert await store.get(kind, group, "same") == taken[0]

    async def test_equal_ids_of_two_groups_are_two_records(self, store: Store, group: str, kind: Kind[Any]) -> None:
        mine, theirs = MAKE[kind.name](group, id="same"), MAKE[kind.name](f"{group}-b", id="same", at_s=1)
        await store.insert(kind, mine)
        await store.insert(kind, theirs)
        assert await store.get(kind, group, "same") == mine
        await store.delete(kind, group, "same")
        assert await store.get(kind, f"{group}-b", "same") == theirs

    async def test_update_is_kept_and_returned(self, store: Store, group: str, kind: Kind[Any]) -> None:
        record = await store.insert(kind, MAKE[kind.name](group))
        after = await store.update(kind, group, record.id, lambda r: replace(r, created_at=instant(7)))
        assert after == replace(record, created_at=instant(7))
        assert await store.get(kind, group, record.id) == after

    async def test_update_that_raises_writes_nothing(self, store: Store, group: str, kind: Kind[Any]) -> None:
        record = await store.insert(kind, MAKE[kind.name](group))

        def refuse(_: Any) -> Any:
            raise Conflict("no")

        with pytest.raises(Conflict, match="no"):
            await store.update(kind, group, record.id, refuse)
        assert await store.get(kind, group, record.id) == record

    async def test_update_that_returns_its_argument_writes_nothing(
        self, store: Store, group: str, kind: Kind[Any]
    ) -> None:
        record = await store.insert(kind, MAKE[kind.name](group))
        assert await store.update(kind, group, record.id, lambda r: r) == record
        assert await store.get(kind, group, record.id) == record

    async def test_deleted_record_is_gone_and_its_id_free(self, store: Store, group: str, kind: Kind[Any]) -> None:
        record = await store.insert(kind, MAKE[kind.name](group))
        await store.delete(kind, group, record.id)
        with pytest.raises(NotFound):
            await store.get(kind, group, record.id)
        assert (await store.find(kind, group)).total == 0
        assert await store.insert(kind, record) == record

    async def test_records_come_by_time_of_creation(self, store: Store, group: str, kind: Kind[Any]) -> None:
        records = [MAKE[kind.name](group, at_s=at_s) for at_s in (3, 1, 4, 2)]
        for record in records:
            await store.insert(kind, record)
        by_age = sorted(records, key=lambda r: r.created_at)
        assert (await store.find(kind, group)).items == by_age
        assert (await store.find(kind, group, newest_first=True)).items == by_age[::-1]

    async def test_pages_are_stretches_of_the_list(self, store: Store, group: str, kind: Kind[Any]) -> None:
        records = [await store.insert(kind, MAKE[kind.name](group, at_s=i)) for i in range(5)]
        pages = [await store.find(kind, group, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
        assert [page.items for page in pages] == [records[:2], records[2:4], records[4:], []]
        assert {page.total for page in pages} == {5}
        assert (await store.find(kind, group, offset=3)).items == records[3:]

    async def test_records_of_one_instant_are_paged_once_each(self, store: Store, group: str, kind: Kind[Any]) -> None:
        records = [await store.insert(kind, MAKE[kind.name](group)) for _ in range(7)]
        for newest_first in (False, True):
            paged = [
                record.id
                for offset in range(0, 7, 2)
                for record in (await store.find(kind, group, limit=2, offset=offset, newest_first=newest_first)).items
            ]
            assert sorted(paged) == sorted(record.id for record in records)

    async def test_prune_deletes_what_is_older_in_every_group(self, store: Store, group: str, kind: Kind[Any]) -> None:
        groups = [f"{group}-{i}" for i in range(3)]
        for one in groups:
            for at_s in range(4):
                await store.insert(kind, MAKE[kind.name](one, at_s=at_s))
        assert await store.prune(kind, instant(2)) == 6
        for one in groups:
            assert [r.created_at for r in (await store.find(kind, one)).items] == [instant(2), instant(3)]
        assert await store.prune(kind, instant(2)) == 0


class TestCountSince:
    async def test_counts_by_an_instant_over_all_groups(self, store: Store, group: str) -> None:
        before = await store.count_since(SESSIONS, "updated_at", instant(10))
        for one in (f"{group}-a", f"{group}-b"):
            for used_s in (9, 10, 11):
                await store.insert(SESSIONS, make_session(one, updated_at=instant(used_s)))
        assert await store.count_since(SESSIONS, "updated_at", instant(10)) == before + 4
        mine = (await store.find(SESSIONS, f"{group}-a")).items[0]
        await store.update(SESSIONS, mine.group_id, mine.id, lambda s: replace(s, updated_at=instant(12)))
        assert await store.count_since(SESSIONS, "updated_at", instant(12)) == 1
        await store.delete(SESSIONS, mine.group_id, mine.id)
        assert await store.count_since(SESSIONS, "updated_at", instant(12)) == 0

    async def test_other_fields_are_refused(self, store: Store) -> None:
        with pytest.raises(Invalid):
            await store.count_since(SESSIONS, "created_at", instant(0))


class TestFindUntil:
    async def test_finds_what_is_due_in_every_group_earliest_first(self, store: Store, group: str) -> None:
        due = [make_delivery(f"{group}-{i % 2}", next_at=instant(-5000 - i)) for i in range(4)]
        for one in (*due, make_delivery(group, next_at=instant(-4990))):
            await store.insert(DELIVERIES, one)
        assert await store.find_until(DELIVERIES, "next_at", instant(-5000), limit=9) == due[::-1]
        assert await store.find_until(DELIVERIES, "next_at", instant(-5000), limit=2) == [due[3], due[2]]
        await store.update(DELIVERIES, due[3].group_id, due[3].id, lambda one: replace(one, next_at=NEVER))
        assert await store.find_until(DELIVERIES, "next_at", instant(-5000), limit=9) == due[2::-1]
        for one in due[:3]:
            await store.delete(DELIVERIES, one.group_id, one.id)

    async def test_other_fields_are_refused(self, store: Store) -> None:
        with pytest.raises(Invalid):
            await store.find_until(DELIVERIES, "created_at", instant(0), limit=1)


class TestClock:
    async def test_clock_is_the_databases_and_goes_on(self, store: Store, other: Store) -> None:
        before = await store.read_clock()
        assert before.utcoffset() == timedelta(0)
        assert before <= await other.read_clock()


class TestFind:
    @pytest.mark.parametrize(
        ("kind", "name", "value", "else_value"),
        [
            (AGENTS, "enabled", False, True),
            (AGENTS, "source", "code", "api"),
            (AGENT_VERSIONS, "agent_id", "the-agent", "the-agent-2"),
            (SESSIONS, "user_id", "ann", "bob"),
            (SESSIONS, "user_id", "ann", None),
            (SESSIONS, "agent_id", "a'; --", "a"),
            (BRANCHES, "session_id", "the-session", "the-session-2"),
            (BRANCHES, "parent_id", "the-parent", None),
            (BRANCHES, "parent_id", None, "the-parent"),
            (TOOLS, "enabled", True, False),
            (LLM_KEYS, "user_id", "ann", "bob"),
            (LLM_KEYS, "user_id", None, "ann"),
            (WEBHOOKS, "enabled", True, False),
            (WEBHOOKS, "run_id", None, "the-run"),
            (DELIVERIES, "webhook_id", "the-webhook", "the-webhook-2"),
            (DELIVERIES, "run_id", "the-run", "the-run-2"),
            (DELIVERIES, "state", "due", "held"),
            (SCHEDULES, "enabled", True, False),
            (FIRES, "schedule_id", "the-schedule", "the-schedule-2"),
            (MODELS, "provider", "openai", "mistral"),
            (TASK_TREES, "user_id", "ann", None),
        ],
    )
    async def test_filter_demands_equality(
        self, store: Store, group: str, kind: Kind[Any], name: str, value: Any, else_value: Any
    ) -> None:
        wanted = replace(MAKE[kind.name](group), **{name: value})
        await store.insert(kind, wanted)
        await store.insert(kind, replace(MAKE[kind.name](group), **{name: else_value}))
        page = await store.find(kind, group, {name: value})
        assert (page.items, page.total) == ([wanted], 1)

    def test_every_filter_is_tried(self) -> None:
        tried = {(mark[0].name, mark[1]) for mark in _parameters(TestFind.test_filter_demands_equality)}
        assert tried == {(kind.name, name) for kind in KINDS for name in kind.filters}

    async def test_member_is_an_element_of_a_tuple(self, store: Store, group: str) -> None:
        wanted = await store.insert(AGENTS, make_agent(group, tags=("x", "the tag", "y")))
        for tags in ((), ("the tag 2",), ("THE TAG",), ('["the tag"]',)):
            await store.insert(AGENTS, make_agent(group, tags=tags, at_s=1))
        assert (await store.find(AGENTS, group, {"tags": "the tag"})).items == [wanted]

    async def test_filters_members_and_text_narrow_together(self, store: Store, group: str) -> None:
        wanted = await store.insert(AGENTS, make_agent(group, tags=("a",), enabled=False, description="about sky"))
        await store.insert(AGENTS, make_agent(group, tags=("a",), enabled=True, description="about sky"))
        await store.insert(AGENTS, make_agent(group, tags=("b",), enabled=False, description="about sky"))
        await store.insert(AGENTS, make_agent(group, tags=("a",), enabled=False, description="about sea"))
        page = await store.find(AGENTS, group, {"tags": "a", "enabled": False}, text="sky", limit=5)
        assert (page.items, page.total) == ([wanted], 1)

    @EVERY_KIND
    async def test_text_is_looked_for_in_every_search_field(self, store: Store, group: str, kind: Kind[Any]) -> None:
        wanted = []
        for at_s, name in enumerate(kind.search):
            record = MAKE[kind.name](group, at_s=at_s)
            value = f"x needle {at_s}" if name != "id" else f"x-needle {new_id()}"
            wanted.append(await store.insert(kind, replace(record, **{name: value})))
        await store.insert(kind, MAKE[kind.name](group, at_s=99))
        if kind.search:
            assert (await store.find(kind, group, text="needle")).items == wanted
            assert (await store.find(kind, group, text="NEEDLE")).items == wanted
            assert (await store.find(kind, group, text="haystack")).items == []

    @pytest.mark.parametrize("text", ["100%", "a_b", ".*", "(", "[", "\\", "'", '"', "$", "^x", "a|b", "?"])
    async def test_text_is_taken_literally(self, store: Store, group: str, text: str) -> None:
        await store.insert(SESSIONS, make_session(group, id="s-1", title="100 aXb x ab a b"))
        wanted = await store.insert(SESSIONS, make_session(group, id="s-2", title=f"so {text} it is", at_s=1))
        assert (await store.find(SESSIONS, group, text=text)).items == [wanted]


class TestUniqueFields:
    async def test_taken_name_is_refused_in_its_group_only(self, store: Store, group: str) -> None:
        first = await store.insert(TOOLS, make_tool(group, name="search"))
        with pytest.raises(AlreadyExists):
            await store.insert(TOOLS, make_tool(group, name="search"))
        assert (await store.find(TOOLS, group)).items == [first]
        await store.insert(TOOLS, make_tool(f"{group}-b", name="search"))

    async def test_update_cannot_take_a_name(self, store: Store, group: str) -> None:
        await store.insert(TOOLS, make_tool(group, name="search"))
        second = await store.insert(TOOLS, make_tool(group, name="fetch", at_s=1))
        with pytest.raises(AlreadyExists):
            await store.update(TOOLS, group, second.id, lambda t: replace(t, name="search"))
        assert await store.get(TOOLS, group, second.id) == second

    async def test_name_is_free_after_deletion_and_renaming(self, store: Store, group: str) -> None:
        first = await store.insert(TOOLS, make_tool(group, name="search"))
        await store.update(TOOLS, group, first.id, lambda t: replace(t, name="find"))
        second = await store.insert(TOOLS, make_tool(group, name="search"))
        await store.delete(TOOLS, group, second.id)
        await store.insert(TOOLS, make_tool(group, name="search"))

    async def test_of_many_with_one_name_at_once_one_is_taken(self, store: Store, other: Store, group: str) -> None:
        outcomes = await asyncio.gather(
            *(s.insert(TOOLS, make_tool(group, name="search")) for s in [store, other] * 4),
            return_exceptions=True,
        )
        assert sorted(type(o).__name__ for o in outcomes) == ["AlreadyExists"] * 7 + ["StoredTool"]


class TestUpdatingAtOnce:
    async def test_many_changes_at_once_lose_none(self, store: Store, other: Store, group: str) -> None:
        agent = await store.insert(AGENTS, make_agent(group))
        await asyncio.gather(
            *(
                s.update(AGENTS, group, agent.id, lambda a: replace(a, version=a.version + 1))
                for s in [store, other] * 12
            )
        )
        assert (await store.get(AGENTS, group, agent.id)).version == 25

    async def test_filters_follow_the_change(self, store: Store, group: str) -> None:
        agent = await store.insert(AGENTS, make_agent(group, tags=("a",)))
        after = await store.update(
            AGENTS, group, agent.id, lambda a: replace(a, tags=("b",), enabled=False, name="Needle")
        )
        assert (await store.find(AGENTS, group, {"tags": "a"})).items == []
        assert (await store.find(AGENTS, group, {"tags": "b", "enabled": False}, text="needle")).items == [after]

    async def test_session_and_branch_of_a_new_run_are_records_like_any(self, store: Store, group: str) -> None:
        creation = make_creation(group)
        await store.create_run(creation)
        session = await store.update(
            SESSIONS, group, creation.run.session_id, lambda s: replace(s, current_branch_id="elsewhere")
        )
        assert (await store.find(SESSIONS, group)).items == [session]
        page = await store.find(BRANCHES, group, {"session_id": session.id})
        assert page.items == [creation.branch]


def _parameters(function: Any) -> list[Any]:
    return [values for mark in function.pytestmark if mark.name == "parametrize" for values in mark.args[1]]
