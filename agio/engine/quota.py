"""What a group may spend: asked before a run begins and before each model call, told after each."""

from typing import Protocol

from agio.domain.errors import QuotaExceeded


class Quota(Protocol):
    """Tokens of groups, counted over all processes."""

    async def wait_s(self, group_id: str) -> float:
        """Return the seconds until the group may spend again; 0: it may now."""
        ...

    async def spend(self, group_id: str, tokens: int) -> None:
        """Count what was spent, beyond the limit too."""
        ...


class NoQuota:
    """Groups may spend what they like."""

    async def wait_s(self, group_id: str) -> float:
        """Return 0."""
        return 0.0

    async def spend(self, group_id: str, tokens: int) -> None:
        """Count nothing."""


NO_QUOTA = NoQuota()


async def check(quota: Quota, group_id: str) -> None:
    """Refuse a group that has spent its tokens.

    Raises:
        QuotaExceeded: says when some are free again.
    """
    wait_s = await quota.wait_s(group_id)
    if wait_s > 0:
        raise QuotaExceeded(retry_after_s=wait_s)
