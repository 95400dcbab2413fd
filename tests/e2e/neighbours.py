"""What a server under test calls: an endpoint with effects, for tools."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came in."""

    path: str
    key: str
    """Its Idempotency-Key."""
    body: Any


@dataclass(slots=True)
class Effects:
    """An endpoint that does what it is asked at once, and answers at once or when it is let."""

    url: str
    calls: list[Call] = field(default_factory=list)
    _held: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def hold(self, path: str) -> None:
        """Answer no call of that path until `release`."""
        with self._changed:
            self._held.add(path)

    def release(self, path: str) -> None:
        """Answer what waits, and what comes."""
        with self._changed:
            self._held.discard(path)
            self._changed.notify_all()

    def on(self, path: str) -> list[Call]:
        """Return the calls of a path."""
        with self._changed:
            return [call for call in self.calls if call.path == path]

    def wait_for(self, path: str, count: int) -> list[Call]:
        """Return the calls of a path, once there are so many. Blocks."""
        with self._changed:
            came = self._changed.wait_for(lambda: sum(c.path == path for c in self.calls) >= count, PATIENCE_S)
        assert came, f"{path} was not called {count} times: {self.calls}"
        return self.on(path)

    def take(self, call: Call) -> None:
        """Do what is asked, and return when it may be answered."""
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            self._changed.wait_for(lambda: call.path not in self._held, PATIENCE_S)


@contextmanager
def running_effects() -> Iterator[Effects]:
    """Run the endpoint in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            effects.take(Call(self.path, self.headers.get("Idempotency-Key", ""), json.loads(text or b"null")))
            answer = json.dumps({"done": self.path}).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                pass  # the caller was killed

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    effects = Effects(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield effects
    finally:
        for path in {call.path for call in effects.calls}:
            effects.release(path)
        server.shutdown()
        server.server_close()
        thread.join()
