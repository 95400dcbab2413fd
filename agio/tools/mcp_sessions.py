"""Connections to MCP servers: opened when they are needed, shared by a group's calls, closed when nobody has needed
them for a while.

Not responsible for what a server's tools are: see `mcp_source`.
"""

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from agio.domain.errors import ToolError
from agio.tools.net import GuardedClient
from agio.tools.threads import run_in_thread

if TYPE_CHECKING:
    from mcp import Client

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECTION_CLOSED = -32000
"""Code of the package's error for calls whose connection ended."""
OPEN_S = 30.0
"""A server that has not said within this time what it speaks is given up."""
IDLE_S = 300.0
CLOSE_S = 10.0
"""How long closing may take: the package gives a process time to go by itself, then kills it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server is."""

    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    command: tuple[str, ...] = ()
    """A program and its arguments, in place of `url`."""
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class _Session:
    """One connection. A task of its own opens and closes it: the package wants both in one task."""

    def __init__(self, place: Place, guard: GuardedClient, on_end: Callable[["_Session"], None]) -> None:
        self._place = place
        self._guard = guard
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._used_at = asyncio.get_running_loop().time()
        self._calls = 0
        self._task = asyncio.create_task(self._live(), name="mcp-session")
        self._task.add_done_callback(lambda _: on_end(self))

    async def call(self, work: Callable[["Client"], Awaitable[T]]) -> T:
        """Do something with the client. Raises whatever opening it raised, or `work`."""
        self._calls += 1
        try:
            return await work(await asyncio.shield(self._ready))
        finally:
            self._calls -= 1
            self._used_at = asyncio.get_running_loop().time()

    def leave(self) -> None:
        """Begin to close it."""
        self._leave.set()

    async def close(self) -> None:
        """Close it; return when it is."""
        self.leave()
        await asyncio.wait({self._task}, timeout=CLOSE_S)

    async def _live(self) -> None:
        try:
            async with asyncio.timeout(OPEN_S) as limit:
                async with _open(self._place, self._guard) as client:
                    limit.reschedule(None)
                    self._ready.set_result(client)
                    await self._until_left()
        except Exception as error:  # noqa: BLE001 - whoever waits is told; later it ends a connection of no more use
            if not self._ready.done():
                self._ready.set_exception(error)
                self._ready.exception()  # nobody may be waiting any more
            else:
                log.info("an MCP server's connection ended", extra={"error": type(error).__name__})
        finally:
            if not self._ready.done():
                self._ready.cancel()

    async def _until_left(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            idle_s = loop.time() - self._used_at
            if not self._calls and idle_s >= IDLE_S:
                return
            try:
                async with asyncio.timeout(max(1.0, IDLE_S - idle_s)):
                    await self._leave.wait()
            except TimeoutError:
                continue
            return


@asynccontextmanager
async def _open(place: Place, guard: GuardedClient) -> AsyncIterator["Client"]:
    """Connect, and find out which revision of the protocol the server speaks."""
    await run_in_thread(lambda: importlib.import_module("mcp"))  # which takes a second, and more on a busy machine
    opened = _open_http(place, guard) if place.url is not None else _open_process(place)
    async with opened as client:
        yield client


@asynccontextmanager
async def _open_process(place: Place) -> AsyncIterator["Client"]:
    from mcp import Client, StdioServerParameters  # noqa: PLC0415 - only where one is used: see `_open`
    from mcp.client.stdio import stdio_client  # noqa: PLC0415

    program, *arguments = place.command
    wanted = StdioServerParameters(command=program, args=arguments, env=dict(place.env))
    # What it writes to its log may hold anything; ours is no place for that.
    with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230 - no file, so nothing waits
        async with Client(stdio_client(wanted, errlog=nowhere), cache=None) as client:
            yield client


@asynccontextmanager
async def _open_http(place: Place, guard: GuardedClient) -> AsyncIterator["Client"]:
    import httpx2  # noqa: PLC0415 - as above
    from mcp import Client  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    from agio.tools.mcp_transport import GuardedTransport  # noqa: PLC0415

    assert place.url is not None
    timeout = httpx2.Timeout(30.0, read=None)  # the call's own limit counts
    async with (
        httpx2.AsyncClient(transport=GuardedTransport(guard), headers=place.headers, timeout=timeout) as web,
        Client(streamable_http_client(place.url, http_client=web), cache=None) as client,
    ):
        yield client


class McpSessions:
    """The connections of one process, by whose they are."""

    def __init__(self, guard: GuardedClient) -> None:
        self._guard = guard
        self._open: dict[tuple[str, Place], _Session] = {}
        self._ending: set[_Session] = set()

    async def call(self, owner: str, place: Place, name: str, work: Callable[["Client"], Awaitable[T]]) -> T:
        """Do something with the client of a server.

        Args:
            owner: whose connection: nobody else's calls go through it.
            name: of the server, for people.
            work: takes an `mcp.Client`.

        Raises:
            ToolError: the server cannot be reached, went away, or answered with an error.
        """
        session = self._open.get((owner, place))
        if session is None:
            session = self._open[owner, place] = _Session(place, self._guard, self._forget)
        try:
            return await session.call(work)
        except ToolError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._drop(session)
            raise ToolError(f"The MCP server {name!r} went away.") from None
        except Exception as error:
            raise self._told(session, name, error) from error

    def _told(self, session: _Session, name: str, error: Exception) -> ToolError:
        """Return what a model is told; a connection that is of no more use is dropped."""
        code = getattr(error, "code", None)
        if isinstance(code, int) and code != CONNECTION_CLOSED:
            return ToolError(f"The MCP server {name!r} answered with an error: {error}")
        self._drop(session)
        if (refusal := _find_refusal(error)) is not None:
            return refusal
        if code == CONNECTION_CLOSED:
            text = f"The MCP server {name!r} went away before it answered; whether the call took effect is not known."
            return ToolError(text)
        reason = "did not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
        return ToolError(f"The MCP server {name!r} {reason}.")

    def _drop(self, session: _Session) -> None:
        """Let nobody use a connection any more."""
        for key, one in list(self._open.items()):
            if one is session:
                del self._open[key]
                self._ending.add(session)
                session.leave()

    def _forget(self, session: _Session) -> None:
        self._ending.discard(session)
        for key, one in list(self._open.items()):
            if one is session:
                del self._open[key]

    async def close(self) -> None:
        """Close every connection; processes that were started are stopped."""
        sessions = [*self._open.values(), *self._ending]
        await asyncio.gather(*(session.close() for session in sessions))


def _find_refusal(error: BaseException | None) -> ToolError | None:
    """Return why the guard did not let a request pass, if that is what is behind an error."""
    while error is not None:
        if isinstance(error, ToolError):
            return error
        if isinstance(error, BaseExceptionGroup):
            found = [one for inner in error.exceptions if (one := _find_refusal(inner)) is not None]
            return found[0] if found else None
        error = error.__cause__ or error.__context__
    return None
