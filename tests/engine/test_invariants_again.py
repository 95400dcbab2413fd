"""More attempts on the invariants; the first ones are in `test_invariants.py`."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from agio.domain.errors import InvalidTransition
from agio.domain.status import RunStatus
from agio.engine.tail import Selection
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.base import Tool
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    EVE,
    FAST,
    Hold,
    World,
    appends,
    become,
    check_request,
    check_sequence,
    entries_of,
    faults,
    read,
    settled,
    start,
    types,
)

ENDS = {"run_completed", "run_failed", "run_cancelled"}


@tool(idempotent=True, side_effects=False)
async def note(text: str = "") -> str:
    """Note something."""
    return f"noted {text}"


@tool(requires_approval=True)
async def pay(amount: int = 1) -> str:
    """Pay."""
    return f"paid {amount}"


async def test_i3_a_cancel_at_any_moment_makes_one_end(world: World, provider: ScriptedProvider):
    script = [Answer("a", "b", calls=[Call("note", {})]), Answer("c", "d")]
    provider.add(*script)
    engine = await world.add_process(tools=[note])
    moments = len(await read(engine, (await start(engine)).id))
    for moment in range(1, moments + 1):
        provider._answers[:] = script
        run = await start(engine)
        async for entry in entries_of(engine.tail(ANN, run.id)):
            if entry.last_seq >= moment:
                break
        with suppress(InvalidTransition):  # it has ended otherwise
            await engine.commands.cancel(ANN, run.id)
        events = await read(engine, run.id)
        check_sequence(events)
        assert [t for t in types(events) if t in ENDS] == types(events)[-1:]
        ended = await settled(engine, run.id, RunStatus.CANCELLED, RunStatus.COMPLETED)
        assert types(events)[-1] == f"run_{ended.status}"


async def test_i4_a_zombies_approval_and_status_are_refused_too(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("pay", {}, id="old")]), Answer("no need to pay ", gate := Gate()))
    zombie = await world.add_process(tools=[pay], settings=replace(FAST, lease_s=600))
    hold = Hold(when=appends("approval_required"))
    faults(zombie).on("append", hold)
    run = await start(zombie)
    await hold.reached.wait()
    heir = await world.add_process(tools=[pay])
    await heir.store.retire(zombie.worker.id)
    await gate.reached.wait()
    hold.release()
    await become(lambda: zombie.worker.run_count == 0)
    assert (await heir.store.list_approvals("default", run_id=run.id)).items == []
    record = await heir.store.get_run("default", run.id)
    assert (record.status, record.owner) == (RunStatus.RUNNING, heir.worker.id)
    gate.open()
    assert types(await read(heir, run.id))[-1] == "run_completed"


async def test_i10_groups_may_use_the_same_names(world: World, provider: ScriptedProvider):
    provider.add("to ann", "to eve", "to ann again")
    engine = await world.add_process()
    mine = await start(engine, "I am Ann", session_id="s")
    await read(engine, mine.id)
    theirs = await start(engine, "I am Eve", session_id="s", caller=EVE)
    await read(engine, theirs.id, caller=EVE)
    again = await start(engine, "still Ann", session_id="s")
    await read(engine, again.id)
    assert [m.content for m in provider.requests[1].messages] == ["I am Eve"]
    assert [m.content for m in provider.requests[2].messages] == ["I am Ann", "to ann", "still Ann"]
    stream = entries_of(engine.tail_many(EVE, Selection(everything=True)))
    assert (await anext(stream)).group_id == "other"
    assert len((await engine.sessions.tree(EVE, "s")).checkpoints) == 2
    assert len((await engine.sessions.tree(ANN, "s")).checkpoints) == 4


async def test_i12_a_failed_run_leaves_a_usable_branch(world: World, provider: ScriptedProvider):
    def broken(arguments: dict[str, Any]) -> bool:
        raise RuntimeError("the test broke this")

    odd = Tool(name="odd", description="", parameters={}, call=note.call, requires_approval=broken)

    provider.add(Answer(calls=[Call("odd", {}), Call("note", {})]), "next")
    engine = await world.add_process(tools=[note, odd])
    run = await start(engine, session_id="s")
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["error"]["code"] == "internal_error"
    turn = await start(engine, "go on", session_id="s")
    await read(engine, turn.id)
    check_request(provider.requests[-1].messages)
    assert [m.role for m in provider.requests[-1].messages] == ["user", "assistant", "tool", "tool", "user"]
