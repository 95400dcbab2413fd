"""Tool calls that a person must agree to: whoever decides, whenever, wherever, it counts once."""

import asyncio
from itertools import permutations
from typing import Any

import pytest

from agio.domain.approvals import Approval
from agio.domain.errors import Conflict, NotFound
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.engine import Engine
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    BOB,
    Hold,
    World,
    appends,
    become,
    check_request,
    check_sequence,
    faults,
    read,
    record_when,
    replay,
    settled,
    start,
    types,
)


class Till:
    """A guarded tool that notes what it paid."""

    def __init__(self) -> None:
        self.paid: list[int] = []

        @tool(requires_approval=True)
        async def pay(amount: int) -> str:
            """Pay."""
            self.paid.append(amount)
            return f"paid {amount}"

        self.pay = pay


@pytest.fixture
def till() -> Till:
    return Till()


async def _pending(engine: Engine, run_id: str) -> list[Approval]:
    return (await engine.store.list_approvals("default", run_id=run_id, status="pending")).items


async def _decide(engine: Engine, approval: Approval, decision: Any, **more: Any) -> None:
    await engine.commands.decide(BOB, Verdict(approval_id=approval.id, decision=decision, **more))


async def _asking(world: World, provider: ScriptedProvider, till: Till, *amounts: int) -> tuple[Engine, str]:
    calls = [Call("pay", {"amount": amount}, id=f"c{amount}") for amount in amounts]
    provider.add(Answer("May I? ", calls=calls), "thanks")
    engine = await world.add_process(tools=[till.pay])
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    return engine, run.id


async def test_an_approved_call_is_made_once_and_told_in_order(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 7)
    waiting = await engine.store.get_run("default", run_id)
    (approval,) = await _pending(engine, run_id)
    assert (waiting.reason, waiting.owner, waiting.pending_approvals) == ("approval", None, (approval.id,))
    assert (approval.name, approval.arguments, approval.tool_call_id) == ("pay", {"amount": 7}, "c7")
    assert till.paid == []
    await _decide(engine, approval, "approve", note="go ahead")
    events = await read(engine, run_id)
    check_sequence(events)
    assert till.paid == [7]
    told = [kind for kind in types(events) if kind.startswith(("approval", "tool_call", "run_"))]
    assert told == [
        "run_started",
        "approval_required",
        "run_waiting",
        "run_resumed",
        "approval_resolved",
        "tool_call_started",
        "tool_call_completed",
        "run_completed",
    ]
    resolved = next(event for event in events if event["type"] == "approval_resolved")
    assert (resolved["approval_id"], resolved["decision"]) == (approval.id, "approve")
    assert (resolved["by"], resolved["note"]) == ("bob", "go ahead")
    assert (await engine.store.get_run("default", run_id)).pending_approvals == ()


async def test_a_rejected_call_is_not_made_and_the_model_is_told_why(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    (approval,) = await _pending(engine, run_id)
    await _decide(engine, approval, "reject", note="too much")
    events = await read(engine, run_id)
    check_sequence(events)
    assert till.paid == []
    answer = provider.requests[1].messages[-1]
    assert (answer.role, answer.error) == ("tool", "tool_rejected")
    assert "bob" in str(answer.content)
    assert "too much" in str(answer.content)
    failed = next(event for event in events if event["type"] == "tool_call_failed")
    assert failed["error"]["code"] == "tool_rejected"
    assert "tool_call_started" not in types(events)


async def test_edited_arguments_are_those_of_the_call(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 700)
    (approval,) = await _pending(engine, run_id)
    await _decide(engine, approval, "approve", arguments={"amount": 70})
    events = await read(engine, run_id)
    assert till.paid == [70]
    started = next(event for event in events if event["type"] == "tool_call_started")
    resolved = next(event for event in events if event["type"] == "approval_resolved")
    assert started["arguments"] == resolved["arguments"] == {"amount": 70}
    assert provider.requests[1].messages[-1].content == "paid 70"


async def test_edited_arguments_that_do_not_fit_are_an_error_for_the_model(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    (approval,) = await _pending(engine, run_id)
    await _decide(engine, approval, "approve", arguments={"amount": "a lot"})
    events = await read(engine, run_id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert till.paid == []
    assert provider.requests[1].messages[-1].error == "invalid_arguments"


@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
@pytest.mark.parametrize("decisions", [("approve", "approve"), ("approve", "reject"), ("reject", "reject")], ids=str)
async def test_two_approvals_are_answered_in_either_order(
    world: World, provider: ScriptedProvider, till: Till, order: tuple[int, ...], decisions: tuple[str, ...]
):
    engine, run_id = await _asking(world, provider, till, 1, 2)
    approvals = await _pending(engine, run_id)
    assert [one.tool_call_id for one in approvals] == ["c1", "c2"]
    first, second = (approvals[number] for number in order)
    await _decide(engine, first, decisions[order[0]])
    waiting = await record_when(
        engine, run_id, lambda run: run.status is RunStatus.WAITING and len(run.pending_approvals) == 1
    )
    assert waiting.pending_approvals == (second.id,)
    assert provider.calls == 1
    await _decide(engine, second, decisions[order[1]])
    events = await read(engine, run_id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    approved = [n + 1 for n in range(2) if decisions[n] == "approve"]
    assert sorted(till.paid) == approved
    resolved = [event["approval_id"] for event in events if event["type"] == "approval_resolved"]
    assert resolved == [first.id, second.id]
    check_request(provider.requests[1].messages)


async def test_two_approvals_answered_at_the_same_time_by_two_people(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 1, 2)
    other = await world.add_process(worker=False)
    first, second = await _pending(engine, run_id)
    await asyncio.gather(_decide(engine, first, "approve"), _decide(other, second, "approve"))
    events = await read(engine, run_id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert sorted(till.paid) == [1, 2]
    assert types(events).count("approval_resolved") == 2


async def test_a_decision_while_paused_counts_when_the_run_goes_on(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    await engine.commands.pause(ANN, run_id)
    await settled(engine, run_id, RunStatus.PAUSED)
    (approval,) = await _pending(engine, run_id)
    await _decide(engine, approval, "approve")
    assert (await engine.store.get_run("default", run_id)).status is RunStatus.PAUSED
    assert till.paid == []
    await engine.commands.resume(ANN, run_id, ResumeRequest())
    events = await read(engine, run_id)
    check_sequence(events)
    assert till.paid == [7]
    assert types(events).count("approval_resolved") == 1


async def test_a_decision_may_come_with_the_resume_of_a_paused_run(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    await engine.commands.pause(ANN, run_id)
    await settled(engine, run_id, RunStatus.PAUSED)
    (approval,) = await _pending(engine, run_id)
    verdict = Verdict(approval_id=approval.id, decision="approve", arguments={"amount": 8})
    await engine.commands.resume(BOB, run_id, ResumeRequest(verdicts=(verdict,)))
    await read(engine, run_id)
    assert till.paid == [8]


async def test_a_decision_may_come_before_the_run_rests(world: World, provider: ScriptedProvider, till: Till):
    """The request is durable and shown, the record does not say `waiting` yet."""
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait."""
        await gate._pass()
        return "done"

    provider.add(Answer(calls=[Call("pay", {"amount": 7}), Call("slow", {})]), "thanks")
    engine = await world.add_process(tools=[till.pay, slow])
    run = await start(engine)
    await gate.reached.wait()
    (approval,) = await _pending(engine, run.id)
    await _decide(engine, approval, "approve")
    assert (await engine.store.get_run("default", run.id)).status is RunStatus.RUNNING
    gate.open()
    events = await read(engine, run.id)
    check_sequence(events)
    assert till.paid == [7]
    assert types(events).count("approval_required") == 1
    assert "run_waiting" not in types(events)


async def test_a_decision_that_crosses_the_projection_is_not_lost(world: World, provider: ScriptedProvider, till: Till):
    provider.add(Answer(calls=[Call("pay", {"amount": 7})]), "thanks")
    engine = await world.add_process(tools=[till.pay])
    deaf = await world.add_process(worker=False)
    hold = Hold(when=appends("run_waiting"))
    faults(engine).on("append", hold)
    run = await start(engine)
    await hold.reached.wait()
    await engine.store.update_run("default", run.id, lambda record: record)
    approvals = await _pending(engine, run.id)
    if approvals:  # the request went out before the run came to rest
        await _decide(deaf, approvals[0], "approve")
    hold.release()
    if not approvals:
        await settled(engine, run.id, RunStatus.WAITING)
        await _decide(deaf, (await _pending(engine, run.id))[0], "approve")
    events = await read(engine, run.id)
    check_sequence(events)
    assert till.paid == [7]


async def test_a_request_survives_the_restart_of_everything(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 1, 2)
    await world.kill(engine)
    second = await world.add_process(tools=[till.pay])
    first_one, second_one = await _pending(second, run_id)
    await _decide(second, first_one, "approve")
    await become(lambda: till.paid == [1])
    await record_when(second, run_id, lambda run: run.status is RunStatus.WAITING)
    await world.kill_all()
    third = await world.add_process(tools=[till.pay])
    await _decide(third, second_one, "reject")
    events = await read(third, run_id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert till.paid == [1]
    assert types(events).count("approval_required") == 2


async def test_an_approved_call_is_made_once_though_its_worker_dies_before_it_is_made(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    (approval,) = await _pending(engine, run_id)
    hold = Hold(when=appends("tool_call_started"))
    faults(engine).on("append", hold)
    await _decide(engine, approval, "approve")
    await hold.reached.wait()
    await world.kill_all()
    heir = await world.add_process(tools=[till.pay])
    events = await read(heir, run_id)
    check_sequence(events)
    assert till.paid == [7]
    assert types(events).count("approval_resolved") == 1
    assert types(events)[-1] == "run_completed"


async def test_the_same_decision_again_changes_nothing(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 1, 2)
    first, second = await _pending(engine, run_id)
    asked = (await engine.store.get_run("default", run_id)).last_seq
    await _decide(engine, first, "approve")
    await record_when(engine, run_id, lambda run: run.status is RunStatus.WAITING and run.last_seq > asked)
    assert (await engine.store.get_run("default", run_id)).pending_approvals == (second.id,)
    seen = await replay(engine, run_id)
    before = await engine.store.get_approval("default", first.id)
    for _ in range(2):
        await engine.commands.decide(ANN, Verdict(approval_id=first.id, decision="approve", note="me too"))
    assert await engine.store.get_approval("default", first.id) == before
    await settled(engine, run_id, RunStatus.WAITING)
    assert await replay(engine, run_id) == seen
    await _decide(engine, second, "approve")
    events = await read(engine, run_id)
    assert sorted(till.paid) == [1, 2]
    assert (await engine.commands.decide(ANN, Verdict(approval_id=first.id, decision="approve")))[0].by == "bob"
    assert await replay(engine, run_id) == events


async def test_the_opposite_decision_is_a_conflict(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 7)
    (approval,) = await _pending(engine, run_id)
    await _decide(engine, approval, "approve")
    with pytest.raises(Conflict, match="approved"):
        await _decide(engine, approval, "reject")
    await read(engine, run_id)
    with pytest.raises(Conflict):
        await _decide(engine, approval, "reject")
    assert till.paid == [7]


async def test_two_people_who_disagree_at_the_same_time_make_one_decision(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    other = await world.add_process(worker=False)
    (approval,) = await _pending(engine, run_id)
    outcomes = await asyncio.gather(
        _decide(engine, approval, "approve"), _decide(other, approval, "reject"), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]
    await read(engine, run_id)
    decided = await engine.store.get_approval("default", approval.id)
    assert till.paid == ([7] if decided.status == "approved" else [])


async def test_nothing_is_decided_for_a_run_that_was_cancelled(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 7)
    (approval,) = await _pending(engine, run_id)
    await engine.commands.cancel(ANN, run_id)
    await settled(engine, run_id, RunStatus.CANCELLED)
    with pytest.raises(Conflict):
        await _decide(engine, approval, "approve")
    with pytest.raises(Conflict):
        await engine.commands.resume(
            ANN, run_id, ResumeRequest(verdicts=(Verdict(approval_id=approval.id, decision="approve"),))
        )
    assert (await engine.store.get_approval("default", approval.id)).status == "cancelled"
    assert till.paid == []


async def test_a_resume_names_only_approvals_of_its_run(world: World, provider: ScriptedProvider, till: Till):
    engine, run_id = await _asking(world, provider, till, 7)
    (approval,) = await _pending(engine, run_id)
    provider._answers[:] = [Answer(calls=[Call("pay", {"amount": 9})])]
    other = await start(engine)
    await settled(engine, other.id, RunStatus.WAITING)
    for approval_id in (approval.id, "none"):
        verdict = Verdict(approval_id=approval_id, decision="approve")
        with pytest.raises(NotFound):
            await engine.commands.resume(ANN, other.id, ResumeRequest(verdicts=(verdict,)))
    assert (await engine.store.get_approval("default", approval.id)).status == "pending"


async def test_a_plain_resume_of_a_waiting_run_asks_no_second_time(
    world: World, provider: ScriptedProvider, till: Till
):
    engine, run_id = await _asking(world, provider, till, 7)
    await engine.commands.resume(ANN, run_id, ResumeRequest())
    await record_when(engine, run_id, lambda run: run.epoch == 2 and run.status is RunStatus.WAITING)
    events = await replay(engine, run_id)
    check_sequence(events)
    assert types(events).count("approval_required") == 1
    assert len(await _pending(engine, run_id)) == 1


async def test_calls_that_need_no_approval_do_not_wait_for_those_that_do(
    world: World, provider: ScriptedProvider, till: Till
):
    done: list[str] = []

    @tool
    async def free() -> str:
        """Do it."""
        done.append("free")
        return "done"

    provider.add(Answer(calls=[Call("pay", {"amount": 7}, id="c1"), Call("free", {}, id="c2")]), "thanks")
    engine = await world.add_process(tools=[till.pay, free])
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    assert done == ["free"]
    events = await replay(engine, run.id)
    assert types(events).count("approval_required") == 1
    (approval,) = await _pending(engine, run.id)
    await _decide(engine, approval, "approve")
    await read(engine, run.id)
    assert (done, till.paid) == (["free"], [7])
    request = provider.requests[1].messages
    check_request(request)
    assert sorted(str(m.content) for m in request[2:]) == ["done", "paid 7"]


async def test_arguments_may_decide_whether_to_ask(world: World, provider: ScriptedProvider):
    paid: list[int] = []

    @tool(requires_approval=lambda arguments: arguments["amount"] > 100)
    async def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    provider.add(Answer(calls=[Call("pay", {"amount": 50})]), Answer(calls=[Call("pay", {"amount": 500})]), "done")
    engine = await world.add_process(tools=[pay])
    run = await start(engine)
    await settled(engine, run.id, RunStatus.WAITING)
    assert paid == [50]
    (approval,) = await _pending(engine, run.id)
    await _decide(engine, approval, "approve", arguments={"amount": 400})
    events = await read(engine, run.id)
    check_sequence(events)
    assert paid == [50, 400]


async def test_malformed_arguments_never_reach_a_person(world: World, provider: ScriptedProvider, till: Till):
    provider.add(Answer(calls=[Call("pay", "{not json")]), "sorry")
    engine = await world.add_process(tools=[till.pay])
    run = await start(engine)
    events = await read(engine, run.id)
    assert "approval_required" not in types(events)
    assert provider.requests[1].messages[-1].error == "invalid_arguments"
