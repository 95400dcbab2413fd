"""What is counted and measured, for Prometheus. Every name begins with `agio_`, times are in seconds."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from agio.observability.shared import VARIABLE, forget_dead

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
LABELS_KEPT = 100
"""Values of a label that users name (models, tools); what comes after is `other`."""
OTHER = "other"

SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
MIDDLE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LONG = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Names:
    """Keeps the number of a label's values bounded."""

    def __init__(self, kept: int = LABELS_KEPT) -> None:
        self._kept = kept
        self._known: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Return the name, or `other` when too many are known already."""
        if name not in self._known:
            if len(self._known) >= self._kept:
                return OTHER
            self._known.add(name)
        return name


class Metrics:
    """The instruments of a process. With a folder, its siblings' figures are part of what it renders."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        if folder is not None:
            os.environ[VARIABLE] = str(folder)
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # chosen where prometheus_client was imported: too early
        self._registry = CollectorRegistry()
        self.models, self.tools = Names(), Names()
        self._make_runs()
        self._make_models()
        self._make_journal()
        self._make_http()

    def _make_runs(self) -> None:
        counter, histogram, gauge = self._makers()
        self.claims = counter("agio_claims", "Times that a worker took a run up.", ["how"])
        self.takeovers = counter("agio_takeovers", "Runs that went from one worker to another.", ["reason"])
        self.runs_ended = counter("agio_runs_ended", "Runs that ended.", ["status"])
        self.run_errors = counter("agio_run_errors", "Runs that failed, by the code of the error.", ["code"])
        self.warnings = counter("agio_run_warnings", "Warnings that runs gave.", ["code"])
        self.checkpoints = counter("agio_checkpoints", "Checkpoints that runs made.")
        self.queue_wait = histogram("agio_run_queue_seconds", "From acceptance to the first claim.", buckets=LONG)
        self.run_time = histogram(
            "agio_run_seconds", "Work on a run until its end; rest does not count.", ["status"], buckets=LONG
        )
        self.step_time = histogram("agio_step_seconds", "One step.", buckets=LONG)
        self.running = gauge("agio_runs_owned", "Runs that the server's processes work on.")

    def _make_models(self) -> None:
        counter, histogram, _ = self._makers()
        of = ["provider", "model"]
        self.model_time = histogram("agio_model_seconds", "One call of a model.", [*of, "outcome"], buckets=LONG)
        self.first_token = histogram("agio_model_first_token_seconds", "Until a model's first token.", of, buckets=LONG)
        self.tokens = counter("agio_tokens", "Tokens, as the providers counted them.", [*of, "kind"])
        self.cost = counter("agio_cost_dollars", "Cost in US dollars, where the provider says it.", of)
        self.tool_time = histogram("agio_tool_seconds", "One call of a tool.", ["tool", "outcome"], buckets=LONG)

    def _make_journal(self) -> None:
        _, histogram, gauge = self._makers()
        self.batch_size = histogram("agio_journal_batch_entries", "Entries of one append.", buckets=SIZES)
        self.append_time = histogram("agio_journal_append_seconds", "One append, made durable.", buckets=SHORT)
        self.readers = gauge("agio_readers", "Readers that follow runs.")

    def _make_http(self) -> None:
        counter, histogram, gauge = self._makers()
        self.requests = counter("agio_http_requests", "Requests.", ["method", "route", "status"])
        self.request_time = histogram(
            "agio_http_request_seconds", "Requests other than streams.", ["method", "route"], buckets=MIDDLE
        )
        self.streams = gauge("agio_streams", "Open event streams and WebSockets.", ["kind"])

    def _makers(self) -> tuple[Any, Any, Any]:
        registry = self._registry
        return (
            partial(Counter, registry=registry),
            partial(Histogram, registry=registry),
            partial(Gauge, registry=registry, multiprocess_mode="livesum"),
        )

    def render(self) -> bytes:
        """Return the figures of the whole server, in Prometheus' text format."""
        if self._folder is None:
            return prometheus_client.generate_latest(self._registry)
        forget_dead(self._folder)
        gathered = CollectorRegistry()
        MultiProcessCollector(gathered, path=str(self._folder))  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(gathered)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A gauge that was looked up just now: the same whichever process says it."""

    name: str
    text: str
    label: str
    """Empty: it has none."""
    figures: Mapping[str, float]
    """By the label's value."""


def render_gauges(gauges: Iterable[LookedUp]) -> bytes:
    """Return gauges in Prometheus' text format."""
    registry = CollectorRegistry()
    for one in gauges:
        family = GaugeMetricFamily(one.name, one.text, labels=[one.label] if one.label else None)
        for value, figure in one.figures.items():
            family.add_metric([value] if one.label else [], figure)
        registry.register(_Ready(family))
    return prometheus_client.generate_latest(registry)


class _Ready(Collector):
    """Gives what it was given."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family
