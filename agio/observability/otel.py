"""Spans of runs, steps, model calls and tool calls, by OpenTelemetry's conventions for generative AI.

The only module that needs the extra `agio[otel]`; it is imported where traces are switched on. Spans carry names, ids,
counts and codes, never what was said: prompts, answers, arguments and results are in the journal.
Conventions: https://github.com/open-telemetry/semantic-conventions-genai
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agio.domain import events as ev
from agio.domain.agents import AgentSnapshot
from agio.domain.errors import Invalid, ToolError
from agio.domain.journal import Entry
from agio.domain.messages import ToolCall
from agio.domain.metrics import ModelCall
from agio.domain.runs import Run

CLOSE_S = 5.0
"""How long a process that stops waits for its collector."""
PROVIDERS = {"gemini": "gcp.gemini", "mistral": "mistral_ai"}
"""The conventions' names of providers, where Agio's differ."""
_STATUS = {
    "run_completed": "completed",
    "run_failed": "failed",
    "run_cancelled": "cancelled",
    "run_paused": "paused",
    "run_waiting": "waiting",
    "run_interrupted": "interrupted",
}
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Open:
    """The spans of the run that a task drives."""

    run: Run
    span: Span
    step: Span | None = None
    number: int = 0

    def end_step(self) -> None:
        if self.step is not None:
            self.step.end()
            self.step = None


_open: ContextVar[_Open | None] = ContextVar("agio_open_spans", default=None)


class OTelTracing:
    """Implements `engine.observer.Observer` and `observability.traces.Traces`.

    A run has one trace over all of its owners: the span of its acceptance is kept with it, as the parent of the spans
    of those who work on it.
    """

    def __init__(self, provider: TracerProvider, version: str = "", *, exporter: SpanExporter | None = None) -> None:
        """Args: exporter: what `close` closes; None: the provider is somebody else's."""
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("agio", version)
        self._driven: dict[str, Span] = {}

    # -- Traces

    @contextmanager
    def within(self, traceparent: str) -> Iterator[None]:
        """Let what begins inside belong to a caller's span, unless something nearer is there already."""
        if trace.get_current_span().get_span_context().is_valid:
            yield
            return
        token = otel_context.attach(_PROPAGATOR.extract({"traceparent": traceparent}, Context()))
        try:
            yield
        finally:
            otel_context.detach(token)

    def close(self) -> None:
        """Send what is left. A collector that is away must not keep the process."""
        if self._exporter is None:
            return
        sending = threading.Thread(target=self._provider.shutdown, daemon=True, name="agio-otel-close")
        sending.start()
        sending.join(CLOSE_S)
        if sending.is_alive():
            self._exporter.shutdown()  # else it tries again for ten seconds, while nobody waits
            sending.join(CLOSE_S)

    # -- Observer

    def working(self, worker_id: str) -> None:
        """Pass over it."""

    def accepted(self, run: Run) -> Run:
        """Begin the run's trace, within the request's if there is one."""
        carrier: dict[str, str] = {}
        with self._tracer.start_as_current_span("accept_run", kind=SpanKind.PRODUCER, attributes=_about(run)):
            _PROPAGATOR.inject(carrier)
        return replace(run, trace=carrier.get("traceparent"))

    def claimed(self, run: Run, *, abandoned: bool) -> None:
        """Pass over it."""

    @contextmanager
    def driving(self, run: Run) -> Iterator[None]:
        """Open the run's span, which ends when this process lets go of the run."""
        parent = _PROPAGATOR.extract({"traceparent": run.trace}, Context()) if run.trace else Context()
        of = {"gen_ai.operation.name": "invoke_agent", "agio.run.epoch": run.epoch, **_about(run)}
        with self._span(f"invoke_agent {run.agent_id}", SpanKind.INTERNAL, of, parent) as span:
            opened = _Open(run, span)
            token = _open.set(opened)
            self._driven[run.id] = span
            try:
                yield
            finally:
                opened.end_step()
                _open.reset(token)
                if self._driven.get(run.id) is span:
                    del self._driven[run.id]

    def step_began(self, step: int) -> None:
        """Open the step's span, unless it is open."""
        opened = _open.get()
        if opened is None or (opened.step is not None and opened.number == step):
            return
        opened.end_step()
        of: dict[str, Any] = {"agio.step": step, "agio.run.id": opened.run.id}
        opened.step = self._tracer.start_span("step", trace.set_span_in_context(opened.span), attributes=of)
        opened.number = step

    def step_ended(self) -> None:
        """End its span."""
        opened = _open.get()
        if opened is not None:
            opened.end_step()

    @contextmanager
    def asking(self, snapshot: AgentSnapshot) -> Iterator[None]:
        """Open the span of one call of a model."""
        provider = PROVIDERS.get(snapshot.provider, snapshot.provider)
        of: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": snapshot.model,
            "gen_ai.request.stream": True,
        }
        if snapshot.temperature is not None:
            of["gen_ai.request.temperature"] = snapshot.temperature
        if snapshot.max_tokens is not None:
            of["gen_ai.request.max_tokens"] = snapshot.max_tokens
        if opened := _open.get():
            opened.span.set_attribute("gen_ai.provider.name", provider)
        with self._span(f"chat {snapshot.model}", SpanKind.CLIENT, of, _within_step()):
            yield

    def asked(self, call: ModelCall) -> None:
        """Say on the model call's span what came of it."""
        span = trace.get_current_span()
        span.set_attribute("gen_ai.usage.input_tokens", call.usage.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", call.usage.completion_tokens)
        if call.finish is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [call.finish])
        if call.first_token_s is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", call.first_token_s)
        if call.usage.cost is not None:
            span.set_attribute("agio.cost_dollars", call.usage.cost)
        if call.outcome not in ("ok", "stopped"):
            _fail(span, call.outcome)

    @contextmanager
    def calling(self, call: ToolCall) -> Iterator[None]:
        """Open the span of one call of a tool."""
        of = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.type": "function",
        }
        with self._span(f"execute_tool {call.name}", SpanKind.INTERNAL, of, _within_step()) as span:
            try:
                yield
            except ToolError as error:
                _fail(span, error.code)
                raise

    def committed(self, entries: Sequence[Entry], duration_s: float) -> None:
        """Say on the runs' spans how they ended."""
        for entry in entries:
            span = self._driven.get(entry.run_id)
            if span is not None and entry.events:
                _note_end(span, entry.events[-1])

    def readers(self, count: int) -> None:
        """Pass over it."""

    @contextmanager
    def _span(self, name: str, kind: SpanKind, of: dict[str, Any], parent: Context) -> Iterator[Span]:
        # No exception is recorded: its text may hold what a tool or a model was told.
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes=of, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span


def start_tracing(version: str) -> OTelTracing:
    """Return what makes this process's spans; they go where OpenTelemetry's own variables say.

    A provider that the application has set up already is used as it is.

    Raises:
        Invalid: OTEL_TRACES_EXPORTER names something that Agio does not know.
    """
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return OTelTracing(known, version)
    provider = TracerProvider(
        resource=Resource.create({"service.version": version, **_service()}), shutdown_on_exit=False
    )
    exporter = _exporter(os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip())
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return OTelTracing(provider, version, exporter=exporter)


def _service() -> dict[str, str]:
    """Return the service's name unless a variable says it."""
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {} if named else {"service.name": "agio"}


def _exporter(name: str) -> SpanExporter | None:
    match name:
        case "otlp" | "":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - slow

            return OTLPSpanExporter()
        case "console":
            return ConsoleSpanExporter()
        case "none":
            return None
        case _:
            raise Invalid(
                f"OTEL_TRACES_EXPORTER is {name!r}; Agio knows otlp, console and none", field="traces_enabled"
            )


def _about(run: Run) -> dict[str, Any]:
    return {
        "gen_ai.agent.id": run.agent_id,
        "gen_ai.agent.name": run.agent_id,
        "gen_ai.conversation.id": run.session_id,
        "gen_ai.request.model": run.model,
        "agio.run.id": run.id,
        "agio.group.id": run.group_id,
        "agio.run.attempt": run.attempt,
    }


def _within_step() -> Context:
    """Return the context of the step under way, or of the run, or else the present one."""
    opened = _open.get()
    if opened is None:
        return otel_context.get_current()
    return trace.set_span_in_context(opened.step or opened.span)


def _note_end(span: Span, last: ev.Event) -> None:
    status = _STATUS.get(last.type)
    if status is None:
        return
    span.set_attribute("agio.run.status", status)
    if isinstance(last, ev.RunCompleted | ev.RunFailed | ev.RunCancelled):
        span.set_attribute("gen_ai.usage.input_tokens", last.metrics.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", last.metrics.completion_tokens)
    if isinstance(last, ev.RunFailed):
        _fail(span, str(last.error.get("code", "internal_error")))


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR)
