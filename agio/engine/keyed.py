"""The use case behind `Idempotency-Key`: one note per key, kept for a day."""

import hashlib
from dataclasses import replace
from datetime import timedelta

from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound
from agio.domain.ids import new_id
from agio.domain.requests import KeyedRequest
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.storage.port import REQUESTS, Store

KEPT = timedelta(hours=24)
MAX_KEY_CHARS = 255


class KeyedRequests:
    """Notes which requests were made under which key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reserve(
        self, caller: Caller, key: str, fingerprint: str, *, wanted_id: str | None = None
    ) -> tuple[KeyedRequest, bool]:
        """Note a request under its key; say whether an earlier request made the note.

        Raises:
            Conflict: another request was made under this key.
            Invalid: the key is too long or not printable.
        """
        if not key or len(key) > MAX_KEY_CHARS or not key.isprintable():
            raise Invalid(f"an Idempotency-Key has 1 to {MAX_KEY_CHARS} printable characters", field="Idempotency-Key")
        note = KeyedRequest(
            id=hashlib.sha256(key.encode()).hexdigest(),
            group_id=caller.group_id,
            fingerprint=fingerprint,
            resource_id=wanted_id or new_id(),
            created_at=utc_now(),
        )
        while True:
            try:
                return await self._store.insert(REQUESTS, note), False
            except AlreadyExists:
                earlier = await self._earlier(note)
            if earlier is None:
                continue
            if earlier.fingerprint != fingerprint:
                raise Conflict("this Idempotency-Key was used for another request; use a new one")
            return earlier, True

    async def _earlier(self, note: KeyedRequest) -> KeyedRequest | None:
        """Return the note that is there; None when it was too old, and is gone."""
        try:
            earlier = await self._store.get(REQUESTS, note.group_id, note.id)
            if earlier.created_at >= note.created_at - KEPT:
                return earlier
            await self._store.delete(REQUESTS, note.group_id, note.id)
        except NotFound:
            return None
        return None

    async def answered(self, note: KeyedRequest, status: int, body: str) -> None:
        """Keep the first answer."""
        await self._store.update(
            REQUESTS, note.group_id, note.id, lambda record: replace(record, status=status, body=body)
        )

    async def prune(self) -> int:
        """Forget what is too old; return how many notes that were."""
        return await self._store.prune(REQUESTS, utc_now() - KEPT)
