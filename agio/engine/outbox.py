"""What is written down before a run ends or rests, so that those who want to hear of it do, whatever crashes.

Not responsible for sending; see `dispatch`.
"""

import asyncio
import logging
from datetime import timedelta

from agio import crashes
from agio.domain.errors import AlreadyExists, StoreUnavailable
from agio.domain.runs import Run
from agio.domain.webhooks import Delivery, Webhook, delivery_id
from agio.engine.clock import utc_now
from agio.storage.port import DELIVERIES, WEBHOOKS, Catalog

log = logging.getLogger(__name__)

HELD_FOR = timedelta(seconds=5)
"""After this another worker looks whether the run has ended: the one that wrote it down may be dead."""


async def hold_deliveries(store: Catalog, run: Run, *, after: int) -> list[Delivery]:
    """Write down a delivery for every webhook that may want to hear how this ownership of the run ends.

    May be done again. While the store is away this waits for it, as the end itself would have to.

    Args:
        after: sequence number behind which the end will stand.
    """
    wait_s = 0.05
    while True:
        try:
            held = await _hold(store, run, after)
        except StoreUnavailable as error:
            log.warning("store away, a run waits to end", extra={"run_id": run.id, "error": str(error)})
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 2.0)
        else:
            if held:
                crashes.at("hold")
            return held


async def _hold(store: Catalog, run: Run, after: int) -> list[Delivery]:
    everyones, its_own = await asyncio.gather(
        store.find(WEBHOOKS, run.group_id, {"enabled": True, "run_id": None}),
        store.find(WEBHOOKS, run.group_id, {"enabled": True, "run_id": run.id}),
    )
    wanted = [one for one in (*everyones.items, *its_own.items) if one.agent_id in (None, run.agent_id)]
    held = [_delivery(one, run, after) for one in wanted]
    for one in held:
        try:
            await store.insert(DELIVERIES, one)
        except AlreadyExists:  # of an earlier try of this ownership
            continue
    return held


def _delivery(webhook: Webhook, run: Run, after: int) -> Delivery:
    now = utc_now()
    return Delivery(
        id=delivery_id(webhook.id, run.id, run.epoch),
        group_id=run.group_id,
        webhook_id=webhook.id,
        run_id=run.id,
        epoch=run.epoch,
        after=after,
        next_at=now + HELD_FOR,
        created_at=now,
    )
