"""Yardsticks: bare proxies that re-emit the provider's stream as named events and store nothing.

`raw` reads with httpx lines, `aio` with the openai client on aiohttp and raw bytes. Serve with
`uvicorn benchmarks.proxies:raw` and `UPSTREAM=http://…/v1`.
"""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
from openai import AsyncOpenAI, DefaultAioHttpClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:9000/v1")


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_Chunk).decode
_encode = msgspec.json.Encoder().encode
_state: dict[str, Any] = {}


def _frame(line: bytes | str) -> bytes:
    chunk = _decode(line)
    text = chunk.choices[0].delta.content if chunk.choices else None
    return b'event: content_delta\ndata: {"content":%b}\n\n' % _encode(text or "")


async def _by_httpx(body: dict[str, Any]) -> AsyncIterator[bytes]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=500)
    client = _state.setdefault("httpx", httpx.AsyncClient(timeout=120, limits=limits))
    async with client.stream("POST", f"{UPSTREAM}/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                yield _frame(line[6:])


async def _by_openai(body: dict[str, Any]) -> AsyncIterator[bytes]:
    if "openai" not in _state:
        _state["openai"] = AsyncOpenAI(api_key="k", base_url=UPSTREAM, http_client=DefaultAioHttpClient(timeout=120))
    client = _state["openai"]
    async with client.chat.completions.with_streaming_response.create(**body) as answer:
        rest = b""
        async for data in answer.iter_bytes():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: {"):
                    yield _frame(line[6:])


def _app(read: Callable[[dict[str, Any]], AsyncIterator[bytes]]) -> Starlette:
    async def chat(request: Request) -> StreamingResponse:
        model = (await request.json())["modifications"]["model"]
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        return StreamingResponse(read(body), media_type="text/event-stream")

    return Starlette(routes=[Route("/api/chat", chat, methods=["POST"])])


raw = _app(_by_httpx)
aio = _app(_by_openai)
