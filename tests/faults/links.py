"""Links between one worker and one node of the database that go bad, as the driver in that worker has it.

While the file exists that `spoil` was given, it says what becomes of a link and to which port: `cut`: packets are
answered with a reset; `silent`: nothing comes through in either direction, and nobody says so; `slow`: each request
takes 0.2 s longer. What was lost on a silent link stays lost: its connections are of no use afterwards.
"""

import asyncio
from pathlib import Path
from typing import Any
from weakref import WeakSet

from pymongo import pool_shared
from pymongo.network_layer import PyMongoProtocol

SLOW_S = 0.2


class Links:
    """The links of this process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._broken: WeakSet[PyMongoProtocol] = WeakSet()
        """Connections that lost something."""

    def to(self, port: int) -> str:
        """Say how the link to a port is."""
        try:
            how, _, bad = self._file.read_text().partition(" ")
        except FileNotFoundError:
            return "sound"
        return how if bad == str(port) else "sound"

    def of(self, connection: PyMongoProtocol) -> str:
        """Say how the link of a connection is; one that was silent is cut in the end."""
        peer = connection.transport.get_extra_info("peername")
        how = self.to(peer[1]) if peer else "sound"
        if how == "silent":
            self._broken.add(connection)
        return "cut" if how == "sound" and connection in self._broken else how

    async def connect(self, address: Any, options: Any) -> Any:
        """Stand in for PyMongo's own function."""
        how = self.to(address[1])
        if how == "cut":
            raise ConnectionRefusedError("the link is cut")
        if how == "silent":
            await asyncio.sleep(options.connect_timeout or 20)
            raise TimeoutError("timed out")
        return await _connect(address, options)


_connect = pool_shared._async_create_connection


def spoil(file: Path) -> None:
    """Let the links of this process be as the file says."""
    links = Links(file)
    write, updated = PyMongoProtocol.write, PyMongoProtocol.buffer_updated

    async def write_through(self: PyMongoProtocol, message: bytes) -> None:
        how = links.of(self)
        if how == "cut":
            self.close(ConnectionResetError("the link is cut"))
            raise ConnectionResetError("the link is cut")
        if how == "slow":
            await asyncio.sleep(SLOW_S)
        if how != "silent":
            await write(self, message)

    def read_through(self: PyMongoProtocol, count: int) -> None:
        how = links.of(self) if count else "sound"
        if how == "cut":
            self.close(ConnectionResetError("the link is cut"))
        elif how != "silent":
            updated(self, count)

    PyMongoProtocol.write = write_through  # type: ignore[method-assign]
    PyMongoProtocol.buffer_updated = read_through  # type: ignore[method-assign, assignment]
    pool_shared._async_create_connection = links.connect
