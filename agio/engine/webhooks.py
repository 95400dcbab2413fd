"""Use cases about webhooks and what became of their deliveries."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agio.domain.errors import AlreadyExists, Invalid, NotFound, ToolError
from agio.domain.ids import new_id
from agio.domain.webhooks import ENDINGS, RESTS, SECRET_PREFIX, Delivery, Webhook, order_again
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.storage.port import DELIVERIES, WEBHOOKS, Page, Store
from agio.tools.net import GuardedClient

MIN_SECRET_CHARS = 16
SECRET_BYTES = 32


class Webhooks:
    """Makes, changes and deletes webhooks. `wake` tells this process's dispatcher that something is due."""

    def __init__(self, store: Store, agents: Agents, client: GuardedClient, wake: Callable[[], None]) -> None:
        self._store = store
        self._agents = agents
        self._client = client
        self._wake = wake

    async def create(self, caller: Caller, *, url: str, secret: str | None = None, **fields: Any) -> Webhook:
        """Keep a webhook; without a secret one is made.

        Args:
            fields: further fields of `Webhook`.

        Raises:
            AlreadyExists: the id is taken.
            Invalid: the URL cannot be reached from here, there is no such agent, or a field is wrong.
        """
        self.check_url(url)
        await self._check_agent(caller, fields.get("agent_id"))
        _check(secret, fields)
        now = utc_now()
        made = Webhook(
            **({"id": new_id()} | fields),
            group_id=caller.group_id,
            url=url,
            secret=secret or make_secret(),
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        return await self._store.insert(WEBHOOKS, made)

    async def attach(self, caller: Caller, run_id: str, name: str, **fields: Any) -> Webhook:
        """Keep a webhook of one run under a name, in place of the one that has it; nothing is signed without a secret.

        Raises:
            Invalid: the URL cannot be reached from here.
        """
        self.check_url(fields["url"])
        now = utc_now()
        made = Webhook(
            id=_id_of(run_id, name),
            group_id=caller.group_id,
            run_id=run_id,
            name=name,
            created_by=caller.name,
            created_at=now,
            updated_at=now,
            **fields,
        )
        try:
            return await self._store.insert(WEBHOOKS, made)
        except AlreadyExists:
            kept = await self._store.get(WEBHOOKS, caller.group_id, made.id)
            fresh = replace(made, created_at=kept.created_at)
            return await self._store.update(WEBHOOKS, caller.group_id, made.id, lambda record: fresh)

    async def attached(self, caller: Caller, run_id: str, name: str) -> Webhook:
        """Return the webhook of a run that has a name. Raises `NotFound`."""
        return await self.get(caller, _id_of(run_id, name))

    async def of_run(self, caller: Caller, run_id: str) -> Sequence[Webhook]:
        """Return the webhooks of one run by time of creation."""
        return (await self._store.find(WEBHOOKS, caller.group_id, {"run_id": run_id})).items

    def check_url(self, url: str) -> None:
        """Refuse what is no URL, or names an address that may not be reached; names are resolved at each delivery.

        Raises:
            Invalid: field `url`.
        """
        try:
            self._client.check(url)
        except ToolError as error:
            raise Invalid(str(error), field="url") from error

    async def _check_agent(self, caller: Caller, agent_id: str | None) -> None:
        if agent_id is None:
            return
        try:
            await self._agents.get(caller, agent_id)
        except NotFound as error:
            raise Invalid(str(error), field="agent_id") from error

    async def list(self, caller: Caller, *, limit: int, offset: int) -> Page[Webhook]:
        """Return the group's webhooks by time of creation; those of single runs are left out."""
        return await self._store.find(WEBHOOKS, caller.group_id, {"run_id": None}, limit=limit, offset=offset)

    async def get(self, caller: Caller, webhook_id: str) -> Webhook:
        """Return a webhook. Raises `NotFound`."""
        try:
            found = await self._store.get(WEBHOOKS, caller.group_id, webhook_id)
        except NotFound:
            raise NotFound(f"there is no webhook {webhook_id!r}") from None
        return found

    async def update(self, caller: Caller, webhook_id: str, changes: dict[str, Any]) -> Webhook:
        """Change a webhook; what was written down before is sent to where it is now.

        Raises:
            NotFound: there is none.
            Invalid: as `create`.
        """
        await self.get(caller, webhook_id)
        if "url" in changes:
            self.check_url(changes["url"])
        await self._check_agent(caller, changes.get("agent_id"))
        _check(changes.get("secret"), changes)
        now = utc_now()

        def change(webhook: Webhook) -> Webhook:
            return replace(webhook, **changes, updated_at=now)

        return await self._store.update(WEBHOOKS, caller.group_id, webhook_id, change)

    async def delete(self, caller: Caller, webhook_id: str) -> None:
        """Delete a webhook; what it is owed is dropped. Raises `NotFound`."""
        await self.get(caller, webhook_id)
        await self._store.delete(WEBHOOKS, caller.group_id, webhook_id)

    # -- deliveries

    async def deliveries(
        self, caller: Caller, webhook_id: str, *, state: str | None = None, limit: int, offset: int
    ) -> Page[Delivery]:
        """Return what a webhook was sent or is owed, newest first. Raises `NotFound`."""
        await self.get(caller, webhook_id)
        where = {"webhook_id": webhook_id} | ({"state": state} if state else {})
        return await self._store.find(DELIVERIES, caller.group_id, where, limit=limit, offset=offset, newest_first=True)

    async def delivery(self, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
        """Return a delivery. Raises `NotFound`."""
        missing = NotFound(f"the webhook has no delivery {delivery_id!r}")
        try:
            found = await self._store.get(DELIVERIES, caller.group_id, delivery_id)
        except NotFound:
            raise missing from None
        if found.webhook_id != webhook_id:
            raise missing
        return found

    async def redeliver(self, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
        """Have a delivery made once more, under its own id.

        Raises:
            NotFound: there is none.
            InvalidTransition: there is nothing to send.
        """
        await self.get(caller, webhook_id)
        await self.delivery(caller, webhook_id, delivery_id)
        now = utc_now()
        ordered = await self._store.update(
            DELIVERIES, caller.group_id, delivery_id, lambda record: order_again(record, now)
        )
        self._wake()
        return ordered


def _id_of(run_id: str, name: str) -> str:
    return "att_" + hashlib.sha256(f"{run_id}\n{name}".encode()).hexdigest()[:32]


def make_secret() -> str:
    """Return a new secret in the form of Standard Webhooks."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _check(secret: str | None, fields: dict[str, Any]) -> None:
    if secret is not None and len(secret) < MIN_SECRET_CHARS:
        raise Invalid(f"a secret has at least {MIN_SECRET_CHARS} characters", field="secret")
    events = fields.get("events", ENDINGS)
    if not events:
        raise Invalid("name at least one event", field="events")
    for event in events:
        if event not in ENDINGS + RESTS:
            raise Invalid(f"{event!r} is none of {', '.join(ENDINGS + RESTS)}", field="events")
