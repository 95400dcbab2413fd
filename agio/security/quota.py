"""Tokens that groups may spend, in windows that all processes share."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from agio.domain.windows import Limit
from agio.security.windows import Windows


class TokenQuota:
    """Counts the tokens of each group within a sliding window. Implements `engine.quota.Quota`."""

    def __init__(self, windows: Windows, limit: Limit | None, own: Mapping[str, Limit] | None = None) -> None:
        """Args: limit: of every group; None: none. own: limits of certain groups, in its place."""
        self._windows = windows
        self._limit = limit
        self._own = dict(own or {})
        self._owed: Counter[str] = Counter()
        self._writing = asyncio.Lock()

    async def wait_s(self, group_id: str) -> float:
        """Return the seconds until the group may spend again; 0: it may now."""
        limit = self._own.get(group_id, self._limit)
        if limit is None:
            return 0.0
        return (await self._windows.look(_tokens_of(group_id), limit)).retry_after_s

    async def spend(self, group_id: str, tokens: int) -> None:
        """Count what was spent, beyond the limit too. What comes while a write is under way goes with the next one."""
        limit = self._own.get(group_id, self._limit)
        if limit is None or not tokens:
            return
        self._owed[group_id] += tokens
        async with self._writing:
            owed = self._owed.pop(group_id, 0)
            if owed:
                await self._windows.add(_tokens_of(group_id), limit, owed)


def _tokens_of(group_id: str) -> str:
    return f"tokens of group {group_id}"
