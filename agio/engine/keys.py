"""The keys that runs call models with: one that came with a request, held in memory; else one that is kept."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agio.domain.errors import KeyMissing, ProviderError
from agio.domain.ids import new_id
from agio.domain.llm_keys import CallersKey
from agio.domain.runs import Run

MOST_HELD = 100_000
HELD_S = 24 * 3600.0
"""A caller's key that was not used for so long is forgotten; its run then asks for it."""


class StoredKeys(Protocol):
    """Keys that users and groups have left for their runs."""

    async def find(self, group_id: str, user_id: str | None, provider: str) -> str | None:
        """Return the key for a provider: the user's, else the group's; None: neither left one.

        Raises:
            ProviderError: there is one that cannot be read.
        """
        ...


class NoStoredKeys:
    """Nobody leaves any."""

    async def find(self, group_id: str, user_id: str | None, provider: str) -> str | None:
        """Return None."""
        return None


NO_STORED_KEYS = NoStoredKeys()


@dataclass(slots=True)
class _Held:
    key: CallersKey
    used_at: float


class RunKeys:
    """The keys of one process's runs.

    A caller's key lives here only. Its run's record names it (`Run.llm_key`: worker and number), so that every process
    knows that there is one, and where.
    """

    def __init__(
        self, worker_id: str, stored: StoredKeys = NO_STORED_KEYS, canonical: Callable[[str], str] = str
    ) -> None:
        """Args: canonical: returns the one name of a provider that has several."""
        self.worker_id = worker_id
        self._stored = stored
        self._canonical = canonical
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def hold(self, key: CallersKey | None, provider: str | None = None) -> str | None:
        """Hold a caller's key; return the name for the run's record.

        Args:
            provider: whom the run calls, where that is known; None is returned for a key of another one.
        """
        if key is None or (provider is not None and not key.fits(self._canonical(provider))):
            return None
        name = f"{self.worker_id}/{new_id()}"
        self._held[name] = _Held(key, time.monotonic())
        self._forget()
        return name

    def drop(self, name: str | None) -> None:
        """Forget a caller's key."""
        if name is not None:
            self._held.pop(name, None)

    def has(self, run: Run) -> bool:
        """Say whether the run can go on here: it brought no key, or this process holds it."""
        return run.llm_key is None or run.llm_key in self._held

    async def find(self, run: Run, provider: str) -> str | None:
        """Return the key to call a provider with; None: the process's own, if it has one.

        Raises:
            ProviderError: the run's caller brought a key that is not here, or a stored one cannot be read.
        """
        provider = self._canonical(provider)
        if run.llm_key is not None:
            held = self._held.get(run.llm_key)
            if held is None:
                raise ProviderError(str(KeyMissing()), code=KeyMissing.code)
            held.used_at = time.monotonic()
            self._held.move_to_end(run.llm_key)
            if held.key.fits(provider):
                return held.key.secret
        return await self._stored.find(run.group_id, run.user_id, provider)

    def _forget(self) -> None:
        oldest = time.monotonic() - HELD_S
        while len(self._held) > MOST_HELD or next(iter(self._held.values())).used_at < oldest:
            self._held.popitem(last=False)


def holder_of(run: Run) -> str | None:
    """Return the worker that holds the run's key; None: the run brought none."""
    return run.llm_key.partition("/")[0] if run.llm_key is not None else None
