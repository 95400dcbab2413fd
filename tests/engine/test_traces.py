"""OpenTelemetry spans of a run's work: who is whose child, what they say, and what they keep to themselves."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from agio.domain.errors import ProviderError, ToolError
from agio.domain.metrics import Usage
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.engine import Engine
from agio.observability.otel import OTelTracing
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import ANN, World, agent, become, read, settled, start

SECRET = "the-words-of-a-person"


class Spans:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = OTelTracing(provider, "test")

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


def of(span: ReadableSpan, *names: str) -> list[Any]:
    return [(span.attributes or {}).get(name) for name in names]


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def let_go(engine: Engine) -> None:
    """Wait until the process drives nothing: then every span has ended."""
    await become(lambda: engine.worker.run_count == 0)


@tool(idempotent=True)
async def look_up(text: str = "") -> str:
    """Say what is known; the span that is current while it works is the call's."""
    span: Any = get_current_span()
    assert span.attributes["gen_ai.tool.call.id"] == "c1"
    return SECRET


@tool
async def refuse() -> str:
    """Never work."""
    raise ToolError(SECRET, code="not_today")


async def test_run_step_model_call_and_tool_call_are_spans_with_the_conventions_names(
    world: World, provider: ScriptedProvider, spans: Spans
):
    usage = Usage(prompt_tokens=7, completion_tokens=2, total_tokens=9)
    provider.add(Answer(calls=[Call("look_up", {"text": SECRET}, id="c1")], usage=usage), Answer(SECRET, usage=usage))
    a1 = agent(tools=("look_up",), temperature=0.5, max_tokens=64, provider="mistral")
    engine = await world.add_process(tools=[look_up], agents=[a1], observer=spans.tracing)
    run = await start(engine, SECRET)
    await read(engine, run.id)
    await let_go(engine)

    accept, work = spans.one("accept_run"), spans.one("invoke_agent a1")
    first, second = spans.named("step")
    ask, again = spans.named("chat m")
    call = spans.one("execute_tool look_up")
    assert len(spans.all()) == 7
    assert {span.context.trace_id for span in spans.all()} == {accept.context.trace_id}
    assert parent_of(accept) is None
    assert parent_of(work) == accept.context.span_id
    assert {parent_of(first), parent_of(second)} == {work.context.span_id}
    assert {parent_of(ask), parent_of(call)} == {first.context.span_id}
    assert parent_of(again) == second.context.span_id
    assert [span.kind for span in (accept, work, ask, call)] == [
        SpanKind.PRODUCER,
        SpanKind.INTERNAL,
        SpanKind.CLIENT,
        SpanKind.INTERNAL,
    ]
    names = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
    assert of(ask, *names) == ["chat", "mistral_ai", "m"]
    assert of(work, *names) == ["invoke_agent", "mistral_ai", "m"]
    assert of(ask, "gen_ai.request.temperature", "gen_ai.request.max_tokens") == [0.5, 64]
    assert of(ask, "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens") == [7, 2]
    assert of(ask, "gen_ai.response.finish_reasons") == [("tool_calls",)]
    assert of(again, "gen_ai.response.finish_reasons") == [("stop",)]
    assert of(again, "gen_ai.response.time_to_first_chunk")[0] >= 0
    assert of(call, "gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.call.id", "gen_ai.tool.type") == [
        *("execute_tool", "look_up", "c1", "function")
    ]
    assert of(work, "gen_ai.agent.id", "gen_ai.conversation.id", "agio.run.id") == ["a1", run.session_id, run.id]
    assert of(work, "agio.run.status", "gen_ai.usage.input_tokens") == ["completed", 14]
    assert [of(step, "agio.step") for step in (first, second)] == [[1], [2]]
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.all())


async def test_no_span_holds_what_was_said(world: World, provider: ScriptedProvider, spans: Spans):
    provider.add(
        Answer(calls=[Call("refuse", id="c1")]),
        Answer(SECRET, ProviderError(SECRET, code="provider_refused", retryable=False)),
    )
    engine = await world.add_process(tools=[refuse], observer=spans.tracing)
    run = await start(engine, SECRET)
    await read(engine, run.id)
    await let_go(engine)
    call, work = spans.one("execute_tool refuse"), spans.one("invoke_agent a1")
    failed = spans.named("chat m")[1]
    assert [of(span, "error.type") for span in (call, failed, work)] == [
        ["not_today"],
        ["provider_refused"],
        ["provider_refused"],
    ]
    assert {span.status.status_code for span in (call, failed, work)} == {StatusCode.ERROR}
    assert of(work, "agio.run.status") == ["failed"]
    assert len(spans.named("step")) == 2, "the step that failed has ended too"
    assert SECRET not in "".join(span.to_json() for span in spans.all())


async def test_paused_run_goes_on_in_its_trace(world: World, provider: ScriptedProvider, spans: Spans):
    provider.add(Answer("one ", gate := Gate()), "two")
    engine = await world.add_process(observer=spans.tracing)
    run = await start(engine)
    await gate.reached.wait()
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    await let_go(engine)
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    await read(engine, run.id)
    await let_go(engine)
    first, second = spans.named("invoke_agent a1")
    assert [of(span, "agio.run.status") for span in (first, second)] == [["paused"], ["completed"]]
    assert {parent_of(first), parent_of(second)} == {spans.one("accept_run").context.span_id}
    assert [parent_of(step) for step in spans.named("step")] == [first.context.span_id, second.context.span_id]


async def test_run_of_a_dead_process_goes_on_in_its_trace(world: World, provider: ScriptedProvider, spans: Spans):
    provider.add(Answer("one ", Silence()), "two")
    first = await world.add_process(observer=spans.tracing)
    run = await start(first)
    await read(first, run.id, until="content_delta")
    await world.kill(first)
    heir = await world.add_process(observer=(later := Spans()).tracing)
    await read(heir, run.id)
    await let_go(heir)
    work = later.one("invoke_agent a1")
    assert work.context.trace_id == spans.one("accept_run").context.trace_id
    assert parent_of(work) == spans.one("accept_run").context.span_id
    assert of(work, "agio.run.status", "agio.run.epoch") == ["completed", 2]


async def test_run_that_nobody_traced_when_it_was_accepted_begins_a_trace(
    world: World, provider: ScriptedProvider, spans: Spans
):
    provider.add("two")
    without = await world.add_process(worker=False)
    run = await start(without)
    engine = await world.add_process(observer=spans.tracing)
    await read(engine, run.id)
    await let_go(engine)
    assert parent_of(spans.one("invoke_agent a1")) is None
