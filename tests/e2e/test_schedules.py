"""A thousand schedules on three processes whose clocks differ, one of which is killed and started again."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agio.bootstrap.assembly import make_store
from agio.domain.runs import RunFilter
from agio.domain.schedules import Chat, Schedule
from agio.settings import Settings
from agio.storage.port import FIRES, SCHEDULES, Store
from tests.e2e.conftest import DATABASES
from tests.support.mongod import fresh_database

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow]

NUMBER = 1000
SKEWS = (-40, 0, 59)
"""Seconds. The first sees a tick as not due yet that the last sees as long past."""
PATIENCE_S = 90


@contextmanager
def firing(url: str, skew: float) -> Iterator["subprocess.Popen[str]"]:
    """A process that is ready to fire."""
    command = [sys.executable, "-m", "tests.support.firing", url, str(skew)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        command,
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                end.close()


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


async def ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert (await asyncio.to_thread(process.stdout.readline)).strip() == "ready"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = make_store(Settings(database_url=url))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "mongo":
        with fresh_database(request.getfixturevalue("mongo_replica_set")) as uri:
            yield uri
    else:
        yield f"sqlite:///{tmp_path}/agio.db"


async def test_each_tick_is_fired_once_also_across_a_restart(url: str):
    async with opened(url) as store:
        now = await store.read_clock()
        due = now.replace(microsecond=0) - timedelta(seconds=5)
        made = [
            Schedule(
                id=f"s{number}",
                group_id="default",
                name=f"s{number}",
                cron="0 0 1 1 *",
                chat=Chat(agent_id="a1", message="tick"),
                overlap="allow",
                grace_s=3600,
                next_at=due if number % 2 else due + timedelta(seconds=30),
                created_at=due,
                updated_at=due,
            )
            for number in range(NUMBER)
        ]
        await asyncio.gather(*(store.insert(SCHEDULES, one) for one in made))
        with firing(url, SKEWS[0]) as slow, firing(url, SKEWS[1]) as right, firing(url, SKEWS[2]) as fast:
            await asyncio.gather(*(ready(one) for one in (slow, right, fast)))
            for one in (slow, right, fast):
                go(one)
            async with asyncio.timeout(PATIENCE_S):
                await until_fired(store, NUMBER // 4)
                fast.kill()
                assert (await store.find(FIRES, "default", limit=1)).total < NUMBER, "it died in the midst of it"
                with firing(url, SKEWS[2]) as again:
                    await ready(again)
                    go(again)
                    await until_moved_on(store, made)
        fires = (await store.find(FIRES, "default")).items
        assert sorted((fire.schedule_id, fire.tick) for fire in fires) == sorted((one.id, one.next_at) for one in made)
        assert {fire.outcome for fire in fires} == {"started"}
        runs = await store.list_runs("default", RunFilter(), limit=NUMBER + 1)
        assert sorted(run.id for run in runs.items) == sorted(fire.run_id for fire in fires)


async def until_fired(store: Store, number: int) -> None:
    while (await store.find(FIRES, "default", limit=1)).total < number:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.02)


async def until_moved_on(store: Store, made: list[Schedule]) -> None:
    """Return when every schedule waits for its next tick."""
    last = max(one.next_at for one in made)
    while await store.find_until(SCHEDULES, "next_at", last, limit=1):  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.05)
