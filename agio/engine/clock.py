"""The wall clock, for what people read. Nothing is decided by it across processes."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)
