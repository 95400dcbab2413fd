"""The tools' part of a step: approvals, intents, parallel calls, results, unknown outcomes."""

import asyncio
import json
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from agio import crashes
from agio.domain import events as ev
from agio.domain.approvals import Approval
from agio.domain.errors import ToolError
from agio.domain.ids import new_id
from agio.domain.messages import Content, Message, ToolCall
from agio.engine.clock import utc_now
from agio.engine.delegating import DELEGATE, delegate
from agio.engine.drive import Drive
from agio.engine.recovery import load_approvals
from agio.engine.token import Done, Stop
from agio.tools.base import Tool, ToolContext
from agio.tools.execution import decode_arguments, execute


class Rest(Enum):
    """Why the step cannot go on without a person; what is told first stands first."""

    NEEDS_ATTENTION = auto()
    APPROVAL = auto()
    CHILDREN = auto()
    """Not a person: a coworker."""


@dataclass(slots=True)
class _Planned:
    """A call that may be made now."""

    call: ToolCall
    tool: Tool
    arguments: dict[str, Any]
    text: str
    """The arguments as JSON: the model's, or those of the person who approved."""


async def act(drive: Drive) -> Stop | Rest | None:
    """Answer the open tool calls of the last message; None when all are answered.

    Calls that may run do so at the same time; each intent is durable before its effect, each result
    as soon as it is there.
    """
    while True:
        await _hear_decisions(drive)
        planned, rest = await _sort(drive)
        if not planned:
            return rest
        for one in planned:
            _announce(drive, one)
        if drive.token.run.order is not None:
            called = tuple(one.call.id for one in planned)
            drive.journal.attach(drive.update(called=called))  # a permission to call again ends with the call
        await drive.commit()
        if not await drive.services.owns(drive.state.run):
            drive.token.lose()
            return Stop.LOST
        if drive.token.stop is not None and drive.token.stop is not Stop.HAND_OVER:
            _take_back(drive, planned)
            return drive.token.stop
        outcome = await drive.token.guard(_call_all(drive, planned))
        if not isinstance(outcome, Done):
            _mark_unknown(drive, outcome)
            return outcome


async def _hear_decisions(drive: Drive) -> None:
    """Look whether approvals were decided meanwhile."""
    drive.decisions_heard = drive.token.run.control_seq
    if any(a.status == "pending" for a in drive.state.approvals.values()):
        drive.state.approvals = await load_approvals(drive.services.store, drive.state.run)


async def _sort(drive: Drive) -> tuple[list[_Planned], Rest | None]:
    planned: list[_Planned] = []
    rest: Rest | None = None
    for call in drive.state.open_calls:
        verdict = await _consider(drive, call)
        if isinstance(verdict, _Planned):
            planned.append(verdict)
        elif verdict is not None and (rest is None or verdict.value < rest.value):
            rest = verdict
    return planned, rest


async def _consider(drive: Drive, call: ToolCall) -> _Planned | Rest | None:
    """Decide what becomes of one call; None: it is answered."""
    state = drive.state
    if call.id in state.tool_results:
        _answer_result(drive, call, state.tool_results.pop(call.id))
        return None
    if call.name == DELEGATE and state.spec.team:
        return await _delegate(drive, call)
    try:
        tool = await _find(drive, call)
        text = _arguments_text(state.approvals.get(call.id), call)
        arguments = decode_arguments(text)
    except ToolError as error:
        drive.journal.emit(ev.Warned(code=error.code, message=f"tool call {call.name!r}: {error}"))
        _answer_error(drive, call, error)
        return None
    known = state.calls.get(call.id)
    if known is not None:
        _report_unknown(drive, call)
        if not tool.idempotent and call.id not in state.retry_tools:
            return Rest.NEEDS_ATTENTION
    planned = _Planned(call, tool, arguments, text)
    return _consult(drive, planned) if tool.needs_approval(arguments) else planned


async def _delegate(drive: Drive, call: ToolCall) -> Rest | None:
    try:
        answer = await delegate(drive, call)
    except ToolError as error:
        _answer_error(drive, call, error)
        return None
    if answer is None:
        return Rest.CHILDREN
    _answer_result(drive, call, answer)
    return None


def _arguments_text(decided: Approval | None, call: ToolCall) -> str:
    if decided is not None and decided.status == "approved" and decided.edited_arguments is not None:
        return json.dumps(decided.edited_arguments, ensure_ascii=False)
    return call.arguments


async def _find(drive: Drive, call: ToolCall) -> Tool:
    offered = drive.state.snapshot.tools
    if drive.tools is None:
        drive.tools = await drive.services.toolbox.find_all(drive.state.run.group_id, offered)
    tool = drive.tools.get(call.name)
    if isinstance(tool, ToolError):
        raise tool
    if tool is None:
        names = ", ".join(offered) or "none"
        raise ToolError(f"there is no tool {call.name!r}; the tools are: {names}", code="unknown_tool")
    return tool


def _report_unknown(drive: Drive, call: ToolCall) -> None:
    """Say, once, that nobody knows whether the call took effect."""
    if drive.state.calls.get(call.id) != "started" or (call.name == DELEGATE and drive.state.spec.team):
        return
    drive.journal.emit(
        ev.ToolCallFailed(
            step=drive.state.step,
            tool_call_id=call.id,
            name=call.name,
            error={
                "code": "outcome_unknown",
                "message": "the call was cut off while under way; whether it took effect is not known",
            },
        )
    )
    drive.state.calls[call.id] = "unknown"


def _consult(drive: Drive, planned: _Planned) -> _Planned | Rest | None:
    """Ask for an approval, or act on the decision."""
    call = planned.call
    decided = drive.state.approvals.get(call.id)
    if decided is None:
        _ask(drive, call, planned.arguments)
        return Rest.APPROVAL
    if decided.status == "pending":
        return Rest.APPROVAL
    if decided.id not in drive.state.acknowledged:
        drive.state.acknowledged.add(decided.id)
        drive.journal.emit(
            ev.ApprovalResolved(
                approval_id=decided.id,
                tool_call_id=call.id,
                decision="approve" if decided.status == "approved" else "reject",
                by=decided.by or "system",
                note=decided.note,
                arguments=decided.edited_arguments,
            )
        )
    if decided.status == "approved":
        return planned
    note = f": {decided.note}" if decided.note else ""
    rejection = ToolError(f"{decided.by or 'someone'} rejected this call{note}", code="tool_rejected")
    _answer_error(drive, call, rejection)
    return None


def _ask(drive: Drive, call: ToolCall, arguments: dict[str, Any]) -> None:
    run = drive.state.run
    approval = Approval(
        id=new_id(),
        run_id=run.id,
        group_id=run.group_id,
        session_id=run.session_id,
        step=drive.state.step,
        tool_call_id=call.id,
        name=call.name,
        arguments=arguments,
        reason=f"the tool {call.name!r} needs an approval",
        created_at=utc_now(),
    )
    drive.journal.emit(
        ev.ApprovalRequired(
            step=drive.state.step,
            approval_id=approval.id,
            tool_call_id=call.id,
            name=call.name,
            arguments=arguments,
            reason=approval.reason,
        )
    )
    drive.journal.add_approval(approval)
    drive.state.approvals[call.id] = approval


def _announce(drive: Drive, one: _Planned) -> None:
    drive.journal.emit(
        ev.ToolCallStarted(
            step=drive.state.step,
            tool_call_id=one.call.id,
            name=one.call.name,
            arguments=one.arguments,
        )
    )
    drive.state.calls[one.call.id] = "started"
    drive.state.retry_tools -= {one.call.id}


def _take_back(drive: Drive, planned: list[_Planned]) -> None:
    """A stop came between the intent and the effect: these calls were not made."""
    for one in planned:
        error = {"code": "tool_cancelled", "message": "the run was stopped before this call was made"}
        drive.journal.emit(
            ev.ToolCallFailed(step=drive.state.step, tool_call_id=one.call.id, name=one.call.name, error=error)
        )
        drive.state.calls.pop(one.call.id, None)


def _mark_unknown(drive: Drive, stop: Stop) -> None:
    """Report the calls that a pause `now` cut off; a cancel closes them otherwise."""
    if stop is not Stop.PAUSE:
        return
    for call in drive.state.open_calls:
        _report_unknown(drive, call)


async def _call_all(drive: Drive, planned: list[_Planned]) -> None:
    """Make the calls at the same time; when cancelled, cancel them all and wait for them."""
    tasks = [asyncio.create_task(_call(drive, one)) for one in planned]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _call(drive: Drive, one: _Planned) -> None:
    run, call = drive.state.run, one.call
    # Another attempt's call of the same id is another call.
    scope = run.id if run.attempt == 1 else f"{run.id}:{run.attempt}"
    context = ToolContext(
        run_id=run.id,
        group_id=run.group_id,
        session_id=run.session_id,
        step=drive.state.step,
        tool_call_id=call.id,
        idempotency_key=f"{scope}:{call.id}",
        is_cancelled=lambda: drive.token.urgent is not None,
    )
    began = time.monotonic()
    try:
        with drive.services.observer.calling(call):
            text = await execute(one.tool, context, one.text)
        crashes.at("effect")
    except ToolError as error:
        if error.code == "invalid_arguments":
            drive.journal.emit(ev.Warned(code=error.code, message=f"tool call {call.name!r}: {error}"))
        _answer_error(drive, call, error, duration_ms=round((time.monotonic() - began) * 1000))
        return
    _answer_result(drive, call, text, duration_ms=round((time.monotonic() - began) * 1000))


def _answer(drive: Drive, call: ToolCall, content: Content, error: str | None = None) -> None:
    drive.say(Message(id=new_id(), role="tool", content=content, tool_call_id=call.id, name=call.name, error=error))


def _answer_result(drive: Drive, call: ToolCall, content: Content, duration_ms: int = 0) -> None:
    drive.journal.emit(
        ev.ToolCallCompleted(
            step=drive.state.step, tool_call_id=call.id, name=call.name, duration_ms=duration_ms, result=content
        )
    )
    _answer(drive, call, content)


def _answer_error(drive: Drive, call: ToolCall, error: ToolError, duration_ms: int | None = None) -> None:
    drive.journal.emit(
        ev.ToolCallFailed(
            step=drive.state.step,
            tool_call_id=call.id,
            name=call.name,
            error={"code": error.code, "message": str(error)},
            duration_ms=duration_ms,
        )
    )
    _answer(drive, call, f"error: {error}", error=error.code)
