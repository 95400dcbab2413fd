"""Requests that carry an `Idempotency-Key`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A creating request that carried an `Idempotency-Key`."""

    id: str
    """The key, with what it is for."""
    group_id: str
    fingerprint: str
    """Hash of the request; another one under the same key is a conflict."""
    resource_id: str
    """Id chosen for what it creates, so that doing it again creates nothing new."""
    status: int | None = None
    """HTTP status of the first answer; None: not answered yet."""
    body: str | None = None
    """The first answer."""
    created_at: datetime
