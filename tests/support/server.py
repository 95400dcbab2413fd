"""Server processes for tests: started, waited for, and stopped whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)

    def wait_until_healthy(self) -> None:
        """Return when /api/health answers."""
        self.wait_for("/api/health", 200)

    def wait_for(self, path: str, status: int) -> None:
        """Return when a GET of the path answers with that status."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(self.url + path, timeout=5).status_code == status:
                    return
            time.sleep(0.05)
        pytest.fail(f"{path} did not answer {status}:\n{self.log.read_text()}")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which Agio comes from this checkout and keeps its data in `folder`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder / "data")}
    return {**os.environ, **own, **more}


@contextmanager
def serving(
    arguments: Sequence[str], folder: Path, *, port: int | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run `python <arguments>` in `folder` with AGIO_PORT set to a free port; killed at the end if it still runs."""
    port = port or free_port()
    env = environment(folder, **{"AGIO_PORT": str(port), **(variables or {})})
    log = folder / f"server-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Server(process=process, port=port, log=log)
    finally:
        # Its own session, so that the processes which it started go too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_TIMEOUT_S)
