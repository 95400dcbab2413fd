"""Webhooks: who is told of a run's end, whatever crashes, and never by two workers at once."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agio.domain.errors import InvalidTransition, NotFound, StoreUnavailable
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.domain.webhooks import Delivery, RetryPolicy, Webhook
from agio.engine import dispatch, outbox
from agio.engine.commands import ResumeRequest
from agio.engine.dispatch import WebhookSettings
from agio.engine.engine import Engine
from agio.storage.port import DELIVERIES
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.engine.world import ANN, EVE, FAST, PATIENCE_S, Away, Hold, World, agent, appends, faults, settled, start
from tests.support.receiver import SECRET, URL, Receiver, check_signature

QUICK = replace(
    FAST,
    webhooks=WebhookSettings(retry=RetryPolicy(attempts=3, base_s=0.01), timeout_s=5, poll_s=0.05),
)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HELD_FOR", timedelta(seconds=0.1))
    monkeypatch.setattr(dispatch, "HELD_AGAIN", timedelta(seconds=0.1))
    monkeypatch.setattr(dispatch, "AGAIN_S", 0.02)


async def add(world: World, receiver: Receiver, **options: Any) -> Engine:
    return await world.add_process(settings=QUICK, client=receiver.client(), **options)


async def subscribe(engine: Engine, **fields: Any) -> Webhook:
    return await engine.webhooks.create(ANN, **{"url": URL, "secret": SECRET} | fields)


async def delivery_when(
    engine: Engine, webhook: Webhook, condition: Callable[[Delivery], bool], run: Run | None = None
) -> Delivery:
    """Return the webhook's delivery, of the run, as soon as it is as it should be."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            page = await engine.webhooks.deliveries(ANN, webhook.id, limit=100, offset=0)
            for one in page.items:
                if condition(one) and (run is None or one.run_id == run.id):
                    return one
            await asyncio.sleep(0.01)


def in_state(state: str) -> Callable[[Delivery], bool]:
    return lambda delivery: delivery.state == state


async def test_an_end_is_told_once_signed_and_logged(world: World, provider: ScriptedProvider, receiver: Receiver):
    engine = await add(world, receiver)
    webhook = await subscribe(engine)
    provider.add(Answer("done"))
    run = await start(engine, metadata={"ticket": 7}, tags=("x",))
    (told,) = await receiver.got(1)
    assert told["type"] == "run_completed"
    data = told["data"]
    assert (data["run_id"], data["session_id"], data["response"]) == (run.id, run.session_id, "done")
    assert (data["metadata"], data["tags"], data["agent_id"]) == ({"ticket": 7}, ["x"], "a1")
    check_signature(receiver.taken[0], base64.b64decode(SECRET.removeprefix("whsec_")))
    logged = await delivery_when(engine, webhook, in_state("delivered"))
    assert (logged.event, logged.run_id, [one.status for one in logged.attempts]) == ("run_completed", run.id, [204])
    assert receiver.taken[0].headers["webhook-id"] == logged.id
    entries = await engine.store.read_entries("default", run.id)
    assert (logged.seq, data["seq"]) == (entries[-1].last_seq, entries[-1].last_seq)
    assert receiver.taken[0].url.host == receiver.address  # pinned to the address that was checked


async def test_only_what_a_webhook_wants_is_told(world: World, provider: ScriptedProvider, receiver: Receiver):
    @tool(requires_approval=True)
    async def act() -> str:
        """Act."""
        return "acted"

    engine = await add(world, receiver, agents=[agent(tools=("act",)), agent(id="a2")], tools=[act])
    ends = await subscribe(engine, name="ends")
    rests = await subscribe(engine, events=("run_waiting", "run_cancelled"))
    others = await subscribe(engine, agent_id="a2")
    off = await subscribe(engine, enabled=False)
    provider.add(Answer(calls=[Call("act")]))
    run = await settled(engine, (await start(engine)).id, RunStatus.WAITING)
    waited = await delivery_when(engine, rests, in_state("delivered"))
    assert waited.event == "run_waiting"
    unwanted = await delivery_when(engine, ends, in_state("dropped"))
    assert unwanted.attempts == ()
    await engine.commands.cancel(ANN, run.id)
    assert (await delivery_when(engine, ends, in_state("delivered"))).event == "run_cancelled"
    await delivery_when(engine, rests, lambda one: one.event == "run_cancelled" and one.is_settled)
    assert sorted(told["type"] for told in await receiver.got(3)) == ["run_cancelled", "run_cancelled", "run_waiting"]
    for silent in (others, off):
        assert (await engine.webhooks.deliveries(ANN, silent.id, limit=9, offset=0)).total == 0


async def test_a_webhook_made_while_a_run_works_hears_of_its_end(
    world: World, provider: ScriptedProvider, receiver: Receiver
):
    engine = await add(world, receiver)
    provider.add(Answer("a", gate := Gate(), "b"))
    run = await start(engine)
    await gate.reached.wait()
    webhook = await subscribe(engine, run_id=run.id)
    gate.open()
    assert (await delivery_when(engine, webhook, in_state("delivered"))).run_id == run.id
    assert (await engine.webhooks.list(ANN, limit=9, offset=0)).total == 0
    provider.add(Answer("another"))
    await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    assert (await engine.webhooks.deliveries(ANN, webhook.id, limit=9, offset=0)).total == 1


async def test_a_failing_receiver_is_tried_again_given_up_and_tried_once_more_on_demand(
    world: World, provider: ScriptedProvider, receiver: Receiver
):
    engine = await add(world, receiver)
    webhook = await subscribe(engine)
    receiver.statuses = [500, 301, 404]
    provider.add(Answer("done"))
    await start(engine)
    failed = await delivery_when(engine, webhook, in_state("failed"))
    assert [one.status for one in failed.attempts] == [500, 301, 404]
    assert failed.attempts[0].error == "the receiver answered 500"
    assert failed.attempts[1].at - failed.attempts[0].at >= timedelta(seconds=0.01)
    assert failed.attempts[2].at - failed.attempts[1].at >= timedelta(seconds=0.04)
    await engine.webhooks.redeliver(ANN, webhook.id, failed.id)
    delivered = await delivery_when(engine, webhook, in_state("delivered"))
    assert [one.status for one in delivered.attempts] == [500, 301, 404, 204]
    sent = {(request.headers["webhook-id"], request.content) for request in receiver.taken}
    assert len(sent) == 1, "the same message under the same id"
    again = await engine.webhooks.redeliver(ANN, webhook.id, failed.id)
    assert again.state == "due"
    await receiver.got(5)


async def test_an_inward_address_is_never_connected_to(world: World, provider: ScriptedProvider, receiver: Receiver):
    receiver.address = "169.254.169.254"
    engine = await add(world, receiver)
    webhook = await subscribe(engine)
    provider.add(Answer("done"))
    await start(engine)
    failed = await delivery_when(engine, webhook, in_state("failed"))
    assert "not on the public Internet" in (failed.attempts[0].error or "")
    assert receiver.taken == []


async def test_an_owner_that_dies_before_or_behind_the_end_leaves_a_delivery(
    world: World, provider: ScriptedProvider, receiver: Receiver
):
    for after in (False, True):
        first = await add(world, receiver)
        webhook = await subscribe(first)
        provider.add(Answer("done"), *([] if after else [Answer("done again")]))
        hold = Hold(after=after, when=appends("run_completed"))
        faults(first).on("append", hold)
        run = await start(first)
        await hold.reached.wait()
        (held,) = (await first.webhooks.deliveries(ANN, webhook.id, limit=9, offset=0)).items
        assert (held.state, held.body) == ("held", None)
        await world.kill(first)
        second = await add(world, receiver)
        delivered = await delivery_when(second, webhook, in_state("delivered"), run)
        assert (delivered.event, delivered.run_id) == ("run_completed", run.id)
        await settled(second, run.id, RunStatus.COMPLETED)
        told = [one for one in await receiver.got(1) if one["data"]["run_id"] == run.id]
        assert len(told) == 1
        if not after:  # what the dead owner wrote down came to nothing
            await delivery_when(second, webhook, in_state("dropped"), run)
        await second.webhooks.delete(ANN, webhook.id)
        await world.kill_all()


async def test_a_worker_that_dies_while_it_sends_is_replaced_and_two_never_send_at_once(
    world: World, provider: ScriptedProvider, receiver: Receiver
):
    stuck = asyncio.Event()
    settings = replace(QUICK, webhooks=replace(QUICK.webhooks, timeout_s=60))
    first = await world.add_process(settings=settings, client=receiver.client())
    webhook = await subscribe(first)
    looked = asyncio.Event()

    async def hold() -> None:
        await stuck.wait()

    async def look(call: Any, kind: Any, *args: Any) -> Any:
        answer = await call(kind, *args)
        if kind is DELIVERIES:
            looked.set()
        return answer

    receiver.before_answer = hold
    provider.add(Answer("done"))
    run = await start(first)
    await receiver.got(1)
    second = await add(world, receiver, agents=[agent(), agent(id="idle")])
    faults(second).on("update", look)
    (under_way,) = (await first.webhooks.deliveries(ANN, webhook.id, limit=9, offset=0)).items
    second.worker.dispatcher.hurry([under_way])
    await looked.wait()
    assert len(receiver.taken) == 1, "a living worker has it"
    await world.kill(first)
    stuck.set()

    def is_delivered(delivery: Delivery) -> bool:
        second.worker.dispatcher.hurry([under_way])  # in a minute it would look by itself
        return delivery.state == "delivered"

    delivered = await delivery_when(second, webhook, is_delivered)
    assert delivered.run_id == run.id
    assert {request.headers["webhook-id"] for request in receiver.taken} == {delivered.id}
    assert len(receiver.taken) == 2


async def test_a_store_that_is_away_loses_no_delivery(world: World, provider: ScriptedProvider, receiver: Receiver):
    engine = await add(world, receiver)
    webhook = await subscribe(engine)
    faults(engine).on("insert", Away(2, when=lambda kind, *_: kind is DELIVERIES))
    faults(engine).on("update", Away(2, applied=True, when=lambda kind, *_: kind is DELIVERIES))
    provider.add(Answer("done"))
    await start(engine)
    await delivery_when(engine, webhook, in_state("delivered"))
    assert len(receiver.taken) == 1


async def test_what_is_gone_is_dropped(world: World, provider: ScriptedProvider, receiver: Receiver):
    engine = await add(world, receiver)
    kept, deleted = await subscribe(engine), await subscribe(engine)

    async def away(call: Any, *args: Any, **options: Any) -> Any:
        raise StoreUnavailable("not yet")

    faults(engine).on("get", away)
    provider.add(Answer("done"))
    run = await settled(engine, (await start(engine)).id, RunStatus.COMPLETED)
    await engine.store.delete_run("default", run.id)
    faults(engine).on("get", None)
    dropped = await delivery_when(engine, kept, in_state("dropped"))
    assert dropped.reason == "the run was deleted"
    with pytest.raises(InvalidTransition):
        await engine.webhooks.redeliver(ANN, kept.id, dropped.id)
    await engine.webhooks.delete(ANN, deleted.id)
    assert receiver.taken == []


async def test_another_group_sees_and_hears_nothing(world: World, provider: ScriptedProvider, receiver: Receiver):
    engine = await add(world, receiver)
    webhook = await subscribe(engine)
    provider.add(Answer("done"))
    await settled(engine, (await start(engine, caller=ANN)).id, RunStatus.COMPLETED)
    delivered = await delivery_when(engine, webhook, in_state("delivered"))
    theirs = await engine.webhooks.create(EVE, url=URL)
    assert (await engine.webhooks.list(EVE, limit=9, offset=0)).items == [theirs]
    for use in (
        engine.webhooks.get(EVE, webhook.id),
        engine.webhooks.update(EVE, webhook.id, {"enabled": False}),
        engine.webhooks.delete(EVE, webhook.id),
        engine.webhooks.deliveries(EVE, webhook.id, limit=1, offset=0),
        engine.webhooks.redeliver(EVE, webhook.id, delivered.id),
        engine.webhooks.delivery(ANN, theirs.id, delivered.id),
    ):
        with pytest.raises(NotFound):
            await use
    assert (await engine.webhooks.deliveries(EVE, theirs.id, limit=1, offset=0)).total == 0


async def test_a_run_that_goes_on_after_a_rest_tells_of_each(
    world: World, provider: ScriptedProvider, receiver: Receiver
):
    engine = await add(world, receiver)
    webhook = await subscribe(engine, events=("run_paused", "run_completed"))
    provider.add(Answer("done"))
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    assert (await delivery_when(engine, webhook, in_state("delivered"))).event == "run_paused"
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    await delivery_when(engine, webhook, lambda one: one.event == "run_completed" and one.state == "delivered")
    assert [told["type"] for told in await receiver.got(2)] == ["run_paused", "run_completed"]
