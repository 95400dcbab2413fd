"""A server dies while it accepts something, or hands over what it has: what was promised holds, nothing is doubled.

`AGIO_FAULTS=full` adds the later hits where something goes on from a checkpoint.
"""

import asyncio
import os
import signal
from typing import Any

import httpx
import pytest

from tests.crashes.shelter import Shelter, insist, until_gone
from tests.e2e.client import TERMINAL, Client, eventually, model, names, new_id

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow]


async def _ask(client: Client, **fields: Any) -> dict[str, Any]:
    """Return a request to start a run, in a session of its own."""
    agent = await client.agent(model=model(tokens=4))
    return {"agent_id": agent, "message": "hello", "session_id": new_id("session"), **fields}


async def _runs_of(client: Client, **where: str) -> list[str]:
    return [row["id"] for row in (await client.call("GET", f"/runs?{httpx.QueryParams(where)}"))["items"]]


async def _questions(client: Client, run_id: str) -> list[str]:
    messages = (await client.call("GET", f"/runs/{run_id}/messages"))["items"]
    return [message["content"] for message in messages if message["role"] == "user"]


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("place", ["accept", "fork"])
async def test_a_run_is_accepted_once_or_not_at_all(shelter: Shelter, client: Client, place: str, hit: int):
    body = await _ask(client)
    doomed = shelter.doom(place, hit)
    ids = [(await insist(shelter, "POST", "/runs", body, expect=202))["id"]]
    if hit == 2:  # in a session that is there, nothing is made but a run
        body |= {"session_id": new_id("session")} if place == "fork" else {}
        ids.append((await insist(shelter, "POST", "/runs", body, expect=202))["id"])
    await until_gone(doomed)
    for run_id in ids:
        assert names(await client.ended(run_id))[-1] == "run_completed"
    session = body["session_id"]
    expected = ids if place == "accept" else ids[-1:]
    assert sorted(await _runs_of(client, session_id=session)) == sorted(expected)
    assert await _questions(client, ids[-1]) == ["hello"] * len(expected)
    branches = (await client.call("GET", f"/sessions/{session}/branches"))["items"]
    assert len(branches) == 1


async def test_an_accepted_run_needs_nobody_who_asks_again(shelter: Shelter, client: Client):
    body = await _ask(client, run_id=new_id())
    doomed = shelter.doom("accept", 1)
    with pytest.raises(httpx.TransportError):
        await client.call("POST", "/runs", body, expect=202)
    await until_gone(doomed)
    shelter.flee()
    assert names(await client.ended(body["run_id"]))[-1] == "run_completed"


WAYS = {
    "fork": ("fork", {"modifications": {"modified_query": "and now?"}}),
    "restore": ("restore", {"modifications": {"modified_query": "and now?"}}),
    "rewind": ("restore", {"modifications": {"modified_query": "and now?"}, "create_new_run": False}),
}


@pytest.mark.parametrize("hit", [1, 2] if os.environ.get("AGIO_FAULTS") == "full" else [1])
@pytest.mark.parametrize("place", ["accept", "fork"])
@pytest.mark.parametrize("way", WAYS)
async def test_going_on_from_a_checkpoint_happens_once(
    shelter: Shelter, client: Client, way: str, place: str, hit: int
):
    source = (await client.call("POST", "/runs", await _ask(client), expect=202))["id"]
    await client.ended(source)
    before = await _everything(client, source)
    checkpoint = (await client.call("GET", f"/runs/{source}/checkpoints"))["items"][0]["id"]
    verb, body = WAYS[way]
    doomed = shelter.doom(place, hit)
    made = []
    for _ in range(hit):
        answer = await insist(shelter, "POST", f"/checkpoints/{checkpoint}/{verb}", body, expect=201)
        made.append(answer["run_id"])
        await client.until(made[-1], "completed")
    await until_gone(doomed)
    for run_id in made:
        await _check_attempts(client, run_id, 1 + hit if way == "rewind" else 1)
        assert await _questions(client, run_id) == ["and now?"]
    view = await client.view(made[-1])
    assert len(await _runs_of(client, parent_run_id=source)) == (0 if way == "rewind" else hit)
    if way != "rewind":
        assert await _everything(client, source) == before
    session = await client.call("GET", f"/sessions/{view['session_id']}")
    assert (session["current_branch_id"] == view["branch_id"]) is (way != "fork")
    branches = (await client.call("GET", f"/sessions/{view['session_id']}/branches"))["items"]
    assert len(branches) == 1 + hit


async def _check_attempts(client: Client, run_id: str, attempts: int) -> None:
    events = (await client.call("GET", f"/runs/{run_id}/events", headers={"Accept": "application/json"}))["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events if event["type"] in TERMINAL] == ["run_completed"] * attempts
    assert events[-1]["type"] in TERMINAL
    assert (await client.view(run_id))["attempt"] == attempts


async def _everything(client: Client, run_id: str) -> list[Any]:
    parts = ("", "/events?follow=false", "/messages", "/checkpoints", "/steps")
    json = {"Accept": "application/json"}
    return [await client.call("GET", f"/runs/{run_id}{part}", headers=json) for part in parts]


@pytest.mark.parametrize("hit", [1, 2])
async def test_a_hand_over_that_is_cut_off(shelter: Shelter, client: Client, hit: int):
    agent = await client.agent(model=model(tokens=60, pace=40))
    doomed = shelter.doom("drain", hit)
    runs: list[str] = []
    while await _owned_by(client, runs, doomed.worker_id) < hit:
        assert len(runs) < 8, "the server takes no runs"
        runs.append(await client.start(agent))
        await client.until(runs[-1], "running")
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(client.ended(run)) for run in runs]
        await eventually(lambda: client.view(runs[-1]), lambda view: view["last_seq"] > 1)
        os.kill(doomed.pid, signal.SIGTERM)
        await until_gone(doomed)
        shelter.flee()
    for one in reading:
        events = names(one.result())
        assert events[-1] == "run_completed"
        assert events.count("run_recovered") <= 1
    recovered = [f.data["reason"] for one in reading for f in one.result() if f.event == "run_recovered"]
    assert "crashed" in recovered
    assert len(recovered) >= hit


async def _owned_by(client: Client, runs: list[str], worker_id: str) -> int:
    owners = [(await client.view(run))["owner"] for run in runs]
    return sum(owner is not None and owner["worker"] == worker_id for owner in owners)
