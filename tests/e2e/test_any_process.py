"""Any process of a server can serve any request about any run."""

import asyncio

import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, asked_of, model, names, new_id, shown

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.contract("A47", "P13", "C18", "D12")
async def test_a_run_is_followed_and_commanded_through_other_processes_than_its_owner(client: Client):
    agent = await client.agent(model=model(tokens=2000, pace=100))
    run = await client.start(agent)
    owner = await client.owner(run)
    one, two, three = await client.others(owner)

    async with client.follow(run, one) as reader:
        await reader.saw("content_delta", 3)
        paused = await client.call("POST", f"/runs/{run}/pause", {"mode": "now"}, expect=202, pid=two)
        assert paused["pause_requested"]
        await reader.saw("run_paused")
        assert (await client.call("POST", f"/runs/{run}/pause", pid=three))["status"] == "paused"
        await client.call("POST", f"/runs/{run}/resume", expect=202, pid=three)
        resumed = await reader.saw("run_resumed")
        await reader.passed(resumed.seq + 10)
        await client.call("POST", f"/runs/{run}/cancel", {"reason": "enough"}, expect=202, pid=one)
        frames = await reader.all()

    assert names(frames)[-3:] == ["step_started", "checkpoint_created", "run_cancelled"]
    assert frames[-1].data["reason"] == "enough"
    assert frames[-1].data["partial_response"] == shown(frames)
    checkpoint = (await client.call("GET", f"/runs/{run}/checkpoints", pid=two))["items"][0]["id"]
    changes = {"modifications": {"model": model(text="short")}}
    fork = await client.call("POST", f"/checkpoints/{checkpoint}/fork", changes, expect=201, pid=three)
    assert (await client.ended(fork["run_id"]))[-1].data["response"] == "short"


async def test_fresh_connections_spread_runs_over_several_processes(client: Client):
    agent = await client.agent(model=model(silent_s=60))
    runs: list[str] = []
    owners: set[int] = set()
    while len(owners) < 2 and len(runs) < 64:  # the kernel may give a burst of connections to one process
        more = await asyncio.gather(*(client.start(agent) for _ in range(8)))
        owners |= set(await asyncio.gather(*(client.owner(run) for run in more)))
        runs += more
    cancelled = await client.call("POST", "/runs/cancel", {"filter": {"agent_id": agent}})
    assert cancelled["accepted"] == len(runs)
    assert [(await client.ended(run))[-1].event for run in runs] == ["run_cancelled"] * len(runs)
    assert len(owners) >= 2


async def test_readers_on_every_process_see_the_same_events(client: Client):
    run = new_id()
    agent = await client.agent(model=model(tokens=100, pace=100))
    await client.start(agent, run_id=run)
    readers = [client.follow(run, pid) for pid in client.cluster.pids()]
    async with readers[0], readers[1], readers[2], readers[3]:
        first, *rest = [await reader.all() for reader in readers]
    assert all(frames == first for frames in rest)
    assert shown(first) == first[-1].data["response"] == "".join(f"word{n} " for n in range(100))


async def test_whoever_saw_the_end_finds_it_in_the_runs_view(client: Client):
    agent = await client.agent(model=model(tokens=3))
    for number in range(10):
        run = await client.start(agent, f"message {number}")
        owner, *_ = client.cluster.pids()
        async with client.follow(run, owner) as reader:
            last = (await reader.all())[-1]
        view = await client.view(run)
        assert (view["status"], view["response"], view["last_seq"]) == ("completed", last.data["response"], last.seq)


async def test_a_repeated_chat_attaches_to_the_first_ones_run_on_another_process(client: Client, provider: FakeOpenAI):
    asked = model(tokens=60, pace=60)
    agent = await client.agent(model=asked)
    key = {"Idempotency-Key": new_id("key")}
    body = {"agent_id": agent, "message": "once", "stream": False}
    pids = client.cluster.pids()
    answers = await asyncio.gather(
        *(client.call("POST", "/chat", body, headers=key, pid=pid) for pid in pids for _ in range(2))
    )
    assert len({answer["run_id"] for answer in answers}) == 1
    assert len(asked_of(provider, asked)) == 1
    assert all(answer == answers[0] for answer in answers)
