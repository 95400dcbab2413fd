"""Pause and cancel, in every status and from every process."""

import asyncio
import time
from typing import Any

import pytest

from agio.domain.ids import new_id
from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, Follower, Frame, asked_of, check_whole, eventually, model, names, shown
from tests.e2e.neighbours import Effects

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CALL = '{"amount": "5"}'
SOON_S = 1.5
"""Far above what it takes (benchmarks say how long), far below what a model that says nothing would take."""


@pytest.mark.parametrize("where", ["same process", "another process"])
@pytest.mark.parametrize("silence", ["headers_after_s", "silent_s"])
async def test_cancel_closes_the_connection_to_a_model_that_says_nothing(
    client: Client, provider: FakeOpenAI, where: str, silence: str
):
    asked = model(**{silence: 60})
    run = await client.start(await client.agent(model=asked))
    owner = await client.owner(run)
    pid = owner if where == "same process" else (await client.others(owner))[0]

    async def requests() -> list[Any]:
        return asked_of(provider, asked)

    async def dropped() -> list[float]:
        return [each.at for each in provider.closed if each.model == asked]

    await eventually(requests, bool)
    async with client.connection(pid) as connection:
        sent_at = time.monotonic()
        answer = await connection.post(f"/runs/{run}/cancel", json={"reason": "too slow"})
    assert answer.status_code == 202
    closed_at = (await eventually(dropped, bool))[0]
    assert closed_at - sent_at < SOON_S
    frames = await client.ended(run)
    assert names(frames)[-1] == "run_cancelled"
    assert frames[-1].data["by"] == "anonymous"


async def test_pause_during_a_tool_lets_it_end_and_never_calls_it_again(client: Client, effects: Effects):
    run, reader = await _run_with_tool(client, effects, "/safe", idempotent=False)
    async with reader:
        await asyncio.to_thread(effects.wait_for, "/safe", 1)
        answer = await client.call("POST", f"/runs/{run}/pause", {"reason": "lunch"}, expect=202)
        assert answer["status"] == "running"
        await reader.saw("run_pause_requested")
        effects.release("/safe")
        paused = await reader.saw("run_paused")
        view = await client.until(run, "paused")
        assert view["owner"] is None
        assert view["last_checkpoint_id"] == paused.data["checkpoint_id"]
        assert _announced(reader.frames, paused.data["checkpoint_id"])
        await client.call("POST", f"/runs/{run}/resume", expect=202)
        frames = await reader.all()
    assert len(effects.on("/safe")) == 1
    assert names(frames).count("tool_call_completed") == 1
    assert frames[-1].event == "run_completed"


@pytest.mark.parametrize("idempotent", [True, False])
async def test_pause_now_during_a_tool_says_that_its_outcome_is_unknown(
    client: Client, effects: Effects, idempotent: bool
):
    run, reader = await _run_with_tool(client, effects, "/now", idempotent=idempotent)
    async with reader:
        await asyncio.to_thread(effects.wait_for, "/now", 1)
        await client.call("POST", f"/runs/{run}/pause", {"mode": "now"}, expect=202)
        failed = await reader.saw("tool_call_failed")
        await client.until(run, "paused")
        effects.release("/now")
        await client.call("POST", f"/runs/{run}/resume", expect=202)
        if not idempotent:
            await reader.saw("run_waiting")
            await client.until(run, "waiting")
            given = {"tool_results": {failed.data["tool_call_id"]: "it was done"}}
            await client.call("POST", f"/runs/{run}/resume", given, expect=202)
        frames = await reader.all()
    assert failed.data["error"]["code"] == "outcome_unknown"
    assert len({call.key for call in effects.calls}) == 1
    assert len(effects.calls) == 1 + idempotent
    assert frames[-1].event == "run_completed"


async def test_cancel_during_a_tool_leaves_a_session_that_can_go_on(
    client: Client, effects: Effects, provider: FakeOpenAI
):
    stopped = new_id()
    run, reader = await _run_with_tool(client, effects, "/stop", session_id=stopped)
    async with reader:
        await asyncio.to_thread(effects.wait_for, "/stop", 1)
        await client.call("POST", f"/runs/{run}/cancel", expect=202)
        frames = await reader.all()
    assert names(frames)[-3:] == ["tool_call_failed", "checkpoint_created", "run_cancelled"]
    asked = model(text="going on")
    await client.ended(await client.start(await client.agent(model=asked), "go on", session_id=stopped))
    roles = [message["role"] for message in asked_of(provider, asked)[0]["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]


async def test_cancel_while_queued_paused_and_waiting(client: Client, provider: FakeOpenAI, effects: Effects):
    silent, guarded = model(silent_s=60), await client.tool(f"{effects.url}/never", requires_approval=True)
    agent = await client.agent(model=silent)
    line = new_id()
    busy = await client.start(agent, session_id=line)
    queued = await client.start(agent, "queued", session_id=line)
    paused = await client.start(agent, "paused")
    asks = model(tool_rounds=1, tool_name=guarded, tool_arguments=CALL)
    waiting = await client.start(await client.agent(model=asks, tools=[guarded]))
    await client.call("POST", f"/runs/{paused}/pause", {"mode": "now"}, expect=202)
    approval = (await client.until(waiting, "waiting"))["pending_approvals"][0]
    await client.until(paused, "paused")
    assert (await client.view(queued))["queue_position"] == 1
    asked_before = len(asked_of(provider, silent))

    for run in (queued, paused, waiting):
        await client.call("POST", f"/runs/{run}/cancel", {"reason": "over"}, expect=202)
        frames = await client.ended(run)
        assert frames[-1].data["reason"] == "over"
        assert (await client.call("POST", f"/runs/{run}/cancel"))["status"] == "cancelled"
    assert names(await client.ended(queued)) == ["run_started", "run_cancelled"]
    assert (await client.call("GET", f"/approvals/{approval}"))["status"] == "cancelled"
    assert effects.calls == []
    assert len(asked_of(provider, silent)) == asked_before, "the queued run asked the model"
    await client.call("POST", f"/runs/{busy}/cancel", expect=202)
    check_whole(await client.ended(busy))


async def test_a_queued_run_can_be_paused_and_takes_its_turn_when_resumed(client: Client):
    session = "paused-in-line"
    first = await client.start(await client.agent(model=model(tokens=60, pace=60)), session_id=session)
    second = await client.start(await client.agent(model=model(text="second")), session_id=session)
    await client.call("POST", f"/runs/{second}/pause", expect=202)
    await client.until(second, "paused")
    assert (await client.ended(first))[-1].event == "run_completed"
    await client.call("POST", f"/runs/{second}/resume", expect=202)
    frames = await client.ended(second)
    assert frames[-1].data["response"] == shown(frames) == "second"


async def _run_with_tool(
    client: Client, effects: Effects, path: str, *, idempotent: bool = True, **fields: Any
) -> tuple[str, Follower]:
    """Start a run that calls a tool which does not answer yet; return its id and a reader."""
    tool = await client.tool(effects.url + path, idempotent=idempotent)
    agent = await client.agent(model=model(tool_rounds=1, tool_name=tool, tool_arguments=CALL), tools=[tool])
    effects.hold(path)
    run = await client.start(agent, **fields)
    return run, client.follow(run)


def _announced(frames: list[Frame], checkpoint_id: str) -> bool:
    return any(f.event == "checkpoint_created" and f.data["checkpoint_id"] == checkpoint_id for f in frames)
