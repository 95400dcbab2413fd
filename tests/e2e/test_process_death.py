"""`kill -9` of the process that owns a run: the run goes on elsewhere, and nobody can tell from its events."""

import asyncio
import os
import signal
from contextlib import suppress

import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, asked_of, check_whole, model, names, shown
from tests.e2e.neighbours import Effects

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow]

CALL = '{"amount": "5"}'


async def test_death_in_a_model_stream_shows_every_reader_every_event_once(client: Client, provider: FakeOpenAI):
    asked = model(tokens=150, pace=75)
    run = await client.start(await client.agent(model=asked))
    owner = await client.owner(run)
    other = (await client.others(owner))[0]

    async with client.follow(run, owner) as near, client.follow(run, other) as far:
        await near.saw("content_delta", 20)
        await far.saw("content_delta", 20)
        os.kill(owner, signal.SIGKILL)
        frames = await near.all()
        assert await far.all() == frames

    assert near.connections > 1
    assert far.connections == 1
    recovered = next(frame for frame in frames if frame.event == "run_recovered")
    assert recovered.data["reason"] == "crashed"
    assert frames[recovered.seq].event == "content_reset"
    assert shown(frames) == frames[-1].data["response"] == "".join(f"word{n} " for n in range(150))
    assert len(asked_of(provider, asked)) == 2
    view = await client.view(run)
    assert view["status"] == "completed"
    assert view["metrics"]["steps"] == 1


async def test_death_in_an_idempotent_tool_call_has_its_effect_once(client: Client, effects: Effects):
    tool = await client.tool(f"{effects.url}/again")
    agent = await client.agent(model=model(tool_rounds=1, tool_name=tool, tool_arguments=CALL), tools=[tool])
    effects.hold("/again")
    run = await client.start(agent)
    async with client.follow(run) as reader:
        await asyncio.to_thread(effects.wait_for, "/again", 1)
        os.kill(await client.owner(run), signal.SIGKILL)
        failed = await reader.saw("tool_call_failed")
        effects.release("/again")
        frames = await reader.all()

    assert failed.data["error"]["code"] == "outcome_unknown"
    calls = effects.on("/again")
    assert len(calls) == 2
    assert len({call.key for call in calls}) == 1
    assert calls[0].key == f"{run}:{failed.data['tool_call_id']}"
    assert calls[0].body == calls[1].body == {"amount": "5"}
    assert names(frames).count("tool_call_completed") == 1
    assert frames[-1].event == "run_completed"


@pytest.mark.parametrize("resolution", ["tool_results", "retry_tools"])
async def test_death_in_any_other_tool_call_waits_for_a_person(client: Client, effects: Effects, resolution: str):
    path = f"/{resolution}"
    tool = await client.tool(effects.url + path, idempotent=False)
    agent = await client.agent(model=model(tool_rounds=1, tool_name=tool, tool_arguments=CALL), tools=[tool])
    effects.hold(path)
    run = await client.start(agent)
    async with client.follow(run) as reader:
        await asyncio.to_thread(effects.wait_for, path, 1)
        os.kill(await client.owner(run), signal.SIGKILL)
        call_id = (await reader.saw("tool_call_failed")).data["tool_call_id"]
        waiting = await reader.saw("run_waiting")
        effects.release(path)
        view = await client.until(run, "waiting")
        assert (waiting.data["reason"], view["status_reason"]) == ("needs_attention", "needs_attention")
        assert len(effects.on(path)) == 1
        answer = {"tool_results": {call_id: "it was done"}, "retry_tools": [call_id]}[resolution]
        await client.call("POST", f"/runs/{run}/resume", {resolution: answer}, expect=202)
        frames = await reader.all()

    assert frames[-1].event == "run_completed"
    assert len(effects.on(path)) == (1 if resolution == "tool_results" else 2)
    results = [m for m in (await client.call("GET", f"/runs/{run}/messages"))["items"] if m["role"] == "tool"]
    assert [m["content"] for m in results] == [
        "it was done" if resolution == "tool_results" else '{"done": "/retry_tools"}'
    ]


async def test_commands_to_a_frozen_process_take_effect_after_its_death(client: Client, provider: FakeOpenAI):
    asked = model(silent_s=60)
    agent = await client.agent(model=asked)
    paused, cancelled = [await client.start(agent) for _ in range(2)]
    owners = {await client.owner(run) for run in (paused, cancelled)}
    healthy = next(pid for pid in client.cluster.pids() if pid not in owners)
    for owner in owners:
        os.kill(owner, signal.SIGSTOP)
    await client.call("POST", f"/runs/{paused}/pause", expect=202, pid=healthy)
    await client.call("POST", f"/runs/{cancelled}/cancel", expect=202, pid=healthy)
    asked_before = len(asked_of(provider, asked))
    for owner in owners:
        with suppress(ProcessLookupError):  # uvicorn's supervisor kills what does not answer it for 5 s
            os.kill(owner, signal.SIGKILL)

    check_whole(await client.ended(cancelled))
    assert (await client.until(paused, "paused"))["status_reason"] == "operator"
    assert len(asked_of(provider, asked)) == asked_before, "nothing was asked again"
    await client.call("POST", f"/runs/{paused}/cancel", expect=202)
    check_whole(await client.ended(paused))


async def test_a_process_that_was_frozen_too_long_writes_nothing_more(client: Client):
    run = await client.start(await client.agent(model=model(tokens=400, pace=80)))
    owner = await client.owner(run)
    async with client.follow(run, (await client.others(owner))[0]) as reader:
        await reader.saw("content_delta", 10)
        os.kill(owner, signal.SIGSTOP)
        try:
            recovered = await reader.saw("run_recovered")
            await reader.passed(recovered.seq + 20)
        finally:
            with suppress(ProcessLookupError):  # uvicorn's supervisor kills what does not answer it for 5 s
                os.kill(owner, signal.SIGCONT)
        frames = await reader.all()

    assert shown(frames) == frames[-1].data["response"] == "".join(f"word{n} " for n in range(400))
    assert names(frames).count("run_recovered") == 1
    assert (await client.view(run))["last_seq"] == frames[-1].seq
