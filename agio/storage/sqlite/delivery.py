"""How results get from a thread back to the tasks that wait for them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agio.storage.sqlite.connection import Connection


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do on a connection, and who waits for it."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job went."""

    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


def deliver(outcomes: Sequence[Outcome]) -> None:
    """Resolve the futures, with one call into each event loop."""
    for loop in {outcome.future.get_loop() for outcome in outcomes}:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, [o for o in outcomes if o.future.get_loop() is loop])


def _settle(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.future.done():
            continue  # whoever waited was cancelled; what was written stays written
        if outcome.error is None:
            outcome.future.set_result(outcome.result)
        else:
            outcome.future.set_exception(outcome.error)
