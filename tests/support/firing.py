"""A worker process that fires schedules: `python -m tests.support.firing <url> <skew s>`.

It says `ready`, and begins at `go`. Its clock is wrong by the skew, and so is what it takes for the database's. It
believes that firing is its duty, whatever the others believe.
"""

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta

from agio.bootstrap import make_engine
from agio.domain.agents import Agent
from agio.domain.schedules import Schedule
from agio.engine import scheduler
from agio.settings import Settings

THEN = datetime(2026, 1, 1, tzinfo=UTC)
SHARE = 1 / 3


def agent() -> Agent:
    """Return the agent that every schedule of the test starts."""
    return Agent(
        id="a1",
        group_id="default",
        name="A1",
        provider="demo",
        model="demo",
        source="code",
        created_at=THEN,
        updated_at=THEN,
    )


async def fire(url: str, skew: timedelta) -> None:
    """Fire until killed."""
    engine = make_engine(Settings(database_url=url), agents=[agent()], variables={})
    await engine.store.open()
    read_clock = engine.store.read_clock

    async def skewed() -> datetime:
        return await read_clock() + skew

    async def everybody() -> bool:
        return True

    deal = engine.scheduler._deal_with

    async def some(schedule: Schedule, now: datetime, turns: asyncio.Semaphore) -> bool:
        # All of them at the same time would do everything three times; a third of it each still meets the others.
        return random.random() > SHARE or await deal(schedule, now, turns)

    engine.store.read_clock = skewed  # type: ignore[method-assign]
    engine.scheduler._is_entrusted = everybody  # type: ignore[method-assign]
    engine.scheduler._deal_with = some  # type: ignore[method-assign]
    setattr(scheduler, "utc_now", lambda: datetime.now(UTC) + skew)  # noqa: B010 - the module hands it to nobody
    await engine.store.beat(engine.worker.id, {})
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    while True:
        await engine.scheduler.fire_due()
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(fire(sys.argv[1], timedelta(seconds=float(sys.argv[2]))))
