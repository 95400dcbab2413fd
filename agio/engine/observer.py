"""Who watches a process work: metrics, traces, logs. The engine tells, and does not ask."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from agio.domain.agents import AgentSnapshot
from agio.domain.journal import Entry
from agio.domain.messages import ToolCall
from agio.domain.metrics import ModelCall
from agio.domain.runs import Run


class Observer(Protocol):
    """Hears what happens in one process, on its event loop. Nothing here may wait or raise."""

    def working(self, worker_id: str) -> None:
        """The process's worker began, under this id."""
        ...

    def accepted(self, run: Run) -> Run:
        """A run is about to be stored; return it with the `trace` that it belongs to."""
        ...

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """This process owns the run now; `abandoned`: its last owner died."""
        ...

    def driving(self, run: Run) -> AbstractContextManager[None]:
        """Entered while this process works on the run, in the task that does."""
        ...

    def step_began(self, step: int) -> None:
        """The run that is driven in this task began a step, or went on with one."""
        ...

    def step_ended(self) -> None:
        """It completed the step. One that was dropped or failed ends with `driving`."""
        ...

    def asking(self, snapshot: AgentSnapshot) -> AbstractContextManager[None]:
        """Entered for one call of the run's model; `asked` comes before it is left."""
        ...

    def asked(self, call: ModelCall) -> None:
        """A model answered, or failed to."""
        ...

    def calling(self, call: ToolCall) -> AbstractContextManager[None]:
        """Entered for one call of a tool; left with its `ToolError` where it fails."""
        ...

    def committed(self, entries: Sequence[Entry], duration_s: float) -> None:
        """These entries of different runs became durable in one append that took so long."""
        ...

    def readers(self, count: int) -> None:
        """So many readers follow runs here now."""
        ...


class Nobody:
    """Nobody watches."""

    def working(self, worker_id: str) -> None:
        """Pass over it."""

    def accepted(self, run: Run) -> Run:
        """Return it as it is."""
        return run

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """Pass over it."""

    def driving(self, run: Run) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def step_began(self, step: int) -> None:
        """Pass over it."""

    def step_ended(self) -> None:
        """Pass over it."""

    def asking(self, snapshot: AgentSnapshot) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def asked(self, call: ModelCall) -> None:
        """Pass over it."""

    def calling(self, call: ToolCall) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def committed(self, entries: Sequence[Entry], duration_s: float) -> None:
        """Pass over it."""

    def readers(self, count: int) -> None:
        """Pass over it."""


class Both:
    """Two who watch."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._first = first
        self._second = second

    def working(self, worker_id: str) -> None:
        """Tell both."""
        self._first.working(worker_id)
        self._second.working(worker_id)

    def accepted(self, run: Run) -> Run:
        """Ask both."""
        return self._second.accepted(self._first.accepted(run))

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """Tell both."""
        self._first.claimed(run, abandoned=abandoned)
        self._second.claimed(run, abandoned=abandoned)

    @contextmanager
    def driving(self, run: Run) -> Iterator[None]:
        """Enter both."""
        with self._first.driving(run), self._second.driving(run):
            yield

    def step_began(self, step: int) -> None:
        """Tell both."""
        self._first.step_began(step)
        self._second.step_began(step)

    def step_ended(self) -> None:
        """Tell both."""
        self._first.step_ended()
        self._second.step_ended()

    @contextmanager
    def asking(self, snapshot: AgentSnapshot) -> Iterator[None]:
        """Enter both."""
        with self._first.asking(snapshot), self._second.asking(snapshot):
            yield

    def asked(self, call: ModelCall) -> None:
        """Tell both."""
        self._first.asked(call)
        self._second.asked(call)

    @contextmanager
    def calling(self, call: ToolCall) -> Iterator[None]:
        """Enter both."""
        with self._first.calling(call), self._second.calling(call):
            yield

    def committed(self, entries: Sequence[Entry], duration_s: float) -> None:
        """Tell both."""
        self._first.committed(entries, duration_s)
        self._second.committed(entries, duration_s)

    def readers(self, count: int) -> None:
        """Tell both."""
        self._first.readers(count)
        self._second.readers(count)


NOBODY = Nobody()
