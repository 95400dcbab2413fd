"""Workflows on four processes: `kill -9` in the second task, a crew and a diamond."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, Frame, asked_of, model, new_id, read_frames
from tests.support.databases import SQLiteFile

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


async def test_death_in_the_second_task_repeats_no_finished_one(client: Client, provider: FakeOpenAI):
    # Each shape on each store is tried by tests/engine/test_workflows.py, in one process.
    shape = "crew" if isinstance(client.cluster.database, SQLiteFile) else "diamond"
    quick, slow, last = model(tokens=3), model(tokens=240, pace=60), model(tokens=3)
    agents = {"first": {"model": quick}, "second": {"model": slow}, "third": {"model": last}}
    tasks: dict[str, Any] = {"one": {"agent": "first"}, "two": {"agent": "second"}, "three": {"agent": "third"}}
    for fields in agents.values():
        fields["provider"] = "openai"
    process = "sequential"
    if shape == "diamond":
        process = "graph"
        tasks["two"]["dependencies"] = ["one"]
        tasks["side"] = {"agent": "first", "dependencies": ["one"]}
        tasks["three"]["dependencies"] = ["two", "side"]
    crew = {"name": shape, "process": process, "agents": agents, "tasks": tasks}
    run_id = new_id("flow")
    await client.call("POST", "/workflows", {"crew": crew, "run_id": run_id}, expect=202)
    killed = asyncio.Event()

    async def kill_in_the_second(frame: Frame) -> None:
        if not killed.is_set() and frame.event == "content_delta" and frame.data["task_id"] == "two" and frame.seq > 9:
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

    place = next(task for task in tree["tasks"] if task["id"] == "two")["fork_checkpoint_id"]
    ends = [frame.data["task_id"] for frame in frames if frame.event == "task_completed"]
    finished = set(ends[: ends.index("two")])
    before = len(asked_of(provider, quick))
    fork = await client.call("POST", f"/checkpoints/{place}/fork", {}, expect=201)
    await client.until(fork["new_run_id"], "completed")
    assert len(asked_of(provider, quick)) == before or "side" in tasks.keys() - finished, "what was finished is used"
    again = await client.call("GET", f"/workflows/{fork['new_run_id']}")
    assert {task["id"] for task in again["tasks"] if task["run_id"] is None} == finished
