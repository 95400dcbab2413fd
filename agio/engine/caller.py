"""Who calls, and for whom. Every use case takes one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request."""

    name: str = "anonymous"
    """Shown as the actor of commands; never empty."""
    group_id: str = "default"
    """The tenant; nothing of another one exists for this caller."""
