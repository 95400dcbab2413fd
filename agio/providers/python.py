"""Agents written in Python: an async function in the place of a model, called once for each message."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agio.domain.agents import PYTHON
from agio.domain.errors import ProviderError
from agio.domain.ids import new_id
from agio.domain.messages import Message, text_of
from agio.domain.parts import Part, parts_of, to_parts
from agio.providers.base import ArtifactPart, FinishPart, ModelPart, ModelRequest, Origin, TextPart

log = logging.getLogger(__name__)

INSTRUCTIONS = frozenset({"system", "instruction"})
"""Ids of what the step loop adds for models."""
ANSWER = "answer"
"""Id of the artifact that the wires make of what is said."""


class Rejected(Exception):
    """Raised by an agent's function: it does not take the message on. The text is told to who sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """The message that a function is called for."""

    id: str
    """The sender's own id of it where the wire has one (A2A's messageId), else ours."""
    text: str
    parts: tuple[Part, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the wire told besides: A2A's metadata, extensions, referenceTaskIds."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What `Turn.ask` gives: return it."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What `Turn.reply` gives: return it."""

    parts: tuple[Part, ...]


Outcome: TypeAlias = Ask | Reply | str | None
"""A question · a message in place of a task · the rest of the answer · nothing more to say."""

_Given: TypeAlias = str | Part


@dataclass(slots=True)
class _Handed:
    """Something on its way to the run, and who waits for its arrival."""

    part: ModelPart
    taken: asyncio.Future[None]


class Turn:
    """One call of an agent's function: the message, the conversation, and how to answer.

    After a crash, or a pause `now`, the function is called again for the same message, and what this call had shown
    is taken back first: nothing that it emits is lost, or there twice.
    """

    def __init__(self, request: ModelRequest) -> None:
        origin = request.origin or Origin(run_id="", session_id="", group_id="", key="")
        self.run_id = origin.run_id
        self.session_id = origin.session_id
        self.group_id = origin.group_id
        self.key = origin.key
        """The same whenever the function is called again for this message: hand it to what must happen once."""
        self.messages: Sequence[Message] = [one for one in request.messages if one.id not in INSTRUCTIONS]
        """The conversation, the message included."""
        asked = next((one for one in reversed(self.messages) if one.role == "user"), None)
        self.message = _incoming(asked or Message(id="", role="user", content=""))
        """What the function is called for."""
        self._queue: asyncio.Queue[_Handed | None] = asyncio.Queue()
        self._is_over = False

    async def say(self, text: str) -> None:
        """Stream a piece of the answer."""
        if text:
            await self._hand(TextPart(text))

    async def emit(
        self,
        *parts: _Given,
        name: str = "",
        artifact_id: str | None = None,
        append: bool = False,
        last: bool = True,
        description: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """Give out an artifact, or a chunk of one; durable when this returns. Returns the artifact's id.

        Args:
            parts: Texts, data, files.
            name: For people.
            artifact_id: Names it in later chunks; default: its name, else a new one.
            append: The parts come behind those of the artifact of that id; else they take their place.
            last: No further chunk follows.
            description: For people.
            metadata: Anything of yours.

        Raises:
            ValueError: there is no part, or the id is `answer`: that is what is said.
        """
        if ANSWER in (artifact_id, name):
            raise ValueError(f"{ANSWER!r} is the artifact of what is said; name this one otherwise")
        if not parts:
            raise ValueError("an artifact has at least one part")
        made = ArtifactPart(
            artifact_id=artifact_id or name or new_id(),
            parts=to_parts(parts),
            name=name,
            description=description,
            metadata=metadata or {},
            append=append,
            last=last,
        )
        await self._hand(made)
        return made.artifact_id

    def ask(self, *parts: _Given) -> Ask:
        """Return this to wait for the user's next message (`input-required`); it calls the function again."""
        return Ask(to_parts(parts))

    def reply(self, *parts: _Given) -> Reply:
        """Return this to answer with a message alone: A2A's client sees no task."""
        return Reply(to_parts(parts))

    async def _hand(self, part: ModelPart) -> None:
        if self._is_over:
            raise RuntimeError("this turn is over: the function has returned")
        taken = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Handed(part, taken))
        await taken


Function: TypeAlias = Callable[[Turn], Awaitable[Outcome]]


def check_function(function: Function) -> None:
    """Raise `TypeError` for what cannot be an agent's function."""
    called = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004
    if not inspect.iscoroutinefunction(called):
        raise TypeError("an agent's function is an async one: async def answer(turn: Turn) -> …")


class PythonProvider:
    """Calls functions as if they were models."""

    name = PYTHON
    is_demo = False

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def add(self, name: str, function: Function) -> None:
        """Make a function known under a name."""
        self._functions[name] = function

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        """Call the function that the request's model names; see `Provider.stream`. Leaving cancels it."""
        function = self._functions.get(request.model)
        if function is None:
            message = f"no agent here has a function {request.model!r}; every worker must be started with the same ones"
            raise ProviderError(message, code="provider_not_configured")
        turn = Turn(request)
        working = asyncio.create_task(_work(function, turn), name=f"agent-{request.model}")
        try:
            async with aclosing(_play(turn, working)) as batches:
                yield batches
        finally:
            turn._is_over = True
            working.cancel()
            await asyncio.wait({working})

    async def close(self) -> None:
        """Nothing is open."""


async def _work(function: Function, turn: Turn) -> Sequence[ModelPart]:
    """Call the function; return how the answer ends."""
    try:
        outcome = await function(turn)
        return _ending(outcome)
    except Rejected as error:
        raise ProviderError(str(error) or "rejected", code="rejected") from error
    except ProviderError:
        raise
    except Exception as error:
        log.exception("an agent's function failed", extra={"run_id": turn.run_id})
        raise ProviderError("the agent failed; the server's log says why", code="agent_failed") from error
    finally:
        turn._is_over = True
        turn._queue.put_nowait(None)


def _ending(outcome: object) -> Sequence[ModelPart]:
    match outcome:
        case None | "":
            return [FinishPart("stop")]
        case str(text):
            return [TextPart(text), FinishPart("stop")]
        case Ask(parts):
            return [FinishPart("question", parts)]
        case Reply(parts):
            return [FinishPart("message", parts)]
    raise TypeError(f"the function returned {type(outcome).__name__}; it returns a str, turn.ask(…), turn.reply(…)")


async def _play(turn: Turn, working: "asyncio.Task[Sequence[ModelPart]]") -> AsyncGenerator[Sequence[ModelPart]]:
    """Yield what the function gives out, each when the run has taken what was before, then how it ends."""
    while (handed := await turn._queue.get()) is not None:
        yield [handed.part]
        if not handed.taken.done():
            handed.taken.set_result(None)
    await asyncio.wait({working})
    if working.cancelled():
        raise ProviderError("the agent's function was cancelled by itself", code="agent_failed")
    yield working.result()


def _incoming(message: Message) -> Incoming:
    about = dict(message.metadata.get("a2a") or {})
    return Incoming(
        id=str(about.pop("messageId", message.id)),
        text=text_of(message.content) if "parts" not in message.metadata else _text(parts_of(message)),
        parts=tuple(parts_of(message)),
        metadata=about,
    )


def _text(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts if part.text is not None)
