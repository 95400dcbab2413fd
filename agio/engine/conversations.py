"""Sessions as those see them who only talk: what was said, since when, how much; gone when they expire."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agio.domain.errors import AlreadyExists, NotFound
from agio.domain.ids import new_id
from agio.domain.messages import Message
from agio.domain.sessions import Session
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.expiry import has_expired
from agio.engine.reading import Reading
from agio.engine.sessions import Sessions
from agio.storage.port import SESSIONS, Store

LONGEST_S = 100 * 365 * 24 * 3600.0
"""Further back than that there was nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A session's present conversation."""

    session: Session
    began_at: datetime
    """When it was made, or begun anew after it had expired."""
    message_count: int
    """Up to its last checkpoint."""


class Conversations:
    """Looks at sessions, empties them and counts them. Looking does not make them last longer."""

    def __init__(self, store: Store, sessions: Sessions, reading: Reading) -> None:
        self._store = store
        self._sessions = sessions
        self._reading = reading

    async def open(self, caller: Caller, session_id: str | None = None) -> Session:
        """Make an empty session that does not expire. Raises `AlreadyExists`, `Invalid`."""
        now, made_id = utc_now(), session_id or new_id()
        session = Session(
            id=made_id,
            group_id=caller.group_id,
            current_branch_id=made_id,
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        return await self._sessions.create(caller, session)

    async def look(self, caller: Caller, session_id: str) -> Conversation:
        """Return how a session stands. Raises `NotFound`, also when it has expired."""
        session = await self._present(caller, session_id)
        lineage = await self._store.lineage(caller.group_id, session.current_branch_id)
        count = await self._reading.message_count(caller, lineage[0])
        return Conversation(session=session, began_at=lineage[-1].created_at, message_count=count)

    async def messages(self, caller: Caller, session_id: str) -> list[Message]:
        """Return what was said, up to the last checkpoint. Raises `NotFound`, also when it has expired."""
        session = await self._present(caller, session_id)
        return await self._reading.session_messages(caller, session_id, session.current_branch_id)

    async def remove(self, caller: Caller, session_id: str) -> None:
        """Cancel its runs, then delete it with them. Raises `NotFound`, also when it has expired; and `Conflict`."""
        await self._present(caller, session_id)
        await self._sessions.delete(caller, session_id, cancel=True)

    async def clear(self, caller: Caller, session_id: str) -> None:
        """Do as `remove`, and leave an empty session of that id behind."""
        session = await self._present(caller, session_id)
        await self._sessions.delete(caller, session_id, cancel=True)
        now = utc_now()
        fresh = replace(session, current_branch_id=session_id, created_at=now, updated_at=now)
        with suppress(AlreadyExists):  # a message came in between
            await self._sessions.create(caller, fresh)

    async def count_used(self, within_s: float) -> int:
        """Return how many sessions, of all groups, were used within the last so many seconds."""
        since = utc_now() - timedelta(seconds=min(within_s, LONGEST_S))
        return await self._store.count_since(SESSIONS, "updated_at", since)

    async def _present(self, caller: Caller, session_id: str) -> Session:
        session = await self._sessions.get(caller, session_id)
        if await has_expired(self._store, session, utc_now()):
            raise NotFound(f"there is no session {session_id!r}")
        return session
