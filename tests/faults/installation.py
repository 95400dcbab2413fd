"""What a campaign breaks: a database, a server of several processes, a model and an endpoint with effects.

Everything that starts a process does so in one thread of its own: the kernel ends a child with the thread that
started it, and the harness's loop must not wait.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from agio.testing.openai_server import running_server
from tests.e2e.cluster import Cluster
from tests.faults.neighbours import EffectServer, ModelWatch
from tests.support.databases import Database, MongoDatabase, SQLiteFile
from tests.support.mongod import ReplicaSet, find_mongod, running

T = TypeVar("T")

StoreName = Literal["sqlite", "mongodb"]
WELL_S = 90.0
"""How long a server may take to be whole again after a fault, besides what its supervisor takes to see who is dead."""


@dataclass(slots=True, kw_only=True)
class Installation:
    """One installation, and how to touch its processes."""

    store: StoreName
    lease_s: float
    drain_s: float
    healthcheck_s: float
    folder: Path
    cluster: Cluster
    effects: EffectServer
    watch: ModelWatch
    servers: ReplicaSet | None = None
    """None: SQLite."""
    pid_of: dict[str, int] = field(default_factory=dict)
    """Process ids of all workers seen so far, by the workers' ids."""
    hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "hands"))

    @property
    def base(self) -> str:
        return self.cluster.url

    async def do(self, work: Callable[[], T]) -> T:
        """Do something that blocks, or that starts a process."""
        return await asyncio.get_running_loop().run_in_executor(self.hands, work)

    async def workers(self) -> dict[str, int]:
        """Return the process ids of the living workers, by the workers' ids."""
        found = await self.do(self.cluster.workers)
        self.pid_of |= found
        return found

    async def owned(self) -> dict[int, list[str]]:
        """Return the runs that living workers own, by process id."""
        workers = await self.workers()
        owned = await self.do(self.cluster.database.owned)
        return {pid: owned.get(worker, []) for worker, pid in workers.items()}

    async def well(self) -> None:
        """Return once every process works and, where there are several nodes, all of them do."""
        # It asks one after the other, and waits so long for each that died in that very moment.
        patience_s = WELL_S + self.cluster.size * self.healthcheck_s
        async with asyncio.timeout(patience_s + 10):
            if self.servers is not None:
                await self.do(self.servers.wait_steady)
            await self.do(lambda: self.cluster.ensure(patience_s))

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send a signal; a process that is gone already does not mind."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@asynccontextmanager
async def installed(
    store: StoreName, folder: Path, *, size: int, lease_s: float, drain_s: float
) -> AsyncIterator[Installation]:
    """Start an installation, and leave nothing of it behind."""
    effects = EffectServer()
    await effects.start()
    with ExitStack() as undo:
        model = undo.enter_context(running_server())
        variables = {
            "AGIO_OPENAI_API_KEY": "sk-test",
            "AGIO_OPENAI_BASE_URL": model.url,
            "AGIO_DEFAULT_MODEL": "fake",
            "AGIO_ALLOW_PRIVATE_HTTP": "true",
            "AGIO_LEASE_S": str(lease_s),
            "AGIO_DRAIN_S": str(drain_s),
            # On MongoDB the workers stand for several machines, on SQLite they are of one.
            "AGIO_LOCAL_TAKEOVER": str(store == "sqlite").lower(),
            "FAULTS_FOLDER": str(folder),
        }
        hands = ThreadPoolExecutor(1, "hands")
        loop = asyncio.get_running_loop()
        servers = None
        database: Database = SQLiteFile(folder / "agio.db")
        try:
            if store == "mongodb":
                binary = find_mongod()
                if binary is None:
                    raise RuntimeError("no mongod: the test requirement that carries one is not installed")
                servers = await loop.run_in_executor(
                    hands, lambda: undo.enter_context(running(ReplicaSet(binary, size=3)))
                )
                database = MongoDatabase(servers.uri("faults"))
            # A frozen process is to thaw, not to be killed by the supervisor that misses it.
            healthcheck_s = int(3 * lease_s) + 10
            options = [
                "--timeout-worker-healthcheck",
                str(healthcheck_s),
                "--timeout-graceful-shutdown",
                str(int(drain_s) + 5),
            ]
            options.append("--no-access-log")
            cluster = Cluster(folder, database, variables, size=size, app="tests.faults.app:app", options=options)
            undo.callback(cluster.kill)
            await loop.run_in_executor(hands, lambda: cluster.start("uvicorn"))
            yield Installation(
                store=store,
                lease_s=lease_s,
                drain_s=drain_s,
                healthcheck_s=healthcheck_s,
                folder=folder,
                cluster=cluster,
                effects=effects,
                watch=ModelWatch(model.app),
                servers=servers,
                hands=hands,
            )
        finally:
            await loop.run_in_executor(hands, undo.close)
            hands.shutdown()
            await effects.close()
