"""The one place where a tool's synchronous work leaves the event loop.

A thread of its own for each call, and a daemon: `asyncio.to_thread` shares a handful of threads with name
resolution and waits for all of them at exit, so a few tools that hang would stop every run and every shutdown.
"""

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def run_in_thread(function: Callable[[], T]) -> T:
    """Return what `function` returns, or raise what it raises.

    Cancelling the caller returns at once; the thread runs on, and what it brings is dropped.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    context = contextvars.copy_context()

    def work() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(context.run(function))
        except StopIteration as error:
            # A future cannot carry it, and the caller would wait for ever.
            wrapped = RuntimeError("StopIteration left a synchronous tool")
            wrapped.__cause__ = error
            outcome.set_exception(wrapped)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            outcome.set_exception(error)

    threading.Thread(target=work, name="agio-tool", daemon=True).start()
    return await asyncio.wrap_future(outcome)
