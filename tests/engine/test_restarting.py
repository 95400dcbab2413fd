"""Runs that are not to go on elsewhere when their worker dies or stops, workflows among them, on every store."""

import asyncio
from dataclasses import replace
from typing import Literal

import pytest

from agio.domain.crews import OnRestart
from agio.domain.status import RESTART_TEXT, RunStatus
from agio.engine.workflows import Fallback, WorkflowRequest
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.engine.crews import THREE, answering, asked, check_tree, count, follow, set_to_work
from tests.engine.world import ANN, FAST, PATIENCE_S, World, settled


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(default=answering)


@pytest.mark.parametrize(
    ("installation", "own", "how", "ends"),
    [
        ("cancel", None, "dies", "cancelled"),
        ("resume", "cancel", "stops", "cancelled"),
        ("cancel", "resume", "stops", "completed"),
    ],
)
async def test_workflow_goes_on_or_is_cancelled_as_it_says_or_the_installation(
    world: World,
    provider: ScriptedProvider,
    how: str,
    installation: Literal["resume", "cancel"],
    own: OnRestart | None,
    ends: str,
):
    held = Gate()
    provider._default = lambda request: Answer("begun ", held) if asked(request) == "do two" else answering(request)
    settings = replace(FAST, on_restart=installation, drain_s=0.1)
    first = await world.add_process(settings=settings)
    request = WorkflowRequest(crew=THREE, fallback=Fallback(provider="scripted", model="m"), on_restart=own)
    run = await first.workflows.start(ANN, request)
    async with asyncio.timeout(PATIENCE_S):
        await held.reached.wait()
    if how == "dies":
        await world.kill_all()
    else:
        await world.remove(first)
    provider._default = answering
    second = await world.add_process(settings=settings)
    events = await follow(second, run.id)
    check_tree(events)
    assert events[-1]["type"] == f"run_{ends}"
    after = await settled(second, run.id, RunStatus(ends))
    assert count(provider)["do one"] == 1
    if ends == "cancelled":
        assert (events[-1]["by"], events[-1]["reason"]) == ("system", RESTART_TEXT)
        assert after.reason == "restart"
        assert "do three" not in count(provider)
    next_one = await set_to_work(second, THREE)  # nothing of it stands in the way
    await settled(second, next_one.id, RunStatus.COMPLETED)


async def test_what_nobody_has_begun_stays_in_the_queue(world: World, provider: ScriptedProvider):
    settings = replace(FAST, on_restart="cancel")
    first = await world.add_process(settings=settings, worker=False)
    run = await set_to_work(first, THREE)
    await world.kill_all()
    second = await world.add_process(settings=settings)
    assert (await settled(second, run.id, RunStatus.COMPLETED)).attempt == 1
