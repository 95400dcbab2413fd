"""Keys of model providers: those that are kept, and those that come with a request."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmKey:
    """A provider's key, kept encrypted for a user or for a whole group."""

    id: str
    group_id: str
    place: str
    """Unique in its group: whose it is, for which provider, under which name."""
    provider: str
    name: str
    user_id: str | None = None
    """Whose runs it is for; None: every run of the group."""
    sealed: str = field(repr=False)
    """The key, encrypted."""
    hint: str
    """Its last characters, to tell it from others."""
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CallersKey:
    """A provider's key that came with a request. Lives in memory only; nothing prints it."""

    secret: str = field(repr=False)
    provider: str | None = None
    """The provider that it was said to be of; None: whichever the run calls."""

    def fits(self, provider: str) -> bool:
        """Say whether it may be sent to that provider."""
        return self.provider in (None, provider)
