"""What becomes of runs after their end: compaction, retention, and who does it."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from agio.api.sse import last_id, stream_bytes
from agio.domain.errors import NotFound, StoreUnavailable
from agio.domain.runs import Run, RunFilter
from agio.domain.status import RunStatus
from agio.engine import upkeep
from agio.engine.caretaker import DUTY, UpkeepSettings
from agio.engine.clock import utc_now
from agio.engine.continuing import ForkRequest
from agio.engine.duties import NOBODYS
from agio.engine.engine import Engine
from agio.engine.tail import Draining
from agio.storage.port import BRANCHES, DUTIES, SESSIONS
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    FAST,
    PATIENCE_S,
    Hold,
    World,
    check_sequence,
    dump,
    faults,
    read,
    record_when,
    replay,
    settled,
    start,
    text_of,
    types,
)

WORDS = [f"word{n} " for n in range(40)]
EAGER = replace(FAST, upkeep=UpkeepSettings(compact_after=timedelta(0), pause_s=0.05, collect_every_s=0.01, share=1.0))


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "GRACE_S", 0.0)


def now() -> datetime:
    """An instant behind the end of every run that has ended."""
    return utc_now() + timedelta(seconds=1)


async def total(work: AsyncGenerator[int, None]) -> int:
    return sum([count async for count in work])


async def ended(engine: Engine, message: str = "hello", **options: Any) -> Run:
    run = await start(engine, message, **options)
    return await settled(engine, run.id, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


async def drop(engine: Engine, status: RunStatus = RunStatus.COMPLETED) -> int:
    return await total(upkeep.delete_expired(engine.store, status, now()))


async def gone(engine: Engine, run: Run) -> bool:
    try:
        await engine.store.get_run("default", run.id)
    except NotFound:
        return True
    return False


async def _in_many_entries(engine: Engine, provider: ScriptedProvider) -> Run:
    """Return a run with a tool step between two answers; every word is an entry of its own."""

    async def one_by_one(call: Any, batch: Any) -> Any:
        await asyncio.sleep(0)
        return await call(batch)

    faults(engine).on("append", one_by_one)
    provider.add(Answer(*WORDS, calls=[Call("look", {})]), Answer(*WORDS))
    run = await ended(engine)
    faults(engine).on("append", None)
    return run


@tool
async def look() -> str:
    return "seen"


class TestCompaction:
    async def test_a_reader_gets_whole_messages_under_ids_without_a_gap(
        self, world: World, provider: ScriptedProvider
    ) -> None:
        engine = await world.add_process(tools=[look])
        run = await _in_many_entries(engine, provider)
        before, rows = await replay(engine, run.id), len(await engine.store.read_entries("default", run.id))
        record = await dump(engine, run.id)
        assert await total(upkeep.compact_runs(engine.store, now())) == 1
        after = await replay(engine, run.id)
        assert len(await engine.store.read_entries("default", run.id)) <= rows
        assert text_of(after) == text_of(before) == "".join(WORDS * 2)
        assert len(after) < len(before) / 2
        seq = 0
        for event in after:
            assert event["seq"] == seq + 1
            seq = last_id(event)
        assert seq == before[-1]["seq"]
        now_kept = await dump(engine, run.id)
        assert {name: now_kept[name] for name in ("spec", "checkpoints", "branches", "messages", "session")} == {
            name: record[name] for name in ("spec", "checkpoints", "branches", "messages", "session")
        }
        assert await total(upkeep.compact_runs(engine.store, now())) == 0

    async def test_every_place_to_begin_at_gives_the_rest(self, world: World, provider: ScriptedProvider) -> None:
        engine = await world.add_process(tools=[look])
        run = await _in_many_entries(engine, provider)
        before = await replay(engine, run.id)
        await total(upkeep.compact_runs(engine.store, now()))
        for after in range(len(before)):
            found = await read(engine, run.id, after=after, follow=False)
            assert found[0]["seq"] == after + 1
            assert text_of(before[:after]) + text_of(found) == text_of(before)

    async def test_the_frame_of_a_joined_message_has_the_id_to_read_on_behind(
        self, world: World, provider: ScriptedProvider
    ) -> None:
        engine = await world.add_process()
        provider.add(Answer(*WORDS))
        run = await ended(engine)
        await total(upkeep.compact_runs(engine.store, now()))
        frames: list[bytes] = []
        async for item in engine.tail(ANN, run.id):
            assert not isinstance(item, Draining)
            frames += stream_bytes(item, "seq").split(b"\n\n")[:-1]
        (joined,) = [frame for frame in frames if b'"compacted"' in frame]
        reach = int(joined.rpartition(b"id: ")[2])
        rest = await read(engine, run.id, after=reach)
        assert (joined.count(b"word"), rest[0]["seq"]) == (
            reach - int(joined.split(b'"seq":')[1].split(b",")[0]) + 1,
            reach + 1,
        )

    async def test_a_compacted_run_can_be_forked_restored_and_tried_again(
        self, world: World, provider: ScriptedProvider
    ) -> None:
        engine = await world.add_process(tools=[look])
        run = await _in_many_entries(engine, provider)
        checkpoints = await engine.store.list_checkpoints("default", run.id)
        await total(upkeep.compact_runs(engine.store, now()))
        provider.add(Answer("forked"), Answer("restored"))
        request = ForkRequest(checkpoint_id=checkpoints.items[1].id, kind="fork")
        fork = await engine.continuing.branch_off(ANN, request)
        assert text_of(await read(engine, fork.id)) == "forked"
        again = await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=checkpoints.items[1].id, kind="restore"))
        await record_when(engine, run.id, lambda r: r.attempt == again.attempt and r.is_terminal)
        events = await replay(engine, run.id)
        assert types(events)[-1] == "run_completed"
        assert await total(upkeep.compact_runs(engine.store, now())) == 2
        assert text_of(await replay(engine, run.id)) == text_of(events)

    async def test_a_new_attempt_that_begins_meanwhile_loses_nothing(
        self, world: World, provider: ScriptedProvider
    ) -> None:
        engine = await world.add_process(tools=[look])
        run = await _in_many_entries(engine, provider)
        before = text_of(await replay(engine, run.id))
        checkpoint = (await engine.store.list_checkpoints("default", run.id)).items[1]
        hold = Hold()
        faults(engine).on("rewrite_entries", hold)
        compacting = asyncio.create_task(total(upkeep.compact_runs(engine.store, now())))
        await hold.reached.wait()
        provider.add(Answer(*WORDS))
        await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=checkpoint.id, kind="restore"))
        await record_when(engine, run.id, lambda r: r.attempt == 2 and r.is_terminal)
        hold.release()
        await compacting
        events = await replay(engine, run.id)
        assert text_of(events) == before + "".join(WORDS)
        assert not (await engine.store.get_run("default", run.id)).is_compacted


class TestRetention:
    async def test_expired_runs_go_with_their_session(self, world: World, provider: ScriptedProvider) -> None:
        engine = await world.add_process()
        provider.add("one", "two", "three")
        first = await ended(engine)
        second = await ended(engine, session_id=first.session_id)
        other = await ended(engine)
        assert await total(upkeep.delete_expired(engine.store, RunStatus.COMPLETED, first.ended_at)) == 0  # type: ignore[arg-type]
        assert await total(upkeep.delete_expired(engine.store, RunStatus.FAILED, now())) == 0
        assert await drop(engine) == 3
        assert [await gone(engine, run) for run in (first, second, other)] == [True] * 3
        assert (await engine.store.find(SESSIONS, "default")).total == 0
        assert (await engine.store.find(BRANCHES, "default")).total == 0
        provider.add("anew")
        again = await ended(engine, session_id=first.session_id)
        assert len(await engine.store.read_messages("default", again.branch_id)) == 2

    async def test_what_a_fork_stands_on_stays_as_long_as_the_fork(
        self, world: World, provider: ScriptedProvider
    ) -> None:
        engine = await world.add_process()
        provider.add("one", "two")
        source = await ended(engine)
        checkpoint = (await engine.store.list_checkpoints("default", source.id)).items[-1]
        fork = await engine.continuing.branch_off(
            ANN, ForkRequest(checkpoint_id=checkpoint.id, kind="fork", session="new", start=False)
        )
        await record_when(engine, fork.id, lambda r: r.status is RunStatus.PAUSED)
        assert await drop(engine) == 0
        messages = await engine.store.read_messages("default", fork.branch_id)
        await engine.commands.cancel(ANN, fork.id)
        await settled(engine, fork.id, RunStatus.CANCELLED)
        assert await drop(engine) == 0
        assert await engine.store.read_messages("default", fork.branch_id) == messages
        assert await drop(engine, RunStatus.CANCELLED) == 1
        assert await drop(engine) == 1
        assert (await engine.store.find(SESSIONS, "default")).total == 0

    async def test_a_session_that_goes_on_keeps_its_past_and_loses_its_dead_ends(
        self, world: World, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "BRANCH_IS_YOUNG", timedelta(0))
        engine = await world.add_process()
        provider.add("one", "two", "three")
        first = await ended(engine)
        checkpoint = (await engine.store.list_checkpoints("default", first.id)).items[0]
        dead_end = await engine.continuing.branch_off(ANN, ForkRequest(checkpoint_id=checkpoint.id, kind="fork"))
        await settled(engine, dead_end.id, RunStatus.COMPLETED)
        session = await engine.store.get(SESSIONS, "default", first.session_id)
        await engine.store.update(
            SESSIONS, "default", session.id, lambda s: replace(s, current_branch_id=first.branch_id)
        )
        live = await start(engine, session_id=first.session_id, start=False)
        await record_when(engine, live.id, lambda r: r.status is RunStatus.PAUSED)
        assert await drop(engine) == 1
        assert (await gone(engine, dead_end), await gone(engine, first)) == (True, False)
        branches = await engine.store.find(BRANCHES, "default", {"session_id": session.id})
        assert [branch.id for branch in branches.items] == [first.branch_id]

    async def test_a_message_that_comes_while_its_session_goes_finds_its_branch(
        self, world: World, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was accepted between the look for runs and the deletion of the branch."""
        engine = await world.add_process()
        provider.add("one", "two")
        first = await ended(engine)
        hold = Hold(when=lambda kind, *rest: kind is BRANCHES)
        faults(engine).on("delete", hold)
        dropping = asyncio.create_task(drop(engine))
        await hold.reached.wait()
        late = await start(engine, session_id=first.session_id)
        hold.release()
        assert await dropping == 1
        await settled(engine, late.id, RunStatus.COMPLETED)
        assert len(await engine.store.read_messages("default", late.branch_id)) == 2
        assert (await engine.store.get(SESSIONS, "default", first.session_id)).id == first.session_id


class TestCaretaker:
    async def test_it_compacts_while_runs_go_on(self, world: World, provider: ScriptedProvider) -> None:
        engine = await world.add_process(settings=EAGER)
        for _ in range(6):
            provider.add(Answer(*WORDS))
            run = await start(engine)
            seq = 0
            for event in await read(engine, run.id):
                assert event["seq"] == seq + 1
                seq = last_id(event)
        page = await engine.store.list_runs("default", RunFilter(), limit=9)
        for run in page.items:
            await record_when(engine, run.id, lambda r: r.is_compacted)

    async def test_one_worker_has_the_duty_until_it_dies(self, world: World, provider: ScriptedProvider) -> None:
        first = await world.add_process(settings=EAGER)
        provider.add(Answer(*WORDS))
        run = await ended(first)
        await record_when(first, run.id, lambda r: r.is_compacted)
        second = await world.add_process(settings=EAGER)
        assert (await second.store.get(DUTIES, NOBODYS, DUTY)).holder == first.worker.id
        await world.kill(first)
        provider.add(Answer(*WORDS))
        run = await ended(second)
        await record_when(second, run.id, lambda r: r.is_compacted)
        assert (await second.store.get(DUTIES, NOBODYS, DUTY)).holder == second.worker.id

    async def test_without_settings_it_changes_nothing(self, world: World, provider: ScriptedProvider) -> None:
        idle = replace(FAST, upkeep=UpkeepSettings(pause_s=0.01))
        engine = await world.add_process(settings=idle)
        provider.add(Answer(*WORDS))
        run = await ended(engine)
        before = await dump(engine, run.id)
        async with asyncio.timeout(PATIENCE_S):
            while (await engine.store.find(DUTIES, NOBODYS)).total == 0:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        assert await dump(engine, run.id) == before
        check_sequence(await replay(engine, run.id))

    async def test_a_store_that_is_away_only_delays_it(self, world: World, provider: ScriptedProvider) -> None:
        engine = await world.add_process(settings=EAGER)
        failures = 3

        async def away(call: Any, *args: Any, **options: Any) -> Any:
            nonlocal failures
            failures -= 1
            if failures == 2:
                raise NotFound("a bug")
            if failures >= 0:
                raise StoreUnavailable("away, says the test")
            return await call(*args, **options)

        faults(engine).on("uncompacted_runs", away)
        provider.add(Answer(*WORDS))
        run = await ended(engine)
        await record_when(engine, run.id, lambda r: r.is_compacted)
        assert failures < 0

    async def test_it_ends_at_once_with_its_worker(self, world: World, provider: ScriptedProvider) -> None:
        engine = await world.add_process(settings=EAGER)
        hold = Hold()
        faults(engine).on("uncompacted_runs", hold)
        await hold.reached.wait()
        async with asyncio.timeout(PATIENCE_S):
            await world.remove(engine)

    async def test_a_piece_that_takes_too_long_ends_the_pass(self, world: World, provider: ScriptedProvider) -> None:
        impatient = replace(EAGER, upkeep=replace(EAGER.upkeep, piece_s=0.05))
        engine = await world.add_process(settings=impatient)
        hold = Hold()
        faults(engine).on("uncompacted_runs", hold)
        provider.add(Answer(*WORDS))
        run = await ended(engine)
        await hold.reached.wait()
        await record_when(engine, run.id, lambda r: r.is_compacted)
