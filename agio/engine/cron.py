"""Cron expressions: five fields, in a time zone. Read by `cronsim`, which does what Debian's cron does.

Times that a clock change leaves out fire right after it; times that it repeats fire once, where the hour is fixed.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from agio.domain.errors import Invalid
from agio.domain.schedules import NEVER

FIELDS = 5
MAX_CHARS = 200


def check_cron(expression: str, timezone: str) -> None:
    """Refuse an expression or a zone that cannot be read, and an expression that never fires.

    Raises:
        Invalid: field `cron` or `timezone`.
    """
    try:
        zone = ZoneInfo(timezone)
    except (OSError, ValueError, KeyError):
        raise Invalid(f"there is no time zone {timezone[:80]!r}", field="timezone") from None
    if len(expression) > MAX_CHARS or len(expression.split()) != FIELDS:
        raise Invalid("a cron expression has five fields: minute, hour, day, month, day of the week", field="cron")
    try:
        next(CronSim(expression, datetime.now(zone)))
    except CronSimError as error:
        raise Invalid(f"{expression!r} is no cron expression: {error}", field="cron") from None
    except StopIteration:
        raise Invalid(f"{expression!r} never fires", field="cron") from None


def following(expression: str, timezone: str, after: datetime) -> datetime:
    """Return the first tick after an instant, in UTC; `NEVER` where there is none."""
    try:
        tick: datetime = next(CronSim(expression, after.astimezone(ZoneInfo(timezone))))
    except StopIteration:
        return NEVER
    return tick.astimezone(UTC)


def last_until(expression: str, timezone: str, instant: datetime) -> datetime:
    """Return the last tick at or before an instant, in UTC; the instant of long ago where there is none."""
    later = (instant + timedelta(seconds=1)).astimezone(ZoneInfo(timezone))
    try:
        tick: datetime = next(CronSim(expression, later, reverse=True))
    except StopIteration:
        return datetime(1, 1, 2, tzinfo=UTC)
    return tick.astimezone(UTC)


def upcoming(expression: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """Return the next ticks, in UTC."""
    found: list[datetime] = []
    while len(found) < count and (after := following(expression, timezone, after)) != NEVER:
        found.append(after)
    return found
