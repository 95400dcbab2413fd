"""A local OpenAI-compatible server for tests and benchmarks: `python -m agio.testing.openai_server`.

What it does is a `Behaviour`, chosen per request: by the model name, whose query part sets fields
(`fake?tokens=200&pace=50`), or for all requests by `POST /control` with the fields as JSON.

`GET /recorded` lists the requests it got, `GET /closed` the connections that clients dropped in
the middle of an answer, with the time (`time.monotonic()`, comparable between processes of one
machine), `POST /reset` forgets both and the control.

Not responsible for judging requests: it answers what it was told to answer, whatever it was asked.
"""

import argparse
import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import uvicorn

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a request is answered."""

    tokens: int = 20
    text: str | None = None
    """The answer, streamed word by word; None: `tokens` words."""
    reasoning: str | None = None
    pace: float = 0.0
    """Tokens per second; 0: as fast as they can be written."""
    per_write: int = 64
    """Tokens written at once when there is no pace."""
    token_chars: int = 0
    """Pads every word to this length; for huge outputs."""
    headers_after_s: float = 0.0
    """Silence before the response headers."""
    silent_s: float = 0.0
    """Silence after the headers, before the first token."""
    status: int = 200
    error: str = "made to fail"
    """Message of the error body when `status` is not 200."""
    error_code: str | None = None
    retry_after: str | None = None
    fail_times: int = 0
    """Only the first so many requests of this model fail with `status`; 0: all."""
    cut_after: int | None = None
    """The stream ends after so many tokens, without a finish reason."""
    tear: bool = False
    """With `cut_after`: the connection breaks instead of ending in order."""
    tool_rounds: int = 0
    """Calls a tool in so many rounds (counted by the tool messages) before it answers."""
    tool_name: str = "calculator"
    tool_arguments: str = '{"expression": "1+1"}'
    """Text of the arguments; may be malformed."""
    finish_reason: str = "stop"
    usage: bool = True
    raw: str | None = None
    """The whole body, sent as it is instead of all of the above."""
    content_type: str = "text/event-stream"
    split_bytes: int = 0
    """Writes the stream in pieces of so many bytes."""
    split_pause_s: float = 0.002
    """Pause between those pieces, so that each is a network read of its own."""


@dataclass(slots=True)
class Recorded:
    """One request that came in."""

    at: float
    model: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class Closed:
    """One connection that its client dropped before the answer was complete."""

    at: float
    model: str
    writes: int
    """How many pieces had been written."""


@dataclass(slots=True)
class FakeOpenAI:
    """The ASGI application."""

    control: dict[str, Any] = field(default_factory=dict)
    """Fields of `Behaviour` that hold for all requests."""
    recorded: deque[Recorded] = field(default_factory=lambda: deque(maxlen=10_000))
    closed: deque[Closed] = field(default_factory=lambda: deque(maxlen=10_000))
    open_streams: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _read_body(receive)
        match scope["method"], scope["path"]:
            case "POST", "/v1/chat/completions":
                headers = {key.decode(): value.decode("latin-1") for key, value in scope["headers"]}
                await self._complete(json.loads(body), headers, receive, send)
            case "GET", "/v1/models":
                models = {"object": "list", "data": [{"id": "fake", "object": "model"}]}
                await _send_json(send, models)
            case "GET", "/recorded":
                await _send_json(send, [asdict(item) for item in self.recorded])
            case "GET", "/closed":
                await _send_json(send, [asdict(item) for item in self.closed])
            case "POST", "/control":
                self.control = json.loads(body or b"{}")
                await _send_json(send, self.control)
            case "POST", "/reset":
                self.reset()
                await _send_json(send, {})
            case _:
                await _send_json(send, {"error": {"message": "no such path"}}, 404)

    def reset(self) -> None:
        """Forget what was recorded and the control."""
        self.control = {}
        self.recorded.clear()
        self.closed.clear()
        self.failures.clear()

    async def _complete(self, body: dict[str, Any], headers: dict[str, str], receive: Receive, send: Send) -> None:
        model = str(body.get("model"))
        self.recorded.append(Recorded(time.monotonic(), model, headers, body))
        behaviour = _behaviour(model, json.dumps(self.control))
        gone = asyncio.ensure_future(_disconnected(receive))
        stream = _Stream(send, gone)
        self.open_streams += 1
        try:
            if await stream.sleep(behaviour.headers_after_s):
                await self._answer(behaviour, model, body, stream)
        finally:
            self.open_streams -= 1
            if gone.done() and not stream.complete:
                self.closed.append(Closed(gone.result(), model, stream.writes))
            gone.cancel()

    async def _answer(self, behaviour: Behaviour, model: str, body: dict[str, Any], stream: "_Stream") -> None:
        if behaviour.status != 200 and self._fails_now(model, behaviour.fail_times):
            await _send_error(stream.send, behaviour)
            stream.complete = True
        elif not body.get("stream"):
            await _send_json(stream.send, _completion(behaviour, model, _calls_tool(behaviour, body)))
            stream.complete = True
        else:
            await stream.run(behaviour, _writes(behaviour, _calls_tool(behaviour, body)))

    def _fails_now(self, model: str, fail_times: int) -> bool:
        if not fail_times:
            return True
        self.failures[model] = self.failures.get(model, 0) + 1
        return self.failures[model] <= fail_times


class _Stream:
    """One streamed answer; stops as soon as the client is gone."""

    def __init__(self, send: Send, gone: "asyncio.Future[float]") -> None:
        self.send = send
        self.gone = gone
        self.writes = 0
        self.complete = False

    async def sleep(self, seconds: float) -> bool:
        """Wait; return False when the client left meanwhile."""
        if seconds > 0:
            await asyncio.wait({self.gone}, timeout=seconds)
        else:
            await asyncio.sleep(0)  # writing alone never lets the disconnect be seen
        return not self.gone.done()

    async def run(self, behaviour: Behaviour, writes: tuple[bytes, ...]) -> None:
        """Send the headers and the pieces at their pace."""
        headers = [(b"content-type", behaviour.content_type.encode())]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"", "more_body": True})
        if not await self.sleep(behaviour.silent_s):
            return
        pause = behaviour.split_pause_s if behaviour.split_bytes else 0.0
        if behaviour.pace:
            pause = 1.0 / behaviour.pace
        due = time.monotonic()
        for piece in writes:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            self.writes += 1
            due += pause
            if not await self.sleep(due - time.monotonic()):
                return
        if behaviour.tear:
            raise ConnectionResetError("torn on purpose")
        await self.send({"type": "http.response.body", "body": b""})
        self.complete = True


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _disconnected(receive: Receive) -> float:
    while (await receive())["type"] != "http.disconnect":
        pass
    return time.monotonic()


async def _send_json(send: Send, content: Any, status: int = 200, retry_after: str = "") -> None:
    headers = [(b"content-type", b"application/json")]
    if retry_after:
        headers.append((b"retry-after", retry_after.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


async def _send_error(send: Send, behaviour: Behaviour) -> None:
    error = {"message": behaviour.error, "type": "error", "code": behaviour.error_code}
    await _send_json(send, {"error": error}, behaviour.status, behaviour.retry_after or "")


@lru_cache(maxsize=512)
def _behaviour(model: str, control: str) -> Behaviour:
    defaults = Behaviour()
    known = {entry.name: type(getattr(defaults, entry.name)) for entry in fields(Behaviour)}
    known["cut_after"] = int
    chosen: dict[str, Any] = json.loads(control)
    for name, text in parse_qsl(model.partition("?")[2], keep_blank_values=True):
        kind = known[name]
        if kind is bool:
            chosen[name] = text.lower() in ("1", "true", "yes")
        else:
            chosen[name] = kind(text) if kind in (int, float) else text
    return replace(defaults, **chosen)


def _calls_tool(behaviour: Behaviour, body: dict[str, Any]) -> bool:
    answered = sum(message.get("role") == "tool" for message in body["messages"])
    return answered < behaviour.tool_rounds and bool(body.get("tools"))


def _words(behaviour: Behaviour) -> list[str]:
    if behaviour.text is not None:
        *words, last = behaviour.text.split(" ")
        return [*(f"{word} " for word in words), last]
    return [f"word{n} ".rjust(behaviour.token_chars, "x") for n in range(behaviour.tokens)]


def _frame(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    text = json.dumps({**head, "choices": choices, **more}, ensure_ascii=False)
    return b"data: " + text.encode() + b"\n\n"


def _text_frames(words: list[str]) -> list[bytes]:
    head, tail = _frame({"content": "@"}).split(b'"@"')
    return [head + json.dumps(word, ensure_ascii=False).encode() + tail for word in words]


def _tool_frames(behaviour: Behaviour) -> list[bytes]:
    text, half = behaviour.tool_arguments, len(behaviour.tool_arguments) // 2
    function = {"name": behaviour.tool_name, "arguments": ""}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    pieces = [{"index": 0, "function": {"arguments": part}} for part in (text[:half], text[half:])]
    return [_frame({"tool_calls": [piece]}) for piece in (call, *pieces)]


@lru_cache(maxsize=512)
def _writes(behaviour: Behaviour, calls_tool: bool) -> tuple[bytes, ...]:
    """Return the pieces of the stream, encoded once for all requests of this kind."""
    if behaviour.raw is not None:
        return _split([behaviour.raw.encode()], behaviour)
    frames = [_frame({"role": "assistant", "content": ""})]
    if behaviour.reasoning:
        frames += [_frame({"reasoning_content": f"{w} "}) for w in behaviour.reasoning.split(" ")]
    words = _words(behaviour)
    frames += _tool_frames(behaviour) if calls_tool else _text_frames(words)
    if behaviour.cut_after is not None:
        return _split(frames[: 1 + behaviour.cut_after], behaviour)
    frames.append(_frame({}, "tool_calls" if calls_tool else behaviour.finish_reason))
    if behaviour.usage:
        frames.append(_frame({}, choices=[], usage=_usage(len(words))))
    frames.append(b"data: [DONE]\n\n")
    return _split(frames, behaviour)


def _split(frames: list[bytes], behaviour: Behaviour) -> tuple[bytes, ...]:
    if behaviour.split_bytes:
        whole, size = b"".join(frames), behaviour.split_bytes
        return tuple(whole[at : at + size] for at in range(0, len(whole), size))
    size = 1 if behaviour.pace else behaviour.per_write
    return tuple(b"".join(frames[at : at + size]) for at in range(0, len(frames), size))


def _usage(words: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": words, "total_tokens": 10 + words}


def _completion(behaviour: Behaviour, model: str, calls_tool: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(_words(behaviour))}
    if calls_tool:
        function = {"name": behaviour.tool_name, "arguments": behaviour.tool_arguments}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
    reason = "tool_calls" if calls_tool else behaviour.finish_reason
    choice = {"index": 0, "message": message, "finish_reason": reason}
    usage = _usage(len(_words(behaviour)))
    return {"id": "chatcmpl-1", "model": model, "choices": [choice], "usage": usage}


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server in a thread."""

    app: FakeOpenAI
    url: str
    """Base URL for clients, `/v1` included."""


@contextmanager
def running_server(port: int = 0) -> Iterator[RunningServer]:
    """Run the server in a thread of this process; port 0 takes a free one."""
    app = FakeOpenAI()
    with _listen(port) as listener:
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="fake-openai", daemon=True)
        thread.start()
        try:
            yield RunningServer(app, _url(listener))
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=9001, help="0: any that is free")
    with _listen(parser.parse_args().port) as listener, suppress(KeyboardInterrupt):
        print(f"OpenAI-compatible fake on {_url(listener)}", flush=True)
        uvicorn.Server(_config(FakeOpenAI())).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    # Clients may connect from now on; they wait until the server accepts.
    return socket.create_server(("127.0.0.1", port), backlog=1024)


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def _config(app: FakeOpenAI) -> uvicorn.Config:
    return uvicorn.Config(app, lifespan="off", access_log=False, log_level="critical", timeout_graceful_shutdown=0)


if __name__ == "__main__":
    main()
