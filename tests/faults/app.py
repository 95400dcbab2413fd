"""The server of a campaign: Agio with tools that harm their own process, and with a clock that can go wrong.

The folder named by `FAULTS_FOLDER` holds one file `clock-<pid>` for each process whose wall clock is off; it says by
how many seconds. A file `link-<pid>` says which of its links to the database is bad (`links.py`).
"""

import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agio.engine import clock

_FOLDER = Path(os.environ.get("FAULTS_FOLDER", "."))
_CLOCK = _FOLDER / f"clock-{os.getpid()}"


def skewed_now() -> datetime:
    """Return the present instant as this process has it."""
    try:
        off_s = float(_CLOCK.read_text())
    except (FileNotFoundError, ValueError):
        off_s = 0.0
    return datetime.now(UTC) + timedelta(seconds=off_s)


# Before anything else of Agio is imported: its modules take the function by name.
clock.utc_now = skewed_now

from agio.api.app import create_app  # noqa: E402
from agio.observability.logs import setup_logging  # noqa: E402
from agio.tools import ToolContext, tool  # noqa: E402
from tests.faults import links  # noqa: E402

links.spoil(_FOLDER / f"link-{os.getpid()}")


@tool(idempotent=True)
async def poison() -> str:
    """Kill the process that calls it, each time."""
    os._exit(137)


@tool(idempotent=True)
async def block(seconds: float, context: ToolContext) -> str:
    """Block the event loop, as a badly written tool does; the first time only, or the run would be poison."""
    note = _FOLDER / f"blocked-{context.run_id}"
    if note.exists():
        return "blocked before"
    note.touch()
    time.sleep(seconds)  # noqa: ASYNC251 - that is the point
    return f"blocked for {seconds} s"


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    setup_logging("INFO", "json")
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    made = globals()["app"] = create_app(tools=[poison, block])
    return made
