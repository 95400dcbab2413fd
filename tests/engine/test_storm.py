"""Many runs, many processes, and everything that can happen to them in an order that nobody chose."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from agio.domain.errors import Conflict
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.engine import Engine
from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Call, ScriptedProvider
from agio.tools.base import ToolContext
from agio.tools.decorator import tool
from tests.engine.world import ANN, World, check_request, check_sequence, faults, read, replay, start, types

ENDS = {"run_completed", "run_failed", "run_cancelled"}
STEPS = 3
RUNS = 6
BLOWS = 24
ODDS = {"pause": 4, "now": 4, "resume": 8, "cancel": 1, "kill": 2, "drain": 1, "wait": 6}


class Effects:
    """A tool that must never do the same thing twice."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

        @tool
        async def act(number: int, context: ToolContext) -> str:
            """Do something that cannot be undone."""
            self.done[context.idempotency_key] += 1
            await asyncio.sleep(0)
            return f"done {number}"

        self.tool = act


def _model(request: ModelRequest) -> Answer:
    """Act three times per question, then answer it."""
    said = list(request.messages)
    questions = [number for number, message in enumerate(said) if message.role == "user"]
    acted = sum(message.role == "assistant" and bool(message.tool_calls) for message in said[questions[-1] :])
    if acted < STEPS:
        return Answer("I ", "act. ", calls=[Call("act", {"number": acted})])
    return Answer("That ", "was ", "it.")


class Storm:
    """Blows at an installation, then lets it come to rest."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.effects = Effects()
        self.runs: list[Run] = []
        self.desk: Engine

    async def begin(self) -> None:
        self.desk = await self.world.add_process(worker=False, tools=[self.effects.tool])
        for _ in range(2):
            await self._open_process()
        for number in range(RUNS):
            self.runs.append(await start(self.desk, f"question {number}", session_id=f"s{number % 3}"))

    async def _open_process(self) -> None:
        engine = await self.world.add_process(tools=[self.effects.tool])

        async def slowly(call: Any, batch: Any) -> Any:
            for _ in range(self.dice.randrange(6)):
                await asyncio.sleep(0.002)
            return await call(batch)

        faults(engine).on("append", slowly)

    async def blow(self) -> None:
        run = self.dice.choice(self.runs)
        (what,) = self.dice.choices(list(ODDS), list(ODDS.values()))
        with suppress(Conflict):
            match what:
                case "pause":
                    await self.desk.commands.pause(ANN, run.id)
                case "now":
                    await self.desk.commands.pause(ANN, run.id, mode="now")
                case "resume":
                    await self._resume(run)
                case "cancel":
                    await self.desk.commands.cancel(ANN, run.id)
                case "kill" | "drain":
                    await self._replace_process(in_order=what == "drain")
                case _:
                    await self.desk.store.ping()
        await asyncio.sleep(self.dice.random() * 0.02)

    async def _replace_process(self, *, in_order: bool) -> None:
        victim = self.dice.choice([engine for engine in self.world.engines if engine is not self.desk])
        if in_order:
            await self.world.remove(victim)
        else:
            await self.world.kill(victim)
            await self.desk.store.retire(victim.worker.id)
        await self._open_process()

    async def _resume(self, run: Run) -> None:
        events = await replay(self.desk, run.id)
        unknown = [
            event["tool_call_id"]
            for event in events
            if event["type"] == "tool_call_failed" and event["error"]["code"] == "outcome_unknown"
        ]
        given: dict[str, Any] = dict.fromkeys(unknown, "looked it up")
        await self.desk.commands.resume(ANN, run.id, ResumeRequest(tool_results=given))

    async def calm_down(self) -> None:
        async with asyncio.timeout(40):
            for run in self.runs:
                while (record := await self.desk.store.get_run("default", run.id)).is_live:
                    resting = record.status in (RunStatus.PAUSED, RunStatus.WAITING, RunStatus.INTERRUPTED)
                    if resting or record.pause is not None:
                        with suppress(Conflict):
                            await self._resume(run)
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_lost_doubled_or_left_behind(world: World, provider: ScriptedProvider, seed: int):
    provider._default = _model
    storm = Storm(world, seed)
    await storm.begin()
    for _ in range(BLOWS):
        await storm.blow()
    await storm.calm_down()
    for request in provider.requests:
        check_request(request.messages)
    assert set(storm.effects.done.values()) <= {1}, "something was done twice"
    for run in storm.runs:
        events = await replay(storm.desk, run.id)
        check_sequence(events)
        assert [kind for kind in types(events) if kind in ENDS] == types(events)[-1:]
        record = await storm.desk.store.get_run("default", run.id)
        assert (record.owner, record.pause, record.order, record.holds_branch) == (None, None, None, False)
        assert types(events)[-1] == f"run_{record.status}"
        assert events == await read(storm.desk, run.id)
        if record.status is RunStatus.COMPLETED:
            assert events[-1]["response"] == "That was it."
            assert events[-1]["metrics"].steps == STEPS + 1
    for session_id in ("s0", "s1", "s2"):
        history = await storm.desk.reading.session_messages(ANN, session_id)
        check_request(history)
        asked = [str(message.content) for message in history if message.role == "user"]
        assert len(asked) == len(set(asked))
