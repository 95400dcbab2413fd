"""Hints: what another process writes wakes this one, where the database can tell."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from agio.domain import control
from agio.domain.runs import Mark
from agio.storage.port import Interest, Store
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.records import Owner, instant, make_creation, start

BOUND_S = 5.0
"""A hint may be lost, so writes are repeated; one of them must wake within this time."""


class TestHints:
    async def test_source_is_what_the_backend_promises(self, store: Store, backend: Backend) -> None:
        assert store.hint_source == backend.hint_source

    async def test_source_none_ends_at_once(self, store: Store, backend: Backend) -> None:
        if backend.hint_source != "none":
            pytest.skip("this database gives hints")
        async with asyncio.timeout(BOUND_S):
            assert [hint async for hint in store.hints(Interest(owns_runs=True, reads_remote=True))] == []

    async def test_command_of_another_process_wakes(
        self, store: Store, other: Store, group: str, backend: Backend
    ) -> None:
        _needs_hints(backend)
        owner = await start(store, group)

        async def command() -> None:
            mark = Mark(by="ann", label="x")
            await other.update_run(group, owner.run.id, lambda r: control.request_mark(r, mark, at=instant(1)))

        await _assert_wakes(store, Interest(owns_runs=True), owner.run.id, command)

    async def test_entry_of_another_process_wakes(
        self, store: Store, other: Store, group: str, backend: Backend
    ) -> None:
        _needs_hints(backend)
        owner = await start(other, group)

        async def append() -> None:
            await owner.append()

        await _assert_wakes(store, Interest(reads_remote=True), owner.run.id, append)

    async def test_new_run_of_another_process_wakes(
        self, store: Store, other: Store, group: str, backend: Backend
    ) -> None:
        """A process that owns nothing yet hears of runs that it may claim."""
        _needs_hints(backend)
        made: list[str] = []

        async def create() -> None:
            made.append((await other.create_run(make_creation(group))).id)

        async with _listening(store, Interest(owns_runs=True)) as heard:
            await _until_woken(heard, create, lambda hint: hint is None or bool(hint & set(made)))

    async def test_interest_may_change_while_listening(
        self, store: Store, other: Store, group: str, backend: Backend
    ) -> None:
        _needs_hints(backend)
        owner = await start(other, group)
        interest = Interest()

        async def append() -> None:
            interest.reads_remote = True
            await owner.append()

        await _assert_wakes(store, interest, owner.run.id, append)

    async def test_listening_can_be_stopped(self, store: Store, backend: Backend) -> None:
        _needs_hints(backend)
        async with asyncio.timeout(BOUND_S):
            async with _listening(store, Interest(owns_runs=True)):
                await asyncio.sleep(0)
        await store.ping()

    async def test_store_can_be_closed_while_someone_listens(self, store: Store, group: str, backend: Backend) -> None:
        _needs_hints(backend)
        owner: Owner = await start(store, group)
        task = asyncio.create_task(_listen(store, Interest(owns_runs=True, reads_remote=True), asyncio.Queue()))
        await owner.append()
        async with asyncio.timeout(BOUND_S):
            await store.close()
            task.cancel()
            await asyncio.wait([task])


Hint = frozenset[str] | None


def _needs_hints(backend: Backend) -> None:
    if backend.hint_source == "none":
        pytest.skip("this database gives no hints")


async def _assert_wakes(store: Store, interest: Interest, run_id: str, write: Callable[[], Awaitable[None]]) -> None:
    async with _listening(store, interest) as heard:
        await _until_woken(heard, write, lambda hint: hint is None or run_id in hint)


async def _until_woken(
    heard: "asyncio.Queue[Hint]", write: Callable[[], Awaitable[None]], concerns: Callable[[Hint], bool]
) -> None:
    """Write until a hint that concerns it arrives: nobody can tell when listening has begun."""
    async with asyncio.timeout(BOUND_S):
        while True:
            await write()
            try:
                async with asyncio.timeout(0.5):
                    while not concerns(await heard.get()):
                        pass
                    return
            except TimeoutError:
                continue


@asynccontextmanager
async def _listening(store: Store, interest: Interest) -> AsyncIterator["asyncio.Queue[Hint]"]:
    heard: asyncio.Queue[Hint] = asyncio.Queue()
    task = asyncio.create_task(_listen(store, interest, heard))
    try:
        yield heard
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=BOUND_S)
        assert done, "the listener did not end when it was cancelled"


async def _listen(store: Store, interest: Interest, heard: "asyncio.Queue[Hint]") -> None:
    async with aclosing(store.hints(interest)) as hints:
        async for hint in hints:
            heard.put_nowait(hint)
