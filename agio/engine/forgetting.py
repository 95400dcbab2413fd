"""Forgets records that nobody needs any more after a time, whatever becomes of runs."""

import asyncio
from datetime import timedelta
from typing import Any

from agio.engine.clock import utc_now
from agio.engine.keyed import KeyedRequests
from agio.storage.port import DELIVERIES, FIRES, REVOKED_TOKENS, STREAM_TOKENS, WINDOWS, Kind, Store

EVERY_S = 3600.0
FORGOTTEN: tuple[tuple[Kind[Any], timedelta], ...] = (
    (STREAM_TOKENS, timedelta(days=1)),
    (REVOKED_TOKENS, timedelta(0)),  # they are dated to when their token expires
    (FIRES, timedelta(days=90)),
    (WINDOWS, timedelta(days=2)),  # none is longer than a day
    (DELIVERIES, timedelta(days=30)),  # none is tried for longer than some days
)
"""Records that are deleted when they are so old."""


class Forgetting:
    """One per worker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next = 0.0

    async def work(self) -> None:
        """Delete old idempotency keys and what `FORGOTTEN` names, once an hour however often this is called."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + EVERY_S
        await KeyedRequests(self._store).prune()
        now_utc = utc_now()
        for kind, kept in FORGOTTEN:
            await self._store.prune(kind, now_utc - kept)
