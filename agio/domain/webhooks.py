"""Webhooks: who wants to be told when runs end or rest, and what became of telling them. All pure.

Not responsible for what is said or how it is sent; see `engine.dispatch`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from agio.domain.errors import InvalidTransition

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When something is tried that is not tried any more."""
ENDINGS = ("run_completed", "run_failed", "run_cancelled")
RESTS = ("run_paused", "run_waiting", "run_interrupted")
SECRET_PREFIX = "whsec_"  # noqa: S105 - what Standard Webhooks secrets begin with

DeliveryState: TypeAlias = Literal["held", "due", "delivered", "failed", "dropped"]
"""`held`: written down before the run ends, in case it does · `due`: to be sent · `delivered`: the receiver took it ·
`failed`: it was given up · `dropped`: there is nothing to say, or nobody to say it to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Somebody who wants to be told."""

    id: str
    group_id: str
    url: str
    events: tuple[str, ...] = ENDINGS
    """Of `ENDINGS` and `RESTS`."""
    agent_id: str | None = None
    """Runs of this agent only; None: of every one."""
    run_id: str | None = None
    """This run only; such webhooks go with their run's wire and are not in the list of webhooks."""
    form: str = "agio"
    """What is said, and in which words: `agio`, or the name of a wire."""
    name: str = ""
    enabled: bool = True
    secret: str | None = field(default=None, repr=False)
    """Signs; None: nothing is signed."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Sent along; may hold credentials."""
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime

    def wants(self, event_type: str) -> bool:
        """Say whether it wants to hear of such an event."""
        return self.enabled and event_type in self.events


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a delivery was sent."""

    at: datetime
    duration_ms: int
    status: int | None = None
    """HTTP status of the answer; None: there was none."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message for one webhook. It exists before the run's end does, so that no crash in between loses it."""

    id: str
    group_id: str
    webhook_id: str
    run_id: str
    epoch: int
    """The ownership of the run whose end it tells of: there is at most one ending in each."""
    after: int
    """Sequence number behind which that ownership had its end still to write."""
    state: DeliveryState = "held"
    event: str | None = None
    seq: int | None = None
    """Type and number of the event; None while it is held."""
    body: str | None = None
    """What is sent, the same at every attempt."""
    next_at: datetime
    """When it is tried, or looked at, next."""
    owner: str | None = None
    """The worker that is at it."""
    tries: int = 0
    """Attempts since it was last ordered."""
    attempts: tuple[Attempt, ...] = ()
    reason: str | None = None
    """Why it was dropped."""
    created_at: datetime
    settled_at: datetime | None = None

    @property
    def is_settled(self) -> bool:
        """Nothing more is tried."""
        return self.state in ("delivered", "failed", "dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a delivery is tried, and when."""

    attempts: int = 8
    """The first included."""
    base_s: float = 5.0
    """Wait after the first failure; four times as long after each further one."""
    cap_s: float = 6 * 3600.0

    def wait(self, tries: int) -> timedelta | None:
        """Return how long to wait after so many failures in a row; None: give up."""
        if tries >= self.attempts:
            return None
        return timedelta(seconds=min(self.base_s * 4 ** (tries - 1), self.cap_s))


def delivery_id(webhook_id: str, run_id: str, epoch: int) -> str:
    """Return the id of the one message that tells a webhook of the end of an ownership."""
    return "msg_" + hashlib.sha256(f"{webhook_id}\n{run_id}\n{epoch}".encode()).hexdigest()[:32]


def claim(
    delivery: Delivery, worker: str, *, living: Collection[str], at: datetime, until: datetime, now: bool = False
) -> Delivery:
    """Return the delivery in the hands of `worker`, unless it is settled, too early, or in a living worker's hands.

    Args:
        living: decides; `until`, when others look at it again, does not.
        now: the caller knows that the end is there which a held delivery waits for.
    """
    if delivery.is_settled or (delivery.owner in living and delivery.owner != worker):
        return delivery
    is_known = delivery.owner == worker or (now and delivery.state == "held")
    if delivery.next_at > at and not is_known:
        return delivery
    return replace(delivery, owner=worker, next_at=until)


def note_attempt(delivery: Delivery, worker: str, attempt: Attempt, policy: RetryPolicy, *, ok: bool) -> Delivery:
    """Return the delivery after an attempt of `worker`; unchanged when another worker has it now."""
    if delivery.owner != worker or delivery.is_settled:
        return delivery
    tries = delivery.tries + 1
    tried = replace(delivery, owner=None, tries=tries, attempts=(*delivery.attempts, attempt), state="due")
    wait = None if ok else policy.wait(tries)
    if wait is not None:
        return replace(tried, next_at=attempt.at + wait)
    return replace(tried, state="delivered" if ok else "failed", next_at=NEVER, settled_at=attempt.at)


def hold(delivery: Delivery, worker: str, until: datetime) -> Delivery:
    """Return a delivery whose run has not ended yet, to be looked at again later."""
    if delivery.owner != worker:
        return delivery
    return replace(delivery, owner=None, next_at=until)


def drop(delivery: Delivery, worker: str, reason: str, at: datetime) -> Delivery:
    """Return a delivery that there is no sense in."""
    if delivery.owner != worker:
        return delivery
    return replace(delivery, owner=None, state="dropped", reason=reason, next_at=NEVER, settled_at=at)


def order_again(delivery: Delivery, at: datetime) -> Delivery:
    """Return a settled delivery to be sent once more, with its log; unchanged when it is due already.

    Raises:
        InvalidTransition: it was dropped, or its run has not ended: there is nothing to send.
    """
    if delivery.state == "due":
        return delivery
    if delivery.body is None or delivery.state not in ("delivered", "failed"):
        raise InvalidTransition(f"the delivery is {delivery.state}; there is nothing to send", status=delivery.state)
    return replace(delivery, state="due", owner=None, tries=0, next_at=at, settled_at=None)


def sign(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of a signed message, as https://www.standardwebhooks.com says (version 1.0.0)."""
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(_key_of(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _key_of(secret: str) -> bytes:
    """Return the bytes that sign: behind the usual prefix they are written in base64, else the text is the key."""
    if secret.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
