"""The load of a campaign: runs with tools and without, in sessions and forked, read by restless readers, commanded.

What run number `n` does follows from the seed and `n` alone; when it happens does not.
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from agio.engine.tasks import end
from tests.faults.calls import Api, GaveUp
from tests.faults.ledger import Fork, Ledger, RunNote, Transcript
from tests.faults.readers import STEADY, Habit, Reader, digest_of
from tests.faults.stored import read_stored

AGENT = "campaigner"
IDEMPOTENT, ONCE, LARGE = "charge", "notify", "fetch"
PATHS = {IDEMPOTENT: "60/0", ONCE: "40/0", LARGE: f"60/{1024 * 1024}"}
"""Milliseconds until the answer, and how many bytes it has besides what it says."""
LONG = 150
"""Tool rounds of a long run."""
VANISHING = Habit("vanishing", vanish_s=1.0)
STALLING = Habit("stalling", stall_s=1.5)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("pause", "resume"),
    ("pause now", "resume"),
    ("cancel",),
    ("cancel", "cancel"),
    ("pause", "cancel"),
    ("pause", "resume", "pause now", "resume"),
)
POLL_S = 2.0


class Load:
    """Keeps so many runs alive until it is told to stop."""

    def __init__(self, api: Api, ledger: Ledger, seed: int, live: int) -> None:
        self.api = api
        self.ledger = ledger
        self.seed = seed
        self.live = live
        self.number = 0
        self.stopping = False
        self.poison: set[str] = set()
        """Runs that kill their worker: nobody tries them again."""
        self._stories: set[asyncio.Task[None]] = set()
        self._readers: set[asyncio.Task[Transcript]] = set()

    # -- life

    async def prepare(self, effects_url: str) -> None:
        """Make the tools and the agent."""
        for name, path in PATHS.items():
            target = {
                "url": f"{effects_url}/{path}",
                "method": "POST",
                "body": {"amount": "{amount}"},
                "idempotent": name != ONCE,
            }
            body = {"name": name, "description": "Has an effect.", "configuration": target}
            await self.api.call("POST", "/tools", body, accept=(201, 409))
        agent = {
            "id": AGENT,
            "name": "Campaigner",
            "provider": "openai",
            "model": "fake",
            "max_steps": 200,
            "tools": [*PATHS, "poison", "block"],
        }
        await self.api.call("POST", "/agents", agent, accept=(201, 409))

    async def run(self) -> None:
        """Begin stories as long as there are fewer than wanted."""
        while not self.stopping:
            while len(self._stories) < self.live and not self.stopping:
                self.number += 1
                self.begin(self._story(self.number))
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.1)

    def begin(self, story: Awaitable[None]) -> None:
        """Let a story happen; what goes wrong in it is a surprise."""
        task = asyncio.ensure_future(self._guard(story))
        self._stories.add(task)
        task.add_done_callback(self._stories.discard)

    async def _guard(self, story: Awaitable[None]) -> None:
        try:
            await story
        except GaveUp:
            pass
        except Exception as error:  # noqa: BLE001 - a mistake of the harness must not pass for a sound campaign
            self.ledger.surprises.append(f"harness: {error!r}")

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """What is under way."""
        return [*self._stories, *self._readers]

    async def finish(self, patience_s: float) -> None:
        """Begin nothing more; wait for what is under way, then end what is left."""
        self.stopping = True
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=patience_s)
        await end(self.tasks)

    # -- stories

    async def _story(self, number: int) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        kinds = {"tools": 39, "once": 10, "talk": 24, "session": 10, "forked": 14, "large": 2, "long": 1}
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        if kind == "session":
            await self._session(number, rng)
            return
        run_id = f"r{self.seed}-{number}"
        tools = {"once": ONCE, "tools": IDEMPOTENT, "forked": IDEMPOTENT, "large": LARGE, "long": IDEMPOTENT}
        tool = tools.get(kind)
        behaviour = _behaviour(rng, tool)
        if kind == "large":
            behaviour["tool_rounds"] = min(3, behaviour["tool_rounds"])
        elif kind == "long":
            behaviour |= {"tool_rounds": LONG, "pace": 0}
        await self.start(run_id, kind, behaviour, tool=tool)
        await self._live(run_id, rng, forks=rng.randint(1, 3) if kind == "forked" else 0)

    async def _session(self, number: int, rng: random.Random) -> None:
        """Three messages to one conversation, the later ones while the first is answered."""
        session = f"s{self.seed}-{number}"
        ids = [f"r{self.seed}-{number}-{turn}" for turn in range(3)]
        for run_id in ids:
            await self.start(run_id, "session", _behaviour(rng, None), session_id=session)
        await asyncio.gather(*(self._live(run_id, random.Random(f"{self.seed}/{run_id}")) for run_id in ids))

    async def _live(self, run_id: str, rng: random.Random, *, forks: int = 0) -> None:
        readers = [self.follow(run_id, STEADY, rng)]
        if rng.random() < 0.4:
            readers.append(self.follow(run_id, rng.choice([VANISHING, STALLING]), rng))
        parts: list[Awaitable[Any]] = [*readers]
        if rng.random() < 0.3:
            parts.append(self._command(run_id, rng))
        if forks:
            parts.append(self._fork(run_id, rng, forks))
        await asyncio.gather(*parts)

    async def start(self, run_id: str, story: str, behaviour: dict[str, Any], **more: Any) -> RunNote:
        """Start a run with an id of ours and a model of its own; note it once it is accepted."""
        tool, session_id = more.get("tool"), more.get("session_id")
        model = f"fake-{run_id}?{urlencode(behaviour)}"
        body: dict[str, Any] = {
            "agent_id": AGENT,
            "message": f"{run_id}: go",
            "run_id": run_id,
            "modifications": {"model": model},
        }
        if session_id is not None:
            body["session_id"] = session_id
        await self.api.call("POST", "/runs", body, key=run_id)
        note = RunNote(
            run_id=run_id, story=story, model=model, accepted_at=time.monotonic(), session_id=session_id, tool=tool
        )
        self.ledger.runs[run_id] = note
        return note

    def read(self, run_id: str) -> None:
        """Put a steady reader on a run."""
        self._readers.add(self.follow(run_id, STEADY, random.Random(run_id)))

    def follow(self, run_id: str, habit: Habit, rng: random.Random) -> asyncio.Task[Transcript]:
        """Put a reader on a run; return what it does."""
        reader = Reader(self.api, self.ledger, run_id, habit, rng)
        task = asyncio.create_task(reader.run())
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        return task

    async def _command(self, run_id: str, rng: random.Random) -> None:
        if rng.random() < 0.15:  # before anyone can have claimed it
            await self.api.command(run_id, "cancel")
            return
        await asyncio.sleep(rng.uniform(0.05, 2.5))
        if rng.random() < 0.2:
            await self.storm(run_id, rng)
            return
        for kind in rng.choice(COMMANDS):
            answer = await self.api.command(run_id, kind)
            if answer.status == 409 and kind != "resume":
                return
            await asyncio.sleep(rng.uniform(0.05, 1.0))

    async def storm(self, run_id: str, rng: random.Random) -> None:
        """Commands that cross each other; the run goes on or ends in the end."""
        kinds = rng.choices(["pause", "pause now", "resume", "cancel"], [4, 3, 6, 1], k=8)
        await asyncio.gather(*(self.api.command(run_id, kind) for kind in kinds))
        await self.api.command(run_id, "resume")

    async def _fork(self, run_id: str, rng: random.Random, count: int) -> None:
        """Fork the run while it goes on, from any of its checkpoints; note what it looked like before."""
        for number in range(count):
            await asyncio.sleep(rng.uniform(0.2, 1.5))
            listed = await self.api.call("GET", f"/runs/{run_id}/checkpoints")
            if not listed.body["items"]:
                continue
            checkpoint = rng.choice(listed.body["items"])
            before = [event for event in await read_stored(self.api, run_id) if event.seq <= checkpoint["seq"]]
            fork_id = f"{run_id}-f{number}"
            model = f"fake-{fork_id}?{urlencode({'tokens': 20, 'pace': 20})}"
            body: dict[str, Any] = {"run_id": fork_id, "modifications": {"model": model}}
            if rng.random() < 0.4:
                body["modifications"]["modified_query"] = f"{fork_id}: otherwise"
            made = await self.api.call("POST", f"/checkpoints/{checkpoint['id']}/fork", body, key=fork_id)
            if made.status not in (200, 201):
                continue
            self.ledger.runs[fork_id] = RunNote(
                run_id=fork_id, story="fork", model=model, accepted_at=time.monotonic(), tool=IDEMPOTENT
            )
            self.ledger.forks.append(
                Fork(
                    run_id=fork_id,
                    source=run_id,
                    checkpoint_id=checkpoint["id"],
                    seq=checkpoint["seq"],
                    before=[(event.seq, event.name, digest_of(event.raw)) for event in before],
                )
            )
            self.read(fork_id)

    # -- the nurse

    async def nurse(self) -> None:
        """Do what people would: decide about calls of unknown outcome, put poison aside."""
        while True:
            await asyncio.sleep(POLL_S)
            with suppress(GaveUp):
                for status in ("waiting", "interrupted"):
                    page = await self.api.call("GET", f"/runs?status={status}&limit=100")
                    for row in page.body["items"]:
                        await self._tend(row)

    async def _tend(self, row: dict[str, Any]) -> None:
        if row["id"] in self.poison:
            await self.api.command(row["id"], "cancel")
        elif row["status"] == "interrupted":
            await self.api.command(row["id"], "resume")
        else:
            events = await read_stored(self.api, row["id"])
            unknown = [e.data["tool_call_id"] for e in events if e.is_unknown_outcome]
            again = random.Random(row["id"]).random() < 0.5
            body = {"retry_tools": unknown} if again else {"tool_results": dict.fromkeys(unknown, "so be it")}
            await self.api.command(row["id"], "resume", body)

    async def wake_paused(self) -> None:
        """Resume whatever is paused: nobody else will."""
        page = await self.api.call("GET", "/runs?status=paused&limit=100")
        for row in page.body["items"]:
            await self.api.command(row["id"], "resume")


def _behaviour(rng: random.Random, tool: str | None) -> dict[str, Any]:
    if tool is None:
        return {"tokens": rng.randint(20, 120), "pace": 20}
    return {
        "tokens": rng.randint(8, 40),
        "pace": 25,
        "tool_rounds": rng.randint(2, 10),
        "tool_name": tool,
        "tool_arguments": '{"amount": "5"}',
    }
