"""The worker of a process: claims runs, drives them, hears commands, and hands over when it stops.

Recovery only claims: a dead worker's run goes through the same door as any other.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agio import crashes
from agio.domain import control
from agio.domain.errors import Conflict, NotFound, StoreUnavailable
from agio.domain.ids import new_id
from agio.domain.llm_keys import CallersKey
from agio.domain.runs import Run
from agio.engine.caretaker import Caretaker
from agio.engine.clock import utc_now
from agio.engine.dispatch import Dispatcher
from agio.engine.drive import Services
from agio.engine.forgetting import Forgetting
from agio.engine.hub import Hub
from agio.engine.journal import JournalWriter
from agio.engine.keys import NO_STORED_KEYS, RunKeys, StoredKeys
from agio.engine.loop import Claim, drive_run
from agio.engine.neighbours import about_me, is_gone
from agio.engine.observer import NOBODY, Observer
from agio.engine.quota import NO_QUOTA, Quota
from agio.engine.reclaiming import LostRuns
from agio.engine.settings import EngineSettings
from agio.engine.tasks import end
from agio.engine.thinking import begin_lookup
from agio.engine.token import ControlToken
from agio.providers.base import Providers
from agio.storage.port import Interest, RunCreation, Store, WorkerLimits
from agio.tools.base import Toolbox
from agio.tools.net import GuardedClient

log = logging.getLogger(__name__)

TAKEN_AT_ONCE = 16
"""Runs that are claimed in one call: they shall not wait for each other, and others want some too."""
FOREVER_S = 10 * 365 * 86400.0
"""A lease that does not run out."""
RELOADS = 10
"""How often an owner starts over when a last write of its predecessor came in between."""


class Worker:
    """One per process and start; its id is never used again."""

    def __init__(
        self,
        store: Store,
        providers: Providers,
        toolbox: Toolbox,
        settings: EngineSettings,
        observer: Observer = NOBODY,
        quota: Quota = NO_QUOTA,
        client: GuardedClient | None = None,
        stored_keys: StoredKeys = NO_STORED_KEYS,
    ) -> None:
        self.id = new_id()
        self.hub = Hub(settings.queue_entries)
        self.keys = RunKeys(self.id, stored_keys, providers.canonical)
        self._store = store
        self._settings = settings
        self._observer = observer
        self._limits = WorkerLimits(runs_per_group=settings.runs_per_group, own=settings.runs_of_groups)
        self._writer = JournalWriter(store, self.hub, observer)
        self.dispatcher = Dispatcher(store, client or GuardedClient(), settings.webhooks, self.id, settings.lease_s)
        self._services = Services(
            store=store,
            providers=providers,
            toolbox=toolbox,
            settings=settings,
            worker_id=self.id,
            owns=self._owns,
            notify=self.notify,
            observer=observer,
            quota=quota,
            deliver=self.dispatcher.hurry,
            keys=self.keys,
            lives=self._lives,
        )
        self._caretaker = Caretaker(store, settings.upkeep, self.id, settings.lease_s)
        self._tokens: dict[str, ControlToken] = {}
        self._drives: set[asyncio.Task[None]] = set()
        self._arrivals: dict[asyncio.Task[Run], str] = {}
        """Runs that are being accepted as ours, by id."""
        self._has_backlog = True
        """Runs may wait that were ready before any that arrives now."""
        self._loops: list[asyncio.Task[None]] = []
        self._others: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._wake = asyncio.Event()
        self._look = asyncio.Event()
        self._interest = Interest()
        self._draining = False
        self._patience_until = 0.0
        """Until then nobody is judged dead."""
        self._beat_at = 0.0
        """When the last beat that succeeded was sent."""
        self._forgetting = Forgetting(store)
        self._lost = LostRuns(store, self.keys, self.notify)
        self._about: dict[str, str] = {}
        self.hub.on_first_reader = self._look.set
        self.hub.on_readers = observer.readers

    # -- life

    async def start(self) -> None:
        """Begin to beat, to listen and to claim."""
        await self._send_beat()
        # The database may have been away until now: who lives beats again within this time.
        self._patience_until = self._beat_at + self._settings.silence_s
        self._writer.start()
        self._observer.working(self.id)
        for name, loop in (
            ("beat", self._beat_loop()),
            ("claim", self._claim_loop()),
            ("hints", self._hint_loop()),
            ("watch", self._watch_loop()),
            ("upkeep", self._caretaker.work()),
            ("webhooks", self.dispatcher.work()),
            *((name, work()) for name, work in self._others),
        ):
            self._loops.append(asyncio.create_task(self._forever(loop), name=f"worker-{name}"))

    def also(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have one more piece of work done for as long as the worker lives; before it starts."""
        self._others.append((name, work))

    async def stop(self) -> None:
        """Claim no more, let steps finish within the drain time, hand the rest over, then retire."""
        await self.drain()
        await end(self._loops)
        await self._writer.stop()
        await end(self._drives)  # such as still wait for a store that is away: they are claimed elsewhere
        try:
            await self._store.retire(self.id)
        except StoreUnavailable as error:
            log.warning("could not retire; the lease will run out", extra={"error": str(error)})

    async def drain(self) -> None:
        """Hand over every run; return when none is owned any more, or the drain time is over."""
        if not self._draining:
            log.info("draining", extra={"worker_id": self.id, "runs": len(self._tokens)})
        self._draining = True
        self.hub.drain()
        if self._arrivals:
            await asyncio.wait(self._arrivals, timeout=self._settings.drain_s)
        for now, wait_s in ((False, self._settings.drain_s), (True, 5.0)):
            for token in list(self._tokens.values()):
                token.drain(now=now)
            if self._drives:
                await asyncio.wait(self._drives, timeout=wait_s)

    @property
    def is_working(self) -> bool:
        """It was started, and none of its loops broke."""
        return bool(self._loops) and not any(loop.done() for loop in self._loops)

    @property
    def is_draining(self) -> bool:
        """It claims no more."""
        return self._draining

    @property
    def run_count(self) -> int:
        """How many runs it owns."""
        return len(self._tokens)

    async def _forever(self, loop: Coroutine[Any, Any, None]) -> None:
        try:
            await loop
        except Exception:
            log.exception("a worker loop ended; this process can serve no runs", extra={"worker_id": self.id})
            raise

    # -- hearing

    def notify(self, run: Run) -> None:
        """Take note of a record that this process just wrote."""
        token = self._tokens.get(run.id)
        if token is not None:
            token.observe(run)
        elif run.is_ready:
            self._wake.set()

    def wake(self) -> None:
        """Look for runs to claim now."""
        self._wake.set()

    async def _hint_loop(self) -> None:
        async with aclosing(self._store.hints(self._interest)) as hints:
            async for changed in hints:
                if changed is None or any(run_id in self._tokens for run_id in changed):
                    await self._try(self._hear_commands())
                self._wake.set()
                self._look.set()
                self.hub.poke_groups()

    async def _hear_commands(self) -> None:
        if not self._tokens:
            return
        for run in await self._store.commands(self.id):
            token = self._tokens.get(run.id)
            if token is not None:
                token.observe(run)

    async def _watch_loop(self) -> None:
        """Wake the readers of runs that other processes own: on hints, and by polling behind them."""
        hinted = self._store.hint_source != "none"
        interval = self._settings.scan_s if hinted else self._settings.poll_s
        while True:
            await self._wait(self._look, interval)
            remote = [run_id for run_id in self.hub.watched if run_id not in self._tokens]
            self._interest.reads_remote = bool(remote) or self.hub.has_group_readers
            self._interest.owns_runs = bool(self._tokens)
            if remote:
                await self._try(self._look_at(remote))
            if not hinted and self._tokens:
                await self._try(self._hear_commands())
            if not hinted:
                self.hub.poke_groups()

    async def _look_at(self, remote: list[str]) -> None:
        self.hub.note_heads(await self._store.heads(remote))

    async def _beat_loop(self) -> None:
        sweep_left_s = self._settings.sweep_s
        while True:
            await asyncio.sleep(self._settings.beat_s)
            await self._try(self._beat())
            sweep_left_s -= self._settings.beat_s
            if sweep_left_s <= 0:
                sweep_left_s = self._settings.sweep_s
                await self._try(self._store.sweep())
                await self._try(self._forgetting.work())
                await self._try(self.keys.forget_ended(self._has_ended))

    async def _has_ended(self, group_id: str, run_id: str) -> bool:
        try:
            return (await self._store.get_run(group_id, run_id)).is_terminal
        except NotFound:
            return True

    async def _beat(self) -> None:
        await self._send_beat()
        await self._hear_commands()

    async def _send_beat(self) -> None:
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        self._about = self._about or about_me()
        await self._store.beat(self.id, self._about)
        if self._beat_at and loop.time() - self._beat_at > self._settings.silence_s:
            # Whatever kept this process from beating may have kept the others too: let them beat first.
            self._patience_until = max(self._patience_until, loop.time() + self._settings.silence_s)
        self._beat_at = sent_at

    @property
    def _may_judge(self) -> bool:
        """Others may be taken for dead: this worker could have beaten all the time, so they could have too."""
        now = asyncio.get_running_loop().time()
        return now >= self._patience_until and now - self._beat_at <= self._settings.silence_s

    async def _lives(self, worker_id: str, *, for_sure: bool) -> bool:
        """Say whether a worker lives; unless `for_sure`, one that is late with its beats does."""
        if worker_id == self.id:
            return True
        if for_sure:
            return worker_id in await self._store.living(self._settings.lease_s)
        return worker_id in await self._store.workers()

    async def _owns(self, run: Run) -> bool:
        """Say whether the run is still ours: asks the store only after a silence in which others may have taken it."""
        if asyncio.get_running_loop().time() - self._beat_at < self._settings.lease_s:
            return True
        while True:
            try:
                current = await self._store.get_run(run.group_id, run.id)
            except StoreUnavailable:
                await asyncio.sleep(0.2)
            else:
                return (current.owner, current.epoch) == (self.id, run.epoch)

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it; when the store is away, be patient: others could not beat either."""
        try:
            await work
        except StoreUnavailable as error:
            now = asyncio.get_running_loop().time()
            if now > self._patience_until:
                log.warning("store away", extra={"worker_id": self.id, "error": str(error)})
            self._patience_until = now + self._settings.lease_s
            await asyncio.sleep(0.2)
        except Exception:
            log.exception("a worker's duty failed; it goes on", extra={"worker_id": self.id})
            await asyncio.sleep(0.2)

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> None:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the event.
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return
        event.clear()

    # -- accepting

    async def accept(self, creation: RunCreation, key: CallersKey | None = None, *, is_blank: bool = False) -> Run:
        """Have a run accepted, as ours from the start if there is room; else a worker claims it.

        Carried out even when the caller is cancelled meanwhile. `key`: came with the request; `is_blank`: its branch
        has no message. Raises as `RunStore.create_run`.
        """
        creation = replace(creation, run=self._observer.accepted(creation.run))
        of = (creation.run.group_id, creation.run.id)
        if (held := self.keys.hold(key, creation.snapshot.provider, of=of)) is None:
            return await self._accept(creation, is_blank=is_blank)
        try:
            return await self._accept(replace(creation, run=replace(creation.run, llm_key=held)), is_blank=is_blank)
        except Conflict:  # else it may have happened
            self.keys.drop(held)
            raise

    async def _accept(self, creation: RunCreation, *, is_blank: bool) -> Run:
        if not self._has_room(creation.run.group_id):
            self._has_backlog = True
            made = await self._store.create_run(creation)
            crashes.at("accept")
            self.notify(made)
            return made
        task = asyncio.create_task(self._accept_as_ours(creation, is_blank=is_blank))
        self._arrivals[task] = creation.run.id
        task.add_done_callback(self._arrivals.pop)
        return await asyncio.shield(task)

    def _has_room(self, group_id: str) -> bool:
        """Say whether a run may be ours at once: nobody must be kept waiting by it, nor a limit be passed."""
        if self._draining or self._has_backlog or self._limits.of(group_id) is not None:
            return False
        return self.run_count + len(self._arrivals) < self._settings.runs_per_worker

    async def _accept_as_ours(self, creation: RunCreation, *, is_blank: bool) -> Run:
        tools = begin_lookup(self._services.toolbox, creation)
        made = await self._store.create_run(replace(creation, owner=self.id))
        crashes.at("accept")
        if made.owner == self.id:
            self._take(Claim(run=made, abandoned=False, creation=creation, is_blank=is_blank, tools=tools))
        else:
            self.notify(made)
        return made

    # -- claiming

    async def _claim_loop(self) -> None:
        next_scan = 0.0
        while True:
            await self._wait(self._wake, self._settings.scan_s)
            self._wake.clear()
            if self._draining:
                continue
            await self._try(self._claim_ready())
            now = asyncio.get_running_loop().time()
            if now >= next_scan:
                next_scan = now + self._settings.scan_s
                await self._try(self._claim_abandoned())
                await self._try(self._adopt())
                await self._try(self._lost.look())

    async def _claim_ready(self) -> None:
        while not self._draining:
            room = self._settings.runs_per_worker - self.run_count - len(self._arrivals)
            if room > 0:
                # Where room is short they are claimed one by one: then groups take turns.
                limits, limit = self._limits, max(1, room // 4)
            else:  # a run with a command takes no room: it is let go of at once
                limits, limit = WorkerLimits(runs_per_group=0), TAKEN_AT_ONCE
            runs = await self._store.claim_ready(self.id, limits, limit=min(limit, TAKEN_AT_ONCE))
            self._has_backlog = bool(runs) or room <= 0
            for run in runs:
                self._take(Claim(run=run, abandoned=False))
            if not runs:
                return

    async def _retire_gone(self) -> bool:
        """Retire workers of this machine whose process is gone: their runs need not wait for a lease to run out."""
        if not self._settings.local_takeover:
            return False
        gone = [worker for worker, about in (await self._store.workers()).items() if is_gone(about, self._about)]
        for worker in gone:
            log.warning("a worker of this machine is gone", extra={"gone_worker_id": worker, "worker_id": self.id})
            await self._store.retire(worker)
        return bool(gone)

    async def _claim_abandoned(self) -> None:
        # Whoever has retired is no matter of judgement.
        gone = await self._retire_gone()
        while (gone or self._may_judge) and not self._draining:
            room = min(TAKEN_AT_ONCE, self._settings.runs_per_worker - self.run_count)
            lease_s = self._settings.lease_s if self._may_judge else FOREVER_S
            runs = await self._store.claim_abandoned(self.id, lease_s, limit=room) if room > 0 else []
            for run in runs:
                log.warning(
                    "took over a run",
                    extra={"run_id": run.id, "epoch": run.epoch, "claims": run.claims, "worker_id": self.id},
                )
                self._take(Claim(run=run, abandoned=True))
            if not runs:
                return

    async def _adopt(self) -> None:
        """Take up runs that are ours by the record though nobody here drives them.

        A claim whose answer was lost, or a drive that broke, leaves such; others pass on what needs a key that is here.
        No claim is under way now.
        """
        if self._draining:
            return
        for run in await self._store.owned(self.id):
            if run.id in self._tokens or run.id in self._arrivals.values():
                continue
            fresh = await self._store.update_run(
                run.group_id,
                run.id,
                lambda record: control.take_up(record, self.id, at=utc_now()),
            )
            if fresh.owner == self.id and run.id not in self._tokens:
                self._take(Claim(run=fresh, abandoned=not run.passed_on))

    def _take(self, claim: Claim) -> None:
        crashes.at("claim")
        token = ControlToken(claim.run)
        if self._draining:
            token.drain(now=False)
        self._tokens[claim.run.id] = token
        self._interest.owns_runs = True
        if claim.creation is not None:
            self.hub.hold(claim.creation.first)
        self._observer.claimed(claim.run, abandoned=claim.abandoned)
        task = asyncio.create_task(self._drive(claim, token), name=f"run-{claim.run.id}")
        self._drives.add(task)
        task.add_done_callback(self._drives.discard)

    async def _drive(self, claim: Claim, token: ControlToken) -> None:
        run = claim.run
        try:
            with self._observer.driving(run):
                await self._drive_until_let_go(claim, token)
        except Exception:
            log.exception("a run was dropped; its lease will run out", extra={"run_id": run.id})
        finally:
            held = self._tokens.get(run.id)
            if held is not None and held.run.is_terminal and held.run.place is None:  # children use their parent's
                self.keys.drop(held.run.llm_key)
            if held is not None and held.run.epoch == run.epoch:  # else this worker has taken the run back meanwhile
                del self._tokens[run.id]
            self.hub.release(run.id)
            self._interest.owns_runs = bool(self._tokens)
            self._look.set()
            self._wake.set()

    async def _drive_until_let_go(self, claim: Claim, token: ControlToken) -> None:
        run = claim.run
        for _ in range(RELOADS):
            outcome = await self._drive_once(claim, token)
            if outcome == "let go":
                break
            current = await self._store.get_run(run.group_id, run.id)
            if (current.owner, current.epoch) != (self.id, run.epoch):
                log.warning("lost a run", extra={"run_id": run.id, "epoch": run.epoch})
                self._lost.note(current)
                break
            token = self._tokens[run.id] = ControlToken(current)
            claim = Claim(run=current, abandoned=claim.abandoned)

    async def _drive_once(self, claim: Claim, token: ControlToken) -> str:
        wait_s = 0.1
        while True:
            try:
                return await drive_run(self._services, self._writer, claim, token)
            except StoreUnavailable as error:
                log.warning("store away, run waits", extra={"run_id": claim.run.id, "error": str(error)})
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, 2.0)
                claim = Claim(run=token.run, abandoned=claim.abandoned)
