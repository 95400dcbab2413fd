"""Many readers of one run, and many runs at rest."""

import asyncio
import time
from collections.abc import Callable

import httpx

from benchmarks.load import follow
from benchmarks.report import Table, percentile
from benchmarks.setting import Setting


def subscribers(setting: Setting) -> Table:
    """A thousand readers of one run."""
    table = Table(
        "Subscribers: 1,000 readers of one run of 100 tokens at 20 tokens/s, one worker",
        ["store", "readers that saw all", "delivery p50 ms", "p99 ms", "CPU s per 1,000 deliveries"],
    )
    for store in setting.stores:
        with setting.agio(store) as server:
            complete, spread, cpu = asyncio.run(crowd(server.url, server.port, server.cpu_s, 1_000))
        table.add(store, complete, percentile(spread, 0.5), percentile(spread, 0.99), cpu)
    table.notes.append("Delivery: how much later than the first reader each reader got a token.")
    return table


async def crowd(url: str, port: int, cpu_s: Callable[[], float], count: int) -> tuple[int, list[float], float]:
    """Let so many readers follow one run; return how many saw all, their delays in ms, CPU s per 1,000 deliveries."""
    run_id = f"crowd-{port}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        body = {
            "agent_id": "assistant",
            "message": "hi",
            "run_id": run_id,
            "modifications": {"model": "fake?tokens=100&pace=20&silent_s=6"},
        }
        (await client.post("/api/runs", json=body)).raise_for_status()
    readers = [asyncio.create_task(follow(port, run_id)) for _ in range(count)]
    await asyncio.sleep(3)
    before = cpu_s()
    streams = await asyncio.gather(*readers)
    spent_s = cpu_s() - before
    complete = sum(stream.ended for stream in streams)
    by_token: dict[int, list[float]] = {}
    for stream in streams:
        seen = 0
        for at, count in zip(stream.arrivals[::2], stream.arrivals[1::2], strict=True):
            for _ in range(int(count)):
                by_token.setdefault(seen, []).append(at)
                seen += 1
    spread = [(at - min(times)) * 1000 for times in by_token.values() for at in times]
    return complete, spread, spent_s / max(1, sum(map(len, by_token.values()))) * 1000


def paused(setting: Setting) -> Table:
    """Runs at rest cost a server nothing."""
    count = 2_000 if setting.quick else 100_000
    table = Table(
        f"At rest: {count:,} runs made with `start: false` semantics (paused), one worker",
        ["store", "runs/s made", "MB before", "MB after", "growth MB"],
    )
    for store in setting.stores:
        with setting.agio(store) as server:
            rate, before, after = asyncio.run(_paused(server.url, count, server.now_mb))
        table.add(store, rate, before, after, after - before)
    return table


async def _paused(url: str, count: int, now_mb) -> tuple[float, float, float]:  # type: ignore[no-untyped-def]
    limits = httpx.Limits(max_connections=32, keepalive_expiry=1)  # well below the server's, which would race it
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        made = (await client.post("/api/runs", json={"agent_id": "assistant", "message": "x"})).json()
        await asyncio.sleep(1)
        listed = (await client.get(f"/api/runs/{made['id']}/checkpoints")).json()
        checkpoint = listed["items"][0]["id"]
        gate = asyncio.Semaphore(32)

        async def make() -> None:
            async with gate:
                body = {"start": False, "session": "new"}
                (await client.post(f"/api/checkpoints/{checkpoint}/fork", json=body)).raise_for_status()

        await asyncio.gather(*(make() for _ in range(200)))
        await asyncio.sleep(2)
        before = now_mb()
        began = time.monotonic()
        await asyncio.gather(*(make() for _ in range(count)))
        took_s = time.monotonic() - began
        await asyncio.sleep(3)
        return count / took_s, before, now_mb()
