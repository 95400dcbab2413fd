"""Crews: agents and tasks as people write them down, and the workflow that they mean. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from agio.domain.workflow import DEFAULT_PRIORITY, MAX_DEPTH, Flaw, Task, find_flaws

Process = Literal["graph", "sequential", "hierarchical"]
"""`graph`: as the dependencies say · `sequential`: one task after the other · `hierarchical`: likewise, and a manager
has each of them done by the others."""

MANAGER = "manager"
"""Name of the manager that is made where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An agent of a crew: one that is stored (`agent_id`), or described here."""

    name: str
    agent_id: str | None = None
    role: str | None = None
    goal: str | None = None
    backstory: str | None = None
    system_prompt: str | None = None
    provider: str | None = None
    """None: the installation's."""
    model: str | None = None
    """None: the crew's, or the installation's."""
    tools: tuple[str, ...] = ()
    max_steps: int = 10
    temperature: float | None = None
    allow_delegation: bool = False
    """It may have the others do work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewTask:
    """A task as it is written down; one of `agent`, `function`, `http` and `crew` says who does it."""

    id: str
    name: str = ""
    description: str = ""
    expected_output: str = ""
    agent: str | None = None
    """A member's name, or the id of a stored agent."""
    tools: tuple[str, ...] = ()
    """Of `agent`: what it has for this task besides its own."""
    function: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    http: dict[str, Any] | None = None
    """`{url, method?, headers?, body?}`."""
    crew: "Crew | None" = None
    dependencies: tuple[str, ...] = ()
    parent_id: str | None = None
    priority: int = DEFAULT_PRIORITY
    optional: tuple[str, ...] = ()
    """As `Task.optional`."""
    refusal: str | None = None
    """As `Task.refusal`; then nothing says who does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Agents, tasks, and how the ones do the others."""

    name: str
    tasks: tuple[CrewTask, ...]
    members: tuple[Member, ...] = ()
    process: Process = "graph"
    manager: str | None = None
    """Of `hierarchical`: a member's name; None: one is made."""
    model: str | None = None
    """For members that name none."""

    @property
    def manager_name(self) -> str:
        """The name of who manages."""
        return self.manager or MANAGER

    @property
    def all_members(self) -> dict[str, Member]:
        """By name, a manager that was made included."""
        found = {member.name: member for member in self.members}
        if self.process == "hierarchical" and self.manager is None:
            found[MANAGER] = Member(
                name=MANAGER,
                role="the manager of a crew",
                goal="have each task done by the coworker who is best at it, judge what comes back, and answer for it",
            )
        return found


def find_crew_flaws(crew: Crew, at: str = "", depth: int = 1) -> list[Flaw]:
    """Return everything that is wrong with a crew, but for what only an installation knows (tools, stored agents)."""
    if depth > MAX_DEPTH:
        return [Flaw(field=f"{at}tasks", message=f"workflows stand at most {MAX_DEPTH} deep within each other")]
    flaws = [Flaw(field=f"{at}{flaw.field}", message=flaw.message) for flaw in find_flaws(tasks_of(crew))]
    names = [member.name for member in crew.members]
    flaws += [
        Flaw(field=f"{at}agents", message=f"there are two agents {name!r}")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if crew.manager is not None and crew.manager not in names:
        flaws.append(Flaw(field=f"{at}manager", message=f"the manager {crew.manager!r} is none of the agents"))
    if crew.process == "hierarchical" and not set(names) - {crew.manager}:
        flaws.append(Flaw(field=f"{at}agents", message="a manager needs agents to manage"))
    for number, task in enumerate(crew.tasks):
        flaws += _task_flaws(crew, task, f"{at}tasks.{number}", depth)
    return flaws


def _task_flaws(crew: Crew, task: CrewTask, at: str, depth: int) -> Iterator[Flaw]:
    given = [name for name in ("agent", "function", "http", "crew") if getattr(task, name) is not None]
    if len(given) > 1:
        yield Flaw(field=at, message=f"task {task.id!r} names {' and '.join(given)}; one of them does it")
    if task.refusal is not None:
        return
    if not given and crew.process != "hierarchical" and len(crew.members) != 1:
        yield Flaw(field=at, message=f"task {task.id!r} does not say who does it: agent, function, http or crew")
    if task.http is not None and not isinstance(task.http.get("url"), str):
        yield Flaw(field=f"{at}.http.url", message=f"task {task.id!r} needs the url of its request")
    if task.crew is not None:
        yield from find_crew_flaws(task.crew, f"{at}.crew.", depth + 1)


def tasks_of(crew: Crew) -> tuple[Task, ...]:
    """Return the graph that the crew means; tasks within tasks are left out."""
    found: list[Task] = []
    for number, task in enumerate(crew.tasks):
        before = (crew.tasks[number - 1].id,) if number and crew.process != "graph" else ()
        found.append(_task(crew, task, tuple(dict.fromkeys((*before, *task.dependencies)))))
    return tuple(found)


def _task(crew: Crew, task: CrewTask, dependencies: tuple[str, ...]) -> Task:
    common: dict[str, Any] = {
        "id": task.id,
        "name": task.name,
        "description": task.description,
        "expected_output": task.expected_output,
        "dependencies": dependencies,
        "parent_id": task.parent_id,
        "priority": task.priority,
        "optional": task.optional,
        "refusal": task.refusal,
    }
    if task.refusal is not None:
        return Task(**common)
    if task.crew is not None:
        return Task(executor="crew", **common)
    if task.function is not None:
        return Task(executor="function", function=task.function, arguments=task.arguments, **common)
    if task.http is not None:
        return Task(executor="http", arguments=task.http, **common)
    others = tuple(member.name for member in crew.members)
    if crew.process == "hierarchical":
        suited = f"\n\nThe coworker to ask first: {task.agent}." if task.agent else ""
        return Task(
            agent=crew.manager_name,
            coworkers=tuple(name for name in others if name != crew.manager),
            **common | {"description": (task.description or task.name or task.id) + suited},
        )
    agent = task.agent or (others[0] if len(others) == 1 else None)
    member = next((one for one in crew.members if one.name == agent), None)
    may = member is not None and member.allow_delegation
    return Task(agent=agent, coworkers=tuple(name for name in others if may and name != agent), **common)
