"""The owner's end of a run's journal, and the one writer of a process.

Events are numbered when they are emitted and gather here until the writer takes them; while one
append of a run is in flight the next gathers. The writer takes what all runs of the process have
gathered, appends it in one call, then publishes: commit first, then show.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agio import crashes
from agio.domain.approvals import Approval
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import StoreUnavailable
from agio.domain.events import Deltas, Event, span
from agio.domain.journal import Entry
from agio.domain.messages import Message
from agio.domain.runs import Run, RunUpdate
from agio.engine.clock import utc_now
from agio.engine.hub import Hub
from agio.engine.observer import NOBODY, Observer
from agio.engine.tasks import end
from agio.storage.port import Append, AppendResult, RunStore

log = logging.getLogger(__name__)

FULL_AFTER_CHARS = 1_000_000
"""Text that may wait for the writer before the run has to wait too."""


@dataclass(slots=True)
class _OpenDeltas:
    """Tokens that still gather."""

    of: Literal["content", "reasoning"]
    step: int
    message_id: str
    contents: list[str]


@dataclass(slots=True)
class _Gathered:
    """What one append will hold."""

    events: list[Event | _OpenDeltas] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    update: RunUpdate | None = None
    approvals: list[Approval] = field(default_factory=list)
    chars: int = 0
    waiters: list[asyncio.Future[None]] = field(default_factory=list)


class RunJournal:
    """Numbers and gathers the events of one owned run."""

    def __init__(self, writer: "JournalWriter", run: Run, *, head: int, position: int) -> None:
        self._writer = writer
        self._run = run
        self.branch_id = run.branch_id
        self.head = head
        """Sequence number of the last event that was emitted."""
        self.position = position
        """Position of the next message on the branch."""
        self._taken_head = head
        self._gathered = _Gathered()
        self._flying = _Gathered()
        self._in_flight = False
        self._sealed = False
        self._failure: BaseException | None = None
        self.on_lost: Callable[[], None] = lambda: None
        """Called once when the store refuses this owner."""
        self.on_record: Callable[[Run], None] = lambda run: None
        """Called with the run's record after each update, as the store answered it."""

    @property
    def is_full(self) -> bool:
        """So much text waits that the producer should `flush` first."""
        return self._gathered.chars > FULL_AFTER_CHARS

    @property
    def has_update(self) -> bool:
        """An update gathers or is in flight; `flush` before the next one."""
        return self._gathered.update is not None or (self._in_flight and self._flying.update is not None)

    def seal(self) -> None:
        """Refuse anything more: the last event of this ownership was emitted."""
        self._sealed = True

    def _check_open(self) -> None:
        """A tool that outlived its cancellation must not write behind the end."""
        if self._sealed:
            raise RuntimeError("the journal of this ownership is sealed")

    def emit(self, event: Event) -> int:
        """Number an event and hand it to the writer; return its sequence number."""
        self._check_open()
        self._gathered.events.append(event)
        self.head += span(event)
        self._writer.mark(self)
        return self.head

    def emit_deltas(self, of: Literal["content", "reasoning"], step: int, message_id: str, contents: list[str]) -> None:
        """Number tokens, one event each, and hand them to the writer."""
        self._check_open()
        events = self._gathered.events
        last = events[-1] if events else None
        if isinstance(last, _OpenDeltas) and last.of == of and last.message_id == message_id:
            last.contents.extend(contents)
        else:
            events.append(_OpenDeltas(of, step, message_id, contents))
        self.head += len(contents)
        self._gathered.chars += sum(map(len, contents))
        self._writer.mark(self)

    def add_message(self, message: Message) -> None:
        """Put a message on the branch, in the same entry as what was emitted since the last wait."""
        self._check_open()
        self._gathered.messages.append(message)
        self.position += 1
        self._writer.mark(self)

    def add_approval(self, approval: Approval) -> None:
        """Keep a record of an approval with the entry that asks for it."""
        self._gathered.approvals.append(approval)

    def attach(self, update: RunUpdate, checkpoint: Checkpoint | None = None) -> None:
        """Let the gathered entry change the run's record; `flush` before the next one."""
        if self._gathered.update is not None:
            raise RuntimeError("flush before another update")
        self._gathered.update = update
        self._gathered.checkpoint = checkpoint
        self._writer.mark(self)

    async def flush(self) -> None:
        """Return when everything emitted so far is durable and published.

        Raises:
            LeaseLost: the store refused this owner; nothing more can be emitted.
        """
        if self._failure is not None:
            raise self._failure
        if not self._gathered.events and not self._in_flight:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._gathered.waiters.append(waiter)
        self._writer.mark(self)
        await waiter

    def take(self) -> Append | None:
        """Hand the writer what gathered; None when nothing did or an append is in flight."""
        if self._in_flight or self._failure is not None or not self._gathered.events:
            return None
        gathered, self._gathered = self._gathered, _Gathered()
        self._flying = gathered
        self._in_flight = True
        messages = tuple(gathered.messages)
        first, self._taken_head = self._taken_head + 1, self._count(gathered)
        entry = Entry(
            run_id=self._run.id,
            group_id=self._run.group_id,
            first_seq=first,
            last_seq=self._taken_head,
            epoch=self._run.epoch,
            attempt=self._run.attempt,
            at=utc_now(),
            events=tuple(_close(event) for event in gathered.events),
            branch_id=self.branch_id if messages else None,
            position=self.position - len(messages) if messages else None,
            messages=messages,
            checkpoint=gathered.checkpoint,
        )
        return Append(entry=entry, update=gathered.update, approvals=tuple(gathered.approvals))

    def _count(self, gathered: _Gathered) -> int:
        return self._taken_head + sum(
            len(e.contents) if isinstance(e, _OpenDeltas) else span(e) for e in gathered.events
        )

    def settle(self, result: AppendResult | BaseException) -> None:
        """Take the outcome of the append that was in flight."""
        self._in_flight = False
        waiters = self._flying.waiters
        if isinstance(result, BaseException):
            self._fail(result, waiters)
            return
        if isinstance(result, Run):
            self.on_record(result)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._gathered.waiters and not self._gathered.events:
            for waiter in self._gathered.waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._gathered.waiters.clear()
        elif self._gathered.events:
            self._writer.mark(self)

    def _fail(self, failure: BaseException, waiters: Sequence[asyncio.Future[None]]) -> None:
        self._failure = failure
        for waiter in [*waiters, *self._gathered.waiters]:
            if not waiter.done():
                waiter.set_exception(failure)
                waiter.exception()  # a waiter that was cancelled meanwhile must not be reported
        self._gathered = _Gathered()
        self.on_lost()


def _close(event: Event | _OpenDeltas) -> Event:
    if isinstance(event, _OpenDeltas):
        return Deltas(of=event.of, step=event.step, message_id=event.message_id, contents=tuple(event.contents))
    return event


class JournalWriter:
    """Appends for all runs of a process, in groups."""

    def __init__(self, store: RunStore, hub: Hub, observer: Observer = NOBODY) -> None:
        self._store = store
        self._hub = hub
        self._observer = observer
        self._marked: dict[RunJournal, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write(), name="journal-writer")

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Write what has gathered, then end; give up when the store stays away."""
        if self._task is None:
            return
        self._stopping = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        await end([self._task])

    def mark(self, journal: RunJournal) -> None:
        """Note that a journal has something to append."""
        self._marked[journal] = None
        self._wake.set()

    async def _write(self) -> None:
        while not self._stopping or self._marked:
            await self._wake.wait()
            self._wake.clear()
            await self._append(self._take())  # kept nowhere: an idle writer must not keep a run in memory

    def _take(self) -> list[tuple[RunJournal, Append]]:
        taken = [(j, a) for j in self._marked if (a := j.take()) is not None]
        self._marked.clear()
        return taken

    async def _append(self, taken: list[tuple[RunJournal, Append]]) -> None:
        """Append a batch however long the store is away: its outcome must become known."""
        if not taken:
            return
        batch = [append for _, append in taken]
        wait_s = 0.05
        while True:
            began = time.monotonic()
            try:
                results: Sequence[AppendResult | BaseException] = await self._store.append(batch)
                break
            except StoreUnavailable as error:
                log.warning("store away, runs wait", extra={"runs": len(batch), "error": str(error)})
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, 2.0)
            except Exception as error:  # one entry that cannot be stored must not stop the others
                if len(taken) > 1:
                    for one in taken:
                        await self._append([one])
                    return
                log.exception("an entry could not be stored", extra={"run_id": batch[0].entry.run_id})
                results = [error]
                break
        crashes.committed(batch, results)
        duration_s = time.monotonic() - began
        stored = []
        for (journal, append), result in zip(taken, results, strict=True):
            if not isinstance(result, BaseException):
                self._hub.publish(append.entry)
                stored.append(append.entry)
            journal.settle(result)
        self._observer.committed(stored, duration_s)
