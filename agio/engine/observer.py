"""Who watches a process work: metrics, traces, logs. The engine tells, and does not ask."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from agio.domain.journal import Entry
from agio.domain.metrics import ModelCall
from agio.domain.runs import Run


class Observer(Protocol):
    """Hears what happens in one process, on its event loop. Nothing here may wait or raise."""

    def working(self, worker_id: str) -> None:
        """The process's worker began, under this id."""
        ...

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """This process owns the run now; `abandoned`: its last owner died."""
        ...

    def driving(self, run: Run) -> AbstractContextManager[None]:
        """Entered while this process works on the run, in the task that does."""
        ...

    def asked(self, call: ModelCall) -> None:
        """A model answered, or failed to."""
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

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """Pass over it."""

    def driving(self, run: Run) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def asked(self, call: ModelCall) -> None:
        """Pass over it."""

    def committed(self, entries: Sequence[Entry], duration_s: float) -> None:
        """Pass over it."""

    def readers(self, count: int) -> None:
        """Pass over it."""


NOBODY = Nobody()
