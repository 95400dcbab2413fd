"""What the step loop does with model calls: failures, retries, plans, limits, budgets, sums."""

from dataclasses import replace
from typing import Any

import pytest

from agio.domain.errors import ProviderError
from agio.domain.metrics import Usage
from agio.domain.runs import Budget
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.token import ControlToken
from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Call, Gate, Reasoning, ScriptedProvider, long_answer
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    FAST,
    World,
    agent,
    become,
    check_request,
    check_sequence,
    read,
    replay,
    settled,
    start,
    text_of,
    types,
)

SLOW_RETRY = replace(FAST, retry_base_s=600.0, retry_cap_s=600.0)


@tool(idempotent=True)
async def add(a: int = 1, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def _failure(code: str = "provider_unavailable", **more: Any) -> ProviderError:
    return ProviderError(f"{code}, says the test", code=code, retryable=True, **more)


def _of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


# -- failures and retries


async def test_a_failed_call_is_repeated_and_told(world: World, provider: ScriptedProvider):
    provider.add(
        _failure(), Answer("half ", _failure("provider_timeout")), Answer(Reasoning("hm"), _failure()), "whole"
    )
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert [event["code"] for event in _of(events, "warning")] == [
        "provider_unavailable",
        "provider_timeout",
        "provider_unavailable",
    ]
    assert len(_of(events, "content_reset")) == 2
    assert text_of(events) == "whole"
    assert events[-1]["response"] == "whole"
    assert [request.messages for request in provider.requests[1:]] == [provider.requests[0].messages] * 3
    assert [m.content for m in await engine.reading.messages(ANN, run.id)] == ["hello", "whole"]
    assert provider.open_streams == 0


async def test_a_stream_that_is_cut_is_never_a_short_answer(world: World, provider: ScriptedProvider):
    provider._default = lambda request: Answer("I think that", finish=None)
    engine = await world.add_process()
    run = await start(engine, session_id="s")
    events = await read(engine, run.id)
    check_sequence(events)
    assert provider.calls == FAST.provider_attempts
    assert types(events)[-1] == "run_failed"
    assert events[-1]["error"]["code"] == "provider_stream_broken"
    assert events[-1]["error"]["retryable"] is True
    assert text_of(events) == ""
    provider._default = "next"
    await read(engine, (await start(engine, "again", session_id="s")).id)
    assert [m.content for m in provider.requests[-1].messages] == ["hello", "again"]


async def test_calls_of_a_stream_that_is_cut_are_not_made(world: World, provider: ScriptedProvider):
    provider.add(Answer("I add", calls=[Call("add", {})], finish=None), "no need")
    engine = await world.add_process(tools=[add])
    run = await start(engine)
    events = await read(engine, run.id)
    assert "tool_call_started" not in types(events)
    assert events[-1]["response"] == "no need"


@pytest.mark.parametrize("code", ["provider_auth", "provider_rejected", "context_exceeded", "provider_not_configured"])
async def test_what_a_new_call_cannot_help_fails_at_once(world: World, provider: ScriptedProvider, code: str):
    provider.add(Answer("half", ProviderError("the key is missing", code=code)))
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert provider.calls == 1
    assert events[-1]["error"] == {"code": code, "message": "the key is missing", "retryable": False}
    failed = await settled(engine, run.id, RunStatus.FAILED)
    assert (failed.reason, failed.error) == (code, events[-1]["error"])
    assert text_of(events) == ""


async def test_a_mistake_in_a_provider_fails_the_run_without_its_secrets(world: World, provider: ScriptedProvider):
    class Broken(ScriptedProvider):
        def _next(self, request: ModelRequest) -> Any:
            raise RuntimeError("key sk-secret")

    engine = await world.add_process(provider=Broken())
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["error"]["code"] == "internal_error"
    assert "sk-secret" not in str(events)


async def test_waits_grow_and_heed_what_the_provider_asks_for(
    world: World, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
):
    waits: list[float] = []

    async def sleep(token: ControlToken, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(ControlToken, "sleep", sleep)
    settings = replace(FAST, retry_base_s=1.0, retry_cap_s=5.0, provider_attempts=7)
    provider.add(_failure(), _failure(), _failure(), _failure(retry_after_s=4.5), _failure(retry_after_s=3600.0), "ok")
    engine = await world.add_process(settings=settings)
    run = await start(engine)
    events = await read(engine, run.id)
    assert types(events)[-1] == "run_completed"
    for wait, longest in zip(waits, (1.0, 2.0, 4.0), strict=False):
        assert longest / 2 <= wait <= longest
    assert waits[3:] == [pytest.approx(4.5, abs=0.5), 5.0]


async def test_a_cancel_does_not_wait_for_the_back_off(world: World, provider: ScriptedProvider):
    provider.add(_failure())
    engine = await world.add_process(settings=SLOW_RETRY)
    run = await start(engine)
    await read(engine, run.id, until="warning")
    await engine.commands.cancel(ANN, run.id)
    assert types(await read(engine, run.id))[-1] == "run_cancelled"


@pytest.mark.parametrize("mode", ["safe", "now"])
async def test_a_pause_does_not_wait_for_the_back_off(world: World, provider: ScriptedProvider, mode: Any):
    provider.add(Answer("half", _failure()), "whole")
    engine = await world.add_process(settings=SLOW_RETRY)
    run = await start(engine)
    await read(engine, run.id, until="warning")
    await engine.commands.pause(ANN, run.id, mode=mode)
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert text_of(events) == "whole"


async def test_a_stopping_process_does_not_wait_for_the_back_off(world: World, provider: ScriptedProvider):
    provider.add(_failure(), "whole")
    first = await world.add_process(settings=SLOW_RETRY)
    run = await start(first)
    await read(first, run.id, until="warning")
    second = await world.add_process()
    await world.remove(first)
    events = await read(second, run.id)
    check_sequence(events)
    assert text_of(events) == "whole"
    assert [event["reason"] for event in _of(events, "run_recovered")] == ["drained"]


# -- answers of all kinds


@pytest.mark.parametrize(("finish", "code"), [("length", "answer_truncated"), ("content_filter", "content_filter")])
async def test_an_answer_that_was_cut_short_says_so(world: World, provider: ScriptedProvider, finish: str, code: str):
    provider.add(Answer("as far as I", finish=finish))
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    assert [event["code"] for event in _of(events, "warning")] == [code]
    assert events[-1]["response"] == "as far as I"


async def test_an_empty_answer_is_an_answer(world: World, provider: ScriptedProvider):
    provider.add(Answer())
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert (types(events)[-1], events[-1]["response"]) == ("run_completed", "")


async def test_reasoning_is_kept_with_the_message_but_not_shown_as_text(world: World, provider: ScriptedProvider):
    provider.add(Answer(Reasoning("a"), Reasoning("b"), "c"))
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    assert "".join(event["content"] for event in _of(events, "reasoning_delta")) == "ab"
    message = (await engine.reading.messages(ANN, run.id))[-1]
    assert (message.content, message.reasoning) == ("c", "ab")


async def test_a_long_answer_keeps_every_delta(world: World, provider: ScriptedProvider):
    provider.add(long_answer(40, "x" * 20_000))
    engine = await world.add_process()
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    assert len(_of(events, "content_delta")) == 40
    assert len(text_of(events)) == 800_000


# -- plans


async def test_a_plan_is_made_and_revised_every_n_steps(world: World, provider: ScriptedProvider):
    call = Call("add", {})
    provider.add(
        Answer("1. add", usage=Usage(total_tokens=100)),
        Answer(calls=[call]),
        Answer(calls=[call]),
        "1. add more",
        Answer(calls=[call]),
        "done",
    )
    engine = await world.add_process(
        tools=[add], agents=[agent(tools=("add",), planning_interval=2, system_prompt="S")]
    )
    run = await start(engine)
    events = await read(engine, run.id)
    check_sequence(events)
    plans = [(event["step"], event["plan"], event["revised"]) for event in _of(events, "plan_updated")]
    assert plans == [(1, "1. add", False), (3, "1. add more", True)]
    systems = [request.messages[0].content for request in provider.requests]
    assert systems == [
        "S",
        *["S\n\nYour plan:\n1. add"] * 3,
        *["S\n\nYour plan:\n1. add more"] * 2,
    ]
    assert [bool(request.tools) for request in provider.requests] == [False, True, True, False, True, True]
    assert "plan" in str(provider.requests[0].messages[-1].content)
    roles = [m.role for m in await engine.reading.messages(ANN, run.id)]
    assert roles == ["user", *["assistant", "tool"] * 3, "assistant"]  # plans are not part of the talk
    assert _of(events, "step_completed")[0]["usage"].total_tokens == 100
    state = await engine.reading.state_at(ANN, _of(events, "checkpoint_created")[-1]["checkpoint_id"])
    assert state.checkpoint.plan == "1. add more"


async def test_a_plan_that_was_made_before_a_crash_is_not_made_again(world: World, provider: ScriptedProvider):
    provider.add(Answer("the plan", usage=Usage(total_tokens=50)), Answer("half", Gate()), "whole")
    agents = [agent(planning_interval=1)]
    engine = await world.add_process(agents=agents)
    run = await start(engine)
    await read(engine, run.id, until="content_delta")
    await world.kill_all()
    heir = await world.add_process(agents=agents)
    events = await read(heir, run.id)
    check_sequence(events)
    assert len(_of(events, "plan_updated")) == 1
    assert provider.calls == 3
    assert "the plan" in str(provider.requests[2].messages[0].content)
    assert events[-1]["metrics"].total_tokens == 51


async def test_a_pause_during_planning_loses_nothing(world: World, provider: ScriptedProvider):
    provider.add(Answer("half a plan", Gate()), "a plan", "done")
    engine = await world.add_process(agents=[agent(planning_interval=1)])
    run = await start(engine)
    await provider.wait_for_calls(1)
    await become(lambda: provider.open_streams == 1)
    await engine.commands.pause(ANN, run.id, mode="now")
    await settled(engine, run.id, RunStatus.PAUSED)
    await engine.commands.resume(ANN, run.id, ResumeRequest())
    events = await read(engine, run.id)
    check_sequence(events)
    assert [event["plan"] for event in _of(events, "plan_updated")] == ["a plan"]
    assert text_of(events) == "done"


# -- limits and budgets


async def test_without_force_the_step_limit_fails_the_run(world: World, provider: ScriptedProvider):
    provider._default = lambda request: Answer(calls=[Call("add", {})])
    engine = await world.add_process(tools=[add])
    run = await start(engine, max_steps=3, force_final_answer=False, session_id="s")
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["error"]["code"] == "max_steps"
    assert provider.calls == 3
    assert (await settled(engine, run.id, RunStatus.FAILED)).step == 3
    provider._default = "next"
    await read(engine, (await start(engine, session_id="s")).id)
    check_request(provider.requests[-1].messages)


async def test_an_answer_at_the_limit_is_an_answer(world: World, provider: ScriptedProvider):
    provider.add(Answer(calls=[Call("add", {})]), "in time")
    engine = await world.add_process(tools=[add])
    run = await start(engine, max_steps=2, force_final_answer=False)
    events = await read(engine, run.id)
    assert events[-1]["response"] == "in time"
    assert "warning" not in types(events)


@pytest.mark.parametrize(
    ("budget", "usage", "calls"),
    [
        (Budget(max_total_tokens=25), Usage(total_tokens=10), 3),
        (Budget(max_cost=0.5), Usage(cost=0.25), 2),
        (Budget(max_seconds=0.0), Usage(), 0),
    ],
    ids=["tokens", "cost", "seconds"],
)
async def test_a_spent_budget_fails_the_run_before_the_next_call(
    world: World, provider: ScriptedProvider, budget: Budget, usage: Usage, calls: int
):
    provider._default = lambda request: Answer(calls=[Call("add", {})], usage=usage)
    engine = await world.add_process(tools=[add])
    run = await start(engine, budget=budget)
    events = await read(engine, run.id)
    check_sequence(events)
    assert events[-1]["error"]["code"] == "budget_exceeded"
    assert provider.calls == calls


async def test_a_budget_counts_over_a_crash_and_a_pause(world: World, provider: ScriptedProvider):
    answer = Answer(calls=[Call("add", {})], usage=Usage(total_tokens=10))
    provider.add(answer, answer, Answer("half", Gate()))
    engine = await world.add_process(tools=[add])
    run = await start(engine, budget=Budget(max_total_tokens=30))
    await provider.wait_for_calls(3)
    await read(engine, run.id, until="content_delta")
    await world.kill_all()
    provider.add(answer, answer)
    heir = await world.add_process(tools=[add])
    events = await read(heir, run.id)
    check_sequence(events)
    assert events[-1]["error"]["code"] == "budget_exceeded"
    assert events[-1]["metrics"].total_tokens == 30
    assert provider.calls == 4


# -- sums


async def test_usage_is_summed_per_step_and_in_all_after_crashes_too(world: World, provider: ScriptedProvider):
    def usage(number: int) -> Usage:
        return Usage(prompt_tokens=number, completion_tokens=10 * number, total_tokens=11 * number, cost=number / 8)

    provider.add(
        Answer(calls=[Call("add", {})], usage=usage(1)),
        Answer("again ", calls=[Call("add", {})], usage=usage(2)),
        Answer("half", Gate(), usage=usage(64)),
    )
    engine = await world.add_process(tools=[add])
    run = await start(engine)
    await provider.wait_for_calls(3)
    await become(lambda: provider.open_streams == 1)
    await world.kill_all()
    provider.add(Answer("done", usage=usage(4)))
    heir = await world.add_process(tools=[add])
    events = await read(heir, run.id)
    check_sequence(events)
    assert [event["usage"] for event in _of(events, "step_completed")] == [usage(1), usage(2), usage(4)]
    metrics = events[-1]["metrics"]
    assert metrics.usage == usage(7)
    assert metrics.steps == 3
    assert metrics.duration_ms >= 0
    assert metrics.time_to_first_token_ms is not None
    record = await settled(heir, run.id, RunStatus.COMPLETED)
    assert record.metrics == metrics
    steps = await heir.reading.steps(ANN, run.id)
    assert [(step.step, step.status, step.usage) for step in steps] == [
        (1, "completed", usage(1)),
        (2, "completed", usage(2)),
        (3, "completed", usage(4)),
    ]
    assert steps[2].redone == 1


async def test_what_a_cancelled_step_cost_is_counted(world: World, provider: ScriptedProvider):
    provider.add(
        Answer(calls=[Call("add", {})], usage=Usage(total_tokens=10)), Answer("x", Usage(total_tokens=5), Gate())
    )
    engine = await world.add_process(tools=[add])
    run = await start(engine)
    await provider.wait_for_calls(2)
    await read(engine, run.id, until="content_delta")
    await engine.commands.cancel(ANN, run.id)
    events = await read(engine, run.id)
    assert events[-1]["metrics"].total_tokens == 15
    assert await replay(engine, run.id) == events
