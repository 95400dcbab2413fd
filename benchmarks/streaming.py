"""Throughput, added latency, and paced streams, beside the bare proxies."""

import asyncio

from benchmarks.load import Stream, chat, many
from benchmarks.processes import Server
from benchmarks.report import Table, median, percentile
from benchmarks.setting import PROXIES, Setting


def throughput(setting: Setting) -> Table:
    """200 runs of 200 tokens at once, as fast as the provider gives them."""
    table = Table(
        "Throughput: 200 concurrent runs × 200 tokens through one worker",
        ["server", "events/s", "× proxy-raw", "CPU s per 1,000 events", "peak MB", "× proxy-raw (memory)"],
    )
    rounds = 1 if setting.quick else 3
    seen: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(rounds):
        for name in PROXIES:
            with setting.proxy(name) as server:
                seen.setdefault(name, []).append(_flood(server))
        for store in setting.stores:
            with setting.agio(store) as server:
                seen.setdefault(f"Agio, {store}", []).append(_flood(server))
    base = [median([row[index] for row in seen["proxy-raw"]]) for index in range(3)]
    for name, rows in seen.items():
        rate, cpu, peak = (median([row[index] for row in rows]) for index in range(3))
        table.add(name, rate, rate / base[0], cpu, peak, peak / base[2])
    table.notes.append(f"Medians of {rounds} rounds, interleaved. The proxies store nothing.")
    return table


def _flood(server: Server, clients: int = 200) -> tuple[float, float, float]:
    model = "fake?tokens=200"
    asyncio.run(many(server.port, model, 20))
    before = server.cpu_s()
    streams, took_s = asyncio.run(many(server.port, model, clients))
    spent_s = server.cpu_s() - before
    events = sum(stream.events for stream in streams)
    return events / took_s, spent_s / events * 1000, server.peak_mb()


def latency(setting: Setting) -> Table:
    """One run at a time: what Agio adds to the first token, and to a hundred."""
    table = Table(
        "Added latency: one run of 100 tokens at a time, against the faster proxy in the same run",
        ["server", "first token p50 ms", "p99 ms", "added p50 ms", "added p99 ms", "added per 100 tokens, p50 ms"],
    )
    count = 40 if setting.quick else 200
    with setting.proxy("proxy-openai-raw-aio") as server:
        base = _one_by_one(server, count)
    table.add("proxy-openai-raw-aio", base[0], base[1], 0.0, 0.0, 0.0)
    for store in setting.stores:
        with setting.agio(store) as server:
            first, worst, total = _one_by_one(server, count)
        table.add(f"Agio, {store}", first, worst, first - base[0], worst - base[1], total - base[2])
    return table


def _one_by_one(server: Server, count: int) -> tuple[float, float, float]:
    async def run() -> list[tuple[float, float]]:
        found = []
        for number in range(count + 10):
            stream = await chat(server.port, "fake?tokens=100")
            if number >= 10:
                found.append(((stream.first_s or 0) * 1000, stream.total_s * 1000))
        return found

    rows = asyncio.run(run())
    firsts = [first for first, _ in rows]
    return percentile(firsts, 0.5), percentile(firsts, 0.99), median([total for _, total in rows])


def paced(setting: Setting) -> Table:
    """200 runs of 50 tokens a second: 10,000 durable events a second."""
    table = Table(
        "Paced: 200 runs × 50 tokens/s (10,000 events/s)",
        ["server", "late p50 ms", "late p99 ms", "late > 250 ms, %", "cores"],
    )
    tokens = 250 if setting.quick else 500
    with setting.proxy("proxy-openai-raw-aio") as server:
        table.add("proxy-openai-raw-aio", *_paced(server, tokens))
    for store in setting.stores:
        with setting.agio(store) as server:
            table.add(f"Agio, {store}", *_paced(server, tokens))
    table.notes.append("Late: behind the schedule of the stream's own first token, 20 ms a token.")
    return table


def _paced(server: Server, tokens: int) -> tuple[float, float, float, float]:
    asyncio.run(many(server.port, "fake?tokens=50", 20))
    before = server.cpu_s()
    model = f"fake?tokens={tokens}&pace=50"
    streams, took_s = asyncio.run(many(server.port, model, 200, keep_arrivals=True))
    cores = (server.cpu_s() - before) / took_s
    late = [value for stream in streams for value in lateness(stream, 50)]
    over = sum(value > 250 for value in late) / len(late) * 100
    return percentile(late, 0.5), percentile(late, 0.99), over, cores


def lateness(stream: Stream, pace: float) -> list[float]:
    """Return how many milliseconds each token was behind the schedule of the first one."""
    late: list[float] = []
    times, counts = stream.arrivals[::2], stream.arrivals[1::2]
    seen = 0
    for at, count in zip(times, counts, strict=True):
        late += [max(0.0, at - times[0] - (seen + offset) / pace) * 1000 for offset in range(int(count))]
        seen += int(count)
    return late
