"""Carries a workflow out: begins child runs for the tasks that may start, takes their results, and rests meanwhile.

A finished task is a message on the branch, so a checkpoint says which are finished, and a fork or a new attempt
re-uses exactly those.
"""

import json
import time

from agio.domain import events as ev
from agio.domain.agents import AgentSnapshot
from agio.domain.ids import new_id
from agio.domain.messages import Message, ToolCall, text_of
from agio.domain.runs import WORKFLOW_AGENT, OneCall, RunSpec
from agio.domain.workflow import (
    Task,
    Workflow,
    answer_of,
    child_id,
    fill_results,
    missing,
    nested,
    placed,
    progress_of,
    prompt_of,
    ready,
)
from agio.engine.children import Begun, Birth, Ledger, Outcome, begin, hand_on, outcome_of, read_ledger
from agio.engine.drive import Drive

HTTP_TOOL = "http_request"
"""The tool that the executor `http` calls."""


async def conduct(drive: Drive) -> bool:
    """Do the next part of a workflow; True when the run ended or rests."""
    workflow = drive.state.spec.workflow
    assert workflow is not None
    await drive.commit()  # what is read of the journal below must be whole
    # A child that ends after this must wake the run: see `Drive.rest_waiting`.
    drive.decisions_heard = drive.token.run.control_seq
    ledger = await read_ledger(drive.services.store, drive.state.run)
    moved = False
    for begun in list(ledger.in_flight.values()):
        moved = await _hear(drive, workflow, ledger, begun) or moved
    if moved:
        return False
    if over := drive.over_budget():
        await drive.hand_on("cancel")
        await drive.fail("budget_exceeded", over)
        return True
    if await _begin_ready(drive, workflow, ledger):
        return False
    if ledger.in_flight:
        await drive.rest_waiting("children")
        return True
    await _end(drive, workflow, ledger)
    return True


def results_of(messages: list[Message]) -> dict[str, str]:
    """Return what finished tasks answered, by task id."""
    return {m.tool_call_id: text_of(m.content) for m in messages if m.role == "tool" and m.tool_call_id}


async def _hear(drive: Drive, workflow: Workflow, ledger: Ledger, begun: Begun) -> bool:
    """Look what has become of a child; True when something was noted."""
    state = drive.state
    outcome = await outcome_of(drive.services.store, state.run.group_id, begun.run_id)
    task = placed(workflow.tasks).get(begun.task_id)
    if begun.attempt < state.run.attempt and not _may_adopt(drive, task, outcome):
        await hand_on(drive.services.store, drive.services.notify, state.run, [begun.run_id], "cancel")
        del ledger.in_flight[begun.run_id]
        return False
    if outcome.status == "live" or task is None:
        return False
    await drive.make_room()
    if outcome.status == "completed":
        await _take_result(drive, workflow, task, begun, outcome)
        return True
    error = outcome.error or {"code": "task_lost", "message": f"the child run {begun.run_id!r} was deleted"}
    done = len(results_of(state.messages))
    drive.journal.emit(
        ev.TaskFailed(
            task_id=task.id,
            name=task.name,
            child_run_id=begun.run_id,
            error={"code": error["code"], "message": error["message"]},
            progress=progress_of(len(workflow.tasks), done),
        )
    )
    return True


def _may_adopt(drive: Drive, task: Task | None, outcome: Outcome) -> bool:
    """Say whether a child of an earlier attempt does what this one needs: nobody may do it twice."""
    if task is None or outcome.status not in ("live", "completed"):
        return False
    done = results_of(drive.state.messages)
    return task.id not in done and all(other in done for other in task.dependencies)


async def _take_result(drive: Drive, workflow: Workflow, task: Task, begun: Begun, outcome: Outcome) -> None:
    """Put a finished task on the branch, with its checkpoint."""
    state = drive.state
    _begin_step(drive)
    drive.step_began = time.monotonic() - outcome.metrics.duration_ms / 1000
    state.step_usage = outcome.usage
    # As a call and its answer, so that a model can go on with the conversation.
    call = ToolCall(id=task.id, name="run_task", arguments=json.dumps({"task": task.name or task.id}))
    drive.say(Message(id=new_id(), role="assistant", content="", tool_calls=(call,)))
    drive.say(
        Message(
            id=new_id(),
            role="tool",
            content=outcome.result,
            tool_call_id=task.id,
            name=call.name,
            metadata={"child_run_id": begun.run_id},
        )
    )
    done = len(results_of(state.messages))
    drive.journal.emit(
        ev.TaskCompleted(
            task_id=task.id,
            name=task.name,
            child_run_id=begun.run_id,
            usage=outcome.usage,
            duration_ms=outcome.metrics.duration_ms,
            progress=progress_of(len(workflow.tasks), done),
            result=outcome.result,
        )
    )
    await drive.complete_step("step", label=f"task {task.id}")


def _begin_step(drive: Drive) -> None:
    if not drive.state.in_step:
        drive.state.step += 1
        drive.begin_step()


async def _begin_ready(drive: Drive, workflow: Workflow, ledger: Ledger) -> bool:
    """Begin the tasks that may start; False when there is none."""
    state, services = drive.state, drive.services
    results = results_of(state.messages)
    begun = {one.task_id for one in ledger.in_flight.values()} | ledger.failed.keys()
    fresh = ready(workflow.tasks, results, begun, ledger.failed)
    if not fresh:
        return False
    await drive.make_room()
    if not await services.owns(state.run):
        drive.token.lose()
        return True
    for task in fresh:
        if task.refusal is not None:
            _refuse(drive, workflow, task, task.refusal)
            continue
        run_id = child_id(state.run.id, state.run.attempt, task.id)
        await begin(services.store, services.notify, state.run, run_id, birth_of(workflow, task, results))
        drive.journal.emit(
            ev.TaskStarted(
                task_id=task.id,
                name=task.name,
                executor=task.executor,
                child_run_id=run_id,
                progress=progress_of(len(workflow.tasks), len(results)),
            )
        )
    return True


def _refuse(drive: Drive, workflow: Workflow, task: Task, why: str) -> None:
    """Let a task fail that nobody can do; there is no child run."""
    done = len(results_of(drive.state.messages))
    drive.journal.emit(
        ev.TaskFailed(
            task_id=task.id,
            name=task.name,
            child_run_id="",
            error={"code": "unknown_executor", "message": why},
            progress=progress_of(len(workflow.tasks), done),
        )
    )


def birth_of(workflow: Workflow, task: Task, results: dict[str, str]) -> Birth:
    """Return what the child run of a task begins with: the executors' one table."""
    prompt = prompt_of(task, results)
    match task.executor:
        case "agent":
            assert task.agent is not None
            team = {name: workflow.agents[name] for name in task.coworkers}
            return Birth(task_id=task.id, spec=RunSpec(input=prompt, team=team), snapshot=workflow.agents[task.agent])
        case "crew":
            inner = nested(task, results)
            return Birth(task_id=task.id, spec=RunSpec(input=prompt, workflow=inner), snapshot=workflow_snapshot(inner))
        case "http" | "function":
            name = HTTP_TOOL if task.executor == "http" else task.function
            assert name is not None
            call = OneCall(name=name, arguments=fill_results(task.arguments, results))
            return Birth(
                task_id=task.id,
                spec=RunSpec(input=prompt, call=call),
                snapshot=_snapshot(f"{task.executor}:", name, (name,)),
            )


def workflow_snapshot(workflow: Workflow) -> AgentSnapshot:
    """Return what a workflow's run pins in place of an agent: it asks no model."""
    return _snapshot(WORKFLOW_AGENT, workflow.name, ())


def _snapshot(kind: str, name: str, tools: tuple[str, ...]) -> AgentSnapshot:
    return AgentSnapshot(agent_id=f"{kind}{name}", version=1, provider="none", model="none", tools=tools)


async def _end(drive: Drive, workflow: Workflow, ledger: Ledger) -> None:
    """Nothing is under way and nothing may start: the workflow is finished, or cannot be."""
    results = results_of(drive.state.messages)
    absent = missing(workflow.tasks, results, ledger.failed)
    if absent:
        first, error = next((task_id, ledger.failed[task_id]) for task_id in absent if task_id in ledger.failed)
        begun = [task_id for task_id in absent if task_id not in ledger.failed]
        rest = f"; {len(begun)} tasks were not begun" if begun else ""
        await drive.fail("task_failed", f"task {first!r} failed: {error['message']}{rest}")
        return
    await say_answer(drive, answer_of(workflow.tasks, results))


async def say_answer(drive: Drive, text: str) -> None:
    """Answer without asking a model, and complete the run."""
    await drive.make_room()
    await drive.foresee_end()
    _begin_step(drive)
    message = Message(id=new_id(), role="assistant", content=text)
    drive.journal.emit(
        ev.MessageCompleted(step=drive.state.step, message_id=message.id, role="assistant", content=text)
    )
    drive.say(message)
    await drive.finish()
