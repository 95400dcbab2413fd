"""Watches a process work: counts what the engine tells, and lets logs say which run they are about."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from agio.domain.agents import AgentSnapshot
from agio.domain.journal import Entry
from agio.domain.messages import ToolCall
from agio.domain.metrics import ModelCall
from agio.domain.runs import Run
from agio.observability import context
from agio.observability.counting import count_claim, count_entries
from agio.observability.metrics import Metrics


class ProcessObserver:
    """Implements `engine.observer.Observer`; without metrics it serves the logs alone."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._metrics = metrics

    def working(self, worker_id: str) -> None:
        """Let every line of the log name the worker."""
        context.bind_process(worker_id=worker_id)

    def accepted(self, run: Run) -> Run:
        """Return it as it is."""
        return run

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """Count it."""
        if self._metrics is not None:
            count_claim(self._metrics, run, abandoned=abandoned)

    @contextmanager
    def driving(self, run: Run) -> Iterator[None]:
        """Let the lines of the log name the run; count it among those under way."""
        metrics = self._metrics
        with context.bound(run_id=run.id):
            if metrics is None:
                yield
                return
            metrics.running.inc()
            try:
                yield
            finally:
                metrics.running.dec()

    def step_began(self, step: int) -> None:
        """Pass over it: its event is counted."""

    def step_ended(self) -> None:
        """Pass over it."""

    def asking(self, snapshot: AgentSnapshot) -> AbstractContextManager[None]:
        """Do nothing: `asked` is counted."""
        return nullcontext()

    def asked(self, call: ModelCall) -> None:
        """Count calls, tokens and cost."""
        if self._metrics is None:
            return
        metrics, of = self._metrics, (call.provider, self._metrics.models[call.model])
        metrics.model_time.labels(*of, call.outcome).observe(call.duration_s)
        if call.first_token_s is not None:
            metrics.first_token.labels(*of).observe(call.first_token_s)
        metrics.tokens.labels(*of, "prompt").inc(call.usage.prompt_tokens)
        metrics.tokens.labels(*of, "completion").inc(call.usage.completion_tokens)
        if call.usage.cost:
            metrics.cost.labels(*of).inc(call.usage.cost)

    def calling(self, call: ToolCall) -> AbstractContextManager[None]:
        """Do nothing: its event is counted."""
        return nullcontext()

    def committed(self, entries: Sequence[Entry], duration_s: float) -> None:
        """Count the append and the events."""
        if self._metrics is not None:
            count_entries(self._metrics, entries, duration_s)

    def readers(self, count: int) -> None:
        """Note how many there are."""
        if self._metrics is not None:
            self._metrics.readers.set(count)
