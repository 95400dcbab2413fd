"""Reading runs: what is stored, then what comes; one run or many; fast, slow and rude readers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from agio.api.sse import wire_events
from agio.domain.errors import NotFound
from agio.domain.journal import Entry, behind
from agio.domain.status import RunStatus
from agio.engine import tail
from agio.engine.commands import ResumeRequest
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.engine.tail import Draining, Selection
from agio.providers.base import TextPart
from agio.testing.provider import Answer, Gate, ScriptedProvider, Silence, long_answer
from tests.engine.world import (
    ANN,
    EVE,
    FAST,
    PATIENCE_S,
    World,
    become,
    check_sequence,
    entries_of,
    faults,
    read,
    replay,
    settled,
    start,
    text_of,
    types,
)


async def _listener(world: World, **settings: Any) -> Engine:
    """A process that serves and listens, and claims nothing."""
    engine = await world.add_process(worker=False, settings=replace(FAST, **settings))
    await engine.worker.start()
    engine.worker._draining = True
    return engine


# -- one run


async def test_a_replay_ends_with_what_is_there(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", "two ", Silence()))
    engine = await world.add_process()
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await become(lambda: provider.open_streams == 1)
    events = await replay(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "content_delta"
    assert await read(engine, run.id, after=events[-1]["seq"], follow=False) == []


async def test_every_place_to_begin_at_gives_the_rest(world: World, provider: ScriptedProvider):
    provider.add(Answer(*"abcde"))
    engine = await world.add_process()
    other = await _listener(world)
    run = await start(engine)
    whole = await read(engine, run.id)
    check_sequence(whole)
    for after in range(len(whole) + 1):
        assert await read(engine, run.id, after=after) == whole[after:]
        assert await read(other, run.id, after=after, follow=False) == whole[after:]


async def test_a_place_in_the_middle_of_an_entry(world: World, provider: ScriptedProvider):
    provider.add(Answer([TextPart("word ")] * 50))
    engine = await world.add_process()
    run = await start(engine)
    whole = await read(engine, run.id)
    entries = await engine.store.read_entries("default", run.id)
    (wide, *_) = [entry for entry in entries if entry.last_seq > entry.first_seq + 3]
    middle = (wide.first_seq + wide.last_seq) // 2
    found = [entry async for entry in entries_of(engine.tail(ANN, run.id, after=middle))]
    assert found[0] == behind(wide, middle)
    assert [event for entry in found for event in wire_events(entry)] == whole[middle:]
    assert await read(engine, run.id, after=middle) == whole[middle:]


async def test_a_reader_between_replay_and_live_misses_nothing(world: World, provider: ScriptedProvider):
    """Entries are appended while the reader reads the store: it must neither skip nor repeat."""
    provider.add(long_answer(400))
    engine = await world.add_process()
    local = [engine, await _listener(world)]
    run = await start(engine)
    readers = []
    for number in range(20):
        readers.append(asyncio.create_task(read(local[number % 2], run.id)))
        await asyncio.sleep(0)
    for reader in readers:
        events = await reader
        check_sequence(events)
        assert types(events)[-1] == "run_completed"


async def test_two_readers_in_two_processes_see_the_same(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    far = await _listener(world)
    run = await start(engine)
    near_task = asyncio.create_task(read(engine, run.id))
    far_task = asyncio.create_task(read(far, run.id))
    await read(far, run.id, until="content_delta")
    gate.open()
    near, distant = await near_task, await far_task
    assert near == distant
    check_sequence(near)


async def test_a_reader_that_fell_behind_finds_the_rest_in_the_store(world: World, provider: ScriptedProvider):
    provider.add(long_answer(1500))
    engine = await world.add_process(settings=replace(FAST, queue_entries=2))
    far = await _listener(world, queue_entries=2)
    run = await start(engine)
    for process in (engine, far):
        events: list[dict[str, Any]] = []
        async for entry in entries_of(process.tail(ANN, run.id)):
            events += wire_events(entry)
            await process.store.ping()  # slow
        check_sequence(events)
        assert text_of(events) == "word " * 1500


async def test_a_reader_of_a_paused_run_waits_and_goes_on(world: World, provider: ScriptedProvider):
    provider.add("at last")
    engine = await world.add_process()
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    reader = asyncio.create_task(read(engine, run.id))
    await become(lambda: engine.worker.hub.count(run.id) == 1)
    for _ in range(5):
        await engine.store.ping()
    assert not reader.done()
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await reader
    check_sequence(events)
    assert types(events)[-1] == "run_completed"


async def test_a_made_up_place_ends_with_the_run(world: World, provider: ScriptedProvider):
    provider.add("done")
    engine = await world.add_process()
    run = await start(engine)
    whole = await read(engine, run.id)
    for after in (len(whole), len(whole) + 1, 10**12):
        assert await read(engine, run.id, after=after) == []


async def test_a_made_up_place_does_no_harm_to_other_readers(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    far = await _listener(world)
    run = await start(engine)
    honest = asyncio.create_task(read(far, run.id))
    await read(far, run.id, until="content_delta")
    rude = asyncio.create_task(read(far, run.id, after=10**9))
    await become(lambda: far.worker.hub.count(run.id) == 2)
    for _ in range(5):
        await far.store.ping()
    gate.open()
    events = await honest
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert await rude == []


async def test_a_reader_of_nothing_is_told(world: World):
    engine = await world.add_process()
    with pytest.raises(NotFound):
        await read(engine, "no-such-run")
    assert engine.worker.hub.watched == []


async def test_a_process_that_stops_sends_its_readers_on(world: World, provider: ScriptedProvider):
    provider.add(Answer("one", Gate()), "two")
    first = await world.add_process()
    run = await start(first)
    items: list[Any] = []

    async def follow(stream: AsyncGenerator[Any, None]) -> None:
        async with aclosing(stream):
            items.extend([item async for item in stream])

    readers = [
        asyncio.create_task(follow(stream))
        for stream in (first.tail(ANN, run.id), first.tail_many(ANN, Selection(everything=True)))
    ]
    await read(first, run.id, until="content_delta")
    second = await world.add_process()
    await world.remove(first)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*readers)
    assert sum(isinstance(item, Draining) for item in items) == 2
    check_sequence(await read(second, run.id))


async def test_what_left_leaves_nothing_behind(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    engine = await world.add_process()
    everything = entries_of(engine.tail_many(ANN, Selection(everything=True)))
    for _ in range(5):
        await start(engine)
    seen: list[Entry] = []
    while sum(entry.events[-1].type == "run_completed" for entry in seen) < 5:
        seen.append(await anext(everything))
    await everything.aclose()
    hub = engine.worker.hub
    assert (hub.watched, hub.has_group_readers, hub._heads) == ([], False, {})


# -- many runs


async def _until_ended(stream: AsyncGenerator[Entry, None], number: int) -> dict[str, list[dict[str, Any]]]:
    """Read until so many runs have ended; return the events by run."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with asyncio.timeout(PATIENCE_S), aclosing(stream):
        async for entry in stream:
            found.setdefault(entry.run_id, []).extend(wire_events(entry))
            ended = [run_id for run_id, events in found.items() if events[-1]["type"] == "run_completed"]
            if len(ended) == number:
                break
    return found


async def test_many_runs_in_one_stream_each_in_its_order(world: World, provider: ScriptedProvider):
    gate = Gate()
    provider._default = lambda request: Answer("a", gate, *"bcdef")
    engine = await world.add_process()
    far = await _listener(world)
    runs = [await start(engine) for _ in range(4)]
    chosen = tuple(run.id for run in runs[:3])
    streams = [
        asyncio.create_task(_until_ended(entries_of(process.tail_many(ANN, Selection(run_ids=chosen))), 3))
        for process in (engine, far)
    ]
    for run in runs:
        await read(far, run.id, until="content_delta")
    gate.open()
    for stream in streams:
        found = await stream
        assert set(found) == set(chosen)
        for run_id, events in found.items():
            check_sequence(events)
            assert events == await replay(engine, run_id)


async def test_a_session_in_one_stream_with_what_joins_it(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    engine = await world.add_process()
    first = await start(engine, session_id="s")
    await read(engine, first.id)
    stream = asyncio.create_task(_until_ended(entries_of(engine.tail_many(ANN, Selection(session_id="s"))), 4))
    await become(lambda: engine.worker.hub.has_group_readers)
    foreign = [await start(engine, session_id="t") for _ in range(3)]
    second, third = await start(engine, session_id="s"), await start(engine, session_id="s")
    for run in (*foreign, third):
        await read(engine, run.id)
    final = (await engine.store.list_checkpoints("default", first.id)).items[-1]
    fork = await engine.continuing.branch_off(ANN, ForkRequest(checkpoint_id=final.id, kind="fork"))
    found = await stream
    assert set(found) == {first.id, second.id, third.id, fork.id}
    for events in found.values():
        check_sequence(events)


async def test_a_reader_of_one_session_is_not_busy_with_the_others(world: World, provider: ScriptedProvider):
    provider.add(Answer("mine ", Silence()), long_answer(300))
    engine = await world.add_process()
    mine = await start(engine, session_id="s")
    await read(engine, mine.id, until="content_delta")
    stream = entries_of(engine.tail_many(ANN, Selection(session_id="s")))
    seen = 0
    while seen < 4:
        seen = (await anext(stream)).last_seq
    waiting = asyncio.create_task(anext(stream))
    lists = 0

    async def count(call: Any, *args: Any, **options: Any) -> Any:
        nonlocal lists
        lists += 1
        return await call(*args, **options)

    await become(lambda: engine.worker.hub.has_group_readers)
    faults(engine).on("list_runs", count)
    other = await start(engine, session_id="t")
    events = await read(engine, other.id)
    faults(engine).on("list_runs", None)
    assert events[-1]["type"] == "run_completed"
    assert len(await engine.store.read_entries("default", other.id)) > 3
    assert lists <= 2
    waiting.cancel()


async def test_everything_of_a_group_and_nothing_of_another(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    engine = await world.add_process()
    far = await _listener(world)
    streams = [
        asyncio.create_task(_until_ended(entries_of(process.tail_many(ANN, Selection(everything=True))), 3))
        for process in (engine, far)
    ]
    await become(lambda: engine.worker.hub.has_group_readers and far.worker.hub.has_group_readers)
    theirs = await start(engine, caller=EVE)
    await read(engine, theirs.id, caller=EVE)
    runs = [await start(engine) for _ in range(3)]
    for stream in streams:
        found = await stream
        assert set(found) == {run.id for run in runs}
        for events in found.values():
            check_sequence(events)


async def test_a_reader_of_everything_sees_all_of_very_many_runs(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    desk = await world.add_process(worker=False)
    runs = [await start(desk) for _ in range(130)]
    engine = await world.add_process(settings=replace(FAST, runs_per_worker=2))
    found = await _until_ended(entries_of(engine.tail_many(ANN, Selection(everything=True))), 130)
    assert set(found) == {run.id for run in runs}
    for events in found.values():
        check_sequence(events)


async def test_places_are_taken_up_where_they_were_left(world: World, provider: ScriptedProvider):
    provider._default = lambda request: Answer(*"abc")
    engine = await world.add_process()
    runs = [await start(engine) for _ in range(2)]
    for run in runs:
        await read(engine, run.id)
    whole = {run.id: await replay(engine, run.id) for run in runs}
    cursors = {runs[0].id: 4, runs[1].id: 0}
    stream = entries_of(engine.tail_many(ANN, Selection(run_ids=tuple(whole), cursors=dict(cursors))))
    found = await _until_ended(stream, 2)
    for run_id, events in found.items():
        assert [e for e in events if e["seq"] > cursors[run_id]] == whole[run_id][cursors[run_id] :]


async def test_a_reader_of_many_names_only_its_own(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    engine = await world.add_process()
    run = await start(engine, caller=EVE)
    await read(engine, run.id, caller=EVE)
    for selection in (Selection(run_ids=(run.id,)), Selection(run_ids=("none",))):
        with pytest.raises(NotFound):
            await anext(entries_of(engine.tail_many(ANN, selection)))
    assert engine.worker.hub.watched == []


async def test_runs_of_other_sessions_are_forgotten_when_they_end(world: World, provider: ScriptedProvider):
    provider._default = "ok"
    engine = await world.add_process()
    outside = tail._Outside()
    for _ in range(3):
        run = await start(engine, session_id="t")
        await read(engine, run.id)
        first, *rest = await engine.store.read_entries("default", run.id)
        assert not outside.has(first)
        outside.add(run.id)
        assert all(outside.has(entry) for entry in rest)
    assert outside._runs == set()
    for number in range(tail.OUTSIDE + 1):
        outside.add(f"run-{number}")
    assert len(outside._runs) == 1
