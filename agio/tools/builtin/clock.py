"""The built-in tool `current_time`."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from agio.domain.errors import ToolError
from agio.tools.base import Tool
from agio.tools.decorator import tool


def current_time_tool(now: Callable[[tzinfo], datetime] = datetime.now) -> Tool:
    """Make the tool on a clock, which takes a time zone."""

    # Synchronous, hence in a thread: a zone that is new to the process is read from a file.
    @tool(idempotent=True, side_effects=False, timeout_s=10.0)
    def current_time(timezone: str = "UTC") -> str:
        """Tell the present date and time, as ISO 8601 with the offset from UTC.

        Args:
            timezone: A name of the IANA time zone database, such as `Europe/Berlin`.
        """
        return now(_find_zone(timezone)).isoformat(timespec="seconds")

    return current_time


def _find_zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC  # known also where there is no database
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        message = f"There is no time zone {name[:100]!r}; use a name such as 'Europe/Berlin' or 'UTC'."
        raise ToolError(message, code="invalid_arguments") from error
