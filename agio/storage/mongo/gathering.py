"""Reads that go together: what many tasks look up at the same moment is asked in one call.

A call costs this process several times what it costs the database, and a worker that takes sixteen runs over asks the
same questions of each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

AT_MOST = 100
"""Keys of one call."""


@dataclass(slots=True, eq=False)
class _Gathered(Generic[K, V]):
    """What the next call asks for."""

    keys: dict[K, None] = field(default_factory=dict)
    task: asyncio.Task[Mapping[K, V]] | None = None


class Gathering(Generic[K, V]):
    """Looks things up by key; those asked for in one turn of the event loop go in one call.

    The call is made after they were asked for, so nobody is told what was true before. No call waits for another one:
    one that hangs holds up only those that gathered for it, and whoever is alone waits for nobody.
    """

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        """Args: look_up, which returns what there is of the keys, each of them once."""
        self._look_up = look_up
        self._gathered: _Gathered[K, V] | None = None

    async def get(self, key: K) -> V | None:
        """Return what is there under the key; others may be given the same object. Raises what the call raises."""
        gathered = self._gathered
        if gathered is None or len(gathered.keys) >= AT_MOST:
            gathered = self._gathered = _Gathered()
            # A context of its own: PyMongo's time limits are in it, and those are of whoever came first.
            gathered.task = asyncio.create_task(self._ask(gathered), context=Context())
        gathered.keys[key] = None
        assert gathered.task is not None
        return (await asyncio.shield(gathered.task)).get(key)

    async def _ask(self, gathered: _Gathered[K, V]) -> Mapping[K, V]:
        if self._gathered is gathered:
            self._gathered = None
        return await self._look_up(list(gathered.keys))
