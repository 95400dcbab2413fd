"""What all scenarios share: the upstream, the servers under test, scratch space."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.processes import Server, serving
from tests.support.databases import Database, MongoDatabase, SQLiteFile
from tests.support.mongod import ReplicaSet, find_mongod, fresh_database, running

PROXIES = {"proxy-raw": "raw", "proxy-openai-raw-aio": "aio"}


@dataclass
class Setting:
    """A provider, a MongoDB replica set of one (if there is a mongod), and a folder."""

    folder: Path
    upstream: Server
    replica_set: ReplicaSet | None
    quick: bool
    _count: int = field(default=0)

    @property
    def stores(self) -> list[str]:
        """The stores that can be measured here."""
        return ["sqlite", "mongodb"] if self.replica_set else ["sqlite"]

    @contextmanager
    def proxy(self, name: str) -> Iterator[Server]:
        """Serve a yardstick."""
        args = ["uvicorn", f"benchmarks.proxies:{PROXIES[name]}", "--port", "{port}", "--log-level", "warning"]
        env = {"UPSTREAM": f"{self.upstream.url}/v1"}
        with serving(args, env, ready="/", log=self.folder / "log") as server:
            yield server

    @contextmanager
    def agio(self, store: str, *, workers: int = 1, **env: str) -> Iterator[Server]:
        """Serve Agio on a fresh database."""
        with ExitStack() as stack:
            database = self.database(stack, store)
            args = ["uvicorn", "agio.api.app:app", "--port", "{port}", "--log-level", "warning"]
            args += ["--workers", str(workers)] if workers > 1 else []
            common = {
                "AGIO_OPENAI_API_KEY": "benchmark",
                "AGIO_OPENAI_BASE_URL": f"{self.upstream.url}/v1",
                "AGIO_LOG_LEVEL": "WARNING",
            }
            ready = "/api/info"
            variables = {**common, **database.variables, **env}
            server = stack.enter_context(serving(args, variables, ready=ready, log=self.folder / "log"))
            yield replace(server, database=database)

    def database(self, stack: ExitStack, store: str) -> Database:
        """Return a fresh database."""
        if store == "mongodb":
            assert self.replica_set is not None
            return MongoDatabase(stack.enter_context(fresh_database(self.replica_set)))
        self._count += 1
        return SQLiteFile(self.folder / f"{self._count}.db")


@contextmanager
def prepared(*, quick: bool) -> Iterator[Setting]:
    """Start what the scenarios need; remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agio-bench-"))
    try:
        with ExitStack() as stack:
            args = ["agio.testing.openai_server", "--port", "{port}"]
            upstream = stack.enter_context(serving(args, {}, ready="/v1/models", log=folder / "log"))
            binary = find_mongod()
            servers = stack.enter_context(running(ReplicaSet(binary))) if binary else None
            yield Setting(folder, upstream, servers, quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
