"""The model's part of a step: ask, stream, retry."""

import asyncio
import logging
import random
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agio.domain import events as ev
from agio.domain.errors import ProviderError
from agio.domain.ids import new_id
from agio.domain.journal import calls_as_wire
from agio.domain.messages import Message, ToolCall
from agio.domain.metrics import ModelCall, Usage
from agio.domain.parts import Part
from agio.engine.delegating import delegation_schema
from agio.engine.drive import Drive, ToolLookup
from agio.engine.token import Done, Stop
from agio.providers.base import (
    ArtifactPart,
    FinishPart,
    ModelPart,
    ModelRequest,
    Origin,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolSchema,
    UsagePart,
    wire_name,
)
from agio.storage.port import RunCreation
from agio.tools.base import Tool, Toolbox

log = logging.getLogger(__name__)

PLAN_PROMPT = (
    "Before you go on, write a short numbered plan for what is still to be done to answer the user. "
    "Write the plan only."
)
MAX_ANSWER_CHARS = 1_000_000
"""Of one answer: text, reasoning and the arguments of tool calls. No model writes as much on purpose."""
MAX_CALLS = 128
"""Tool calls in one answer."""
FINAL_PROMPT = "The step limit is reached: no more tools. Give the best final answer you can from what is known."


@dataclass(slots=True)
class Answer:
    """What a model said so far, or in all."""

    message_id: str = field(default_factory=new_id)
    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, ToolCall] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    finish: str | None = None
    parts: tuple[Part, ...] = ()
    """Of a question to the user, or of a message in place of a task."""
    asked_at: float = field(default_factory=time.monotonic)
    begun_at: float | None = None
    """When its first piece came."""
    chars: int = 0
    """How much it is so far."""
    is_cut: bool = False
    """It was more than anybody wants."""

    @property
    def text(self) -> str:
        """The answer's text."""
        return "".join(self.texts)


def begin_lookup(toolbox: Toolbox, creation: RunCreation) -> ToolLookup:
    """Look the agent's tools up while its run is accepted: they are what the first step waits for."""
    looking = toolbox.find_all(creation.run.group_id, creation.snapshot.tools)
    lookup = asyncio.create_task(looking, name=f"tools-{creation.run.id}")
    lookup.add_done_callback(lambda done: done.cancelled() or done.exception())  # a run may not come to need them
    return lookup


async def tool_schemas(drive: Drive) -> list[ToolSchema]:
    """Look the agent's tools up for this step; return them as the model is told of them.

    What cannot be used is left out, with a warning.
    """
    names = drive.state.snapshot.tools
    coming, drive.coming_tools = drive.coming_tools, None
    drive.tools = await (coming or drive.services.toolbox.find_all(drive.state.run.group_id, names))
    schemas = []
    for name in _expanded(names, drive.tools):
        tool = drive.tools.get(name)
        if isinstance(tool, Tool):
            schemas.append(ToolSchema(name=tool.name, description=tool.description, parameters=tool.parameters))
            continue
        code = tool.code if tool else "unknown_tool"
        text = str(tool) if tool else f"the agent's tool {name!r} is not known here"
        drive.journal.emit(ev.Warned(code=code, message=text))
    if (delegation := delegation_schema(drive)) is not None:
        schemas.append(delegation)
    return schemas


def _expanded(names: Iterable[str], tools: Collection[str]) -> list[str]:
    """Return the names with those of sources (see `Toolbox.find_all`) replaced by all that come from them."""
    found: dict[str, None] = {}
    for name in names:
        offered = [one for one in tools if one.startswith(f"{name}.")] if name not in tools else []
        found |= dict.fromkeys(offered or [name])
    return list(found)


def build_request(drive: Drive, tools: Sequence[ToolSchema], *, extra: str | None = None) -> ModelRequest:
    """Return the model call for the present state; `extra` is one more instruction at the end."""
    snapshot, state = drive.state.snapshot, drive.state
    system = snapshot.system_prompt or ""
    if state.plan:
        system = f"{system}\n\nYour plan:\n{state.plan}".strip()
    messages = list(state.messages)
    if system:
        messages.insert(0, Message(id="system", role="system", content=system))
    if extra:
        messages.append(Message(id="instruction", role="user", content=extra))
    return ModelRequest(
        model=snapshot.model,
        messages=messages,
        tools=tools,
        temperature=snapshot.temperature,
        max_tokens=snapshot.max_tokens,
        params=snapshot.params,
        origin=_origin(drive),
    )


def _origin(drive: Drive) -> Origin:
    run = drive.state.run
    # Another attempt's step of the same number is another one.
    scope = run.id if run.attempt == 1 else f"{run.id}:{run.attempt}"
    return Origin(run_id=run.id, session_id=run.session_id, group_id=run.group_id, key=f"{scope}:{drive.state.step}")


async def think(drive: Drive, request: ModelRequest, *, show: bool = True) -> Answer | Stop:
    """Ask the model until it answers; return the answer, or why the run must stop.

    Retryable failures are repeated with growing waits, each told by a `warning`. On a stop the
    state holds what was shown so far (`partial_text`).

    Raises:
        ProviderError: it failed for good.
    """
    settings = drive.services.settings
    for attempt in range(1, settings.provider_attempts + 1):
        answer = Answer()
        try:
            outcome = await _ask(drive, request, answer, show=show)
        except ProviderError as error:
            reset_partial(drive)
            if not error.retryable or attempt == settings.provider_attempts:
                raise
            stop = await _back_off(drive, error, attempt)
            if stop is not None:
                return stop
            continue
        drive.state.step_usage = drive.state.step_usage.plus(answer.usage)
        if isinstance(outcome, Done):
            drive.state.partial_message_id, drive.state.partial_text = None, ""
            return answer
        drive.state.partial_text = answer.text if show else ""
        return outcome
    raise AssertionError("unreachable")


async def _ask(drive: Drive, request: ModelRequest, answer: Answer, *, show: bool) -> Done[None] | Stop:
    with drive.services.observer.asking(drive.state.snapshot):
        try:
            outcome = await drive.token.guard(_stream(drive, request, answer, show=show))
        except ProviderError as error:
            await _report(drive, answer, error.code)
            raise
        await _report(drive, answer, "ok" if isinstance(outcome, Done) else "stopped")
        return outcome


async def _report(drive: Drive, answer: Answer, outcome: str) -> None:
    """Tell who watches of one call of the model, and count what it spent."""
    snapshot = drive.state.snapshot
    begun_at = answer.begun_at
    drive.services.observer.asked(
        ModelCall(
            provider=snapshot.provider,
            model=snapshot.model,
            outcome=outcome,
            duration_s=time.monotonic() - answer.asked_at,
            first_token_s=begun_at - answer.asked_at if begun_at is not None else None,
            usage=answer.usage,
            finish=answer.finish,
        )
    )
    await drive.services.quota.spend(drive.state.run.group_id, answer.usage.total_tokens)


def reset_partial(drive: Drive) -> None:
    """Take back what was shown of a message that will not be completed."""
    if drive.state.partial_message_id is not None:
        drive.journal.emit(ev.ContentReset(message_id=drive.state.partial_message_id))
    drive.state.partial_message_id, drive.state.partial_text = None, ""


async def _back_off(drive: Drive, error: ProviderError, attempt: int) -> Stop | None:
    settings = drive.services.settings
    wait_s = min(settings.retry_base_s * 2 ** (attempt - 1), settings.retry_cap_s)
    wait_s *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secret
    if error.retry_after_s is not None:
        wait_s = min(max(wait_s, error.retry_after_s), settings.retry_cap_s)
    text = f"{error}; trying again in {wait_s:.1f} s ({attempt} of {settings.provider_attempts - 1})"
    drive.journal.emit(ev.Warned(code=error.code, message=text))
    return await drive.token.sleep(wait_s)


async def _stream(drive: Drive, request: ModelRequest, answer: Answer, *, show: bool) -> None:
    name = drive.state.snapshot.provider
    provider = drive.services.providers.get(name)
    key = await drive.services.keys.find(drive.token.run, name, drive.state.snapshot.api_key_name)
    async with provider.stream(replace(request, api_key=key) if key else request) as batches:
        async for batch in batches:
            _take(drive, batch, answer, show=show)
            await _emit_artifacts(drive, batch, answer)
            if answer.begun_at is None and (answer.texts or answer.reasoning or answer.calls):
                answer.begun_at = time.monotonic()
            if answer.chars > MAX_ANSWER_CHARS or len(answer.calls) > MAX_CALLS:
                _cut(answer)
                return
            if drive.journal.is_full:
                await drive.journal.flush()
    if answer.finish is None:
        raise ProviderError(
            "the model's stream ended before the answer did", code="provider_stream_broken", retryable=True
        )


def _cut(answer: Answer) -> None:
    """End an answer that does not end by itself. Leaving its stream closes the connection.

    Raises:
        ProviderError: it holds tool calls, which cannot be cut.
    """
    if answer.calls:
        raise ProviderError(
            f"the model's tool calls do not end: more than {MAX_ANSWER_CHARS:,} characters or {MAX_CALLS} calls",
            code="provider_flood",
        )
    answer.is_cut, answer.finish = True, "length"


def _take(drive: Drive, batch: Sequence[ModelPart], answer: Answer, *, show: bool) -> None:
    texts: list[str] = []
    for part in batch:
        match part:
            case TextPart():
                texts.append(part.text)
                answer.chars += len(part.text)
            case ReasoningPart():
                answer.reasoning.append(part.text)
                answer.chars += len(part.text)
                if show:
                    _show(drive, answer, "reasoning", [part.text])
            case ToolCallPart():
                _take_call(answer, part)
                answer.chars += len(part.arguments)
            case UsagePart():
                answer.usage = part.usage
            case FinishPart():
                answer.finish, answer.parts = part.reason, part.parts
    if texts:
        answer.texts.extend(texts)
        if show:
            _show(drive, answer, "content", texts)


def _show(drive: Drive, answer: Answer, of: str, texts: list[str]) -> None:
    if drive.state.partial_message_id is None:
        drive.state.partial_message_id = answer.message_id
        drive.note_first_token()
    kind = "content" if of == "content" else "reasoning"
    drive.journal.emit_deltas(kind, drive.state.step, answer.message_id, texts)  # type: ignore[arg-type]


async def _emit_artifacts(drive: Drive, batch: Sequence[ModelPart], answer: Answer) -> None:
    """Give out artifacts; they are durable when this returns. A reset of the message takes them back."""
    for part in batch:
        if isinstance(part, ArtifactPart):
            _emit_artifact(drive, part, answer)
            await drive.journal.flush()


def _emit_artifact(drive: Drive, part: ArtifactPart, answer: Answer) -> None:
    if drive.state.partial_message_id is None:
        drive.state.partial_message_id = answer.message_id
    drive.journal.emit(
        ev.ArtifactEmitted(
            step=drive.state.step,
            message_id=answer.message_id,
            artifact_id=part.artifact_id,
            parts=[one.stored() for one in part.parts],
            append=part.append,
            last=part.last,
            name=part.name or None,
            description=part.description or None,
            metadata=part.metadata or None,
        )
    )


def _take_call(answer: Answer, part: ToolCallPart) -> None:
    call = answer.calls.get(part.index) or ToolCall(id="", name="", arguments="")
    answer.calls[part.index] = ToolCall(
        id=part.id or call.id, name=call.name + (part.name or ""), arguments=call.arguments + part.arguments
    )


def record_answer(drive: Drive, answer: Answer, *, keep_calls: bool = True) -> Message:
    """Put the model's answer on the branch and announce it."""
    calls = _name_calls(drive, answer) if keep_calls else ()
    message = Message(
        id=answer.message_id,
        role="assistant",
        content=_content(answer),
        tool_calls=calls,
        reasoning="".join(answer.reasoning) or None,
        metadata=_metadata(answer),
    )
    if answer.is_cut:
        text = f"the answer was cut at {MAX_ANSWER_CHARS:,} characters: it did not end"
        drive.journal.emit(ev.Warned(code="answer_truncated", message=text))
    elif answer.finish == "length":
        drive.journal.emit(ev.Warned(code="answer_truncated", message="the answer was cut at max_tokens"))
    elif answer.finish == "content_filter":
        drive.journal.emit(ev.Warned(code="content_filter", message="the provider filtered the answer"))
    drive.journal.emit(
        ev.MessageCompleted(
            step=drive.state.step,
            message_id=message.id,
            role="assistant",
            content=message.content,
            tool_calls=calls_as_wire(message),
            usage=answer.usage,
        )
    )
    drive.say(message)
    return message


def _content(answer: Answer) -> str:
    """Return what was said, and the texts of a question or message."""
    return "\n".join(filter(None, [answer.text, *(part.text for part in answer.parts)]))


def _metadata(answer: Answer) -> dict[str, Any]:
    if answer.finish not in ("question", "message"):
        return {}
    return {"kind": answer.finish, "parts": [part.stored() for part in answer.parts]}


def _name_calls(drive: Drive, answer: Answer) -> tuple[ToolCall, ...]:
    """Give calls ids that are unique in the run and its conversation: some models leave them out or repeat them.

    An approval of another attempt's call must not count for this one.
    """
    taken = drive.state.call_ids
    known = {wire_name(name): name for name in drive.tools or ()}
    named = []
    for _, call in sorted(answer.calls.items()):
        if call.name not in (drive.tools or ()):
            call = replace(call, name=known.get(call.name, call.name))
        if not call.id or call.id in taken or call.id in drive.state.approvals:
            call = replace(call, id=f"call_{new_id()}")
        taken.add(call.id)
        named.append(call)
    return tuple(named)
