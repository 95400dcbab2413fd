"""The keys that runs call models with: one that came with a request, held in memory; else one that is kept."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from agio.domain.agents import PYTHON
from agio.domain.errors import KeyMissing, ProviderError
from agio.domain.ids import new_id
from agio.domain.llm_keys import CallersKey
from agio.domain.runs import Run
from agio.engine.caller import Caller

MOST_HELD = 100_000
HELD_S = 24 * 3600.0
"""A caller's key that was not used for so long is forgotten; its run then asks for it."""
LOOK_AGAIN_S = 60.0
"""How often it is looked whether a run that others may end has ended."""
LOOKS = 100
"""Runs that are looked at in one go."""
NO_PROVIDER = "none"
"""What stands for a provider in runs that ask no model themselves, such as workflows: their children may ask any."""


class StoredKeys(Protocol):
    """Keys that users and groups have left for their runs."""

    async def find(self, group_id: str, user_id: str | None, provider: str, name: str | None = None) -> str | None:
        """Return the key for a provider: the user's, else the group's; None: neither left one.

        Args:
            name: the one of this name, and no other.

        Raises:
            ProviderError: there is one that cannot be read, or none of that name.
        """
        ...


class NoStoredKeys:
    """Nobody leaves any."""

    async def find(self, group_id: str, user_id: str | None, provider: str, name: str | None = None) -> str | None:
        """Return None."""
        return None


NO_STORED_KEYS = NoStoredKeys()


@dataclass(slots=True)
class _Held:
    key: CallersKey
    used_at: float
    looked_at: float
    of: tuple[str, str] | None = None
    """Group and id of the run that it came with; runs that begin with it have ended when that one has."""


class RunKeys:
    """The keys of one process's runs.

    A caller's key lives here only. Its run's record names it (`Run.llm_key`: worker, number, and the provider if it is
    for one alone), so that every process knows that there is one, where, and whether it matters. Child runs name their
    parent's.
    """

    def __init__(
        self, worker_id: str, stored: StoredKeys = NO_STORED_KEYS, canonical: Callable[[str], str] = str
    ) -> None:
        """Args: canonical: returns the one name of a provider that has several."""
        self.worker_id = worker_id
        self._stored = stored
        self._canonical = canonical
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def hold(
        self, key: CallersKey | None, provider: str | None = None, *, of: tuple[str, str] | None = None
    ) -> str | None:
        """Hold a caller's key; return the name for the run's record.

        Args:
            provider: whom the run calls, where that is known; None is returned for a key of another one.
            of: group and id of the run, see `forget_ended`.
        """
        if key is None or not (provider in (None, NO_PROVIDER) or key.fits(self._canonical(provider or ""))):
            return None
        name = "/".join([self.worker_id, new_id(), *([key.provider] if key.provider else [])])
        now = time.monotonic()
        self._held[name] = _Held(key, now, now, of)
        self._forget()
        return name

    def drop(self, name: str | None) -> None:
        """Forget a caller's key."""
        if name is not None:
            self._held.pop(name, None)

    def holds(self, name: str | None) -> bool:
        """Say whether a caller's key is here, by the name that the run's record has."""
        return name in self._held

    def has(self, run: Run, provider: str) -> bool:
        """Say whether the run can call that provider here: it brought no key for it, or this process holds it."""
        return not self._concerns(run, provider) or run.llm_key in self._held

    def _concerns(self, run: Run, provider: str) -> bool:
        """Say whether the run brought a key that is for that provider."""
        if run.llm_key is None or provider == PYTHON:
            return False
        _, _, of = run.llm_key.partition("/")[2].partition("/")
        return of in ("", self._canonical(provider))

    async def find(self, run: Run, provider: str, name: str | None = None) -> str | None:
        """Return the key to call a provider with; None: the process's own, if it has one.

        Args:
            name: which of the stored keys, where none came with the request; None: whichever fits.

        Raises:
            ProviderError: the run's caller brought a key that is not here, or a stored one cannot be read.
        """
        provider = self._canonical(provider)
        if run.llm_key is not None and self._concerns(run, provider):
            held = self._held.get(run.llm_key)
            if held is None:
                raise ProviderError(str(KeyMissing()), code=KeyMissing.code)
            held.used_at = time.monotonic()
            self._held.move_to_end(run.llm_key)
            return held.key.secret
        return await self._stored.find(run.group_id, run.user_id, provider, name)

    async def of_caller(self, caller: Caller, provider: str, name: str | None = None) -> str | None:
        """Return the key for a call of a provider without a run; as `find`."""
        provider = self._canonical(provider)
        if caller.llm_key is not None and caller.llm_key.fits(provider):
            return caller.llm_key.secret
        return await self._stored.find(caller.group_id, caller.user_id, provider, name)

    async def forget_ended(self, has_ended: Callable[[str, str], Awaitable[bool]]) -> None:
        """Forget keys whose run ended in another process: the holder of a workflow's key may not be who ends it.

        Args:
            has_ended: takes a run's group and id.
        """
        now = time.monotonic()
        due = [(name, one) for name, one in self._held.items() if one.of and now - one.looked_at > LOOK_AGAIN_S]
        for name, held in due[:LOOKS]:
            held.looked_at = now
            if held.of and await has_ended(*held.of):
                self.drop(name)

    def _forget(self) -> None:
        oldest = time.monotonic() - HELD_S
        while len(self._held) > MOST_HELD or next(iter(self._held.values())).used_at < oldest:
            self._held.popitem(last=False)


def holder_of(run: Run) -> str | None:
    """Return the worker that holds the run's key; None: the run brought none."""
    return run.llm_key.partition("/")[0] if run.llm_key is not None else None
