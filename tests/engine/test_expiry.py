"""Sessions that expire: what was said is forgotten, what was done stays on record."""

import asyncio

import pytest

from agio.domain.errors import NotFound, StoreUnavailable
from agio.domain.runs import RunFilter
from agio.domain.status import RunStatus
from agio.engine.engine import Engine
from agio.storage.port import BRANCHES
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.engine.world import ANN, EVE, Away, World, faults, read, settled, start

AT_ONCE = 1e-9
"""A session that nothing keeps busy has expired."""


async def _turn(engine: Engine, message: str, *, idle_timeout_s: float = AT_ONCE) -> str:
    run = await start(engine, message, session_id="s", idle_timeout_s=idle_timeout_s)
    await read(engine, run.id)
    await settled(engine, run.id, RunStatus.COMPLETED)
    return run.branch_id


async def _roots(engine: Engine) -> list[str]:
    return [branch.id for branch in (await engine.store.find(BRANCHES, "default", {"session_id": "s"})).items]


async def test_expired_session_goes_on_with_an_empty_branch(world: World, provider: ScriptedProvider):
    provider.add(Answer("one"), Answer("two"))
    engine = await world.add_process()
    first, second = await _turn(engine, "a"), await _turn(engine, "b")
    assert first != second
    assert [m.content for m in provider.requests[1].messages] == ["b"]
    tree = await engine.sessions.tree(ANN, "s")
    assert [run.status for run in tree.runs] == [RunStatus.COMPLETED] * 2
    assert [(head.branch.id, head.message_count, head.is_current) for head in tree.branches] == [
        (first, 2, False),
        (second, 2, True),
    ]


async def test_session_that_is_used_in_time_goes_on(world: World, provider: ScriptedProvider):
    provider.add(Answer("one"), Answer("two"))
    engine = await world.add_process()
    assert await _turn(engine, "a", idle_timeout_s=3600) == await _turn(engine, "b", idle_timeout_s=3600)
    assert [m.content for m in provider.requests[1].messages] == ["a", "one", "b"]
    found = await engine.conversations.look(ANN, "s")
    assert (found.message_count, found.session.idle_timeout_s) == (4, 3600)
    assert found.session.updated_at > found.began_at == found.session.created_at


async def test_looking_at_a_session_does_not_make_it_last(world: World, provider: ScriptedProvider):
    provider.add(Answer("one"))
    engine = await world.add_process()
    await _turn(engine, "a", idle_timeout_s=3600)
    before = await engine.sessions.get(ANN, "s")
    await engine.conversations.look(ANN, "s")
    await engine.conversations.messages(ANN, "s")
    assert await engine.sessions.get(ANN, "s") == before


async def test_expired_session_is_not_there_for_those_who_talk(world: World, provider: ScriptedProvider):
    provider.add(Answer("one"))
    engine = await world.add_process()
    await _turn(engine, "a")
    talk = engine.conversations
    for look in (talk.look, talk.messages, talk.remove, talk.clear):
        with pytest.raises(NotFound):
            await look(ANN, "s")
    assert (await engine.sessions.get(ANN, "s")).idle_timeout_s == AT_ONCE


async def test_session_does_not_expire_while_it_works(world: World, provider: ScriptedProvider):
    provider.add(Answer("on", gate := Gate(), "e"), Answer("two"))
    engine = await world.add_process()
    held = await start(engine, "a", session_id="s", idle_timeout_s=AT_ONCE)
    await gate.reached.wait()
    assert (await engine.conversations.look(ANN, "s")).session.id == "s"
    waiting = await start(engine, "b", session_id="s", idle_timeout_s=AT_ONCE)
    gate.open()
    await read(engine, waiting.id)
    assert waiting.branch_id == held.branch_id
    assert [m.content for m in provider.requests[1].messages] == ["a", "one", "b"]


async def test_messages_that_come_at_once_begin_anew_together(world: World, provider: ScriptedProvider):
    provider.add(*[Answer(str(n)) for n in range(5)])
    engine, other = await world.add_process(), await world.add_process()
    await _turn(engine, "a")
    runs = await asyncio.gather(
        *(start(one, "b", session_id="s", idle_timeout_s=AT_ONCE) for one in (engine, other) * 2)
    )
    assert len({run.branch_id for run in runs}) == 1
    for run in runs:
        await read(engine, run.id)
    assert len(await _roots(engine)) == 2


async def test_beginning_anew_may_be_cut_off_and_tried_again(world: World, provider: ScriptedProvider):
    provider.add(Answer("one"), Answer("two"))
    engine = await world.add_process()
    await _turn(engine, "a")
    faults(engine).on("update", Away(1))
    with pytest.raises(StoreUnavailable):
        await start(engine, "b", session_id="s", idle_timeout_s=AT_ONCE)
    await _turn(engine, "b")
    assert len(await _roots(engine)) == 2
    assert [m.content for m in provider.requests[1].messages] == ["b"]


async def test_clearing_cancels_deletes_and_leaves_an_empty_session(world: World, provider: ScriptedProvider):
    provider.add(Answer("on", gate := Gate(), "e"), Answer("two"))
    engine = await world.add_process()
    await start(engine, "a", session_id="s")
    await gate.reached.wait()
    await engine.conversations.clear(ANN, "s")
    assert await engine.conversations.messages(ANN, "s") == []
    assert (await engine.store.list_runs("default", RunFilter(), limit=1)).total == 0
    await read(engine, (await start(engine, "b", session_id="s")).id)
    assert [m.content for m in provider.requests[1].messages] == ["b"]


async def test_removing_cancels_and_deletes(world: World, provider: ScriptedProvider):
    provider.add(Answer("on", gate := Gate(), "e"))
    engine = await world.add_process()
    run = await start(engine, "a", session_id="s")
    await gate.reached.wait()
    with pytest.raises(NotFound):
        await engine.conversations.remove(EVE, "s")
    await engine.conversations.remove(ANN, "s")
    with pytest.raises(NotFound):
        await engine.conversations.look(ANN, "s")
    with pytest.raises(NotFound):
        await engine.store.get_run("default", run.id)


async def test_sessions_in_use_are_counted(world: World, provider: ScriptedProvider):
    provider.add(Answer("one"))
    engine = await world.add_process()
    await _turn(engine, "a")
    await engine.conversations.open(EVE)
    assert await engine.conversations.count_used(3600) == 2
    assert await engine.conversations.count_used(float("inf")) == 2
    assert await engine.conversations.count_used(0) == 0
