"""Use cases on workflows: check a crew, start it, look at its tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agio.domain.agents import Agent, AgentSnapshot
from agio.domain.branches import Branch
from agio.domain.crew import Crew, Member, find_crew_flaws, tasks_of
from agio.domain.crews import OnRestart
from agio.domain.errors import AgioError, AlreadyExists, Conflict, Invalid, NotFound
from agio.domain.ids import SESSION_ID_RULE, is_session_id, new_id
from agio.domain.runs import Budget, Run, RunSpec
from agio.domain.sessions import Session
from agio.domain.workflow import Flaw, Task, Workflow, fill_inputs
from agio.engine.agents import Agents, slug_of
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.conducting import HTTP_TOOL, workflow_snapshot
from agio.engine.creation import check_run_id, first_entry, new_run, not_started
from agio.engine.quota import NO_QUOTA, Quota, check
from agio.engine.worker import Worker
from agio.storage.port import SESSIONS, RunCreation, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What members of a crew work with that say nothing of it."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRequest:
    """A crew to be set to work."""

    crew: Crew
    fallback: Fallback
    inputs: dict[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    budget: Budget | None = None
    detached: bool = True
    start: bool = True
    on_restart: OnRestart | None = None
    """None: as the installation says."""


class Workflows:
    """Starts workflows; the process's worker takes them at once if it can."""

    def __init__(self, store: Store, agents: Agents, worker: Worker, quota: Quota = NO_QUOTA) -> None:
        self._store = store
        self._agents = agents
        self._worker = worker
        self._quota = quota

    async def check(self, caller: Caller, crew: Crew, fallback: Fallback) -> list[Flaw]:
        """Return everything that keeps a crew from being set to work."""
        flaws = find_crew_flaws(crew)
        if flaws:
            return flaws
        try:
            await self._pin(caller, crew, {}, fallback, "")
        except AgioError as error:
            at = getattr(error, "field", None)
            return [Flaw(field=at or "tasks", message=str(error))]
        return []

    async def start(self, caller: Caller, request: WorkflowRequest) -> Run:
        """Accept a workflow; its run is durable when this returns.

        Raises:
            Invalid: the graph is unsound, or names a tool, provider or agent that nobody here knows.
            Conflict: an agent is disabled. AlreadyExists: the run id is taken.
            QuotaExceeded: the group has spent what it may.
        """
        flaws = find_crew_flaws(request.crew)
        if flaws:
            more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
            raise Invalid(flaws[0].message + more, field=flaws[0].field)
        check_run_id(request.run_id)
        await check(self._quota, caller.group_id)
        workflow = await self._pin(caller, request.crew, request.inputs, request.fallback, "")
        now = utc_now()
        session, is_new = await self._session(caller, request)
        branch = Branch(
            id=session.current_branch_id if is_new else new_id(),
            group_id=caller.group_id,
            session_id=session.id,
            kind="root" if is_new else "task",
            name="main" if is_new else workflow.name,
            created_by=caller.name,
            created_at=now,
        )
        prompt = _prompt(workflow)
        run = new_run(caller, session.id, branch.id, workflow_snapshot(workflow), now, request.run_id, prompt)
        run = replace(
            run,
            user_id=caller.user_id or request.user_id,
            detached=request.detached,
            tags=request.tags,
            metadata=request.metadata,
            on_restart=request.on_restart,
            pause=None if request.start else not_started(caller, now),
        )
        creation = RunCreation(
            run=run,
            spec=RunSpec(input=prompt, workflow=workflow, budget=request.budget),
            snapshot=workflow_snapshot(workflow),
            first=first_entry(run),
            session=session if is_new else None,
            branch=branch,
        )
        try:
            return await self._worker.accept(creation, caller.llm_key, is_blank=True)
        except AlreadyExists:
            raise AlreadyExists(f"there is a run {run.id!r} already") from None

    async def _session(self, caller: Caller, request: WorkflowRequest) -> tuple[Session, bool]:
        if request.session_id is not None:
            if not is_session_id(request.session_id):
                raise Invalid(SESSION_ID_RULE, field="session_id")
            try:
                return await self._store.get(SESSIONS, caller.group_id, request.session_id), False
            except NotFound:
                pass  # it is made
        now = utc_now()
        session_id = request.session_id or new_id()
        made = Session(
            id=session_id,
            group_id=caller.group_id,
            current_branch_id=session_id,
            user_id=request.user_id,
            agent_id=None,
            title=request.crew.name[:80],
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        return made, True

    async def _pin(
        self, caller: Caller, crew: Crew, inputs: Mapping[str, Any], fallback: Fallback, at: str
    ) -> Workflow:
        """Return the workflow that a crew means, with the agents as they are now."""
        fallback = replace(fallback, model=crew.model) if crew.model else fallback
        tasks: list[Task] = []
        agents: dict[str, AgentSnapshot] = {}
        for number, (task, written) in enumerate(zip(tasks_of(crew), crew.tasks, strict=True)):
            here = f"{at}tasks.{number}"
            for name in (task.agent, *task.coworkers):
                if name is not None and name not in agents:
                    agents[name] = await self._snapshot(caller, crew, name, inputs, fallback, f"{here}.agent")
            if written.tools and task.agent is not None:
                await self._agents.check(caller, provider=None, tools=written.tools, at=f"{here}.")
                task = replace(task, agent=_equip(agents, task, written.tools))
            if task.executor in ("function", "http"):
                tool = HTTP_TOOL if task.executor == "http" else task.function
                await self._agents.check(caller, provider=None, tools=[tool or ""], at=f"{here}.")
            inner = None
            if written.crew is not None:
                inner = await self._pin(caller, written.crew, inputs, fallback, f"{here}.crew.")
            tasks.append(
                replace(
                    task,
                    workflow=inner,
                    description=fill_inputs(task.description, inputs),
                    expected_output=fill_inputs(task.expected_output, inputs),
                    arguments=fill_inputs(task.arguments, inputs),
                )
            )
        return Workflow(name=crew.name, tasks=tuple(tasks), agents=agents, inputs=dict(inputs))

    async def _snapshot(
        self, caller: Caller, crew: Crew, name: str, inputs: Mapping[str, Any], fallback: Fallback, at: str
    ) -> AgentSnapshot:
        member = crew.all_members.get(name)
        stored_id = name if member is None else member.agent_id
        if member is not None and stored_id is None:
            await self._agents.check(
                caller, provider=member.provider or fallback.provider, tools=member.tools, at=f"agents.{name}."
            )
            return await self._agents.pin(caller, _described(caller, _introduced(member, inputs), fallback))
        try:
            agent = await self._agents.get(caller, stored_id or name)
        except NotFound:
            known = ", ".join(crew.all_members) or "none"
            raise Invalid(f"there is no agent {stored_id!r}; the crew's are: {known}", field=at) from None
        if not agent.enabled:
            raise Conflict(f"the agent {agent.id!r} is disabled; enable it first")
        return await self._agents.pin(caller, agent)


def _equip(agents: dict[str, AgentSnapshot], task: Task, tools: tuple[str, ...]) -> str:
    """Add a task's agent with the tools of that task; return its name among `agents`."""
    assert task.agent is not None
    agent, name = agents[task.agent], f"{task.agent} for {task.id}"
    agents[name] = replace(agent, tools=tuple(dict.fromkeys((*agent.tools, *tools))))
    return name


def _introduced(member: Member, inputs: Mapping[str, Any]) -> Member:
    """Return a member whose description has the inputs in it."""
    texts = {name: getattr(member, name) for name in ("role", "goal", "backstory", "system_prompt")}
    return replace(member, **fill_inputs(texts, inputs))


def _described(caller: Caller, member: Member, fallback: Fallback) -> Agent:
    now = utc_now()
    return Agent(
        id=slug_of(member.name) or "agent",
        group_id=caller.group_id,
        name=member.name,
        provider=member.provider or fallback.provider,
        model=member.model or fallback.model,
        system_prompt=member.system_prompt,
        tools=member.tools,
        max_steps=member.max_steps,
        temperature=member.temperature,
        role=member.role,
        goal=member.goal,
        backstory=member.backstory,
        created_at=now,
        updated_at=now,
    )


def _prompt(workflow: Workflow) -> str:
    """Return what stands in the conversation for the wish to have it done."""
    given = "".join(f"\n{name}: {value}" for name, value in workflow.inputs.items())
    return f"Run the workflow {workflow.name!r}.{given}"
