"""Who calls, and for whom. Every use case takes one."""

from dataclasses import dataclass, field

from agio.domain.llm_keys import CallersKey


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request."""

    name: str = "anonymous"
    """Shown as the actor of commands; never empty."""
    group_id: str = "default"
    """The tenant; nothing of another one exists for this caller."""
    user_id: str | None = None
    """The person, where one was recognised."""
    llm_key: CallersKey | None = field(default=None, repr=False)
    """A model provider's key that came with this request."""
