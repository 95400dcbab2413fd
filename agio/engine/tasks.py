"""Ends tasks for good: one `cancel` may be swallowed."""

import asyncio
from collections.abc import Iterable
from typing import Any


async def end(tasks: Iterable[asyncio.Task[Any]], again_after_s: float = 0.2) -> None:
    """Cancel tasks and return when they have ended; what they raise is dropped.

    Repeats the cancellation: `asyncio.wait_for` (Python 3.11, also inside drivers) loses one that
    comes at the same moment as the result.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_after_s)
