"""Server processes under measurement, and what the kernel says of them."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.databases import Database

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server and all its worker processes."""

    process: subprocess.Popen[bytes]
    port: int
    database: Database | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pids(self) -> list[int]:
        """The process and its children."""
        found = [self.process.pid]
        for pid in found:
            path = Path(f"/proc/{pid}/task/{pid}/children")
            found += [int(child) for child in path.read_text().split()] if path.exists() else []
        return found

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of all processes so far."""
        return sum(cpu_s_of(pid) for pid in self.pids())

    def peak_mb(self) -> float:
        """Largest resident size of any process so far, in MB."""
        return max(_status_kb(pid, "VmHWM") for pid in self.pids()) / 1024

    def now_mb(self) -> float:
        """Resident size of the largest process now, in MB."""
        return max(_status_kb(pid, "VmRSS") for pid in self.pids()) / 1024


def cpu_s_of(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def _status_kb(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(args: list[str], env: Mapping[str, str], *, ready: str, log: Path) -> Iterator[Server]:
    """Run `python -m …` with `{port}` filled in until `ready` (a path) answers; kill its group at the end."""
    port = free_port()
    command = [sys.executable, "-m", *(arg.replace("{port}", str(port)) for arg in args)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=output, stderr=output, start_new_session=True
        )
        server = Server(process, port)
        try:
            _wait(server, ready, log)
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(server: Server, ready: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            urllib.request.urlopen(server.url + ready, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, whatever it says
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the server did not come up; see {log}")
