"""Crews put together: the texts, and the stored agents and tasks that they name."""

from collections.abc import Sequence
from dataclasses import replace

from agio.api.protocols.kasal.texts import CrewText, Reading, read_crew
from agio.domain.crew import CrewTask, Member
from agio.domain.crews import StoredCrew
from agio.domain.errors import Invalid, NotFound
from agio.domain.workflow import Flaw
from agio.engine.caller import Caller
from agio.engine.engine import Engine


async def check_stored(engine: Engine, caller: Caller, agent_ids: Sequence[str], task_ids: Sequence[str]) -> None:
    """Refuse stored agents and tasks that are not there. Raises `Invalid`."""
    flaws = (await compose(engine, caller, CrewText(name="crew"), agent_ids, task_ids)).errors
    for flaw in flaws:
        if flaw.field in ("agent_ids", "task_ids"):
            raise Invalid(flaw.message, field=flaw.field)


async def compose(
    engine: Engine, caller: Caller, text: CrewText, agent_ids: Sequence[str], task_ids: Sequence[str]
) -> Reading:
    """Read a crew with the stored agents and tasks that belong to it."""
    flaws: list[Flaw] = []
    members: list[Member] = []
    ids: dict[str, str] = {}
    for agent_id in dict.fromkeys(agent_ids):
        try:
            agent = await engine.agents.get(caller, agent_id)
        except NotFound as error:
            flaws.append(Flaw(field="agent_ids", message=str(error)))
            continue
        ids |= {agent.name: agent.id}
        members.append(Member(name=agent.id, agent_id=agent.id, allow_delegation=agent.allow_delegation))
    tasks: list[CrewTask] = []
    for task_id in dict.fromkeys(task_ids):
        try:
            tasks.append(await _task(engine, caller, task_id, ids))
        except NotFound as error:
            flaws.append(Flaw(field="task_ids", message=str(error)))
    if flaws:
        return Reading(errors=flaws)
    return read_crew(replace(text, members=tuple(members), more_tasks=tuple(tasks)))


async def _task(engine: Engine, caller: Caller, task_id: str, ids: dict[str, str]) -> CrewTask:
    task = await engine.tasks.get(caller, task_id)
    return CrewTask(
        id=task.id,
        name=task.name,
        description=task.description,
        expected_output=task.expected_output,
        agent=ids.get(task.agent, task.agent) if task.agent else None,
        tools=task.tools,
    )


async def compose_stored(engine: Engine, caller: Caller, stored: StoredCrew, *, model: str | None = None) -> Reading:
    """Read a stored crew. `model`: of agents that name none, in place of the crew's."""
    text = CrewText(
        name=stored.name,
        agents=stored.agents_yaml,
        tasks=stored.tasks_yaml,
        process=stored.process,
        model=model or stored.model,
    )
    return await compose(engine, caller, text, stored.agent_ids, stored.task_ids)
