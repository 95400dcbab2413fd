"""Schedules: each tick once, on every store."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agio.domain.errors import InvalidTransition, NotFound, StoreUnavailable
from agio.domain.runs import RunFilter
from agio.domain.schedules import Chat, CrewWork, Fire, Schedule, fire_id, run_id_of
from agio.domain.status import RunStatus
from agio.engine.engine import Engine
from agio.engine.tasks import end
from agio.storage.port import FIRES, SCHEDULES
from agio.testing.provider import Answer, ScriptedProvider, Silence
from tests.engine.crews import THREE, answering
from tests.engine.world import ANN, FAST, PATIENCE_S, Away, World, faults, settled

HOUR = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Clock:
    """The database's clock, as the test tells it."""

    def __init__(self, now: datetime = HOUR) -> None:
        self.now = now

    async def __call__(self, call: Any) -> datetime:
        return self.now


def schedule(name: str = "s", **changes: Any) -> Schedule:
    base = Schedule(
        id=name,
        group_id="default",
        name=name,
        cron="* * * * *",
        chat=Chat(agent_id="a1", message="tick"),
        overlap="allow",
        next_at=HOUR,
        created_by="ann",
        created_at=HOUR,
        updated_at=HOUR,
    )
    return replace(base, **changes)


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(default=answering)


async def with_clock(world: World, clock: Clock, **options: Any) -> Engine:
    engine = await world.add_process(**options)
    faults(engine).on("read_clock", clock)
    return engine


async def fires(engine: Engine, schedule_id: str = "s") -> list[Fire]:
    return (await engine.store.find(FIRES, "default", {"schedule_id": schedule_id})).items


async def present(engine: Engine, schedule_id: str = "s") -> Schedule:
    return await engine.store.get(SCHEDULES, "default", schedule_id)


async def everybody() -> bool:
    return True


async def test_many_schedules_on_three_workers_fire_each_tick_once_also_across_a_restart(
    world: World, provider: ScriptedProvider
):
    """Clocks differ, all three do the work at the same time, and they die in the midst of it.

    A thousand on processes of their own: see tests/e2e/test_schedules.py.
    """
    number, clocks = 150, [Clock(HOUR), Clock(HOUR + 40 * SECOND), Clock(HOUR + 59 * SECOND)]
    engines = [await with_clock(world, clock, worker=False) for clock in clocks]
    made = [schedule(f"s{n}") for n in range(number)]
    await asyncio.gather(*(engines[0].store.insert(SCHEDULES, one) for one in made))
    for engine in engines:
        engine.scheduler._is_entrusted = everybody  # type: ignore[method-assign]
    passes = [asyncio.create_task(engine.scheduler.fire_due()) for engine in engines]
    async with asyncio.timeout(60):
        while (await engines[0].store.find(FIRES, "default", limit=1)).total < number // 4:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    await end(passes)
    assert (await engines[0].store.find(FIRES, "default", limit=1)).total < number, "they died in the midst of it"
    again = await with_clock(world, clocks[2], worker=False)
    await again.scheduler.fire_due()
    page = await again.store.find(FIRES, "default")
    assert sorted(fire.schedule_id for fire in page.items) == sorted(one.id for one in made)
    assert {(fire.tick, fire.outcome) for fire in page.items} == {(HOUR, "started")}
    runs = await again.store.list_runs("default", RunFilter(), limit=1)
    assert runs.total == number
    assert (await present(again, "s7")).next_at == HOUR + MINUTE


async def test_worker_fires_what_is_due_and_notes_it(world: World, provider: ScriptedProvider):
    clock = Clock(HOUR - MINUTE)
    engine = await with_clock(world, clock, settings=replace(FAST, schedule_s=0.02))
    await engine.store.insert(SCHEDULES, schedule())
    clock.now = HOUR
    run_id = run_id_of(fire_id("s", HOUR))
    async with asyncio.timeout(PATIENCE_S):
        while (await present(engine)).last_run_id is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    run = await settled(engine, run_id, RunStatus.COMPLETED)
    assert (run.tags, run.metadata["schedule_id"], run.created_by) == (("schedule:s",), "s", "ann")
    after = await present(engine)
    assert (after.last_at, after.next_at, after.last_run_id) == (HOUR, HOUR + MINUTE, run_id)
    (fire,) = await fires(engine)
    assert (fire.tick, fire.outcome, fire.run_id, fire.manual) == (HOUR, "started", run_id, False)


@pytest.mark.parametrize("place", ["insert", "update", "create_run"])
async def test_tick_that_a_crash_cut_short_is_finished_once(world: World, provider: ScriptedProvider, place: str):
    """The database goes away behind each of the writes; what was asked has happened."""
    engine = await with_clock(world, Clock(), worker=False)
    await engine.store.insert(SCHEDULES, schedule())
    faults(engine).on(place, Away(1, applied=True))
    engine.scheduler._is_entrusted = everybody  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await engine.scheduler.fire_due()
    await engine.scheduler.fire_due()
    assert [fire.outcome for fire in await fires(engine)] == ["started"]
    assert (await engine.store.list_runs("default", RunFilter(), limit=1)).total == 1
    assert (await present(engine)).next_at == HOUR + MINUTE


@pytest.mark.parametrize(
    ("missed", "ticks"),
    [("skip", [9]), ("once", [9]), ("all", list(range(10)))],
)
async def test_ticks_that_nobody_was_there_for(world: World, provider: ScriptedProvider, missed: Any, ticks: list[int]):
    engine = await with_clock(world, Clock(HOUR + 9 * MINUTE + 30 * SECOND), worker=False)
    await engine.store.insert(SCHEDULES, schedule(missed=missed))
    await engine.scheduler.fire_due()
    assert [fire.tick for fire in await fires(engine)] == [HOUR + n * MINUTE for n in ticks]
    assert (await present(engine)).next_at == HOUR + 10 * MINUTE


@pytest.mark.parametrize(("overlap", "outcome"), [("allow", "started"), ("skip", "skipped"), ("replace", "started")])
async def test_tick_while_the_last_run_still_works(
    world: World, provider: ScriptedProvider, overlap: Any, outcome: str
):
    provider._default = lambda request: Answer("working ", Silence())
    clock = Clock()
    engine = await with_clock(world, clock)
    await engine.store.insert(SCHEDULES, schedule(overlap=overlap))
    await engine.scheduler.fire_due()
    first = run_id_of(fire_id("s", HOUR))
    await settled(engine, first, RunStatus.RUNNING)
    clock.now = HOUR + MINUTE
    await engine.scheduler.fire_due()
    second = (await fires(engine))[1]
    assert second.outcome == outcome
    assert (await present(engine)).last_run_id == (first if outcome == "skipped" else second.run_id)
    if overlap == "replace":
        assert (await settled(engine, first, RunStatus.CANCELLED)).reason == "replaced"
    for run_id in (first, second.run_id):
        with suppress(NotFound, InvalidTransition):
            await engine.commands.cancel(ANN, run_id)
    await provider.wait_until_closed()


async def test_crew_is_set_to_work_and_what_cannot_start_is_noted(world: World, provider: ScriptedProvider):
    engine = await with_clock(world, Clock())
    work = CrewWork(crew=THREE, provider="scripted", model="m")
    await engine.store.insert(SCHEDULES, schedule("crew", chat=None, work=work))
    await engine.store.insert(SCHEDULES, schedule("gone", chat=Chat(agent_id="nobody", message="x")))
    await engine.scheduler.fire_due()
    run = await settled(engine, run_id_of(fire_id("crew", HOUR)), RunStatus.COMPLETED)
    assert run.agent_id == "workflow:team"
    (fire,) = await fires(engine, "gone")
    assert (fire.outcome, fire.error) == ("failed", "there is no agent 'nobody'")
    assert (await present(engine, "gone")).next_at == HOUR + MINUTE


async def test_run_by_hand_changes_no_tick(world: World, provider: ScriptedProvider):
    engine = await with_clock(world, Clock(), worker=False)
    await engine.store.insert(SCHEDULES, schedule())
    for _ in range(2):
        fire = await engine.schedules.run_now(ANN, "s", "by-hand")
        assert (fire.outcome, fire.run_id, fire.manual) == ("started", "by-hand", True)
    assert (await present(engine)).next_at == HOUR
    assert (await engine.store.list_runs("default", RunFilter(), limit=1)).total == 1


async def test_one_worker_at_a_time_does_the_work_and_another_when_it_is_dead(world: World, provider: ScriptedProvider):
    holder, other = [await with_clock(world, Clock()) for _ in range(2)]
    await holder.store.insert(SCHEDULES, schedule())
    assert await holder.scheduler._is_entrusted()
    assert not await other.scheduler._is_entrusted()
    await world.remove(holder)
    await other.scheduler.fire_due()
    assert len(await fires(other)) == 1
