"""An engine at work: opened, kept waiting while its database is away, drained and closed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol, runtime_checkable

from agio import __version__
from agio.bootstrap.agents import DeclaredAgent
from agio.bootstrap.assembly import make_engine
from agio.bootstrap.signals import install_drain_signal, stop_this_process, watch_parent
from agio.domain.agents import Agent
from agio.domain.errors import AgioError, Invalid, StoreUnavailable
from agio.engine.engine import Engine
from agio.engine.examples import make_examples_once
from agio.engine.observer import Both, Observer
from agio.engine.tasks import end
from agio.observability.metrics import Metrics
from agio.observability.observer import ProcessObserver
from agio.observability.shared import metrics_folder
from agio.observability.traces import Traces
from agio.providers.base import Provider
from agio.providers.model import OpenAIModel
from agio.settings import Settings
from agio.tools import Tool

log = logging.getLogger(__name__)

START_S = 2.0
"""How long the start waits for the database; then the server begins to answer, if only with 503."""

RETRY_S = 1.0
LONGEST_RETRY_S = 5.0

STOP_S = 15.0
"""What a worker gets to stop, beyond the drain: whoever stops a server waits for it without a limit of its own."""


@runtime_checkable
class _Closable(Protocol):
    async def close(self) -> None: ...


async def _start(engine: Engine) -> None:
    """Open the store and start the worker: both or neither."""
    await engine.store.open()
    try:
        await engine.worker.start()
    except BaseException:
        await engine.store.close()
        raise


async def _stop(engine: Engine) -> None:
    try:
        async with asyncio.timeout(engine.settings.drain_s + STOP_S):
            await engine.worker.stop()
    except TimeoutError:
        log.error("the worker did not stop in time; its lease will run out", extra={"worker_id": engine.worker.id})


async def _close(engine: Engine) -> None:
    try:
        await engine.store.close()
    finally:
        for one in (engine.providers, engine.toolbox):
            if isinstance(one, _Closable):
                await one.close()


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """Run an engine for as long as the context is open.

    Raises:
        StoreUnavailable: the database cannot be reached now.
    """
    try:
        await _start(engine)
        try:
            yield engine
        finally:
            await _stop(engine)
    finally:
        await _close(engine)


class Runtime:
    """The engine of a server process.

    A database that is away does not keep the server from starting: it is not `ready`, and tries again until the
    database is there. It never takes another one.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        metrics: Metrics | None = None,
        traces: Traces | None = None,
        retry_s: float = RETRY_S,
        examples: bool = False,
    ) -> None:
        """Args: examples: make the example records where the database is empty."""
        self.engine = engine
        self._examples = examples
        self.traces = traces
        """Spans of this process; None: they are switched off."""
        self.metrics = metrics
        """Figures of this server; None: they are switched off."""
        self.ready = False
        """The store is open and the worker works."""
        self.draining = False
        """The process was told to stop; its runs go to other processes."""
        self.problem: str | None = None
        """Why it is not ready."""
        self._retry_s = retry_s
        self._watches: list[asyncio.Task[None]] = []
        self._drain: asyncio.Task[None] | None = None
        self._restore_signals: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Open the store and start the worker; in the background while the database is away.

        Raises:
            Unsupported: the database's schema is newer than this program, or its server too old.
            Invalid: its URL is wrong.
        """
        opening = asyncio.create_task(self._open(), name="runtime-open")
        await asyncio.wait({opening}, timeout=START_S)
        failure = opening.exception() if opening.done() else None
        if failure is not None and not isinstance(failure, StoreUnavailable):
            await _close(self.engine)
            raise failure
        if failure is not None:
            self._note(failure)
        if not self.ready:
            self._watches.append(asyncio.create_task(self._keep_opening(opening), name="runtime-keep-opening"))
        self._restore_signals = install_drain_signal(asyncio.get_running_loop(), self.drain)
        self._watches.append(asyncio.create_task(watch_parent(stop_this_process), name="runtime-parent"))

    async def stop(self) -> None:
        """Hand runs over and close everything."""
        self._restore_signals()
        await end(self._watches)
        try:
            if self.ready:
                self.ready = False
                await _stop(self.engine)
            if self._drain is not None:
                await end([self._drain])  # over by now, or as stuck as the stop was
        finally:
            await _close(self.engine)
            if self.traces is not None:
                await asyncio.to_thread(self.traces.close)

    def drain(self) -> None:
        """Begin to hand runs over, and to end all streams; returns at once. `stop` waits for it."""
        if self.draining:
            return
        self.draining = True
        if self.ready:
            self._drain = asyncio.create_task(self.engine.worker.drain(), name="runtime-drain")
        else:
            for watch in self._watches:
                watch.cancel()

    async def _open(self) -> None:
        await _start(self.engine)
        if self._examples:
            await self._make_examples()
        self.ready, self.problem = True, None
        log.info("ready", extra={"store": self.engine.store.name, "worker_id": self.engine.worker.id})

    async def _make_examples(self) -> None:
        engine = self.engine
        try:
            await make_examples_once(engine.store, engine.task_trees, engine.worker.id, engine.settings.lease_s)
        except AgioError as error:  # a server without them serves as well; the next start tries again
            log.warning("the examples could not be made", extra={"reason": str(error)})

    async def _keep_opening(self, opening: asyncio.Task[None]) -> None:
        wait_s = self._retry_s
        while True:
            try:
                await opening
            except AgioError as error:  # whatever it is, it can be mended over there
                self._note(error)
            except Exception:
                log.exception("opening the store went wrong; trying again")
            else:
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, LONGEST_RETRY_S)
            opening = asyncio.create_task(self._open(), name="runtime-open")

    def _note(self, error: AgioError) -> None:
        if self.problem is None:
            log.warning("the store cannot be opened; trying again until it can", extra={"reason": str(error)})
        self.problem = str(error)


def make_runtime(
    settings: Settings,
    *,
    agents: Iterable[Agent | DeclaredAgent] = (),
    tools: Iterable[Tool | Callable[..., Any]] = (),
    providers: Iterable[Provider | OpenAIModel] = (),
) -> Runtime:
    """Return the runtime of a server process; see `make_engine`."""
    metrics = Metrics(metrics_folder()) if settings.metrics_enabled else None
    observer: Observer = ProcessObserver(metrics)
    traces = start_traces() if settings.traces_enabled else None
    if traces is not None:
        observer = Both(observer, traces)
    engine = make_engine(settings, agents=agents, tools=tools, providers=providers, observer=observer)
    return Runtime(engine, metrics=metrics, traces=traces, examples=settings.examples)


class _Tracing(Observer, Traces, Protocol):
    """Watches the engine, and takes callers' spans."""


def start_traces() -> _Tracing:
    """Return what makes this process's spans.

    Raises:
        Invalid: the extra is not installed, or OTEL_TRACES_EXPORTER is wrong.
    """
    try:
        from agio.observability.otel import start_tracing  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise Invalid(
            f"AGIO_TRACES_ENABLED needs an extra that is not installed ({error}): pip install 'agio[otel]'",
            field="traces_enabled",
        ) from error
    return start_tracing(__version__)
