"""Short-lived tokens for EventSource and WebSocket, which cannot send headers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agio.domain.access import Permission, StreamToken
from agio.domain.errors import NotFound
from agio.security.clock import Clock, utc_now
from agio.security.issued import STREAM_PREFIX, issue, read
from agio.security.principal import Principal, StreamScope
from agio.storage.port import STREAM_TOKENS, Catalog


@dataclass(frozen=True, slots=True)
class IssuedStreamToken:
    """A new token."""

    text: str = field(repr=False)
    expires_at: datetime


class StreamTokens:
    """Issues and finds stream tokens."""

    def __init__(self, store: Catalog, *, valid_s: float, clock: Clock = utc_now) -> None:
        self._store = store
        self._valid_s = valid_s
        self._clock = clock

    async def issue(
        self, *, name: str, group_id: str, run_id: str | None = None, session_id: str | None = None
    ) -> IssuedStreamToken:
        """Issue a token that reads one run, one session, or every stream of the group."""
        fresh, now = issue(group_id), self._clock()
        record = StreamToken(
            id=fresh.id,
            group_id=group_id,
            secret_hash=fresh.secret_hash,
            by=name,
            run_id=run_id,
            session_id=session_id,
            expires_at=now + timedelta(seconds=self._valid_s),
            created_at=now,
        )
        await self._store.insert(STREAM_TOKENS, record)
        return IssuedStreamToken(fresh.text(STREAM_PREFIX), record.expires_at)

    async def find(self, text: str) -> Principal | None:
        """Return who reads with a token; None: it is none, or expired."""
        given = read(text, STREAM_PREFIX)
        if given is None:
            return None
        try:
            record = await self._store.get(STREAM_TOKENS, given.group_id, given.id)
        except NotFound:
            return None
        if not given.matches(record.secret_hash) or self._clock() >= record.expires_at:
            return None
        return Principal(
            name=record.by,
            kind="stream",
            group_id=record.group_id,
            groups=(record.group_id,),
            permissions=frozenset({Permission.READ}),
            stream=StreamScope(run_id=record.run_id, session_id=record.session_id),
        )
