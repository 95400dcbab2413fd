"""What the suite must know of the database under test."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

from agio.storage.port import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One database with nothing in it, and the few things about it that no port method tells."""

    name: str
    store_factory: Callable[[int], Store]
    """Returns a new store on this database, not opened yet; the argument is its `inline_limit` in bytes."""
    age_worker: Callable[[Store, str, float], Awaitable[None]]
    """Makes a worker's last beat that many seconds older."""
    lose_hold: Callable[[Store, str, str], Awaitable[None]]
    """Leaves a crash between two writes behind: the run of that group and id has ended, and let go of its
    branch, and nobody took the branch over."""
    age_contents: Callable[[Store, float], Awaitable[None]]
    """Makes everything that `collect` may delete, and what it marked, that many seconds older."""
    count_chunks: Callable[[Store], Awaitable[int]]
    """Returns how many chunks of large contents are stored."""
    slow: Callable[[Store, float], AbstractAsyncContextManager[None]]
    """While it is open, every write takes at least so many seconds, whoever waits for it."""
    hint_source: Literal["change_stream", "data_version", "none"]
    """What the store is expected to declare."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """`{"TestClass" or "TestClass.test_name": reason}`: what is known not to work here."""
