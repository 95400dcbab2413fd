"""Who calls."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from agio.domain.access import DEFAULT_GROUP, Permission
from agio.domain.errors import Denied

Kind = Literal["anonymous", "user", "service", "key", "stream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamScope:
    """What a stream token may read; neither is set: every stream of its group."""

    run_id: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The web token that a user called with."""

    id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody or something that was recognised, and what it may do."""

    name: str
    """Shown as the actor; never empty."""
    kind: Kind
    group_id: str
    groups: tuple[str, ...]
    """Those that a request may choose among, its present one included."""
    permissions: frozenset[Permission]
    user_id: str | None = None
    """Whose stored LLM keys its runs use; None: no person's."""
    stream: StreamScope | None = None
    """Set: it may read streams, nothing else."""
    login: Login | None = None
    is_guessable: bool = False
    """Its credential is short enough to be found by trying."""

    def may(self, permission: Permission) -> bool:
        """Say whether it has the permission."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Refuse what it may not.

        Raises:
            Denied: names the permission.
        """
        if not self.may(permission):
            raise Denied(f"{self.name} lacks the permission {permission.value!r}; ask for a role or key that has it")

    def in_group(self, group_id: str) -> "Principal":
        """Return it as a member of another of its groups.

        Raises:
            Denied: it is not in that group.
        """
        if group_id not in self.groups:
            raise Denied(f"{self.name} is not in the group {group_id[:80]!r}")
        return replace(self, group_id=group_id)


ANYONE = Principal(
    name="anonymous",
    kind="anonymous",
    group_id=DEFAULT_GROUP,
    groups=(DEFAULT_GROUP,),
    permissions=frozenset(Permission),
)
"""Every caller, where nobody is checked."""


def first_group(groups: Iterable[str], otherwise: str) -> tuple[str, tuple[str, ...]]:
    """Return the group that counts, and all; `otherwise` when there is none."""
    found = tuple(dict.fromkeys(groups)) or (otherwise,)
    return found[0], found
