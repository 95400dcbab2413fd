"""The real thing under a remote control: a store, engines without loops of their own, a model and tools with gates.

Nothing here moves by itself: workers claim and hear when they are told to, and every run stands at a gate or rests
whenever `settle` returns. So a sequence of moves has one outcome, and a seed that failed fails again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from agio.domain.agents import Agent
from agio.domain.errors import ProviderError
from agio.domain.messages import Message
from agio.domain.runs import Run
from agio.engine.engine import Engine
from agio.engine.loop import Claim
from agio.engine.settings import EngineSettings
from agio.engine.tasks import end
from agio.providers.base import FinishPart, ModelPart, ModelRequest, TextPart, ToolCallPart
from agio.storage.port import Append, Store, WorkerLimits
from agio.testing.conformance.records import claim_one
from agio.testing.provider import ScriptedProvider
from agio.tools.base import ToolContext
from agio.tools.decorator import tool
from agio.tools.registry import ToolRegistry
from tests.engine.world import Faults, Hook, OneProvider, agent
from tests.model.reference import MAX_CLAIMS

LEASE_S = 3600.0
"""No lease runs out by itself."""
SETTINGS = EngineSettings(lease_s=LEASE_S, max_claims=MAX_CLAIMS, drain_s=0)
PATIENCE_S = 20.0

Work = tuple[str, str, int]
"""A worker, a run, and the epoch that it works in."""
_whose: ContextVar[Work] = ContextVar("whose")
"""What a task belongs to."""


class ModelIsGone(Exception):
    """The model cannot be asked any more."""


class Gates:
    """Where works stand."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._standing: dict[Work, tuple[str, asyncio.Future[None]]] = {}

    def at(self, work: Work) -> str | None:
        """Return the gate that it stands at."""
        return self._standing[work][0] if work in self._standing else None

    async def stand(self, name: str) -> None:
        """Stand at a gate until it is opened."""
        key, opened = _whose.get(), asyncio.get_running_loop().create_future()
        self._standing[key] = (name, opened)
        self.changed.set()
        try:
            await opened
        finally:
            if self._standing.get(key) == (name, opened):
                del self._standing[key]
            self.changed.set()

    def open(self, work: Work, error: Exception | None = None) -> None:
        """Let it go on."""
        _, opened = self._standing.pop(work)
        if error is None:
            opened.set_result(None)
        else:
            opened.set_exception(error)


@dataclass(eq=False)
class Process:
    """An engine whose worker does what it is told."""

    engine: Engine
    faults: Faults

    @property
    def id(self) -> str:
        return self.engine.worker.id


class Plant:
    """One database, any number of processes on it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.gates = Gates()
        self.effects: Counter[str] = Counter()
        """How often a tool did something, by the call's key."""
        self.requests: list[Sequence[Message]] = []
        self.processes: dict[str, Process] = {}
        self.works: dict[Work, asyncio.Task[None]] = {}
        self._flying = 0

        @tool(idempotent=True)
        async def calc(context: ToolContext) -> str:
            """Do what may be done twice."""
            return await self._do(context)

        @tool
        async def act(context: ToolContext) -> str:
            """Do what may not be done twice."""
            return await self._do(context)

        @tool(requires_approval=True)
        async def ask(context: ToolContext) -> str:
            """Do what somebody must agree to."""
            return await self._do(context)

        self._tools = ToolRegistry((calc, act, ask))
        self._agent: Agent = agent(tools=("calc", "act", "ask"), max_steps=50)
        self.desk = self._engine(store)
        """Serves requests; claims nothing."""

    def _engine(self, store: Store) -> Engine:
        return Engine(store, OneProvider(cast(ScriptedProvider, self)), self._tools, SETTINGS, [self._agent])

    # -- the model and the tools

    is_demo = False
    name = "scripted"

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncGenerator[Sequence[ModelPart], None]]:
        """Answer by the plan in the last question."""
        self.requests.append(request.messages)
        yield self._answer(request.messages)

    async def _answer(self, messages: Sequence[Message]) -> AsyncGenerator[Sequence[ModelPart], None]:
        try:
            await self.gates.stand("model")
            yield [TextPart("well, ")]
            await self.gates.stand("stream")
        except ModelIsGone:
            raise ProviderError("the model is gone", code="gone", retryable=False) from None
        asked = max(n for n, message in enumerate(messages) if message.role == "user")
        plan = [name for name in str(messages[asked].content).split(",") if name]
        made = sum(bool(message.tool_calls) for message in messages[asked:])
        if made < len(plan):
            yield [ToolCallPart(0, f"call-{made}", plan[made], "{}"), FinishPart("tool_calls")]
        else:
            yield [TextPart("done"), FinishPart("stop")]

    async def _do(self, context: ToolContext) -> str:
        await self.gates.stand("before")
        self.effects[context.idempotency_key] += 1
        await self.gates.stand("after")
        return "ok"

    # -- processes

    async def add_process(self) -> Process:
        """Start a process."""
        faults = Faults(self.store)
        process = Process(self._engine(cast(Store, faults)), faults)
        self.processes[process.id] = process
        self.hook(process, None)
        process.engine.worker._writer.start()
        await process.engine.worker._send_beat()
        return process

    def hook(self, process: Process, hook: Hook | None) -> None:
        """Let `hook` stand in for the process's next appends; None: nothing."""

        async def append(call: Hook, batch: Sequence[Append]) -> Any:
            self._flying += 1
            try:
                return await (call(batch) if hook is None else hook(call, batch))
            finally:
                self._flying -= 1
                self.gates.changed.set()

        process.faults.on("append", append)

    async def crash_in_append(self, process: Process, *, applied: bool, move: Callable[[], Awaitable[Any]]) -> None:
        """Make a move; end the process when it appends next, before that or after. Without an append: at rest."""
        reached = asyncio.Event()

        async def hold(call: Hook, batch: Sequence[Append]) -> Any:
            if applied:
                await call(batch)
            reached.set()
            self._flying -= 1  # it will never land
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._flying += 1

        self.hook(process, hold)
        await move()
        calm = asyncio.ensure_future(self.settle())
        stopped = asyncio.ensure_future(reached.wait())
        await asyncio.wait({calm, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await end([calm, stopped])
        await self.crash(process)

    async def crash(self, process: Process) -> None:
        """End a process as `kill -9` would, and let its lease run out."""
        del self.processes[process.id]
        worker = process.engine.worker
        await end(task for task in [*worker._drives, worker._writer._task] if task is not None)
        self.works = {work: task for work, task in self.works.items() if work[0] != process.id}
        await self.store.retire(process.id)

    async def claim(self, process: Process) -> Run | None:
        """Let a process claim one run that is ready."""
        return self._take(process, await claim_one(self.store, process.id, WorkerLimits()), abandoned=False)

    async def take_over(self, process: Process) -> Run | None:
        """Let a process claim one run whose worker died."""
        runs = await self.store.claim_abandoned(process.id, LEASE_S, limit=1)
        return self._take(process, runs[0] if runs else None, abandoned=True)

    def _take(self, process: Process, run: Run | None, *, abandoned: bool) -> Run | None:
        if run is not None:
            work = (process.id, run.id, run.epoch)
            worker = process.engine.worker
            before = set(worker._drives)
            token = _whose.set(work)
            worker._take(Claim(run=run, abandoned=abandoned))
            _whose.reset(token)
            (self.works[work],) = worker._drives - before
            self.works[work].add_done_callback(lambda _: self.gates.changed.set())
        return run

    async def hear(self) -> None:
        """Let every process hear of the commands for its runs."""
        for process in self.processes.values():
            await process.engine.worker._hear_commands()

    async def settle(self) -> None:
        """Return when every run stands at a gate or is let go of, and everything is written."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for _ in range(30):  # what was set off needs some turns to come away from its gate
                    await asyncio.sleep(0)
                self.gates.changed.clear()
                if not self._flying and not any(map(self._is_writing, self.processes.values())) and self._is_still():
                    return
                await self.gates.changed.wait()

    @staticmethod
    def _is_writing(process: Process) -> bool:
        return bool(process.engine.worker._writer._marked)

    def _is_still(self) -> bool:
        self.works = {work: task for work, task in self.works.items() if not task.done()}
        return all(self.gates.at(work) is not None for work in self.works)
