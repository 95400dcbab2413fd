"""Server processes by the dozen: one process imports everything once and forks a server per request.

As a script it is that process: it reads requests from its input, a JSON object per line, and answers each with one.
It and what it forked end with the process that started it, however that happens.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.server import environment, free_port

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Server:
    """One forked server."""

    nursery: "Nursery"
    pid: int
    url: str
    log: Path
    exit_code: int | None = None

    def wait_until_ready(self) -> None:
        """Return when it answers and its store is open."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not self.is_dead():
            with suppress(httpx.TransportError):
                health = httpx.get(f"{self.url}/api/health?components=true", timeout=5).json()
                if health["components"] == {"store": "ready"}:
                    return
            time.sleep(0.01)
        raise AssertionError(f"it does not answer:\n{self.log.read_text()}")

    def is_dead(self) -> bool:
        """Say whether the process has ended; its exit code is known then."""
        if self.exit_code is None:
            self.exit_code = self.nursery.ask(do="look", pid=self.pid)["exit_code"]
        return self.exit_code is not None

    @property
    def worker_id(self) -> str:
        """Return the id of its worker, as its log says."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return next(str(line["worker_id"]) for line in lines if line["message"] == "ready")


class Nursery:
    """The process that forks servers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.nursery", str(os.getpid())],
            cwd=ROOT,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> Any:
        """Let it do something, and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery has died"
        return json.loads(answer)

    def start(self, variables: Mapping[str, str]) -> Server:
        """Fork a server with these variables; it may not answer yet."""
        port = free_port()
        log = self._folder / f"server-{port}.log"
        pid = self.ask(do="start", port=port, log=str(log), folder=str(self._folder), variables=dict(variables))["pid"]
        return Server(self, pid, f"http://127.0.0.1:{port}", log)

    def close(self) -> None:
        """End it, and with it every server."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


# -- the process itself


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _look(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _serve(request: dict[str, Any]) -> None:
    """Become a server."""
    import uvicorn  # noqa: PLC0415 - imported by now; only this process needs it

    from agio import crashes  # noqa: PLC0415
    from agio.api.app import create_app  # noqa: PLC0415
    from agio.observability.logs import setup_logging  # noqa: PLC0415

    output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir(request["folder"])
    os.environ.update(request["variables"])
    crashes.arm(os.environ.get("AGIO_CRASH_AT") or None)
    setup_logging("INFO", "json")
    uvicorn.run(create_app(), host="127.0.0.1", port=request["port"], log_config=None, timeout_graceful_shutdown=30)


def _import_everything() -> None:
    import agio.api.preload  # noqa: PLC0415
    import agio.storage.mongo  # noqa: PLC0415
    import agio.storage.sqlite  # noqa: F401, PLC0415


def _main(parent: int) -> None:
    _die_with(parent)
    _import_everything()
    me = os.getpid()
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "look":
            answer: dict[str, Any] = {"exit_code": _look(request["pid"])}
        else:
            pid = os.fork()
            if pid == 0:
                try:
                    _die_with(me)
                    _serve(request)
                finally:
                    os._exit(0)
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
