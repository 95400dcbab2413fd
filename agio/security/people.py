"""Users: those that the settings name, and those that are kept in the store."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agio.domain.access import EVERYWHERE, Role, User, check_group, check_user, own_group, permissions_of
from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound
from agio.security.clock import Clock, utc_now
from agio.security.passwords import MAX_PASSWORD_CHARS, Passwords
from agio.security.principal import Login, Principal, first_group
from agio.storage.port import USERS, Catalog, Page

MIN_PASSWORD_CHARS = 8


class People:
    """Finds and changes users."""

    def __init__(
        self, store: Catalog, named: Mapping[str, User] | None = None, *, passwords: Passwords, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._named = dict(named or {})
        self._passwords = passwords
        self._clock = clock

    async def find(self, name: str) -> User | None:
        """Return a user; None: there is none of that name."""
        if name in self._named:
            return self._named[name]
        try:
            return await self._store.get(USERS, EVERYWHERE, name)
        except NotFound:
            return None

    async def check_password(self, name: str, password: str) -> User | None:
        """Return the user whose name and password these are; None: they are nobody's, or the user is switched off."""
        user = await self.find(name) if len(password) <= MAX_PASSWORD_CHARS else None
        is_right = await self._passwords.check(user.password_hash if user else None, password[:MAX_PASSWORD_CHARS])
        return user if user is not None and is_right and user.enabled else None

    async def list(self, group_id: str, *, limit: int, offset: int) -> Page[User]:
        """Return the stored users of a group, oldest first."""
        return await self._store.find(USERS, EVERYWHERE, {"groups": group_id}, limit=limit, offset=offset)

    async def add(
        self, name: str, password: str, *, groups: Iterable[str], roles: Iterable[Role], by: str = "system"
    ) -> User:
        """Keep a new user.

        Raises:
            AlreadyExists: the name is taken.
            Invalid: no such name, group or password can be.
        """
        check_user(name)
        now = self._clock()
        user = User(
            id=name,
            password_hash=await self._hash(password),
            groups=tuple(check_group(group) for group in groups),
            roles=tuple(roles),
            created_by=by,
            created_at=now,
            updated_at=now,
        )
        if name in self._named:
            raise AlreadyExists(f"there is a user {name!r} already, named by the settings")
        try:
            return await self._store.insert(USERS, user)
        except AlreadyExists:
            raise AlreadyExists(f"there is a user {name!r} already") from None

    async def change(
        self,
        name: str,
        *,
        of_group: str | None = None,
        password: str | None = None,
        roles: Iterable[Role] | None = None,
        enabled: bool | None = None,
    ) -> User:
        """Change a stored user; tokens issued before are not accepted any more.

        Args:
            of_group: The user must belong to this group and to no other; None: whichever it is.

        Raises:
            NotFound: there is none, or not in that group.
            Conflict: the settings name that user, or it belongs to other groups too.
        """
        now = self._clock()
        changes: dict[str, Any] = {"updated_at": now, "tokens_from": now}
        if roles is not None:
            changes["roles"] = tuple(roles)
        if enabled is not None:
            changes["enabled"] = enabled
        if password is not None:
            await self._get(name, of_group)
            changes["password_hash"] = await self._hash(password)

        def change(user: User) -> User:
            _check_home(user, of_group)
            return replace(user, **changes)

        self._refuse_named(name)
        try:
            return await self._store.update(USERS, EVERYWHERE, name, change)
        except NotFound:
            raise _absent(name) from None

    async def remove(self, name: str, *, of_group: str | None = None) -> None:
        """Delete a stored user. Raises as `change`."""
        await self._get(name, of_group)
        await self._store.delete(USERS, EVERYWHERE, name)

    async def _get(self, name: str, of_group: str | None) -> User:
        self._refuse_named(name)
        user = await self.find(name)
        if user is None:
            raise _absent(name)
        _check_home(user, of_group)
        return user

    def _refuse_named(self, name: str) -> None:
        if name in self._named:
            raise Conflict(f"the user {name!r} is named by the settings; change it there")

    async def _hash(self, password: str) -> str:
        if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
            raise Invalid(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters", field="password")
        return await self._passwords.hash(password)


def as_principal(user: User, *, group_id: str | None = None, login: Login | None = None) -> Principal:
    """Return the user as who calls.

    Raises:
        Denied: the user is not in that group.
    """
    first, groups = first_group(user.groups, own_group(user.id))
    principal = Principal(
        name=user.id,
        kind="user",
        group_id=first,
        groups=groups,
        permissions=permissions_of(user.roles),
        user_id=user.id,
        login=login,
    )
    return principal if group_id is None else principal.in_group(group_id)


def accepts_token(user: User, issued_at: datetime) -> bool:
    """Say whether a token of that instant still counts for the user."""
    return user.enabled and (user.tokens_from is None or issued_at >= user.tokens_from)


def _check_home(user: User, of_group: str | None) -> None:
    if of_group is None:
        return
    if of_group not in user.groups:
        raise _absent(user.id)
    if user.groups != (of_group,):
        raise Conflict(f"the user {user.id!r} belongs to other groups too; change it with `agio user`")


def _absent(name: str) -> NotFound:
    return NotFound(f"there is no user {name!r}")
