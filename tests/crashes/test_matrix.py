"""A server dies at every named place, at the first and at a later hit: another one goes on, and nothing is lost.

What a client does is what any client does: it repeats what got no answer, with the same key, and reads on behind
the last event that it has.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agio.crashes import PLACES
from tests.crashes.shelter import Shelter, insist, is_gone
from tests.e2e.client import Client, Follower, Frame, model, names, new_id
from tests.e2e.neighbours import Effects

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow]

ROUNDS = 3
MOST_RUNS = 12
LATER = {"claim": 2, "intent": 3, "effect": 2, "result": 3, "append": 6, "publish": 7, "end": 2, "close": 2}
"""The later hit of each place that every run passes."""


@dataclass(slots=True)
class Story:
    """A run from its client's point of view."""

    run_id: str
    effects: Effects
    path: str
    reader: Follower
    unknown: list[str] = field(default_factory=list)
    """Calls whose outcome nobody knew."""

    async def live_on(self, client: Client) -> list[Frame]:
        """Read to the end; be the person who looks up what became of a call, where one is asked."""
        ending = asyncio.ensure_future(self.reader.all())
        while not ending.done():
            await asyncio.wait({ending}, timeout=0.05)
            asked = [f.data["tool_call_id"] for f in self.reader.frames if _is_unknown(f)]
            if len(asked) > len(self.unknown) and self.reader.frames[-1].event == "run_waiting":
                self.unknown = asked
                await client.call("POST", f"/runs/{self.run_id}/resume", self._answer(asked[-1]), expect=202)
        return ending.result()

    def _answer(self, call_id: str) -> dict[str, Any]:
        if self.effects_of(call_id):
            return {"tool_results": {call_id: "it was done"}}
        return {"retry_tools": [call_id]}

    def effects_of(self, call_id: str) -> int:
        return sum(call.key == f"{self.run_id}:{call_id}" for call in self.effects.on(self.path))

    def check_effects(self) -> None:
        """Each round's effect happened, once."""
        done = Counter(call.key for call in self.effects.on(self.path) if call.key.startswith(self.run_id))
        assert list(done.values()) == [1] * ROUNDS, done


def _is_unknown(frame: Frame) -> bool:
    return frame.event == "tool_call_failed" and frame.data["error"]["code"] == "outcome_unknown"


@dataclass(slots=True)
class Scene:
    """An agent with a tool that must not be called twice."""

    shelter: Shelter
    effects: Effects
    agent: str
    path: str
    stories: list[Story] = field(default_factory=list)

    async def start(self, stack: AsyncExitStack) -> Story:
        """Start a run; whoever gets no answer asks the server that lives, with the same key."""
        client, run_id = self.shelter.client, new_id()
        body = {"agent_id": self.agent, "message": "hello", "run_id": run_id}
        await insist(self.shelter, "POST", "/runs", body, expect=202)
        story = Story(run_id, self.effects, self.path, await stack.enter_async_context(client.follow(run_id)))
        self.stories.append(story)
        return story


@asynccontextmanager
async def opened(shelter: Shelter, effects: Effects, **behaviour: Any) -> AsyncIterator[tuple[Scene, AsyncExitStack]]:
    path = f"/{new_id('path')}"
    tool = await shelter.client.tool(effects.url + path, idempotent=False)
    asked = model(tokens=4, tool_rounds=ROUNDS, tool_name=tool, tool_arguments='{"amount": "5"}', **behaviour)
    agent = await shelter.client.agent(model=asked, tools=[tool])
    async with AsyncExitStack() as stack:
        yield Scene(shelter, effects, agent, path), stack


async def check_nothing_is_left(client: Client, run_id: str, seq: int) -> None:
    """A reader that has the last event is told that there is none behind it."""
    last = {"Last-Event-ID": str(seq)}
    await client.call("GET", f"/runs/{run_id}/events", expect=204, headers=last)


def both(places: dict[str, int]) -> Any:
    return pytest.mark.parametrize(("place", "hit"), [(p, n) for p, later in places.items() for n in (1, later)])


def test_every_place_has_its_test():
    accepting = {"accept", "fork", "drain"}  # test_accepting.py
    telling = {"hold", "sent"}  # a webhook's; tests/engine/test_webhooks.py stops processes there
    assert PLACES.keys() == LATER.keys() | accepting | telling


@both(LATER)
async def test_runs_of_a_dead_server_go_on(shelter: Shelter, client: Client, effects: Effects, place: str, hit: int):
    async with opened(shelter, effects) as (scene, stack):
        doomed = shelter.doom(place, hit)
        while not is_gone(doomed):
            assert len(scene.stories) < MOST_RUNS, "nobody died"
            story = await scene.start(stack)
            while not is_gone(doomed) and not story.reader.is_done:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        shelter.flee()
        for story in scene.stories:
            frames = await story.live_on(client)
            assert frames[-1].event == "run_completed", frames[-1]
            story.check_effects()
            assert names(frames).count("tool_call_completed") == ROUNDS
            await check_nothing_is_left(client, story.run_id, frames[-1].seq)
            view = await client.view(story.run_id)
            assert (view["status"], view["last_seq"], view["owner"]) == ("completed", frames[-1].seq, None)
        unknown = [call for story in scene.stories for call in story.unknown]
        if place in ("intent", "effect"):
            assert len(unknown) == 1
        elif place not in ("append", "publish"):
            assert unknown == []
