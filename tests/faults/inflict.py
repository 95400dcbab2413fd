"""Faults of worker processes, their supervisor and their clients. One coroutine per kind, by name in `KINDS`.

Each begins when it is called and returns when what it did is undone; becoming well again takes longer.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from tests.faults.installation import Installation
from tests.faults.ledger import Fault, Ledger
from tests.faults.readers import STEADY, Habit
from tests.faults.workload import Load

Inflict: TypeAlias = Callable[["Scene"], Awaitable[None]]

CROWD = 200
READERS = 100


class Scene:
    """What a fault may use, and where it notes what it did."""

    def __init__(self, world: Installation, load: Load, ledger: Ledger, fault: Fault, rng: random.Random) -> None:
        self.world = world
        self.load = load
        self.ledger = ledger
        self.fault = fault
        self.rng = rng

    def note(self, **facts: Any) -> None:
        """Keep facts for the report."""
        self.fault.facts.update(facts)

    async def victim(self) -> int:
        """Return a living worker process, one that owns runs if there is one."""
        owned = await self.world.owned()
        busy = [pid for pid, runs in owned.items() if runs] or list(owned)
        return self.rng.choice(busy)

    async def kill(self, pids: list[int]) -> None:
        """SIGKILL; note which runs lost their owner, and when."""
        owned = await self.world.owned()
        at = time.time()
        for pid in pids:
            self.world.send(pid, signal.SIGKILL)
        self.note(killed_wall=at, orphans=[run for pid in pids for run in owned.get(pid, [])], killed=len(pids))


async def kill_one(scene: Scene) -> None:
    """F1: SIGKILL to one worker."""
    await scene.kill([await scene.victim()])


async def kill_two(scene: Scene) -> None:
    """F1: SIGKILL to two workers at once."""
    pids = list((await scene.world.workers()).values())
    await scene.kill(scene.rng.sample(pids, min(2, len(pids))))


async def kill_all(scene: Scene) -> None:
    """F1: SIGKILL to every worker; the supervisor starts new ones."""
    await scene.kill(list((await scene.world.workers()).values()))


async def kill_among_many(scene: Scene) -> None:
    """F1: SIGKILL to one worker while 200 runs are alive."""
    prefix = f"crowd{scene.load.seed}-{int(time.monotonic())}"
    slow = {"tokens": 40, "pace": 1}

    async def one(number: int) -> None:
        run_id = f"{prefix}-{number}"
        await scene.load.start(run_id, "crowd", slow)
        scene.load.read(run_id)

    for first in range(0, CROWD, 20):
        await asyncio.gather(*(one(first + offset) for offset in range(20)))
    await asyncio.sleep(3)
    owned = await scene.world.owned()
    pid = max(owned, key=lambda pid: len(owned[pid]))
    scene.note(live=sum(map(len, owned.values())))
    await scene.kill([pid])


async def _freeze(scene: Scene, leases: float) -> None:
    pid = await scene.victim()
    owned = (await scene.world.owned()).get(pid, [])
    scene.note(frozen_s=round(leases * scene.world.lease_s, 1), owned=len(owned))
    if leases > 1:
        scene.note(frozen_wall=time.time(), frozen_runs=owned)
    scene.world.send(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(leases * scene.world.lease_s)
    finally:
        scene.world.send(pid, signal.SIGCONT)


async def freeze_half(scene: Scene) -> None:
    """F2: a worker is frozen for half a lease: nobody may take its runs."""
    await _freeze(scene, 0.5)


async def freeze_once(scene: Scene) -> None:
    """F2: a worker is frozen for about a lease, so that its heir and itself race."""
    await _freeze(scene, 1.1)


async def freeze_thrice(scene: Scene) -> None:
    """F2: a worker is frozen for three leases, then thaws as a zombie."""
    await _freeze(scene, 3)


async def block_loop(scene: Scene) -> None:
    """F3: a tool blocks the event loop of its worker for longer than the lease."""
    run_id = f"block{scene.load.seed}-{int(time.monotonic())}"
    seconds = round(1.5 * scene.world.lease_s, 1)
    behaviour = {"tokens": 5, "tool_rounds": 1, "tool_name": "block", "tool_arguments": f'{{"seconds": {seconds}}}'}
    await scene.load.start(run_id, "blocking", behaviour)
    scene.load.read(run_id)
    scene.note(blocked_s=seconds)
    await asyncio.sleep(seconds + 1)


async def poison(scene: Scene) -> None:
    """F15: a run kills its worker each time it is claimed."""
    run_id = f"poison{scene.load.seed}-{int(time.monotonic())}"
    scene.load.poison.add(run_id)
    await scene.load.start(run_id, "poison", {"tool_rounds": 1, "tool_name": "poison", "tool_arguments": "{}"})
    reader = scene.load.follow(run_id, STEADY, scene.rng)
    patience_s = 10 * (scene.world.lease_s + 4)
    await asyncio.wait([reader], timeout=patience_s)
    scene.note(ended=reader.done())


async def kill_supervisor(scene: Scene) -> None:
    """F4: SIGKILL to the supervisor: its workers stop by themselves; then a new server starts."""
    cluster = scene.world.cluster
    await scene.world.do(cluster.kill_supervisor)
    await scene.world.do(cluster.wait_until_gone)
    scene.note(gone_s=round(time.monotonic() - scene.fault.began, 2))
    await scene.world.do(lambda: cluster.start("uvicorn"))


async def drain_one(scene: Scene) -> None:
    """F5: SIGTERM to one worker."""
    pid = await scene.victim()
    scene.note(drained_wall=time.time())
    scene.world.send(pid, signal.SIGTERM)
    await asyncio.sleep(scene.world.drain_s)


async def drain_all(scene: Scene) -> None:
    """F5: SIGTERM to the supervisor, as a service manager does; then the server starts again."""
    cluster = scene.world.cluster
    scene.note(drained_wall=time.time())
    code = await scene.world.do(cluster.terminate)
    scene.note(exit_code=code, stopped_s=round(time.monotonic() - scene.fault.began, 2))
    await scene.world.do(lambda: cluster.start("uvicorn"))


async def rolling_restart(scene: Scene) -> None:
    """F5: SIGHUP: the supervisor replaces one worker after another."""
    before = set((await scene.world.workers()).values())
    scene.note(drained_wall=time.time())
    scene.world.cluster.supervisor.send_signal(signal.SIGHUP)
    async with asyncio.timeout(120):
        while before & set((await scene.world.workers()).values()):  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.5)
    scene.note(replaced=len(before))


async def wrong_clock(scene: Scene) -> None:
    """F14: the wall clock of one worker is off by 90 seconds, forwards or backwards."""
    pid = await scene.victim()
    off_s = scene.rng.choice([-90, 90])
    scene.note(off_s=off_s)
    file = scene.world.folder / f"clock-{pid}"
    file.write_text(str(off_s))
    try:
        await asyncio.sleep(1.5 * scene.world.lease_s)
    finally:
        file.unlink()


async def restless_readers(scene: Scene) -> None:
    """F13: a hundred readers of a few runs attach at once, vanish, stall and come back."""
    runs = list(scene.ledger.runs)[-10:]
    habits = (Habit("restless", vanish_s=0.7), Habit("stalled", stall_s=3), STEADY)
    readers = [
        scene.load.follow(scene.rng.choice(runs), scene.rng.choice(habits), random.Random(scene.rng.random()))
        for _ in range(READERS)
    ]
    await asyncio.wait(readers, timeout=10)


async def control_storm(scene: Scene) -> None:
    """F16: pauses, resumes and cancels race on several runs, from all sides at once."""
    prefix = f"storm{scene.load.seed}-{int(time.monotonic())}"
    for number in range(6):
        run_id = f"{prefix}-{number}"
        await scene.load.start(run_id, "storm", {"tokens": 60, "pace": 20})
        scene.load.read(run_id)
        scene.load.begin(scene.load.storm(run_id, random.Random(f"{scene.load.seed}/{number}")))
    await asyncio.sleep(3)


KINDS: dict[str, Inflict] = {
    each.__name__: each
    for each in (
        kill_one,
        freeze_thrice,
        drain_one,
        control_storm,
        rolling_restart,
        kill_two,
        freeze_half,
        restless_readers,
        block_loop,
        kill_all,
        wrong_clock,
        drain_all,
        freeze_once,
        poison,
        kill_supervisor,
        kill_among_many,
    )
}
