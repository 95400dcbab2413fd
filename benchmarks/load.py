"""A load generator that costs little: raw sockets, frames counted by their blank lines."""

import asyncio
import json
import time
from dataclasses import dataclass, field


@dataclass
class Stream:
    """What one client saw."""

    events: int = 0
    first_s: float | None = None
    """Seconds until the first content."""
    total_s: float = 0.0
    ended: bool = False
    arrivals: list[float] = field(default_factory=list)
    """Monotonic instants of content reads, with how many events each brought: alternating."""


async def chat(port: int, model: str, *, keep_arrivals: bool = False, path: str = "/api/chat") -> Stream:
    """Run one streamed chat to its end."""
    body = json.dumps({"agent_id": "assistant", "message": "hello", "modifications": {"model": model}}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return await _read(port, head.encode() + body, keep_arrivals)


async def follow(port: int, run_id: str) -> Stream:
    """Read a run's events to their end."""
    head = f"GET /api/runs/{run_id}/events HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    return await _read(port, head.encode(), True)


async def _read(port: int, request: bytes, keep_arrivals: bool) -> Stream:
    seen = Stream()
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        writer.write(request)
        while data := await reader.read(1 << 18):
            count = data.count(b"event: content_delta")
            if count:
                now = time.monotonic()
                if seen.first_s is None:
                    seen.first_s = now - began
                if keep_arrivals:
                    seen.arrivals += [now, float(count)]
            seen.events += data.count(b"\nid: ") if b"\nid: " in data else count
            seen.ended = seen.ended or b"event: run_completed" in data
    finally:
        writer.close()
    seen.total_s = time.monotonic() - began
    return seen


async def many(port: int, model: str, clients: int, *, keep_arrivals: bool = False) -> tuple[list[Stream], float]:
    """Run `clients` chats at once; return what they saw and the seconds it took."""
    began = time.monotonic()
    streams = await asyncio.gather(*(chat(port, model, keep_arrivals=keep_arrivals) for _ in range(clients)))
    return list(streams), time.monotonic() - began
