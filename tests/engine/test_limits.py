"""How much runs at once, and whose turn it is."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Gate, ScriptedProvider, Silence
from tests.engine.world import (
    ANN,
    EVE,
    FAST,
    World,
    become,
    check_sequence,
    faults,
    read,
    record_when,
    replay,
    settled,
    start,
    types,
)


class Crowd(ScriptedProvider):
    """Holds every answer until the test lets one go; knows how many there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[Gate] = []
        self.most = 0

    def _next(self, request: ModelRequest) -> Any:
        gate = Gate()
        self.gates.append(gate)
        self.most = max(self.most, self.open_streams + 1)
        return Answer("so ", gate, "be it")

    async def let_go_one_by_one(self, number: int) -> None:
        for count in range(number):
            await become(lambda count=count: len(self.gates) > count)  # type: ignore[misc]
            self.gates[count].open()


async def _looks_again(engine: Engine, times: int = 3) -> None:
    """Wait until the worker has looked for runs so often, and found none."""
    left = times
    enough = asyncio.Event()

    async def count(call: Any, *args: Any, **options: Any) -> Any:
        nonlocal left
        found = await call(*args, **options)
        left -= not found
        if left <= 0:
            enough.set()
        return found

    faults(engine).on("claim_ready", count)
    async with asyncio.timeout(20):
        await enough.wait()
    faults(engine).on("claim_ready", None)


async def _all_ended(engine: Engine, runs: list[Run]) -> None:
    for run in runs:
        events = await read(engine, run.id)
        check_sequence(events)
        assert types(events)[-1] == "run_completed"


async def test_a_worker_owns_no_more_runs_than_it_may(world: World):
    crowd = Crowd()
    engine = await world.add_process(settings=replace(FAST, runs_per_worker=3), provider=crowd)
    runs = [await start(engine) for _ in range(9)]
    await become(lambda: crowd.open_streams == 3)
    await _looks_again(engine)
    assert (engine.worker.run_count, crowd.open_streams) == (3, 3)
    await crowd.let_go_one_by_one(9)
    await _all_ended(engine, runs)
    assert crowd.most == 3


async def test_commands_are_carried_out_when_all_places_are_taken(world: World):
    crowd = Crowd()
    engine = await world.add_process(settings=replace(FAST, runs_per_worker=1, runs_per_group=1), provider=crowd)
    first = await start(engine)
    await become(lambda: crowd.open_streams == 1)
    second, third = await start(engine), await start(engine)
    await engine.commands.cancel(ANN, second.id)
    await engine.commands.pause(ANN, third.id)
    assert types(await read(engine, second.id)) == ["run_started", "run_cancelled"]
    await settled(engine, third.id, RunStatus.PAUSED)
    await engine.commands.cancel(ANN, third.id)
    await settled(engine, third.id, RunStatus.CANCELLED)
    await crowd.let_go_one_by_one(1)
    await _all_ended(engine, [first])
    assert crowd.most == 1


async def test_a_group_has_no_more_runs_than_it_may_in_all_processes_together(world: World):
    crowd = Crowd()
    limited = replace(FAST, runs_per_group=2)
    engines = [await world.add_process(settings=limited, provider=crowd) for _ in range(3)]
    runs = [await start(engines[n % 3]) for n in range(8)]
    await become(lambda: crowd.open_streams == 2)
    for engine in engines:
        await _looks_again(engine, times=2)
    assert crowd.open_streams == 2
    other = await start(engines[0], caller=EVE)
    await record_when(engines[0], other.id, lambda run: run.status is RunStatus.RUNNING, group="other")
    await become(lambda: crowd.open_streams == 3)
    for gate in crowd.gates:
        gate.open()
    await crowd.let_go_one_by_one(9)
    await _all_ended(engines[0], runs)
    assert crowd.most <= 3  # two of one group, one of the other


async def test_resting_runs_take_no_place(world: World, provider: ScriptedProvider):
    provider.add(Answer(Silence()), "second")
    engine = await world.add_process(settings=replace(FAST, runs_per_worker=1, runs_per_group=1))
    first = await start(engine)
    await provider.wait_for_calls(1)
    second = await start(engine)
    await engine.commands.pause(ANN, first.id, mode="now")
    assert types(await read(engine, second.id))[-1] == "run_completed"
    assert (await engine.store.get_run("default", first.id)).status is RunStatus.PAUSED


async def test_a_group_with_many_runs_does_not_starve_another(world: World, provider: ScriptedProvider):
    order: list[str] = []

    def answer(request: ModelRequest) -> str:
        order.append(str(request.messages[-1].content))
        return "ok"

    provider._default = answer
    desk = await world.add_process(worker=False)
    crowd = [await start(desk, "crowd", caller=EVE) for _ in range(50)]
    few = [await start(desk, "few", caller=ANN) for _ in range(3)]
    guests = [await start(desk, "guest", caller=Caller("gus", "third")) for _ in range(2)]
    await world.add_process(settings=replace(FAST, runs_per_worker=1))
    for run in few:
        await settled(desk, run.id, RunStatus.COMPLETED)
    assert "few" in order[:4]
    assert "guest" in order[:4]
    assert [name for name in order[:12] if name == "few"] == ["few"] * 3
    assert [name for name in order[:12] if name == "guest"] == ["guest"] * 2
    await record_when(desk, crowd[-1].id, lambda run: run.status is RunStatus.COMPLETED, group="other")
    assert len(order) == len(crowd) + len(few) + len(guests)


async def test_within_a_group_the_first_that_came_is_the_first_that_runs(world: World, provider: ScriptedProvider):
    order: list[str] = []

    def answer(request: ModelRequest) -> str:
        order.append(str(request.messages[-1].content))
        return "ok"

    provider._default = answer
    desk = await world.add_process(worker=False)
    runs = [await start(desk, str(number)) for number in range(12)]
    await world.add_process(settings=replace(FAST, runs_per_worker=1))
    for run in runs:
        await settled(desk, run.id, RunStatus.COMPLETED)
    assert order == [str(number) for number in range(12)]


async def test_every_run_is_executed_once_by_many_processes(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    engines = [await world.add_process() for _ in range(3)]
    runs = await asyncio.gather(*(start(engines[n % 3], str(n)) for n in range(30)))
    await _all_ended(engines[0], list(runs))
    assert provider.calls == 30
    assert sorted(str(request.messages[-1].content) for request in provider.requests) == sorted(map(str, range(30)))
    for run in runs:
        assert (await settled(engines[0], run.id, RunStatus.COMPLETED)).epoch == 1


# -- runs that live as long as their readers


async def _leave(engine: Engine, run_id: str) -> None:
    """Read for a while, then go: what an edge does."""
    async with aclosing(engine.tail(ANN, run_id)) as items:
        await anext(items)
    await engine.leave(ANN, run_id)


async def test_a_run_that_is_not_detached_ends_with_its_last_reader(world: World, provider: ScriptedProvider):
    provider.add(Answer("one", Silence()))
    engine = await world.add_process()
    run = await start(engine, detached=False)
    stays = engine.tail(ANN, run.id)
    await anext(stays)
    await _leave(engine, run.id)
    assert (await engine.store.get_run("default", run.id)).cancel is None  # one is still there
    await stays.aclose()
    await engine.leave(ANN, run.id)
    events = await read(engine, run.id)
    assert types(events)[-1] == "run_cancelled"
    assert (events[-1]["by"], events[-1]["reason"]) == ("ann", "client_left")


async def test_a_detached_run_outlives_its_readers(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    run = await start(engine)
    await _leave(engine, run.id)
    gate.open()
    await settled(engine, run.id, RunStatus.COMPLETED)
    events = await replay(engine, run.id)
    await _leave(engine, run.id)
    await engine.leave(ANN, "there is no such run")
    assert await replay(engine, run.id) == events


async def test_leaving_an_ended_run_changes_nothing(world: World, provider: ScriptedProvider):
    provider.add("done")
    engine = await world.add_process()
    run = await start(engine, detached=False)
    await settled(engine, run.id, RunStatus.COMPLETED)
    before = await engine.store.get_run("default", run.id)
    await engine.leave(ANN, run.id)
    assert await engine.store.get_run("default", run.id) == before
