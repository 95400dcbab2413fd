"""`/metrics` of four processes on one port: every one of them answers for all."""

import asyncio
import os
import signal

import httpx
import pytest

from tests.e2e.client import PLAIN, Client, eventually, model
from tests.e2e.cluster import WORKERS, Cluster
from tests.unit.observability.test_metrics import figures

pytestmark = pytest.mark.e2e

RUNS = 12


async def _read(client: Client, pid: int | None = None) -> dict[str, float]:
    """Return the figures as one process tells them."""
    async with client.connection(pid) as connection:
        answer = await connection.get(f"{client.cluster.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return figures(answer.content)


def _grown(before: dict[str, float], after: dict[str, float], *names: str) -> list[float]:
    return [after.get(name, 0) - before.get(name, 0) for name in names]


async def _run_some(client: Client, agent: str) -> int:
    """Run some runs to their end; return how many changed hands."""
    runs = await asyncio.gather(*(client.start(agent) for _ in range(RUNS)))
    ended = [await client.ended(run) for run in runs]
    return sum(frame.event == "run_recovered" for frames in ended for frame in frames)


@pytest.mark.contract("P60")
async def test_every_process_tells_what_all_of_them_did(client: Client, cluster: Cluster):
    name = model(text="four words are here", tool_rounds=1)
    agent = await client.agent(model=name, tools=["calculator"])
    before = await _read(client)
    while await _run_some(client, agent):  # a starved machine: a worker lost a run, whose model is asked once more
        before = await _read(client)
    of = f"{{model={name}}}{{provider=openai}}"
    counted = (
        "agio_runs_ended_total{status=completed}",
        "agio_run_queue_seconds_count",
        "agio_step_seconds_count",
        "agio_checkpoints_total",
        f"agio_model_seconds_count{{model={name}}}{{outcome=ok}}{{provider=openai}}",
        "agio_tool_seconds_count{outcome=ok}{tool=calculator}",
        f"agio_tokens_total{{kind=completion}}{of}",
    )
    wanted = [RUNS, RUNS, 2 * RUNS, 3 * RUNS, 2 * RUNS, RUNS, 8 * RUNS]
    for pid in cluster.pids():
        after = await _read(client, pid)
        assert _grown(before, after, *counted) == wanted
        assert (after["agio_store_up"], after["agio_workers"]) == (1, WORKERS)
    assert _grown(before, after, "agio_http_requests_total{method=POST}{route=/api/runs}{status=202}") == [RUNS]
    assert _grown(before, after, "agio_journal_batch_entries_sum")[0] > RUNS


async def test_gauges_follow_runs_readers_and_streams(client: Client, cluster: Cluster):
    agent = await client.agent(model=model(silent_s=60))
    names = ("agio_runs_owned", "agio_readers", "agio_streams{kind=sse}", "agio_runs{status=running}")
    before = await _read(client)
    runs = [await client.start(agent) for _ in range(3)]
    async with client.follow(runs[0]) as reader:
        await reader.saw("step_started")
        for run in runs:
            await client.until(run, "running")
        during = await eventually(lambda: _read(client), lambda now: _grown(before, now, *names[:3]) == [3, 1, 1])
        assert _grown(before, during, "agio_runs{status=running}") == [3]
    for run in runs:
        await client.call("POST", f"/runs/{run}/cancel", {}, expect=202)
        await client.ended(run)
    ended = await eventually(lambda: _read(client), lambda now: _grown(before, now, *names) == [0, 0, 0, 0])
    assert _grown(before, ended, "agio_runs_ended_total{status=cancelled}") == [3]


async def test_dead_process_leaves_its_counts_and_takes_its_gauges_along(client: Client, cluster: Cluster):
    agent = await client.agent(model=model(silent_s=2, text="ok"))
    before = await _read(client)
    run = await client.start(agent)
    owner = await client.owner(run)
    os.kill(owner, signal.SIGKILL)
    frames = await client.ended(run)
    assert frames[-1].event == "run_completed"
    counted = ("agio_takeovers_total{reason=crashed}", "agio_runs_ended_total{status=completed}", "agio_runs_owned")
    await eventually(lambda: _read(client), lambda now: _grown(before, now, *counted) == [1, 1, 0])


async def test_unknown_paths_do_not_become_labels(client: Client):
    async with httpx.AsyncClient(base_url=client.cluster.url, verify=PLAIN) as http:
        for n in range(3):
            assert (await http.get(f"/made-up-{n}")).status_code == 404
    found = await _read(client)
    assert not any("made-up" in name for name in found)
    assert found["agio_http_requests_total{method=GET}{route=none}{status=404}"] >= 3
