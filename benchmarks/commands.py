"""Tool rounds per CPU second, how fast commands work, and how fast dead workers are replaced."""

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from typing import Any

import httpx

from benchmarks.load import many
from benchmarks.processes import Server
from benchmarks.report import Table, percentile
from benchmarks.setting import Setting

ROUNDS = 10


def tool_rounds(setting: Setting) -> Table:
    """Ten tool rounds and an answer per run, each step durable: model calls per CPU second."""
    table = Table(
        "Tool rounds: 10 tool calls and an answer per run, 50 runs at once",
        ["server", "model calls/s", "model calls per server CPU second"],
    )
    for store in setting.stores:
        with setting.agio(store) as server:
            model = f"fake?tokens=5&tool_rounds={ROUNDS}"
            asyncio.run(many(server.port, model, 5))
            before = server.cpu_s()
            streams, took_s = asyncio.run(many(server.port, model, 50))
            calls = sum(stream.ended for stream in streams) * (ROUNDS + 1)
            table.add(f"Agio, {store}", calls / took_s, calls / (server.cpu_s() - before))
    return table


def commands(setting: Setting) -> Table:
    """Cancel of a silent model until its connection closes; commands until their event is read elsewhere."""
    table = Table(
        "Commands: milliseconds",
        ["store", "workers", "cancel → provider closed p50", "p99", "pause → acknowledged p50", "p99"],
    )
    count = 15 if setting.quick else 100
    for store in setting.stores:
        for workers in (1, 3):
            with setting.agio(store, workers=workers) as server:
                asyncio.run(
                    _cancels(setting, server, 3 * workers, first="warm")
                )  # every process answers its first ones
                closed = asyncio.run(_cancels(setting, server, count))
                heard = asyncio.run(_pauses(server, count))
            table.add(
                store,
                workers,
                percentile(closed, 0.5),
                percentile(closed, 0.99),
                percentile(heard, 0.5),
                percentile(heard, 0.99),
            )
    table.notes.append(
        "With three workers most commands land on a process that does not own the run. "
        "Cancel: from sending it to the moment the provider sees its connection closed. "
        "Pause (`now`): from sending it to reading `run_pause_requested` on an open stream."
    )
    return table


async def _start(client: httpx.AsyncClient, run_id: str, model: str) -> None:
    body = {"agent_id": "assistant", "message": "hello", "run_id": run_id, "modifications": {"model": model}}
    (await client.post("/api/runs", json=body)).raise_for_status()


async def _running(client: httpx.AsyncClient, run_id: str) -> None:
    while True:
        with suppress(httpx.TransportError):  # a connection that was idle for too long may be closed as it is used
            view = (await client.get(f"/api/runs/{run_id}")).json()
            if view["status"] == "running" and view["last_seq"] >= 3:
                return
        await asyncio.sleep(0.01)


async def _cancels(setting: Setting, server: Server, count: int, *, first: str = "cancel") -> list[float]:
    found = []
    fresh = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=30, limits=fresh) as client,
        httpx.AsyncClient(base_url=setting.upstream.url, timeout=30) as upstream,
    ):
        for number in range(count):
            await upstream.post("/reset")
            run_id = f"{first}-{server.port}-{number}"
            await _start(client, run_id, "fake?silent_s=30")
            await _running(client, run_id)
            while not (await upstream.get("/recorded")).json():
                await asyncio.sleep(0.005)
            began = time.monotonic()
            (await client.post(f"/api/runs/{run_id}/cancel")).raise_for_status()
            while not (closed := (await upstream.get("/closed")).json()):
                await asyncio.sleep(0.002)
            found.append((closed[0]["at"] - began) * 1000)
    return found


async def _pauses(server: Server, count: int) -> list[float]:
    found = []
    fresh = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=fresh) as client:
        for number in range(count):
            run_id = f"pause-{server.port}-{number}"
            await _start(client, run_id, "fake?tokens=2000&pace=20")
            await _running(client, run_id)
            async with client.stream("GET", f"/api/runs/{run_id}/events") as stream:
                lines = stream.aiter_lines()
                async for line in lines:
                    if line == "event: content_delta":
                        break
                began = time.monotonic()
                asking = asyncio.create_task(client.post(f"/api/runs/{run_id}/pause", json={"mode": "now"}))
                async for line in lines:
                    if line == "event: run_pause_requested":
                        found.append((time.monotonic() - began) * 1000)
                        break
                await asking
            await client.post(f"/api/runs/{run_id}/cancel")
    return found


def takeover(setting: Setting) -> Table:
    """`kill -9` of a worker with live runs until all of them stream again elsewhere."""
    live = 50 if setting.quick else 200
    table = Table(
        f"Takeover: kill -9 of the worker that owns most of {live} live runs (lease 10 s)",
        ["store", "the heir", "runs taken over", "first s", "p50 s", "p95 s", "last s"],
    )
    for store in setting.stores:
        for heir, local in (("as on another machine", "false"), ("on the same machine", "true")):
            with setting.agio(store, workers=2, AGIO_LOCAL_TAKEOVER=local) as server:
                times = asyncio.run(_takeover(server, live))
            spread = (min(times), percentile(times, 0.5), percentile(times, 0.95), max(times))
            table.add(store, heir, len(times), *spread)
    table.notes.append(
        "Seconds from the kill to `run_recovered` on a stream that was re-attached. On another machine only the lease "
        "tells that a worker is dead (`AGIO_LOCAL_TAKEOVER=false`)."
    )
    return table


DRAIN_S = 2


def drain(setting: Setting) -> Table:
    """SIGTERM to a worker with live runs, until all of them stream again elsewhere."""
    live = 50 if setting.quick else 200
    table = Table(
        f"Drain: SIGTERM to the worker that owns most of {live} live runs, each in the midst of a long answer",
        ["store", "runs handed over", "first s", "p50 s", "p95 s", "last s"],
    )
    for store in setting.stores:
        with setting.agio(store, workers=3, AGIO_DRAIN_S=str(DRAIN_S)) as server:
            times = [took - DRAIN_S for took in asyncio.run(_takeover(server, live, signal.SIGTERM))]
        table.add(store, len(times), min(times), percentile(times, 0.5), percentile(times, 0.95), max(times))
    table.notes.append(
        f"Seconds from the end of the drain time ({DRAIN_S} s, in which the answers do not end) to `run_recovered` "
        "on a stream that was re-attached."
    )
    return table


async def _takeover(server: Server, live: int, how: signal.Signals = signal.SIGKILL) -> list[float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        ids = [f"take-{server.port}-{number}" for number in range(live)]
        await asyncio.gather(*(_start(client, run_id, "fake?tokens=5000&pace=2") for run_id in ids))
        await asyncio.gather(*(_running(client, run_id) for run_id in ids))
        owners: dict[str, list[str]] = {}
        for run_id in ids:
            view = (await client.get(f"/api/runs/{run_id}")).json()
            owners.setdefault(view["owner"]["worker"], []).append(run_id)
        victim = max(owners, key=lambda worker: len(owners[worker]))
    assert server.database is not None
    # One client for all readers: each costs 40 ms of processor time to make, which the servers need for themselves.
    fresh = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=fresh) as client:
        os.kill(server.database.workers()[victim], how)
        began = time.monotonic()
        return await asyncio.gather(*(_recovered(client, run_id, began) for run_id in owners[victim]))


async def _recovered(client: httpx.AsyncClient, run_id: str, began: float) -> float:
    after = 0
    while True:
        try:
            async with client.stream("GET", f"/api/runs/{run_id}/events?after={after}") as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data: "):
                        event: dict[str, Any] = json.loads(line[6:])
                        after = event["seq"]
                        if event["type"] == "run_recovered":
                            return time.monotonic() - began
        except httpx.HTTPError:
            await asyncio.sleep(0.1)
