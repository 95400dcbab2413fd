"""Sends what webhooks are owed: claimed in the store, signed, tried again with growing waits, logged.

A delivery is made at least once. Two workers never make one at the same time while both live; after a worker's
death another one repeats what it may have sent, under the same id.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from agio import crashes
from agio.domain import webhooks as rules
from agio.domain.errors import NotFound, StoreUnavailable, ToolError
from agio.domain.events import RESTING_EVENTS, TERMINAL_EVENTS, Event, fields_of
from agio.domain.runs import Run
from agio.domain.webhooks import Attempt, Delivery, RetryPolicy, Webhook
from agio.engine.clock import utc_now
from agio.engine.tasks import end
from agio.storage.port import DELIVERIES, WEBHOOKS, Store
from agio.tools.net import GuardedClient, WebRequest

log = logging.getLogger(__name__)

AT_ONCE = 32
"""Deliveries that one process makes at the same time."""
AT_ONCE_TO_ONE = 4
"""Of them, to one webhook: a slow receiver must not keep the others waiting."""
LOOKED_AT = 200
"""Due deliveries read at a time."""
ANSWER_BYTES = 1_000
HELD_AGAIN = timedelta(seconds=15)
"""When a delivery is looked at again whose run has not ended."""
ENTRIES = 500
AGAIN_S = 0.5
"""Between two tries of a store that is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """How deliveries are made."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float = 10.0
    """For one attempt, from the first name to the last byte of the answer."""
    poll_s: float = 1.0
    """Between two looks for what is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is told of: a run and the last event of one of its ownerships."""

    run: Run
    """Its record may be behind the journal, or further on than the event."""
    event: Event
    seq: int
    at: datetime


Compose: TypeAlias = Callable[[Webhook, Ending], Awaitable[str | None]]
"""Makes a message's body, JSON; None: this webhook is told nothing."""


class Dispatcher:
    """Makes the deliveries of a process for as long as it is not cancelled."""

    def __init__(
        self, store: Store, client: GuardedClient, settings: WebhookSettings, worker_id: str, lease_s: float
    ) -> None:
        self.forms: dict[str, Compose] = {"agio": compose}
        """Who says it in which words; wires add theirs. Deliveries in other words are left to other processes."""
        self._store = store
        self._client = client
        self._settings = settings
        self._worker_id = worker_id
        self._lease_s = lease_s
        self._wake = asyncio.Event()
        self._hurried: dict[str, Delivery] = {}
        self._under_way: dict[str, Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hurry(self, deliveries: Iterable[Delivery]) -> None:
        """Make these at once: the end that they tell of is durable."""
        self._hurried |= {one.id: one for one in deliveries}
        if self._hurried:
            self._wake.set()

    def wake(self) -> None:
        """Look for what is due now."""
        self._wake.set()

    async def work(self) -> None:
        """Look for what is due, and deliver it."""
        try:
            while True:
                try:
                    await self._begin_due()
                except StoreUnavailable as error:
                    log.warning("store away, webhooks wait", extra={"error": str(error)})
                try:
                    async with asyncio.timeout(self._settings.poll_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
                self._wake.clear()
        finally:
            await end(self._tasks)

    async def _begin_due(self) -> None:
        hurried, self._hurried = self._hurried, {}
        for one in hurried.values():
            self._begin(one, now=True)
        if len(self._under_way) < AT_ONCE:
            for one in await self._store.find_until(DELIVERIES, "next_at", utc_now(), limit=LOOKED_AT):
                self._begin(one, now=False)

    def _begin(self, delivery: Delivery, *, now: bool) -> None:
        busy = Counter(one.webhook_id for one in self._under_way.values())
        if delivery.id in self._under_way or len(self._under_way) >= AT_ONCE:
            return
        if busy[delivery.webhook_id] >= AT_ONCE_TO_ONE:
            return
        self._under_way[delivery.id] = delivery
        task = asyncio.create_task(self._deliver(delivery, now=now), name=f"delivery-{delivery.id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(done, delivery))

    def _forget(self, task: asyncio.Task[None], delivery: Delivery) -> None:
        self._tasks.discard(task)
        del self._under_way[delivery.id]
        self._wake.set()

    async def _deliver(self, delivery: Delivery, *, now: bool) -> None:
        try:
            await self._try(delivery, now=now)
        except StoreUnavailable as error:
            log.warning("store away, a delivery waits", extra={"delivery_id": delivery.id, "error": str(error)})
            await asyncio.sleep(AGAIN_S)
            self._hurried[delivery.id] = delivery
        except Exception:
            log.exception("a delivery went wrong; it is tried again", extra={"delivery_id": delivery.id})

    async def _try(self, delivery: Delivery, *, now: bool) -> None:
        webhook = await self._webhook_of(delivery)
        if webhook is not None and webhook.form not in self.forms:
            return
        mine = await self._claim(delivery, now=now)
        if mine is None:
            return
        if webhook is None:
            await self._drop(mine, "the webhook was deleted or switched off")
            return
        if mine.body is None:
            mine = await self._fill(mine, webhook)
        if mine is not None and mine.body is not None:
            await self._send(mine, webhook, mine.body)

    async def _webhook_of(self, delivery: Delivery) -> Webhook | None:
        try:
            found = await self._store.get(WEBHOOKS, delivery.group_id, delivery.webhook_id)
        except NotFound:
            return None
        return found if found.enabled else None

    async def _claim(self, delivery: Delivery, *, now: bool) -> Delivery | None:
        living = await self._store.living(self._lease_s)
        at = utc_now()
        until = at + timedelta(seconds=2 * self._settings.timeout_s)

        def change(record: Delivery) -> Delivery:
            return rules.claim(record, self._worker_id, living=living, at=at, until=until, now=now)

        try:
            claimed = await self._store.update(DELIVERIES, delivery.group_id, delivery.id, change)
        except NotFound:
            return None
        return claimed if (claimed.owner, claimed.next_at) == (self._worker_id, until) else None

    async def _fill(self, delivery: Delivery, webhook: Webhook) -> Delivery | None:
        """Put in what is to be said; None: there is nothing to say, or not yet."""
        try:
            run = await self._store.get_run(delivery.group_id, delivery.run_id)
            found = await find_ending(self._store, run, delivery)
        except NotFound:
            await self._drop(delivery, "the run was deleted")
            return None
        if found is None:
            until = utc_now() + HELD_AGAIN
            await self._change(delivery, lambda record: rules.hold(record, self._worker_id, until))
            return None
        body = None
        if isinstance(found, Ending) and webhook.wants(found.event.type):
            body = await self.forms[webhook.form](webhook, found)
        if body is None or not isinstance(found, Ending):
            await self._drop(delivery, "nothing happened that the webhook wants to hear of")
            return None
        return replace(delivery, body=body, event=found.event.type, seq=found.seq)

    async def _send(self, delivery: Delivery, webhook: Webhook, text: str) -> None:
        body = text.encode()
        headers = {"Content-Type": "application/json", "webhook-id": delivery.id} | webhook.headers
        if webhook.secret is not None:
            headers |= rules.sign(webhook.secret, delivery.id, utc_now(), body)
        request = WebRequest(url=webhook.url, method="POST", headers=headers, content=body)
        began = time.monotonic()
        status, error = None, None
        try:
            answer = await self._client.send(request, timeout_s=self._settings.timeout_s, max_bytes=ANSWER_BYTES)
            status = answer.status
            error = None if 200 <= status < 300 else f"the receiver answered {status}"
        except ToolError as failure:
            error = str(failure)
        crashes.at("sent")
        took_ms = round((time.monotonic() - began) * 1000)
        attempt = Attempt(at=utc_now(), duration_ms=took_ms, status=status, error=error)

        def change(record: Delivery) -> Delivery:
            filled = replace(record, body=text, event=delivery.event, seq=delivery.seq)
            return rules.note_attempt(filled, self._worker_id, attempt, self._settings.retry, ok=error is None)

        after = await self._change(delivery, change)
        level = logging.INFO if error is None else logging.WARNING
        about = {"delivery_id": delivery.id, "webhook_id": webhook.id, "run_id": delivery.run_id, "status": status}
        log.log(level, "webhook delivery tried", extra=about | {"state": after.state if after else "gone"})

    async def _drop(self, delivery: Delivery, reason: str) -> None:
        at = utc_now()
        await self._change(delivery, lambda record: rules.drop(record, self._worker_id, reason, at))

    async def _change(self, delivery: Delivery, change: Callable[[Delivery], Delivery]) -> Delivery | None:
        """Write down what came of a claim, however long the store is away: what was sent is not sent twice."""
        while True:
            try:
                return await self._store.update(DELIVERIES, delivery.group_id, delivery.id, change)
            except NotFound:
                return None
            except StoreUnavailable as error:
                about = {"delivery_id": delivery.id, "error": str(error)}
                log.warning("store away, what came of a delivery waits", extra=about)
                await asyncio.sleep(AGAIN_S)


async def find_ending(store: Store, run: Run, delivery: Delivery) -> Ending | str | None:
    """Return how the ownership that a delivery tells of ended; a text: it did not and never will; None: not yet."""
    after = delivery.after
    while entries := await store.read_entries(run.group_id, run.id, after=after, limit=ENTRIES):
        for entry in entries:
            if entry.epoch > delivery.epoch:
                return "a later owner went on"
            if entry.epoch == delivery.epoch and isinstance(entry.events[-1], TERMINAL_EVENTS + RESTING_EVENTS):
                return Ending(run=run, event=entry.events[-1], seq=entry.last_seq, at=entry.at)
        after = entries[-1].last_seq
    return None


async def compose(webhook: Webhook, ending: Ending) -> str:
    """Say it in Agio's own words: `{type, timestamp, data}`."""
    run, event = ending.run, ending.event
    about = {
        "run_id": run.id,
        "session_id": run.session_id,
        "agent_id": run.agent_id,
        "attempt": run.attempt,
        "seq": ending.seq,
        "created_at": run.created_at,
        "tags": run.tags,
        "metadata": run.metadata,
    }
    told = {"type": event.type, "timestamp": ending.at, "data": about | fields_of(event)}
    return msgspec.json.encode(told).decode()
