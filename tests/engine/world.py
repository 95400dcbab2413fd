"""A small installation for tests of the engine: a store, any number of processes, a scripted model."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agio.api.sse import wire_events
from agio.domain.agents import Agent
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.settings import EngineSettings
from agio.engine.starting import StartRequest
from agio.engine.tasks import end
from agio.engine.tail import Draining
from agio.storage.port import Store
from agio.testing.provider import ScriptedProvider
from agio.tools.base import Tool
from agio.tools.registry import ToolRegistry

ANN = Caller("ann", "default")
FAST = EngineSettings(
    lease_s=1.5, scan_s=0.1, drain_s=2.0, sweep_s=0.5, retry_base_s=0.01, retry_cap_s=0.05, poll_s=0.02
)


class OneProvider:
    """Every name is the one provider."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.provider = provider

    def get(self, name: str) -> Any:
        return self.provider

    def knows(self, name: str) -> bool:
        return name != "unknown"


def agent(**changes: Any) -> Agent:
    """An agent on the scripted model."""
    now = datetime.now(UTC)
    base = Agent(
        id="a1",
        group_id="default",
        name="A1",
        provider="scripted",
        model="m",
        source="code",
        created_at=now,
        updated_at=now,
    )
    return replace(base, **changes)


class World:
    """One database, and the processes on it."""

    def __init__(self, open_store: Callable[[], Store], provider: ScriptedProvider) -> None:
        self._open_store = open_store
        self.provider = provider
        self.engines: list[Engine] = []

    async def add_process(
        self,
        *,
        tools: Iterable[Tool] = (),
        agents: Iterable[Agent] | None = None,
        settings: EngineSettings = FAST,
        worker: bool = True,
        provider: ScriptedProvider | None = None,
    ) -> Engine:
        """Start one more process; `worker=False`: it serves requests and claims nothing."""
        store = self._open_store()
        await store.open()
        made = list(agents) if agents is not None else [agent(tools=tuple(t.name for t in tools))]
        registry = ToolRegistry(tuple(tools))
        engine = Engine(store, OneProvider(provider or self.provider), registry, settings, made)
        if worker:
            await engine.worker.start()
        self.engines.append(engine)
        return engine

    async def remove(self, engine: Engine) -> None:
        """Stop a process in good order."""
        self.engines.remove(engine)
        await engine.worker.stop()
        await engine.store.close()

    async def kill(self, engine: Engine) -> None:
        """Stop a process as `kill -9` would: nothing is written any more, the lease is not given back."""
        self.engines.remove(engine)
        worker = engine.worker
        tasks = [*worker._loops, *worker._drives, worker._writer._task]
        await end(task for task in tasks if task is not None)
        await engine.store.close()

    async def close(self) -> None:
        for engine in list(self.engines):
            await self.remove(engine)


@asynccontextmanager
async def running_world(open_store: Callable[[], Store], provider: ScriptedProvider) -> AsyncIterator[World]:
    world = World(open_store, provider)
    try:
        yield world
    finally:
        await world.close()


async def start(engine: Engine, message: str = "hello", **options: Any) -> Run:
    """Start a run of agent a1."""
    caller = options.pop("caller", ANN)
    agent_id = options.pop("agent_id", "a1")
    return await engine.starting.start(caller, StartRequest(agent_id=agent_id, message=message, **options))


async def read(
    engine: Engine, run_id: str, *, after: int = 0, until: str | None = None, follow: bool = True
) -> list[dict[str, Any]]:
    """Read events until the run ends, or until one of type `until` came."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30), aclosing(engine.tail(ANN, run_id, after=after, follow=follow)) as items:
        async for item in items:
            if isinstance(item, Draining):
                break
            fresh = [event for event in wire_events(item.entry) if event["seq"] > after]
            found += fresh
            if until is not None and any(event["type"] == until for event in fresh):
                break
    return found


async def settled(engine: Engine, run_id: str, *statuses: RunStatus) -> Run:
    """Wait until the run's record has one of the statuses."""
    async with asyncio.timeout(30):
        while True:
            run = await engine.store.get_run("default", run_id)
            if run.status in statuses:
                return run
            await asyncio.sleep(0.01)


def types(events: Iterable[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def check_sequence(events: list[dict[str, Any]]) -> None:
    """I2: 1, 2, 3, … without gap or duplicate."""
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(1, len(seqs) + 1))


def text_of(events: Iterable[dict[str, Any]]) -> str:
    """What a reader that honours `content_reset` shows."""
    shown: dict[str, str] = {}
    for event in events:
        if event["type"] == "content_delta":
            shown[event["message_id"]] = shown.get(event["message_id"], "") + event["content"]
        elif event["type"] == "content_reset":
            shown.pop(event["message_id"], None)
    return "".join(shown.values())
