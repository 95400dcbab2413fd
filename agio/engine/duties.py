"""Which worker does what one at a time does for the whole installation."""

from agio.domain.duties import Duty, entrust
from agio.domain.errors import AlreadyExists, NotFound
from agio.engine.clock import utc_now
from agio.storage.port import DUTIES, Store

NOBODYS = ""
"""The group of what belongs to the installation."""


async def is_entrusted(store: Store, duty_id: str, worker_id: str, lease_s: float) -> bool:
    """Say whether this worker has the duty; take it when its holder is dead: silent for `lease_s` seconds.

    Raises:
        StoreUnavailable: the database is away.
    """
    living = await store.living(lease_s)

    def change(duty: Duty) -> Duty:
        return entrust(duty, worker_id, living=living)

    try:
        duty = await store.update(DUTIES, NOBODYS, duty_id, change)
    except NotFound:
        mine = Duty(id=duty_id, group_id=NOBODYS, holder=worker_id, created_at=utc_now())
        try:
            duty = await store.insert(DUTIES, mine)
        except AlreadyExists:  # another one was quicker
            return False
    return duty.holder == worker_id
