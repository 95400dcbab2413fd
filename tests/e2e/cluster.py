"""A server of several processes on one port, started as users start it, and killed whatever happens.

Not responsible for calling it (`client.py`), nor for the servers that it calls itself (`neighbours.py`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import httpx

from tests.support.databases import Database
from tests.support.server import environment, free_port

WORKERS = 4
APP = "agio.api.app:app"
PATIENCE_S = 60.0
"""How long anything may take on a busy machine."""

Command = Literal["uvicorn", "agio serve"]

#: Becomes the server (same pid) after asking the kernel to kill it when this process dies, however that happens;
#: its workers then go by themselves.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Cluster:
    """The server. Its port and its database stay the same over restarts."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        variables: Mapping[str, str],
        *,
        size: int = WORKERS,
        app: str = APP,
        options: Sequence[str] = (),
    ) -> None:
        """Args: size: its worker processes; app and options: for the command `uvicorn`."""
        self.database = database
        self.size = size
        self._usual: Command = "uvicorn"
        self._again: Command = "uvicorn" if options or app != APP else "agio serve"
        self._uvicorn = ["-m", "uvicorn", app, "--workers", str(size), *options]
        self.port = free_port()
        self.log = folder / "server.log"
        self._folder = folder
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # -- life

    def start(self, command: Command) -> None:
        """Start the server; return when it answers. For a thread that outlives it: it is the parent to the kernel."""
        assert self._process is None, "it runs already"
        self._usual = self._again  # both of users' ways in one run of the suite
        programs = {
            "uvicorn": [*self._uvicorn, "--port", str(self.port)],
            "agio serve": ["-m", "agio.cli", "serve", "--workers", str(self.size), "--port", str(self.port)],
        }
        trampoline = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), sys.executable]
        env = environment(self._folder, **self.database.variables, **self._variables)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*trampoline, *programs[command]],
                cwd=self._folder,
                env=env,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._wait(self._answers, "an answer")

    def ensure(self, patience_s: float = PATIENCE_S) -> None:
        """Make it whole again after whatever a test did to it."""
        if self._process is not None and self._process.poll() is not None:
            self.kill()
        if self._process is None:
            self.start(self._usual)
        self._wait(lambda: len(self.workers()) == self.size and self._answers(), f"{self.size} workers", patience_s)

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/api/health?components=true", timeout=5).json()["components"] == {
                "store": "ready"
            }
        return False

    def kill(self) -> None:
        """SIGKILL to every process of it, and wait until they are gone."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE_S)
            self.wait_until_gone()

    def terminate(self) -> int:
        """SIGTERM to the supervisor, as a service manager does; return its exit code."""
        self.supervisor.send_signal(signal.SIGTERM)
        code = self.supervisor.wait(PATIENCE_S)
        self.wait_until_gone()
        return code

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor alone."""
        self.supervisor.kill()
        self.supervisor.wait(PATIENCE_S)

    def wait_until_gone(self) -> None:
        """Return when no process of it is left."""
        assert self._process is not None
        pid = self._process.pid
        self._wait(lambda: not members(pid), "the end of all processes")
        self._process = None

    # -- processes

    @property
    def supervisor(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "it does not run"
        return self._process

    def workers(self) -> dict[str, int]:
        """Return the process ids of the living workers by the workers' ids."""
        mine = members(self.supervisor.pid)
        return {worker: pid for worker, pid in self.database.workers().items() if pid in mine}

    def pids(self) -> list[int]:
        """Return the process ids of the living workers."""
        return sorted(self.workers().values())

    def serving_pid(self, client_port: int) -> int | None:
        """Return which process has accepted the connection from that port."""
        inode = _socket_inode(self.port, client_port)
        return next((pid for pid in self.pids() if inode is not None and _has_socket(pid, inode)), None)

    def forked_by(self) -> set[int]:
        """Return the parents of the living workers."""
        return {int(_stat(pid)[1]) for pid in self.pids()}

    def cpu_s(self) -> float:
        """Return the processor time that all processes of it have spent."""
        return sum(_cpu_s(pid) for pid in members(self.supervisor.pid))

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:])

    def _wait(self, holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.log_tail()}"
            time.sleep(0.05)


def members(group: int) -> set[int]:
    """Return the processes of a process group that are not dead."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[2]) == group and fields[0] not in "ZX":
                found.add(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on; nothing when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _socket_inode(server_port: int, client_port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{server_port:04X}") and fields[2].endswith(f":{client_port:04X}"):
            return fields[9]
    return None


def _has_socket(pid: int, inode: str) -> bool:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if link.readlink().name == f"socket:[{inode}]":
                    return True
    return False
