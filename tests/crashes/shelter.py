"""A server that lives, servers that die at a named place, and clients that go from these to that."""

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import Any, cast

import httpx

from agio.crashes import EXIT_CODE
from tests.crashes.nursery import Nursery, Server
from tests.e2e.client import Client, new_id
from tests.e2e.cluster import PATIENCE_S, Cluster


@dataclass(slots=True)
class Door:
    """Where clients go."""

    url: str


class Shelter:
    """The server that lives, and the way to those that do not.

    On MongoDB the one that lives is frozen until the other is dead: it hears of a new run before the one that
    accepted it has told itself. On SQLite it is too slow for that, and a frozen process could hold the write lock.
    """

    def __init__(self, nursery: Nursery, variables: dict[str, str]) -> None:
        self._nursery = nursery
        self._variables = variables
        self._freezes = "AGIO_MONGO_URI" in variables
        self.survivor = nursery.start(variables)
        self.survivor.wait_until_ready()
        self.door = Door(self.survivor.url)
        #: Clients need no more of a cluster than where it is.
        self.client = Client(cast(Cluster, self.door))

    def doom(self, place: str, hit: int) -> Server:
        """Start a server that dies at the place, and let clients go there."""
        doomed = self._nursery.start({**self._variables, "AGIO_CRASH_AT": f"{place}:{hit}"})
        doomed.wait_until_ready()
        self.door.url = doomed.url
        if self._freezes:
            os.kill(self.survivor.pid, signal.SIGSTOP)
        return doomed

    def flee(self) -> None:
        """Let clients go to the server that lives."""
        os.kill(self.survivor.pid, signal.SIGCONT)
        self.door.url = self.survivor.url


async def insist(shelter: Shelter, method: str, path: str, body: Any, *, expect: int) -> Any:
    """Call until there is an answer; with one key, so that it happens once."""
    key = {"Idempotency-Key": new_id("key")}
    try:
        return await shelter.client.call(method, path, body, expect=expect, headers=key)
    except httpx.TransportError:
        shelter.flee()
        return await shelter.client.call(method, path, body, expect=expect, headers=key)


def is_gone(server: Server) -> bool:
    """Say whether it has died, where it was told to."""
    if not server.is_dead():
        return False
    assert server.exit_code == EXIT_CODE, server.log.read_text()
    return True


async def until_gone(server: Server) -> None:
    """Return when it has died, where it was told to."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_gone(server):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.01)
