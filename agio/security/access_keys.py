"""Keys that are issued to call Agio with."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from agio.domain.access import AccessKey, Permission
from agio.domain.errors import Invalid, NotFound, StoreUnavailable
from agio.security.clock import Clock, utc_now
from agio.security.issued import KEY_PREFIX, issue, read
from agio.security.principal import Principal
from agio.storage.port import ACCESS_KEYS, Catalog, Page

USE_NOTED = timedelta(hours=1)
"""How often the last use of a key is written down."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key; its text is told this once."""

    record: AccessKey
    text: str = field(repr=False)


class AccessKeys:
    """Issues, finds and revokes keys."""

    def __init__(self, store: Catalog, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def issue(
        self,
        principal: Principal,
        *,
        name: str,
        scopes: Iterable[Permission],
        expires_at: datetime | None = None,
        key_id: str | None = None,
    ) -> IssuedKey:
        """Issue a key in the principal's group.

        Raises:
            AlreadyExists: a key of that id was issued before.
            Denied: a scope that the principal itself lacks.
            Invalid: it would be expired from the start.
        """
        wanted = tuple(sorted(set(scopes)))
        for scope in wanted:
            principal.require(scope)
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise Invalid("the key would have expired already", field="expires_at")
        fresh = issue(principal.group_id, key_id)
        text = fresh.text(KEY_PREFIX)
        record = AccessKey(
            id=fresh.id,
            group_id=principal.group_id,
            name=name,
            secret_hash=fresh.secret_hash,
            hint=f"{KEY_PREFIX}…{text[-4:]}",
            scopes=wanted,
            created_by=principal.name,
            created_at=now,
            expires_at=expires_at,
        )
        return IssuedKey(await self._store.insert(ACCESS_KEYS, record), text)

    async def find(self, text: str) -> Principal | None:
        """Return who calls with a key; None: it is no key, expired or revoked."""
        given = read(text, KEY_PREFIX)
        if given is None:
            return None
        try:
            record = await self._store.get(ACCESS_KEYS, given.group_id, given.id)
        except NotFound:
            return None
        now = self._clock()
        if not given.matches(record.secret_hash) or not record.is_active(now):
            return None
        await self._note_use(record, now)
        return Principal(
            name=f"key:{record.name}",
            kind="key",
            group_id=record.group_id,
            groups=(record.group_id,),
            permissions=frozenset(record.scopes),
        )

    async def get(self, group_id: str, key_id: str) -> AccessKey:
        """Return a key's record. Raises `NotFound`."""
        try:
            return await self._store.get(ACCESS_KEYS, group_id, key_id)
        except NotFound:
            raise NotFound(f"there is no access key {key_id!r}") from None

    async def list(self, group_id: str, *, limit: int, offset: int) -> Page[AccessKey]:
        """Return a group's keys, newest first."""
        return await self._store.find(ACCESS_KEYS, group_id, limit=limit, offset=offset, newest_first=True)

    async def revoke(self, group_id: str, key_id: str, *, by: str) -> None:
        """Accept a key no more, from now on and in any process. Raises `NotFound`."""
        now = self._clock()

        def change(record: AccessKey) -> AccessKey:
            return record if record.revoked_at else replace(record, revoked_at=now, revoked_by=by)

        try:
            await self._store.update(ACCESS_KEYS, group_id, key_id, change)
        except NotFound:
            raise NotFound(f"there is no access key {key_id!r}") from None

    async def _note_use(self, record: AccessKey, now: datetime) -> None:
        if record.last_used_at is not None and now - record.last_used_at < USE_NOTED:
            return
        try:
            await self._store.update(
                ACCESS_KEYS, record.group_id, record.id, lambda known: replace(known, last_used_at=now)
            )
        except (NotFound, StoreUnavailable):
            return  # nothing that the caller has asked for
