"""Checkpoints: listed from the journal, labelled by people."""

import asyncio
from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import LeaseLost, NotFound
from agio.storage.port import Store
from agio.testing.conformance.records import Owner, instant, make_branch, make_creation, start, take


class TestCheckpoints:
    async def test_checkpoints_come_in_order_of_their_numbers(self, store: Store, group: str) -> None:
        owner, made = await _commit(store, group, 5)
        page = await store.list_checkpoints(group, owner.run.id)
        assert (page.items, page.total) == (made, 5)

    @pytest.mark.parametrize(("limit", "offset"), [(2, 0), (2, 3), (2, 4), (None, 2), (0, 0), (3, 9)])
    async def test_pages_are_stretches_of_the_list(
        self, store: Store, group: str, limit: int | None, offset: int
    ) -> None:
        owner, made = await _commit(store, group, 5)
        page = await store.list_checkpoints(group, owner.run.id, limit=limit, offset=offset)
        assert page.items == made[offset : None if limit is None else offset + limit]
        assert page.total == 5

    async def test_run_without_checkpoints_has_an_empty_list(self, store: Store, group: str) -> None:
        run = await store.create_run(make_creation(group))
        page = await store.list_checkpoints(group, run.id)
        assert (page.items, page.total) == ([], 0)
        assert await store.last_checkpoint(group, run.id) is None

    async def test_numbers_are_ordered_as_numbers(self, store: Store, group: str) -> None:
        owner, made = await _commit(store, group, 12)
        page = await store.list_checkpoints(group, owner.run.id)
        assert [c.seq for c in page.items] == list(range(2, 14))
        assert await store.last_checkpoint(group, owner.run.id) == made[-1]

    async def test_last_checkpoint_is_the_journals_though_the_record_is_behind(self, store: Store, group: str) -> None:
        stale, made = await _commit(store, group, 1)
        await store.update_run(
            group, stale.run.id, lambda r: control.take_over(r, "worker-2", living=(), at=instant(5)) or r
        )
        append = stale.write(checkpoint="step")
        (result,) = await store.append([append])
        assert isinstance(result, LeaseLost)
        assert (await store.get_run(group, stale.run.id)).last_checkpoint_id == made[0].id
        assert await store.last_checkpoint(group, stale.run.id) == append.entry.checkpoint

    async def test_checkpoint_is_found_by_its_id(self, store: Store, group: str) -> None:
        _, made = await _commit(store, group, 3)
        for checkpoint in made:
            assert await store.get_checkpoint(group, checkpoint.id) == checkpoint

    @pytest.mark.parametrize(
        "wrong", ["", ".", "nobody", "nobody.2", "{run}.", "{run}.x", "{run}.1", "{run}.99", "{run}"]
    )
    async def test_id_of_no_checkpoint_is_not_found(self, store: Store, group: str, wrong: str) -> None:
        owner, _ = await _commit(store, group, 1)
        checkpoint_id = wrong.format(run=owner.run.id)
        with pytest.raises(NotFound):
            await store.get_checkpoint(group, checkpoint_id)
        with pytest.raises(NotFound):
            await store.annotate_checkpoint(group, checkpoint_id, label="x", tags=())

    async def test_label_given_at_its_making_is_kept(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        about = {"label": "Plan fertig", "tags": ("a", "b"), "plan": "1. look"}
        append = owner.write(checkpoint="step", about=about)
        await store.append([append])
        assert await store.last_checkpoint(group, owner.run.id) == append.entry.checkpoint


class TestSessionCheckpoints:
    async def test_checkpoints_of_all_runs_of_the_session(self, store: Store, group: str) -> None:
        first, made = await _commit(store, group, 2)
        branch = make_branch(group, first.run.session_id, parent_id=first.run.branch_id)
        run = await store.create_run(make_creation(group, branch=branch))
        second = Owner(store, await take(store, run))
        made += [await _commit_once(second) for _ in range(2)]
        await _commit(store, group, 2)
        found = await store.session_checkpoints(group, first.run.session_id)
        assert sorted(c.id for c in found) == sorted(c.id for c in made)
        assert {c.id: c for c in found} == {c.id: c for c in made}

    async def test_unknown_session_has_none(self, store: Store, group: str) -> None:
        await _commit(store, group, 1)
        assert await store.session_checkpoints(group, "nobody") == []


class TestAnnotateCheckpoint:
    async def test_annotation_shows_wherever_the_checkpoint_is_read(self, store: Store, group: str) -> None:
        owner, made = await _commit(store, group, 3)
        after = await store.annotate_checkpoint(group, made[2].id, label="gut", tags=["a", "ü"])
        assert after == replace(made[2], label="gut", tags=("a", "ü"))
        assert await store.get_checkpoint(group, after.id) == after
        assert await store.last_checkpoint(group, owner.run.id) == after
        assert (await store.list_checkpoints(group, owner.run.id)).items == [*made[:2], after]
        assert after in await store.session_checkpoints(group, owner.run.session_id)

    async def test_annotation_is_replaced_not_merged(self, store: Store, group: str) -> None:
        _, made = await _commit(store, group, 1)
        await store.annotate_checkpoint(group, made[0].id, label="one", tags=["a", "b"])
        await store.annotate_checkpoint(group, made[0].id, label=None, tags=["c"])
        assert await store.get_checkpoint(group, made[0].id) == replace(made[0], label=None, tags=("c",))

    async def test_annotation_replaces_what_was_given_at_its_making(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(checkpoint="step", about={"label": "old", "tags": ("a",)})
        await store.append([append])
        made = append.entry.checkpoint
        assert made is not None
        await store.annotate_checkpoint(group, made.id, label=None, tags=[])
        assert await store.get_checkpoint(group, made.id) == replace(made, label=None, tags=())

    async def test_annotation_survives_the_entry_being_appended_again(self, store: Store, group: str) -> None:
        owner = await start(store, group)
        append = owner.write(checkpoint="step")
        await store.append([append])
        made = append.entry.checkpoint
        assert made is not None
        after = await store.annotate_checkpoint(group, made.id, label="kept", tags=[])
        await store.append([append])
        assert await store.get_checkpoint(group, made.id) == after

    async def test_annotations_at_once_end_as_one_of_them(self, store: Store, other: Store, group: str) -> None:
        _, made = await _commit(store, group, 1)
        await asyncio.gather(
            *(
                s.annotate_checkpoint(group, made[0].id, label=str(i), tags=[str(i)])
                for i, s in enumerate([store, other] * 5)
            )
        )
        after = await store.get_checkpoint(group, made[0].id)
        assert after.tags == (after.label,)


async def _commit(store: Store, group: str, count: int) -> tuple[Owner, list[Checkpoint]]:
    owner = await start(store, group)
    return owner, [await _commit_once(owner) for _ in range(count)]


async def _commit_once(owner: Owner) -> Checkpoint:
    append = owner.write(checkpoint="step")
    await owner.store.append([append])
    assert append.entry.checkpoint is not None
    return append.entry.checkpoint
