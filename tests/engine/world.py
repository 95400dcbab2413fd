"""A small installation for tests of the engine: a store, any number of processes, a scripted model."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from agio.api.sse import wire_events
from agio.domain.agents import Agent
from agio.domain.errors import StoreUnavailable
from agio.domain.journal import Entry
from agio.domain.messages import Message
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.engine.hub import Published
from agio.engine.observer import NOBODY, Observer
from agio.engine.settings import EngineSettings
from agio.engine.starting import StartRequest
from agio.engine.tail import Draining
from agio.engine.tasks import end
from agio.storage.codec import dump_entry, dump_record
from agio.storage.port import SESSIONS, Store
from agio.testing.provider import ScriptedProvider
from agio.tools.base import Tool
from agio.tools.net import GuardedClient
from agio.tools.registry import ToolRegistry

ANN = Caller("ann", "default")
BOB = Caller("bob", "default")
EVE = Caller("eve", "other")
"""Of another group."""
PATIENCE_S = 25.0
"""How long a test waits for what must come: the machine is shared."""
FAST = EngineSettings(
    lease_s=1.5, scan_s=0.1, drain_s=2.0, sweep_s=0.5, retry_base_s=0.01, retry_cap_s=0.05, poll_s=0.02
)


Hook = Callable[..., Awaitable[Any]]
"""Takes the store's own method and the arguments of a call of it."""


class Faults:
    """A store whose methods a test can hold, fail or watch; a process's only way to the database."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self._hooks: dict[str, Hook] = {}

    def on(self, method: str, hook: Hook | None) -> None:
        """Let `hook` stand in for the method from now on; None: leave it alone again."""
        if hook is None:
            self._hooks.pop(method, None)
        else:
            self._hooks[method] = hook

    def __getattr__(self, name: str) -> Any:
        target = getattr(self.inner, name)
        if not inspect.iscoroutinefunction(target):
            return target

        async def call(*args: Any, **options: Any) -> Any:
            hook = self._hooks.get(name)
            return await (target(*args, **options) if hook is None else hook(target, *args, **options))

        return call


class Hold:
    """Holds the first call that `when` picks: before it happens, or (`after`) with its answer in hand."""

    def __init__(self, *, after: bool = False, when: Callable[..., bool] = lambda *args: True) -> None:
        self.reached = asyncio.Event()
        self._after = after
        self._when = when
        self._used = False
        self._go = asyncio.Event()

    def release(self) -> None:
        self._go.set()

    async def __call__(self, call: Hook, *args: Any, **options: Any) -> Any:
        if self._used or not self._when(*args):
            return await call(*args, **options)
        self._used = True
        answer = await call(*args, **options) if self._after else None
        self.reached.set()
        await self._go.wait()
        return answer if self._after else await call(*args, **options)


class Away:
    """The database is away for so many calls; `applied`: what was asked happened, the answer got lost."""

    def __init__(self, times: int, *, applied: bool = False, when: Callable[..., bool] = lambda *args: True) -> None:
        self.left = times
        self._applied = applied
        self._when = when

    async def __call__(self, call: Hook, *args: Any, **options: Any) -> Any:
        if self.left <= 0 or not self._when(*args):
            return await call(*args, **options)
        self.left -= 1
        if self._applied:
            await call(*args, **options)
        raise StoreUnavailable("away, says the test")


def faults(engine: Engine) -> Faults:
    """Return the handle on a process's store."""
    return cast(Faults, engine.store)


def appends(event_type: str) -> Callable[..., bool]:
    """Picks the calls of `append` that carry an event of a type."""
    return lambda batch: any(event.type == event_type for item in batch for event in item.entry.events)


class OneProvider:
    """Every name is the one provider."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.provider = provider

    def get(self, name: str) -> Any:
        return self.provider

    def knows(self, name: str) -> bool:
        return name != "unknown"

    def canonical(self, name: str) -> str:
        return name

    def detect(self, model: str) -> tuple[str, str] | None:
        return None


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
        observer: Observer = NOBODY,
        client: GuardedClient | None = None,
    ) -> Engine:
        """Start one more process; `worker=False`: it serves requests and claims nothing."""
        store = cast(Store, Faults(self._open_store()))
        await store.open()
        made = list(agents) if agents is not None else [agent(tools=tuple(t.name for t in tools))]
        registry = ToolRegistry(tuple(tools))
        engine = Engine(
            store, OneProvider(provider or self.provider), registry, settings, made, observer, client=client
        )
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

    async def kill_all(self) -> None:
        """The machine goes down, and long enough for every lease to run out."""
        dead = [engine.worker.id for engine in self.engines]
        for engine in list(self.engines):
            await self.kill(engine)
        store = self._open_store()
        await store.open()
        for worker_id in dead:
            await store.retire(worker_id)
        await store.close()

    async def close(self) -> None:
        for engine in list(self.engines):
            await (self.kill(engine) if engine.worker.run_count else self.remove(engine))


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
    engine: Engine,
    run_id: str,
    *,
    after: int = 0,
    until: str | None = None,
    follow: bool = True,
    caller: Caller = ANN,
) -> list[dict[str, Any]]:
    """Read events until the run ends, or until one of type `until` came."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(engine.tail(caller, run_id, after=after, follow=follow)) as items:
        async for item in items:
            if isinstance(item, Draining):
                break
            fresh = [event for event in wire_events(item.entry) if event["seq"] > after]
            found += fresh
            if until is not None and any(event["type"] == until for event in fresh):
                break
    return found


async def entries_of(items: AsyncGenerator[Published | Draining, None]) -> AsyncGenerator[Entry, None]:
    """Yield what a tail yields, until it ends."""
    async with aclosing(items):
        async for item in items:
            if isinstance(item, Draining):
                return
            yield item.entry


async def settled(engine: Engine, run_id: str, *statuses: RunStatus) -> Run:
    """Wait until the run's record has one of the statuses."""
    return await record_when(engine, run_id, lambda run: run.status in statuses)


async def record_when(engine: Engine, run_id: str, condition: Callable[[Run], bool], group: str = "default") -> Run:
    """Wait until the run's record is as it should be."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            run = await engine.store.get_run(group, run_id)
            if condition(run):
                return run
            await asyncio.sleep(0.01)


async def become(condition: Callable[[], bool]) -> None:
    """Wait until something in this process is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


async def replay(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    """Return the events that the store has."""
    return await read(engine, run_id, follow=False)


async def dump(engine: Engine, run_id: str, group: str = "default") -> dict[str, Any]:
    """Return everything that the store keeps of a run, as text."""
    store = engine.store
    run = await store.get_run(group, run_id)
    lineage = await store.lineage(group, run.branch_id)
    return {
        "record": dump_record(run),
        "spec": dump_record(await store.get_spec(group, run_id)),
        "journal": [dump_entry(entry) for entry in await store.read_entries(group, run_id, limit=10_000)],
        "checkpoints": [dump_record(one) for one in (await store.list_checkpoints(group, run_id)).items],
        "approvals": [dump_record(one) for one in (await store.list_approvals(group, run_id=run_id)).items],
        "branches": [dump_record(branch) for branch in lineage],
        "messages": [dump_record(m) for m in await store.read_messages(group, run.branch_id)],
        "session": dump_record((await store.get(SESSIONS, group, run.session_id)).id),
    }


def types(events: Iterable[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def check_sequence(events: list[dict[str, Any]]) -> None:
    """I2: 1, 2, 3, … without gap or duplicate."""
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(1, len(seqs) + 1))


def check_request(messages: Iterable[Message]) -> None:
    """I12: every tool call is answered, once, right behind the message that asked for it."""
    wanted: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id in wanted, f"an answer to nothing: {message}"
            wanted.remove(message.tool_call_id)
        else:
            assert not wanted, f"calls {wanted} are not answered"
            wanted = [call.id for call in message.tool_calls]
    assert not wanted, f"calls {wanted} are not answered"


def text_of(events: Iterable[dict[str, Any]]) -> str:
    """What a reader that honours `content_reset` shows."""
    shown: dict[str, str] = {}
    for event in events:
        if event["type"] == "content_delta":
            shown[event["message_id"]] = shown.get(event["message_id"], "") + event["content"]
        elif event["type"] == "content_reset":
            shown.pop(event["message_id"], None)
    return "".join(shown.values())
