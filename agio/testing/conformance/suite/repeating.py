"""Writes that went wrong and are asked for again: done once, and told so.

Three ways to go wrong: it was done and the answer got lost, it was not done and failed, it took longer than its
caller would wait.
"""

import asyncio
from functools import partial

import pytest

from agio.domain.errors import StoreUnavailable
from agio.storage.port import Store
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.deeds import DEEDS, Deed, Preparation
from agio.testing.conformance.records import eventually

EACH = pytest.mark.parametrize("prepare", DEEDS, ids=lambda prepare: prepare.__name__)
SLOW_S = 0.15
PATIENCE_S = 0.05
"""How long the caller of a slow write waits."""


@EACH
class TestWritesAgain:
    async def test_done_but_nobody_heard(
        self, store: Store, backend: Backend, group: str, prepare: Preparation
    ) -> None:
        deed = await prepare(store, backend, group)
        await deed.call()
        assert await deed.seen() == deed.once
        await _ask_again(deed, is_done=True)
        assert await deed.seen() == deed.once

    async def test_not_done_but_failed(self, store: Store, backend: Backend, group: str, prepare: Preparation) -> None:
        deed = await prepare(store, backend, group)
        await store.close()
        with pytest.raises(StoreUnavailable):
            await deed.call()
        await store.open()
        assert await deed.seen() == deed.before
        await deed.call()
        assert await deed.seen() == deed.once

    async def test_slow_and_given_up(self, store: Store, backend: Backend, group: str, prepare: Preparation) -> None:
        deed = await prepare(store, backend, group)
        async with backend.slow(store, SLOW_S):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await deed.call()
        await _ask_again(deed, is_done=None)
        await eventually(partial(_is_done, deed), "the end of what was given up")  # it goes on behind its caller's back
        await _ask_again(deed, is_done=True)
        assert await deed.seen() == deed.once


async def _is_done(deed: Deed) -> bool:
    return bool(await deed.seen() == deed.once)


async def _ask_again(deed: Deed, *, is_done: bool | None) -> None:
    """Do it again; `is_done`: what the answer must say, None: either."""
    try:
        await deed.call()
    except Exception as error:
        if deed.again is None or not isinstance(error, deed.again) or is_done is False:
            raise
    else:
        assert deed.again is None or not is_done, "what is done already was done again"
