"""Runs of a script: the same engine, in this process, on a database that goes with it."""

import asyncio
import inspect
import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agio.api.speech import Speech
from agio.api.sse import wire_events
from agio.bootstrap.agents import DeclaredAgent
from agio.bootstrap.assembly import make_engine
from agio.bootstrap.runtime import running
from agio.domain.approvals import Decision
from agio.domain.errors import AgioError, Conflict
from agio.domain.events import TERMINAL_EVENTS
from agio.domain.messages import Message
from agio.domain.metrics import Metrics
from agio.engine.caller import Caller
from agio.engine.commands import Verdict
from agio.engine.engine import Engine
from agio.engine.hub import Published
from agio.engine.starting import StartRequest
from agio.engine.tail import Draining
from agio.settings import load_settings

CALLER = Caller(name="script")

ENDS = frozenset(event.type for event in TERMINAL_EVENTS)
RESTS = frozenset({"run_waiting", "run_paused", "run_interrupted"})

Approve = Callable[[str, Any], bool | Awaitable[bool]]
"""Asked before a tool that needs an approval is called: its name and its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended; as text it is its response."""

    run_id: str
    session_id: str
    status: str
    response: str
    metrics: Metrics
    messages: tuple[Message, ...]
    """The whole conversation on the run's branch, earlier turns of its session included."""

    @property
    def answer(self) -> str:
        """The response."""
        return self.response

    @property
    def steps(self) -> int:
        """How many steps it took."""
        return self.metrics.steps

    def __str__(self) -> str:
        return self.response


class RunFailed(AgioError):
    """A run did not come to an answer.

    `code` of an instance is the run's error code (`provider_auth`, `max_steps`, …), `cancelled`,
    `approval_required`, `input_required` or `interrupted`.
    """

    def __init__(self, message: str, *, code: str, run_id: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # per instance: what the run failed with
        self.run_id = run_id


@dataclass(slots=True)
class _Shared:
    """One event loop's engine, open while somebody uses it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    engine: Engine | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class Embedded:
    """One agent's engine in a script. Its database lives as long as this object does, so sessions go on."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = weakref.WeakKeyDictionary()

    async def run(self, agent: DeclaredAgent, request: StartRequest, approve: Approve | None) -> RunResult:
        """Run to the end. Raises `RunFailed`."""
        async with self._open(agent) as engine:
            end: dict[str, Any] = {}
            async with aclosing(_follow(engine, request, approve)) as events:
                async for event in events:
                    end = event
            run_id = end["run_id"]
            if end["type"] != "run_completed":
                raise _failure(end)
            run = await engine.store.get_run(CALLER.group_id, run_id)
            return RunResult(
                run_id=run_id,
                session_id=run.session_id,
                status=run.status,
                response=end.get("response", ""),
                metrics=run.metrics,
                messages=tuple(await engine.reading.messages(CALLER, run_id)),
            )

    async def stream(
        self, agent: DeclaredAgent, request: StartRequest, approve: Approve | None
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Yield `(event name, data)` as the API's streams have them, up to the one that ends the run."""
        async with self._open(agent) as engine, aclosing(_follow(engine, request, approve)) as events:
            async for event in events:
                yield event["type"], event

    async def texts(
        self, agent: DeclaredAgent, request: StartRequest, approve: Approve | None
    ) -> AsyncGenerator[str, None]:
        """Yield what the run says. Raises `RunFailed`."""
        speech = Speech()
        end: dict[str, Any] = {}
        async with self._open(agent) as engine, aclosing(_follow(engine, request, approve)) as events:
            async for end in events:
                if end["type"] == "content_reset":
                    speech.reset(end["message_id"])
                elif end["type"] == "content_delta" and (text := speech.say(end["message_id"], end["content"])):
                    yield text
        if end["type"] != "run_completed":
            raise _failure(end)

    @asynccontextmanager
    async def _open(self, agent: DeclaredAgent) -> AsyncIterator[Engine]:
        shared = self._by_loop.setdefault(asyncio.get_running_loop(), _Shared())
        async with shared.lock:
            if shared.engine is None:
                shared.engine = await shared.stack.enter_async_context(running(self._make(agent)))
            shared.users += 1
            engine = shared.engine
        try:
            yield engine
        finally:
            async with shared.lock:
                shared.users -= 1
                if not shared.users:
                    shared.engine = None
                    await shared.stack.aclose()

    def _make(self, agent: DeclaredAgent) -> Engine:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="agio-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        # Nobody waits for a drain here: the only runs are those whose callers wait for their ends.
        settings = load_settings(database_url=f"sqlite:///{self._folder / 'agio.db'}", drain_s=0)
        return make_engine(settings, agents=[agent])


async def _follow(
    engine: Engine, request: StartRequest, approve: Approve | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield a run's events to its end, deciding approvals on the way; cancel it when nobody listens any more.

    Raises:
        RunFailed: it rests, and nobody is there to make it go on.
    """
    run = await engine.starting.start(CALLER, request)
    ended = False
    asked: list[dict[str, Any]] = []
    try:
        async with aclosing(engine.tail(CALLER, run.id)) as items:
            async for event in _events(items):
                ended = event["type"] in ENDS
                yield event
                if event["type"] == "approval_required":
                    asked.append(event)
                elif event["type"] in RESTS:
                    await _decide(engine, event, asked, approve)
                    asked.clear()
    finally:
        if not ended:
            await _cancel(engine, run.id)


async def _events(items: AsyncIterator[Published | Draining]) -> AsyncIterator[dict[str, Any]]:
    async for item in items:
        if isinstance(item, Draining):
            return
        for event in wire_events(item.entry):
            yield msgspec.to_builtins(event)


async def _decide(engine: Engine, rest: dict[str, Any], asked: list[dict[str, Any]], approve: Approve | None) -> None:
    if rest.get("reason") == "input":
        raise RunFailed("the agent asks the user something", code="input_required", run_id=rest["run_id"])
    if rest.get("reason") != "approval" or not asked:
        raise RunFailed(f"the run rests ({rest['type']})", code="interrupted", run_id=rest["run_id"])
    if approve is None:
        names = ", ".join(repr(event["name"]) for event in asked)
        message = f"a person must approve a call of {names}; pass approve=, a function of name and arguments"
        raise RunFailed(message, code="approval_required", run_id=rest["run_id"])
    for event in asked:
        agreed = await _ask(approve, event["name"], event.get("arguments"))
        decision: Decision = "approve" if agreed else "reject"
        await engine.commands.decide(CALLER, Verdict(approval_id=event["approval_id"], decision=decision))


async def _ask(approve: Approve, name: str, arguments: Any) -> bool:
    if inspect.iscoroutinefunction(approve):
        return bool(await approve(name, arguments))
    answer = await asyncio.to_thread(approve, name, arguments)  # it may well wait for a key to be pressed
    return bool(await answer) if inspect.isawaitable(answer) else bool(answer)


async def _cancel(engine: Engine, run_id: str) -> None:
    try:
        await engine.commands.cancel(CALLER, run_id, reason="client_left")
    except Conflict:
        return  # it ended at the same moment


def _failure(end: dict[str, Any]) -> RunFailed:
    if end["type"] == "run_failed":
        error = end["error"]
        return RunFailed(error["message"], code=error["code"], run_id=end["run_id"])
    return RunFailed("the run was cancelled", code="cancelled", run_id=end["run_id"])
