"""The whole server dies, or is told to stop, and is started again: nothing is lost, and nobody has to help."""

import asyncio
import os
import signal

import pytest

from agio.domain.ids import new_id
from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, asked_of, model, names, shown
from tests.e2e.cluster import Cluster
from tests.e2e.neighbours import Effects

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow]

WORDS = "".join(f"word{n} " for n in range(150))


async def test_kill_9_of_everything_loses_nothing(
    client: Client, cluster: Cluster, provider: FakeOpenAI, effects: Effects
):
    slow = model(tokens=150, pace=75)
    tool = await client.tool(f"{effects.url}/guarded", requires_approval=True)
    guarded = model(tool_rounds=1, tool_name=tool, tool_arguments='{"amount": "5"}')
    paused = await client.start(await client.agent(model=model(tokens=400, pace=80)))
    waiting = await client.start(await client.agent(model=guarded, tools=[tool]))
    await client.call("POST", f"/runs/{paused}/pause", {"mode": "now"}, expect=202)
    await client.until(paused, "paused")
    approval = (await client.until(waiting, "waiting"))["pending_approvals"][0]
    agent = await client.agent(model=slow)
    kept = new_id()  # of this try: the database is shared
    running = await client.start(agent, session_id=kept)
    queued = await client.start(agent, "and then?", session_id=kept)

    async with client.follow(running) as reader, client.follow(queued) as second:
        await reader.saw("content_delta", 20)
        cluster.kill()
        cluster.start("agio serve")
        frames = await reader.all()
        await second.all()

    assert [f.data["reason"] for f in frames if f.event == "run_recovered"] == ["crashed"]
    assert shown(frames) == frames[-1].data["response"] == WORDS
    assert [m["content"] for m in asked_of(provider, slow)[-1]["messages"]] == ["hello", WORDS, "and then?"]
    assert (await client.view(paused))["status"] == "paused"
    await client.call("POST", f"/runs/{paused}/resume", expect=202)
    assert (await client.ended(paused))[-1].event == "run_completed"
    assert (await client.view(waiting))["status"] == "waiting"
    assert effects.on("/guarded") == []
    await client.call("POST", f"/approvals/{approval}", {"decision": "approve"})
    assert (await client.ended(waiting))[-1].event == "run_completed"
    assert len(effects.on("/guarded")) == 1


async def test_workers_are_forked_from_a_process_that_they_and_the_supervisor_can_lose(
    client: Client, cluster: Cluster
):
    cluster.kill()
    cluster.start("agio serve")
    (forked_by,) = cluster.forked_by()
    assert forked_by != cluster.supervisor.pid
    run = await client.start(await client.agent(model=model(tokens=600, pace=80)))
    async with client.follow(run) as reader:
        await reader.saw("content_delta", 10)
        os.kill(forked_by, signal.SIGKILL)
        frames = await reader.all()

    assert [f.data["reason"] for f in frames if f.event == "run_recovered"] == ["drained"]
    assert shown(frames) == frames[-1].data["response"] == "".join(f"word{n} " for n in range(600))
    await asyncio.to_thread(cluster.ensure)
    assert forked_by not in cluster.forked_by()


async def test_sigterm_tells_readers_hands_runs_over_and_loses_nothing(client: Client, cluster: Cluster):
    run = await client.start(await client.agent(model=model(tokens=600, pace=80)))
    async with client.follow(run) as reader, client.follow(run) as another:
        await reader.saw("content_delta", 10)
        await another.attached()
        began = asyncio.get_running_loop().time()
        code = await asyncio.to_thread(cluster.terminate)
        took_s = asyncio.get_running_loop().time() - began
        assert reader.farewells
        assert another.farewells
        cluster.start("agio serve")
        frames = await reader.all()
        assert await another.all() == frames

    assert code == 0
    assert took_s < 30, "3 s are the drain"
    assert [f.data["reason"] for f in frames if f.event == "run_recovered"] == ["drained"]
    assert shown(frames) == frames[-1].data["response"]


async def test_sigterm_to_one_process_moves_its_runs_to_the_others(client: Client):
    run = await client.start(await client.agent(model=model(tokens=500, pace=80)))
    owner = await client.owner(run)
    async with client.follow(run, owner) as reader:
        await reader.saw("content_delta", 10)
        os.kill(owner, signal.SIGTERM)
        recovered = await reader.saw("run_recovered")
        assert await client.owner(run) != owner
        frames = await reader.all()

    assert recovered.data["reason"] == "drained"
    assert reader.farewells
    assert shown(frames) == frames[-1].data["response"]
    assert (await client.view(run))["metrics"]["steps"] == 1


async def test_a_step_that_ends_within_the_drain_is_not_done_again(client: Client, provider: FakeOpenAI):
    asked = model(tokens=60, pace=60)
    run = await client.start(await client.agent(model=asked))
    async with client.follow(run) as reader:
        await reader.saw("content_delta", 10)
        os.kill(await client.owner(run), signal.SIGTERM)
        frames = await reader.all()

    assert "content_reset" not in names(frames)
    assert len(asked_of(provider, asked)) == 1


async def test_processes_go_by_themselves_when_their_supervisor_is_killed(client: Client, cluster: Cluster):
    run = await client.start(await client.agent(model=model(tokens=600, pace=80)))
    async with client.follow(run) as reader:
        await reader.saw("content_delta", 10)
        cluster.kill_supervisor()
        await asyncio.to_thread(cluster.wait_until_gone)
        cluster.start("uvicorn")
        frames = await reader.all()

    assert [f.data["reason"] for f in frames if f.event == "run_recovered"] == ["drained"]
    assert shown(frames) == frames[-1].data["response"]
