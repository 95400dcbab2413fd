"""Keys of model providers that users and groups leave for their runs."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from agio.domain.errors import AlreadyExists, NotFound, ProviderError
from agio.domain.ids import new_id
from agio.domain.llm_keys import LlmKey
from agio.security.clock import Clock, utc_now
from agio.security.key_manager import LLMKeyConfigManager
from agio.security.sealing import Sealer, Unreadable
from agio.storage.port import LLM_KEYS, Catalog, Page

log = logging.getLogger(__name__)

HINT_CHARS = 4
UNREADABLE = "llm_key_unreadable"
UNKNOWN = "llm_key_unknown"
USUAL_NAME = "default"


class LlmKeys:
    """Keeps keys, encrypted in the store; without a secret to encrypt with, in the memory of this process.

    Implements `engine.keys.StoredKeys`.
    """

    def __init__(
        self, store: Catalog, secrets: Sequence[str], *, canonical: Callable[[str], str] = str, clock: Clock = utc_now
    ) -> None:
        """Args: secrets: to encrypt with, newest first. canonical: the one name of a provider that has several."""
        self._store = store
        self._sealer = Sealer(secrets) if secrets else None
        self._canonical = canonical
        self._clock = clock
        self._memory: dict[str, LlmKey] = {}
        """By place; `sealed` is the key itself."""
        self._left = LLMKeyConfigManager()

    @property
    def is_durable(self) -> bool:
        """Keys are kept in the store."""
        return self._sealer is not None

    async def put(
        self, group_id: str, provider: str, secret: str, *, user_id: str | None, by: str, name: str = USUAL_NAME
    ) -> tuple[LlmKey, bool]:
        """Keep a key, in place of the one for the same user, provider and name; return it, and whether it is new."""
        fresh = self._make(group_id, provider, secret, user_id=user_id, by=by, name=name)
        while True:
            try:
                return await self._insert(fresh), True
            except AlreadyExists:
                for known in await self._of(group_id, user_id):
                    if known.place == fresh.place:
                        return await self._replace(known, fresh), False

    async def add(
        self, group_id: str, provider: str, secret: str, *, user_id: str | None, by: str, name: str, key_id: str
    ) -> LlmKey:
        """Keep a key under an id; as `put`, but in nobody's place. Where the id is taken, an earlier try kept it.

        Raises:
            AlreadyExists: there is one of the same user, provider and name.
        """
        fresh = self._make(group_id, provider, secret, user_id=user_id, by=by, name=name)
        try:
            return await self._insert(replace(fresh, id=key_id))
        except AlreadyExists:
            with suppress(NotFound):
                return await self.get(group_id, key_id)
            raise AlreadyExists(f"there is a key {name!r} for {fresh.provider} already") from None

    def _make(self, group_id: str, provider: str, secret: str, *, user_id: str | None, by: str, name: str) -> LlmKey:
        provider = self._canonical(provider)
        now = self._clock()
        place = _place(user_id, provider, name)
        return LlmKey(
            id=new_id(),
            group_id=group_id,
            place=place,
            provider=provider,
            name=name,
            user_id=user_id,
            sealed=self._seal(secret, group_id, place),
            hint=_hint(secret),
            created_by=by,
            created_at=now,
            updated_at=now,
        )

    async def _insert(self, fresh: LlmKey) -> LlmKey:
        """Raises `AlreadyExists`: its place is taken."""
        if self._sealer is not None:
            return await self._store.insert(LLM_KEYS, fresh)
        if not self._memory:
            log.warning("model keys are kept in the memory of this process only: AGIO_SECRET_KEY is not set")
        if self._memory.setdefault(_in(fresh.group_id, fresh.place), fresh) is not fresh:
            raise AlreadyExists
        return fresh

    async def change(self, group_id: str, key_id: str, *, name: str | None, secret: str | None) -> LlmKey:
        """Give a key another name, another text, or both; None: as it was.

        Raises:
            NotFound: there is no such key. AlreadyExists: the new name is taken.
            ProviderError: its text cannot be read, so that it cannot be kept under another name.
        """
        known = await self.get(group_id, key_id)
        name = known.name if name is None else name
        text = await self._open(known) if secret is None else secret
        place = _place(known.user_id, known.provider, name)
        fresh = replace(
            known,
            name=name,
            place=place,
            sealed=self._seal(text, group_id, place),
            hint=known.hint if secret is None else _hint(secret),
            updated_at=self._clock(),
        )
        try:
            return await self._replace(known, fresh)
        except AlreadyExists:
            raise AlreadyExists(f"there is a key {name!r} for {known.provider} already") from None

    async def _replace(self, known: LlmKey, fresh: LlmKey) -> LlmKey:
        """Put a key's new name and text in its record. Raises `AlreadyExists`: its place is another one's."""
        changes = {name: getattr(fresh, name) for name in ("name", "place", "sealed", "hint", "updated_at")}
        if self._sealer is not None:
            return await self._store.update(
                LLM_KEYS, known.group_id, known.id, lambda record: replace(record, **changes)
            )
        at = _in(fresh.group_id, fresh.place)
        if at in self._memory and self._memory[at].id != known.id:
            raise AlreadyExists
        self._memory.pop(_in(known.group_id, known.place), None)
        self._memory[at] = replace(known, **changes)
        return self._memory[at]

    async def list(self, group_id: str, *, users: Iterable[str | None] | None, limit: int, offset: int) -> Page[LlmKey]:
        """Return records, oldest first; `users`: of these only, None among them being the group's own."""
        found = [key for key in self._memory.values() if key.group_id == group_id]
        if users is None:
            found += (await self._store.find(LLM_KEYS, group_id)).items
        else:
            wanted = list(users)
            found = [key for key in found if key.user_id in wanted]
            for user in wanted:
                found += (await self._store.find(LLM_KEYS, group_id, {"user_id": user})).items
        found.sort(key=lambda key: key.created_at)
        renewed = [await self._renew(key) for key in found[offset : offset + limit]]
        return Page(items=renewed, total=len(found))

    async def get(self, group_id: str, key_id: str) -> LlmKey:
        """Return one record. Raises `NotFound`."""
        for key in self._memory.values():
            if (key.group_id, key.id) == (group_id, key_id):
                return key
        try:
            return await self._store.get(LLM_KEYS, group_id, key_id)
        except NotFound:
            raise NotFound(f"there is no key {key_id!r}") from None

    async def delete(self, group_id: str, key_id: str) -> None:
        """Forget a key, at once in every process. Raises `NotFound`."""
        key = await self.get(group_id, key_id)
        if self._memory.pop(_in(group_id, key.place), None) is None:
            await self._store.delete(LLM_KEYS, group_id, key_id)

    async def find(self, group_id: str, user_id: str | None, provider: str, name: str | None = None) -> str | None:
        """Return the key for a provider: the user's, else the group's; None: neither left one.

        Args:
            name: the one of this name, and no other.

        Raises:
            ProviderError: code `llm_key_unreadable`: the secret that it was encrypted with is not known any more;
                `llm_key_unknown`: neither left one of that name.
        """
        provider = self._canonical(provider)
        if user_id is not None:
            if name is None and (left := self._left.find(user_id, provider, self._canonical)):
                return left
            if key := _newest(await self._of(group_id, user_id), provider, name):
                return await self._open(key)
        key = _newest(await self._of(group_id, None), provider, name)
        if key is None and name is not None:
            text = f"the model wants the stored key {name!r}, and none of that name is kept for {provider}"
            raise ProviderError(text, code=UNKNOWN)
        return await self._open(key) if key else None

    async def _of(self, group_id: str, user_id: str | None) -> Sequence[LlmKey]:
        if self._sealer is None:
            return [key for key in self._memory.values() if (key.group_id, key.user_id) == (group_id, user_id)]
        return (await self._store.find(LLM_KEYS, group_id, {"user_id": user_id})).items

    def _seal(self, secret: str, group_id: str, place: str) -> str:
        return secret if self._sealer is None else self._sealer.seal(secret, of=[group_id, place])

    async def _open(self, key: LlmKey) -> str:
        if self._sealer is None:
            return key.sealed
        try:
            secret = self._sealer.open(key.sealed, of=[key.group_id, key.place])
        except Unreadable:
            text = f"the key stored for {key.provider} cannot be read: AGIO_SECRET_KEY lacks what it was encrypted with"
            raise ProviderError(text, code=UNREADABLE) from None
        await self._renew(key)
        return secret

    async def _renew(self, key: LlmKey) -> LlmKey:
        """Seal a key that a former secret sealed with the newest one."""
        if self._sealer is None or not self._sealer.is_old(key.sealed):
            return key
        of = [key.group_id, key.place]
        try:
            sealed = self._sealer.seal(self._sealer.open(key.sealed, of=of), of=of)
        except Unreadable:
            return key
        try:
            return await self._store.update(
                LLM_KEYS,
                key.group_id,
                key.id,
                lambda record: replace(record, sealed=sealed) if record.sealed == key.sealed else record,
            )
        except NotFound:
            return key

    def is_readable(self, key: LlmKey) -> bool:
        """Say whether the key can be used with the secrets that are known."""
        if self._sealer is None:
            return _in(key.group_id, key.place) in self._memory
        try:
            self._sealer.open(key.sealed, of=[key.group_id, key.place])
        except Unreadable:
            return False
        return True


def _in(group_id: str, place: str) -> str:
    return json.dumps([group_id, place])


def _place(user_id: str | None, provider: str, name: str) -> str:
    return json.dumps([user_id, provider, name])


def _hint(secret: str) -> str:
    return secret[-HINT_CHARS:] if len(secret) >= 4 * HINT_CHARS else ""


def _newest(keys: Iterable[LlmKey], provider: str, name: str | None) -> LlmKey | None:
    fitting = [key for key in keys if key.provider == provider and name in (None, key.name)]
    return max(fitting, key=lambda key: key.updated_at, default=None)
