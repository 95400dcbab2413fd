"""Opening, closing and asking whether the database is there."""

import asyncio

from agio.storage.port import Store
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.fixtures import OpenStore
from agio.testing.conformance.records import make_creation, start


class TestConnection:
    async def test_open_store_answers(self, store: Store) -> None:
        await store.ping()
        assert store.name in ("sqlite", "mongodb")

    async def test_processes_may_open_a_new_database_at_once(self, open_store: OpenStore, group: str) -> None:
        stores = await asyncio.gather(*(open_store() for _ in range(4)))
        run = await stores[0].create_run(make_creation(group))
        for one in stores:
            assert await one.get_run(group, run.id) == run

    async def test_everything_is_there_after_reopening(self, backend: Backend, group: str) -> None:
        first = backend.store_factory(256 * 1024)
        await first.open()
        owner = await start(first, group)
        said = await owner.say("a", checkpoint="step")
        await first.beat("worker-1", {})
        await first.close()
        second = backend.store_factory(256 * 1024)
        await second.open()
        try:
            assert await second.get_run(group, owner.run.id) == owner.run
            assert await second.read_messages(group, owner.run.branch_id) == said
            assert await second.living(60) == {"worker-1"}
        finally:
            await second.close()

    async def test_closing_waits_for_what_is_under_way(self, backend: Backend, store: Store, group: str) -> None:
        closing = backend.store_factory(256 * 1024)
        await closing.open()
        creation = make_creation(group)
        writing = asyncio.create_task(closing.create_run(creation))
        await asyncio.sleep(0)
        await closing.close()
        outcome = (await asyncio.gather(writing, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):
            assert await store.get_run(group, creation.run.id) == outcome

    async def test_one_store_closing_does_not_disturb_another(self, backend: Backend, store: Store, group: str) -> None:
        closing = backend.store_factory(256 * 1024)
        await closing.open()
        await closing.close()
        assert (await store.create_run(make_creation(group))).holds_branch
