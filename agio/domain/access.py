"""Who may do what: permissions, roles, and the records of people, keys and tokens."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agio.domain.errors import Invalid

EVERYWHERE = "*"
"""The group of records that belong to the installation and not to a tenant. No caller can be of it."""

DEFAULT_GROUP = "default"
"""The group of whoever is not told another one."""

_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


class Permission(StrEnum):
    """What a caller may do in its group. Stored keys name these as their scopes."""

    READ = "read"
    """Look at everything, follow streams."""
    RUN = "run"
    """Start runs, command them, decide approvals, change sessions; keep LLM keys of one's own."""
    BUILD = "build"
    """Make, change and delete agents and tools."""
    ADMIN = "admin"
    """Manage the group's people, access keys and LLM keys."""


class Role(StrEnum):
    """A named set of permissions."""

    VIEWER = "viewer"
    """May look."""
    OPERATOR = "operator"
    """May work: agents, tools, runs."""
    ADMIN = "admin"
    """May everything in its groups."""

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the role allows."""
        return _PERMISSIONS[self]


_PERMISSIONS = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.RUN, Permission.BUILD}),
    Role.ADMIN: frozenset(Permission),
}


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """Return what several roles allow together."""
    return frozenset().union(*(role.permissions for role in roles))


def check_group(name: str) -> str:
    """Return the name of a group, or refuse it.

    Raises:
        Invalid: no group can be called so.
    """
    if not _GROUP.fullmatch(name):
        raise Invalid("a group has 1 to 128 letters, digits or ._@:+-, and begins with a letter or digit")
    return name


def check_user(name: str) -> str:
    """Return the name of a user, or refuse it. Raises `Invalid`."""
    if not _USER.fullmatch(name):
        raise Invalid("a user has 1 to 128 letters, digits or ._@+-, and begins with a letter or digit")
    return name


def own_group(user: str) -> str:
    """Return the group of a user who is told no other: one that nobody else is in."""
    return f"user:{user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in. Kept under `EVERYWHERE`: a name is one person's in the whole installation."""

    id: str
    """The name that they log in with."""
    group_id: str = EVERYWHERE
    password_hash: str
    groups: tuple[str, ...] = ()
    """The first one is theirs unless a request names another; none: a group of their own."""
    roles: tuple[Role, ...] = (Role.OPERATOR,)
    enabled: bool = True
    tokens_from: datetime | None = None
    """Tokens issued before are not accepted any more (password changed, logged out everywhere)."""
    created_by: str = "system"
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"User(id={self.id!r}, groups={self.groups!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key that was issued to call Agio with. Of its secret only the hash is kept."""

    id: str
    group_id: str
    name: str
    secret_hash: str
    """SHA-256 in hex."""
    hint: str
    """The first characters of the key, to tell it from others."""
    scopes: tuple[Permission, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = None
    """To the hour: a key in use must not be written at every request."""

    def is_active(self, at: datetime) -> bool:
        """Say whether it may be used."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamToken:
    """A short-lived token for readers that cannot send headers. It reads what it names, nothing else."""

    id: str
    group_id: str
    secret_hash: str
    by: str
    """Who asked for it; readers act under this name."""
    run_id: str | None = None
    session_id: str | None = None
    """Neither is set: every stream of the group."""
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedToken:
    """A JSON web token that was logged out before it expired. Kept under `EVERYWHERE`."""

    id: str
    """Its `jti`."""
    group_id: str = EVERYWHERE
    created_at: datetime
    """When the token expires: from then on this record is not needed."""
