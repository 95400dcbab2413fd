"""A browser's EventSource as the HTML standard has it: it reads, comes back by itself, and stops at 204."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

OPEN, CLOSED = 1, 2


@dataclass(frozen=True, slots=True)
class Message:
    """One event as `onmessage` gets it."""

    data: str
    last_event_id: str
    type: str = "message"


@dataclass(slots=True)
class EventSource:
    """Reads in a thread, from `start` until it is closed by its owner or by the server."""

    url: str
    on_message: Callable[[Message], None]
    reconnect_s: float = 0.1
    """Browsers wait some seconds unless the server says less; a test need not."""
    throw_out: bool = False
    """Lose the connection after every event."""
    ready_state: int = OPEN
    statuses: list[int] = field(default_factory=list)
    """Of every request that it made."""
    last_event_id: str = ""
    _answer: httpx.Response | None = None
    _thread: threading.Thread | None = None

    def start(self) -> "EventSource":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Read no more."""
        self.ready_state = CLOSED

    def wait(self, timeout_s: float = 60) -> None:
        """Return when it is closed."""
        assert self._thread is not None
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "it reads on"

    def _run(self) -> None:
        while self.ready_state != CLOSED:
            with suppress(httpx.TransportError):
                self._connect()
            time.sleep(self.reconnect_s)

    def _connect(self) -> None:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        with httpx.stream("GET", self.url, headers=headers, timeout=60) as answer:
            self.statuses.append(answer.status_code)
            kind = answer.headers.get("content-type", "")
            if answer.status_code != 200 or not kind.startswith("text/event-stream"):
                self.close()
                return
            self._read(answer)

    def _read(self, answer: httpx.Response) -> None:
        data: list[str] = []
        event, last_id = "message", self.last_event_id
        for line in _lines(answer):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.last_event_id = last_id
                if data:
                    self.on_message(Message("\n".join(data), last_id, event))
                dispatched, data, event = bool(data), [], "message"
                if self.ready_state == CLOSED or (dispatched and self.throw_out):
                    return
            elif name == "data":
                data.append(value)
            elif name == "id" and "\0" not in value:
                last_id = value
            elif name == "event":
                event = value
            elif name == "retry" and value.isdigit():
                self.reconnect_s = min(int(value) / 1000, self.reconnect_s)


def _lines(answer: httpx.Response) -> Iterator[str]:
    """Yield lines as the standard ends them: at CR, LF or both, nowhere else."""
    rest = ""
    for text in answer.iter_text():
        *whole, rest = (rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        yield from whole
