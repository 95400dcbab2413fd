"""A campaign: load, one fault after another with rest between them, quiet, and then the checks."""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agio.engine.tasks import end
from tests.faults import history as histories
from tests.faults.calls import Api
from tests.faults.history import History
from tests.faults.inflict import KINDS, Inflict, Scene
from tests.faults.inflict_stores import MONGO_KINDS, SQLITE_KINDS
from tests.faults.installation import Installation, StoreName, installed
from tests.faults.invariants import Evidence, check_all
from tests.faults.ledger import Fault, Ledger
from tests.faults.outcome import Outcome
from tests.faults.workload import AGENT, Load

SESSIONS_TRIED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign does."""

    store: StoreName
    seconds: float
    seed: int
    kinds: Sequence[str] = ()
    """Faults by name, in this order; none: every kind, in an order that the seed gives, again and again."""
    live: int = 30
    size: int = 3
    lease_s: float = 10.0
    drain_s: float = 5.0
    rest_s: float = 4.0
    """Quiet time between two faults, in which latencies are measured."""
    note: str = ""
    """What else the machine does meanwhile."""


def kinds_of(store: StoreName) -> dict[str, Inflict]:
    """Return the faults that a store can have, by name."""
    return {**KINDS, **(MONGO_KINDS if store == "mongodb" else SQLITE_KINDS)}


def order(plan: Plan) -> Iterator[str]:
    """Yield the names of faults: every kind once, in an order that the seed gives, then all again."""
    if plan.kinds:
        yield from plan.kinds
        return
    rng = random.Random(plan.seed)
    while True:
        names = list(kinds_of(plan.store))
        rng.shuffle(names)
        yield from names


async def run(plan: Plan, folder: Path) -> Outcome:
    """Carry the plan out in a folder of its own."""
    ledger = Ledger()
    async with installed(plan.store, folder, size=plan.size, lease_s=plan.lease_s, drain_s=plan.drain_s) as world:
        api = Api(world.base, ledger)
        load = Load(api, ledger, plan.seed, plan.live)
        helpers: list[asyncio.Task[None]] = []
        try:
            await load.prepare(world.effects.url)
            helpers += [asyncio.create_task(each) for each in (load.run(), load.nurse(), world.watch.run())]
            began = time.monotonic()
            await _strike(plan, world, load, ledger)
            seconds = time.monotonic() - began
            history = await _calm_down(world, load, api, ledger)
        finally:
            await end([*helpers, *load.tasks])
            await api.close()
        world.watch.look()
        errors, warnings = _read_log(world.cluster.log)
        evidence = Evidence(
            ledger=ledger,
            history=history,
            effects=world.effects.by_key,
            asked=world.watch.asked,
            lease_s=plan.lease_s,
            logged=errors,
        )
        return Outcome(
            store=plan.store,
            seed=plan.seed,
            seconds=seconds,
            size=plan.size,
            drain_s=plan.drain_s,
            load=", ".join(filter(None, (f"load average {os.getloadavg()[1]:.1f}", plan.note))),
            evidence=evidence,
            breaks=check_all(evidence),
            closed=world.watch.closed,
            model_requests=world.watch.count,
            warnings=warnings,
        )


async def _strike(plan: Plan, world: Installation, load: Load, ledger: Ledger) -> None:
    rng = random.Random(f"{plan.seed}/faults")
    deadline = time.monotonic() + plan.seconds
    known = kinds_of(plan.store)
    await asyncio.sleep(plan.rest_s)
    for kind in order(plan):
        if time.monotonic() > deadline:
            return
        fault = Fault(kind=kind, began=time.monotonic(), wall_began=time.time())
        ledger.faults.append(fault)
        print(f"{time.strftime('%H:%M:%S')} {kind}", flush=True)
        try:
            await known[kind](Scene(world, load, ledger, fault, rng))
        except Exception as error:  # noqa: BLE001 - the campaign goes on; it is not a sound one
            ledger.surprises.append(f"harness: {kind}: {error!r}")
        fault.ended = time.monotonic()
        try:
            await world.well()
        except Exception as error:  # noqa: BLE001 - what is left can still be checked
            ledger.surprises.append(f"harness: not well after {kind}: {error!r}"[:2000])
            return
        # What was abandoned is taken over in this time.
        await asyncio.sleep(plan.lease_s + 1.5 if "owned" in fault.facts or "orphans" in fault.facts else 0.5)
        fault.healthy = time.monotonic()
        await asyncio.sleep(plan.rest_s)


async def _calm_down(world: Installation, load: Load, api: Api, ledger: Ledger) -> History:
    """Let everything end, then read what is stored and see that conversations can be gone on with."""
    load.stopping = True
    waker = asyncio.create_task(_wake(load))
    await load.finish(patience_s=90 + 3 * world.lease_s)
    waker.cancel()
    with suppress(asyncio.CancelledError):
        await waker
    history = await histories.collect(api, ledger)
    history.owned = await world.do(world.cluster.database.owned)
    history.unusable = await _go_on(api, ledger, history)
    return history


async def _wake(load: Load) -> None:
    while True:
        await load.wake_paused()
        await asyncio.sleep(2)


async def _go_on(api: Api, ledger: Ledger, history: History) -> list[str]:
    """Send one more message to the conversations of some runs, ended in each way; return what went wrong."""
    wrong: list[str] = []
    by_end: dict[str, list[str]] = {}
    for run in history.runs.values():
        by_end.setdefault(run.view["status"], []).append(run.run_id)
    for runs in by_end.values():
        for run_id in runs[-SESSIONS_TRIED:]:
            view = history.runs[run_id].view
            body = {
                "agent_id": AGENT,
                "message": "and then?",
                "stream": False,
                "session_id": view["session_id"],
                "branch_id": view["branch_id"],
                "modifications": {"model": f"fake-after-{run_id}?tokens=3"},
            }
            answer = await api.call("POST", "/chat", body, accept=(200,), key=f"after-{run_id}")
            if answer.status != 200 or answer.body.get("status") != "completed":
                wrong.append(f"{run_id}: going on was answered with {answer.status} {str(answer.body)[:200]}")
    return wrong


def _read_log(path: Path) -> tuple[list[str], Counter[str]]:
    """Return the errors in the server's log, and its warnings with their number."""
    errors: list[str] = []
    warnings: Counter[str] = Counter()
    for line in path.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the supervisor's own words
            continue
        if record["level"] == "warning":
            warnings[record["message"]] += 1
        elif record["level"] in ("error", "critical"):
            last_words = record.get("exception", "").strip().splitlines()[-1:]
            errors.append(" ".join([record["logger"], record["message"], *last_words]))
    return errors, warnings
