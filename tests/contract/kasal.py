"""A server as Kasal's clients see it, shared by the tests of a module, and a model that holds where a test says so."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agio.providers.base import ModelRequest
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.api.serving import Api, serving

V1 = "/api/v1"
AGENTS = """
researcher:
  role: Researcher of {topic}
  goal: Find facts
  backstory: You read a lot.
writer:
  role: Writer
  llm: big
"""
TASKS = """
research:
  description: Collect facts on {topic}.
  expected_output: A list.
  agent: researcher
write:
  description: Write an article.
  expected_output: An article.
  agent: writer
"""
TEXTS = {"agents_yaml": AGENTS, "tasks_yaml": TASKS}
ENDED = ("COMPLETED", "FAILED", "CANCELLED")
_HOLD = re.compile(r"hold:(\w+)")


def one_task(description: str) -> dict[str, Any]:
    """Return a crew of one agent with one task."""
    return {
        "agents_yaml": {"helper": {"role": "Helper"}},
        "tasks_yaml": {"help": {"description": description, "agent": "helper"}},
    }


@tool(requires_approval=True)
def publish(text: str) -> str:
    """Publish a text."""
    return f"published {text}"


@dataclass(slots=True)
class Kasal:
    """A server, and calls to it as Kasal's document has them."""

    api: Api
    gates: defaultdict[str, Gate] = field(default_factory=lambda: defaultdict(Gate))
    say: str | Answer | None = None
    """What the model answers to anything; None: as the task says."""

    async def call(self, method: str, path: str, body: Any = None, *, expect: int = 200, **headers: str) -> Any:
        """Return the decoded answer; its status must be as expected."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.api.client.request(method, V1 + path, json=body, headers=sent)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def get(self, path: str, **options: Any) -> Any:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, *, expect: int = 201, **headers: str) -> Any:
        return await self.call("POST", path, body, expect=expect, **headers)

    async def execute(self, **body: Any) -> str:
        """Set a crew to work; return the execution's id."""
        started: str = (await self.post("/executions", body))["execution_id"]
        return started

    async def until(self, execution_id: str, *statuses: str) -> Any:
        """Return the execution as soon as it has one of these statuses."""
        view = await self.seen(f"/executions/{execution_id}", lambda view: view["status"] in (*statuses, *ENDED))
        assert view["status"] in statuses, view
        return view

    async def seen(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Return what is at the path as soon as this holds of it."""
        async with asyncio.timeout(20):
            while True:
                view = await self.get(path)
                if holds(view):
                    return view
                await asyncio.sleep(0.01)

    async def done(self, **body: Any) -> Any:
        """Set a crew to work and return the execution when it has ended."""
        return await self.until(await self.execute(**body), *ENDED)

    def answer(self, request: ModelRequest) -> str | Answer:
        """Play the model: hold at a gate, fail, or publish, where the task says so."""
        said = str(request.messages[-1].content)
        if self.say is not None:
            return self.say
        if held := _HOLD.search(said):
            return Answer("half ", self.gates[held[1]], "done")
        if "publish it" in said:
            return Answer(calls=[Call("publish", {"text": "x"})])
        return f"done: {said.splitlines()[0]}"


@asynccontextmanager
async def kasal(folder: Path, **settings: Any) -> AsyncIterator[Kasal]:
    """Serve a fresh database."""
    made: list[Kasal] = []
    provider = ScriptedProvider(default=lambda request: made[0].answer(request))
    async with serving(folder, provider, tools=[publish], default_agent="writer", **settings) as api:
        made.append(Kasal(api))
        async with asyncio.timeout(20):
            while not api.app.state.runtime.ready:  # noqa: ASYNC110 - a database that is slow to open tells nobody
                await asyncio.sleep(0.01)
        yield made[0]
