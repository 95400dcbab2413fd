"""Workflows on four processes: `kill -9` in the second task, of a crew and of a task tree with a diamond."""

import asyncio
import json
import os
import signal
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, Frame, asked_of, model, new_id, read_frames

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow]


async def read_tree(client: Client, run_id: str, pid: int, on_frame: Any) -> list[Frame]:
    """Read the stream of a tree to its end, coming back with the last id whenever the connection breaks."""
    frames: list[Frame] = []
    last: dict[str, str] = {}
    while not frames or frames[-1].data["run_id"] != run_id or frames[-1].event != "run_completed":
        with suppress(httpx.TransportError):
            async with (
                client.connection(pid if not frames else None) as connection,
                connection.stream("GET", f"/workflows/{run_id}/events", headers=last) as answer,
            ):
                assert answer.status_code == 200, await answer.aread()
                lines = _noting_ids(answer.aiter_lines(), last)
                async for frame in read_frames(lines):
                    frames.append(frame)
                    await on_frame(frame)
    return frames


async def _noting_ids(lines: Any, last: dict[str, str]) -> Any:
    async for line in lines:
        if line.startswith("id: "):
            yield line
            last["Last-Event-ID"] = line.removeprefix("id: ")
        else:
            yield line


def check_tree(frames: list[Frame]) -> None:
    by_run: dict[str, list[int]] = {}
    for frame in frames:
        by_run.setdefault(frame.data["run_id"], []).append(frame.seq)
    for run_id, seqs in by_run.items():
        assert seqs == list(range(1, len(seqs) + 1)), run_id


async def rpc(client: Client, method: str, params: Any) -> Any:
    """Call a method of aipartnerupflow's wire on any process; return its result."""
    async with client.connection() as connection:
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        answer = (await connection.post(f"{client.cluster.url}/tasks", json=body)).json()
    assert "result" in answer, answer
    return answer["result"]


async def start_crew(client: Client, models: dict[str, str]) -> str:
    """Set three agents to work, one after the other; return the run's id."""
    agents = {name: {"model": model, "provider": "openai"} for name, model in models.items()}
    tasks = {"one": {"agent": "first"}, "two": {"agent": "second"}, "three": {"agent": "third"}}
    crew = {"name": "crew", "process": "sequential", "agents": agents, "tasks": tasks}
    run_id = new_id("flow")
    await client.call("POST", "/workflows", {"crew": crew, "run_id": run_id}, expect=202)
    return run_id


async def start_tree(client: Client, models: dict[str, str]) -> str:
    """Make a task tree with a diamond and execute it; return the run's id."""

    def task(name: str, member: str, *after: str) -> dict[str, Any]:
        params = {"role": member, "provider": "openai", "model": models[member]}
        place = {"parent_id": "one"} if after else {}
        work = {"schemas": {"method": "agent"}, "params": params, "dependencies": list(after)}
        return {"id": name, "name": name, **work, **place}

    diamond = [task("one", "first"), task("two", "second", "one"), task("side", "first", "one")]
    made = await rpc(client, "tasks.create", [*diamond, task("three", "third", "two", "side")])
    assert made["status"] == "pending"
    run_id: str = (await rpc(client, "tasks.execute", {"task_id": "one"}))["run_id"]
    return run_id


async def check_tasks(client: Client) -> None:
    """What aipartnerupflow's clients see of it, from any process: every task once, in one stream; the examples once."""
    statuses = await rpc(client, "tasks.running.status", {"task_ids": ["one", "two", "side", "three"]})
    assert {(one["status"], one["progress"]) for one in statuses} == {("completed", 1.0)}
    body = {"jsonrpc": "2.0", "method": "tasks.execute", "params": {"task_id": "one", "use_streaming": True}, "id": 1}
    async with client.connection() as connection:
        answer = await connection.post(f"{client.cluster.url}/tasks", json=body)
    frames = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    completed = [frame["task_id"] for frame in frames if frame.get("type") == "task_completed"]
    assert sorted(completed) == ["one", "side", "three", "two"]
    assert (completed[0], completed[-1]) == ("one", "three")
    assert [frame["type"] for frame in frames[-2:]] == ["final", "stream_end"]
    roots = await rpc(client, "tasks.list", {"root_only": True})
    assert sorted(task["id"] for task in roots if task["id"] != "one") == [
        *("example-answer", "example-article", "example-number")
    ]


@pytest.mark.contract("P12")
@pytest.mark.parametrize("shape", ["crew", "tree"])
async def test_death_in_the_second_task_repeats_no_finished_one(client: Client, provider: FakeOpenAI, shape: str):
    is_tree = shape == "tree"
    tasks = ["one", "two", *(["side"] if is_tree else []), "three"]
    quick, slow, last = model(tokens=3), model(tokens=60, pace=20), model(tokens=3)
    start = start_tree if is_tree else start_crew
    run_id = await start(client, {"first": quick, "second": slow, "third": last})
    killed = asyncio.Event()

    async def kill_in_the_second(frame: Frame) -> None:
        if not killed.is_set() and frame.event == "content_delta" and frame.data["task_id"] == "two" and frame.seq > 4:
            killed.set()
            os.kill(await client.owner(frame.data["run_id"]), signal.SIGKILL)

    frames = await read_tree(client, run_id, client.cluster.pids()[0], kill_in_the_second)
    assert killed.is_set()
    check_tree(frames)
    recovered = Counter(frame.data.get("task_id") for frame in frames if frame.event == "run_recovered")
    assert recovered["two"] >= 1
    # A task is asked for once, and once more for each time that another process took it over before it was finished.
    for asked, of in ((quick, ("one", "side")), (slow, ("two",)), (last, ("three",))):
        assert len(asked_of(provider, asked)) <= sum(1 + recovered[task] for task in of if task in tasks)
    names = [frame.event for frame in frames if frame.data["run_id"] == run_id]
    assert names.count("task_started") == names.count("task_completed") == len(tasks)
    tree = await client.call("GET", f"/workflows/{run_id}")
    assert (tree["status"], tree["progress"]) == ("completed", 1.0)
    if is_tree:
        await check_tasks(client)

    place = next(task for task in tree["tasks"] if task["id"] == "two")["fork_checkpoint_id"]
    ends = [frame.data["task_id"] for frame in frames if frame.event == "task_completed"]
    finished = set(ends[: ends.index("two")])
    before = len(asked_of(provider, quick))
    fork = await client.call("POST", f"/checkpoints/{place}/fork", {}, expect=201)
    await client.until(fork["new_run_id"], "completed")
    assert len(asked_of(provider, quick)) == before or "side" in {*tasks} - finished, "what was finished is used"
    again = await client.call("GET", f"/workflows/{fork['new_run_id']}")
    assert {task["id"] for task in again["tasks"] if task["run_id"] is None} == finished
