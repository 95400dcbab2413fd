"""What a server bears from those who call it: heads, readers that do not read, crowds."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agio.api import sse
from agio.api.sse import stream
from agio.domain.journal import Entry
from agio.engine.caller import Caller
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.api.serving import Api, listening, serving

CROWD = 1_000


async def _answer(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send pieces for as long as the server takes them; return what it answered, nothing when it left at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if reader.at_eof():
                break
    except ConnectionError:
        pass  # it has answered and left
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_large_head_is_refused_by_name(tmp_path: Path):
    async with serving(tmp_path) as api, listening(api) as client:
        port = client.base_url.port or 0
        head = b"GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        fine = await _answer(port, [head, b"X-Some: " + b"a" * 20_000, b"\r\n\r\n"])
        assert fine.startswith(b"HTTP/1.1 200")
        for more in (
            b"X-Big: " + b"a" * 40_000 + b"\r\n\r\n",
            b"".join(b"X-%d: %b\r\n" % (n, b"b" * 90) for n in range(500)) + b"\r\n",
        ):
            refused = await _answer(port, [head, more])
            assert refused.startswith(b"HTTP/1.1 431"), refused[:80]
            assert b'"type":"head_too_large"' in refused
        refused = await _answer(port, [b"GET /api/runs?q=" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"])
        assert refused.startswith(b"HTTP/1.1 431"), refused[:80]


@pytest.mark.parametrize("piece", [b"a" * 65_536, b"X-More: " + b"b" * 4_000 + b"\r\n"], ids=["one line", "many lines"])
async def test_head_without_end_is_not_read_to_the_end(tmp_path: Path, piece: bytes):
    most, sent = 200_000_000, 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        yield b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-First: "
        while sent < most:
            sent += len(piece)
            yield piece

    async with serving(tmp_path) as api, listening(api) as client:
        answer = await _answer(client.base_url.port or 0, pieces())
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431")
        assert sent < most / 2, "what the kernel's buffers take, and a megabyte"
        assert (await client.get("/api/health")).status_code == 200


async def test_second_request_on_a_connection_is_measured_by_itself(tmp_path: Path):
    request = b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-Some: " + b"a" * 20_000 + b"\r\n\r\n"
    async with serving(tmp_path) as api, listening(api) as client:
        closing_one = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answers = await _answer(client.base_url.port or 0, [request * 4, closing_one])
        assert answers.count(b"HTTP/1.1 200") == 4


async def test_reader_that_never_reads_is_dropped_and_the_run_does_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(sse, "SEND_TIMEOUT_S", 0.3)
    gate = Gate()
    flood = Answer(gate, *(["x" * 20_000] * 1_000))
    async with serving(tmp_path, ScriptedProvider([flood])) as api, listening(api) as client:
        run = await api.start()
        with closing(socket.socket()) as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            idle.connect(("127.0.0.1", client.base_url.port))
            idle.sendall(f"GET /api/runs/{run['id']}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async with asyncio.timeout(20):
                while api.engine.worker.hub.count(run["id"]) < 1:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
                gate.open()
                await api.until(run["id"], "completed")
                while api.engine.worker.hub.count(run["id"]) > 0:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_thousand_readers_of_one_run_cost_one_encoding_of_each_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    encoded = Counter[int]()
    original = sse.make_frames

    def count(entry: Entry) -> sse.Frames:
        encoded[entry.first_seq] += 1
        return original(entry)

    monkeypatch.setattr(sse, "make_frames", count)
    gate = Gate()
    words = [f"{n} " for n in range(50)]

    async def listen() -> bytes:
        return b"".join([chunk async for chunk in stream(api.engine.tail(Caller(), run["id"]))])

    async with serving(tmp_path, ScriptedProvider([Answer("first ", gate, *words)])) as api:
        run = await api.start()
        await gate.reached.wait()
        readers = [asyncio.create_task(listen()) for _ in range(CROWD)]
        async with asyncio.timeout(20):
            while waiting(api, run["id"]) < CROWD:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            before = set(encoded)
            gate.open()
            texts = set(await asyncio.gather(*readers))
    assert len(texts) == 1
    assert texts.pop().count(b"event: content_delta") == 1 + len(words)
    live = {seq: times for seq, times in encoded.items() if seq not in before}
    assert set(live.values()) == {1}


def waiting(api: Api, run_id: str) -> int:
    """Return how many readers have read the store and wait for what comes."""
    places = api.engine.worker.hub._by_run.get(run_id, ())
    return sum(bool(place._event._waiters) for place in places)
