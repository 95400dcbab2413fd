"""What a step costs, whatever came before it; and what a fork costs."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack

from agio.bootstrap import make_store
from agio.domain.agents import Agent
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.engine.settings import EngineSettings
from agio.engine.starting import StartRequest
from agio.settings import Settings
from agio.storage.codec import dump_entry, dump_record
from agio.storage.port import Append, AppendResult, Store
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools.decorator import tool
from agio.tools.registry import ToolRegistry
from benchmarks.report import Table, median
from benchmarks.setting import Setting

ANYONE = Caller()


class Only:
    def __init__(self, provider: ScriptedProvider) -> None:
        self._provider = provider

    def get(self, name: str) -> ScriptedProvider:
        return self._provider

    def knows(self, name: str) -> bool:
        return True

    def canonical(self, name: str) -> str:
        return name


@tool(idempotent=True, side_effects=False)
async def look(number: int) -> str:
    """Return a hundred characters."""
    return f"{number:0100d}"


class Counted:
    """Notes the bytes and the milliseconds of every step as the store is given them."""

    def __init__(self, store: Store) -> None:
        self.bytes_by_step: dict[int, int] = {}
        self.at_by_step: dict[int, float] = {}
        self._append = store.append
        store.append = self._counted  # type: ignore[method-assign]

    async def _counted(self, batch: Sequence[Append]) -> list[AppendResult]:
        results = await self._append(batch)
        for append, result in zip(batch, results, strict=True):
            parts = dump_entry(append.entry)
            size = len(parts.events) + len(parts.messages or "") + len(parts.checkpoint or "") + 100
            size += len(dump_record(result)) if result is not None else 0
            self._pending = getattr(self, "_pending", 0) + size
            if append.entry.checkpoint is not None:
                step = append.entry.checkpoint.step
                self.bytes_by_step[step] = self._pending
                self.at_by_step[step] = time.perf_counter()
                self._pending = 0
        return results


def steps(setting: Setting) -> Table:
    """One run of many tool steps: bytes and milliseconds of a step; then a fork of it."""
    count = 1_000 if setting.quick else 10_000
    table = Table(
        f"Steps: one run of {count:,} tool steps, then a fork of it",
        [
            "store",
            "bytes/step at 10",
            "at 200",
            f"at {count:,}",
            "last / 10",
            "200 / 10",
            "ms/step at 200",
            f"ms/step at {count:,}",
            "fork ms",
            "fork bytes",
        ],
    )
    for store in setting.stores:
        with ExitStack() as stack:
            table.add(*asyncio.run(_steps(Settings(**_lower(setting.database(stack, store).variables)), store, count)))
    table.notes.append(
        "Bytes: what the store is given per step (entry, messages, checkpoint, the run's record that is replaced). "
        "The model is scripted and in the same process, so the milliseconds are Agio's and the store's alone. "
        "The time per step excludes nothing: the scripted model keeps every conversation that it was sent."
    )
    return table


def _lower(env: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("AGIO_").lower(): value for name, value in env.items()}


async def _steps(settings: Settings, name: str, count: int) -> list[object]:
    store = make_store(settings)
    await store.open()
    counted = Counted(store)
    provider = ScriptedProvider(
        [Answer(calls=[Call("look", {"number": step}, id=f"c{step}")]) for step in range(count)], default="done"
    )
    now = utc_now()
    agent = Agent(
        id="bench",
        group_id="default",
        name="bench",
        provider="scripted",
        model="m",
        tools=("look",),
        max_steps=count + 10,
        source="code",
        created_at=now,
        updated_at=now,
    )
    engine = Engine(store, Only(provider), ToolRegistry([look]), EngineSettings(), [agent])
    await engine.worker.start()
    run = await engine.starting.start(ANYONE, StartRequest(agent_id="bench", message="go"))
    async for _ in engine.tail(ANYONE, run.id):
        pass
    fork_ms, fork_bytes = await _fork(engine, run.id, count)
    await engine.worker.stop()
    await store.close()

    def size(step: int) -> float:
        return median([counted.bytes_by_step[number] for number in range(step - 4, step + 5)])

    def ms(step: int) -> float:
        return (counted.at_by_step[step] - counted.at_by_step[step - 50]) / 50 * 1000

    last = count - 10
    return [
        name,
        size(10),
        size(200),
        size(last),
        size(last) / size(10),
        size(200) / size(10),
        ms(200),
        ms(last),
        fork_ms,
        fork_bytes,
    ]


async def _fork(engine: Engine, run_id: str, count: int) -> tuple[float, int]:
    page = await engine.store.list_checkpoints("default", run_id, limit=1, offset=count - 5)
    checkpoint = page.items[0]
    times = []
    size = 0
    for _ in range(5):
        began = time.perf_counter()
        request = ForkRequest(checkpoint_id=checkpoint.id, kind="fork", start=False)
        run = await engine.continuing.branch_off(ANYONE, request)
        times.append((time.perf_counter() - began) * 1000)
        branch = (await engine.store.lineage("default", run.branch_id))[0]
        spec = await engine.store.get_spec("default", run.id)
        first = (await engine.store.read_entries("default", run.id, limit=1))[0]
        size = len(dump_record(run)) + len(dump_record(branch)) + len(dump_record(spec)) + len(dump_entry(first).events)
    return median(times), size
