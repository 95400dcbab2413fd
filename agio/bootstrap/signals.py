"""What tells a server process to stop, heard early enough to hand its runs over.

uvicorn waits for all answers before it says a word to the application; but streams of live runs end only because
the worker drains. So the drain begins at the signal itself.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

LOOK_S = 1.0
"""How often a worker process looks for its supervisor."""


def install_drain_signal(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back on the loop when the process is told to stop, before whoever handles the signal now.

    Does nothing off the main thread, and for signals that nobody handles: those end the process.

    Returns:
        What takes the handlers away again.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    installed = [undo for number in SIGNALS if (undo := _wrap(number, loop, callback)) is not None]

    def restore() -> None:
        for undo in installed:
            undo()

    return restore


def _wrap(
    number: signal.Signals, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]
) -> Callable[[], None] | None:
    handler = signal.getsignal(number)
    if not callable(handler):
        return None

    def hear(received: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(callback)
        handler(received, frame)

    def undo() -> None:
        if signal.getsignal(number) is hear:
            signal.signal(number, handler)

    signal.signal(number, hear)
    return undo


async def watch_parent(callback: Callable[[], None]) -> None:
    """Call back once when the process that supervises this one is gone; return at once when there is none.

    A supervisor that was killed leaves its workers behind, and they would serve on with nobody to stop them.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    forked_by = os.getppid()  # the supervisor itself, or what it has its workers forked by
    while parent.is_alive() and os.getppid() == forked_by:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(LOOK_S)
    log.warning("the supervisor is gone; this process stops", extra={"pid": os.getpid(), "supervisor": parent.pid})
    callback()


def stop_this_process() -> None:
    """Ask this process to stop, as its supervisor would."""
    os.kill(os.getpid(), signal.SIGTERM)
