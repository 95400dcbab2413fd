"""An agent's way to have coworkers do work: a tool call that is a child run, so that nobody is kept waiting."""

from agio.domain import events as ev
from agio.domain.errors import ToolError
from agio.domain.messages import ToolCall
from agio.domain.runs import RunSpec
from agio.domain.workflow import child_id
from agio.engine.children import Birth, Outcome, begin, outcome_of
from agio.engine.drive import Drive
from agio.providers.base import ToolSchema
from agio.tools.execution import decode_arguments

DELEGATE = "delegate_work"


def delegation_schema(drive: Drive) -> ToolSchema | None:
    """Return the tool as the model is told of it; None where the agent has no coworkers."""
    team = drive.state.spec.team
    if not team:
        return None
    return ToolSchema(
        name=DELEGATE,
        description="Have one of your coworkers do a piece of work, and get the answer. Coworkers know nothing but "
        "what you tell them.",
        parameters={
            "type": "object",
            "properties": {
                "coworker": {"type": "string", "enum": list(team), "description": "Who shall do it."},
                "task": {"type": "string", "description": "What to do, and what the answer shall be like."},
                "context": {"type": "string", "description": "Everything that is needed to do it."},
            },
            "required": ["coworker", "task"],
        },
    )


async def delegate(drive: Drive, call: ToolCall) -> str | None:
    """Return what the coworker answered; None while it works.

    Raises:
        ToolError: there is no such coworker, the arguments are wrong, or the coworker failed.
    """
    state, services = drive.state, drive.services
    birth = _birth(drive, call)
    # The same child in every attempt: what was delegated is not done twice.
    run_id = child_id(state.run.id, 0, call.id)
    if state.calls.get(call.id) is None:
        await begin(services.store, services.notify, state.run, run_id, birth)
        arguments = decode_arguments(call.arguments)
        drive.journal.emit(
            ev.ToolCallStarted(step=state.step, tool_call_id=call.id, name=call.name, arguments=arguments)
        )
        drive.journal.emit(
            ev.TaskStarted(task_id=call.id, name=birth.snapshot.agent_id, executor="agent", child_run_id=run_id)
        )
        state.calls[call.id] = "started"
    outcome = await outcome_of(services.store, state.run.group_id, run_id)
    if outcome.status == "live":
        return None
    return _settle(drive, call, birth, run_id, outcome)


def _birth(drive: Drive, call: ToolCall) -> Birth:
    team = drive.state.spec.team
    arguments = decode_arguments(call.arguments)
    names = {name.casefold().strip(): name for name in team}
    name = names.get(str(arguments.get("coworker", "")).casefold().strip())
    if name is None:
        raise ToolError(f"there is no such coworker; they are {', '.join(team)}", code="unknown_coworker")
    task = str(arguments.get("task") or "").strip()
    if not task:
        raise ToolError("say in 'task' what to do", code="invalid_arguments")
    context = str(arguments.get("context") or "").strip()
    prompt = f"{task}\n\nContext:\n{context}" if context else task
    return Birth(task_id=call.id, spec=RunSpec(input=prompt), snapshot=team[name])


def _settle(drive: Drive, call: ToolCall, birth: Birth, run_id: str, outcome: Outcome) -> str:
    name = birth.snapshot.agent_id
    if outcome.status == "completed":
        drive.state.step_usage = drive.state.step_usage.plus(outcome.usage)
        drive.journal.emit(
            ev.TaskCompleted(
                task_id=call.id,
                name=name,
                child_run_id=run_id,
                usage=outcome.usage,
                duration_ms=outcome.metrics.duration_ms,
            )
        )
        return outcome.result
    error = outcome.error or {"code": "task_lost", "message": f"the child run {run_id!r} was deleted"}
    drive.journal.emit(ev.TaskFailed(task_id=call.id, name=name, child_run_id=run_id, error=error))
    raise ToolError(f"{name} failed: {error['message']}", code=str(error["code"]))
