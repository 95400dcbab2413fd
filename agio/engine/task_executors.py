"""Who does a task of a tree: the small registry of executors.

`schemas.method`, or else the task's name, is the name of one: `agent`, `crew`, `http`, a Python function or another
tool, or a stored agent. `_executor` at its end is passed over. What nobody can do is a task that fails and says why.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from agio.domain.crew import Crew, CrewTask, Member, Process, find_crew_flaws
from agio.domain.errors import AgioError, Invalid, NotFound
from agio.domain.task_trees import TASK_ID, TaskTree, TreeTask, outline
from agio.domain.workflow import fill_inputs
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.providers.base import Providers
from agio.tools.base import Tool, Toolbox

KINDS = {
    **{"agent": "agent", "llm": "agent"},
    **{"crew": "crew", "crewai": "crew"},
    **{"http": "http", "rest": "http", "http_request": "http"},
    **{"function": "function", "python": "function"},
}
"""What names stand for, `_executor` at their end left out."""
PROMPTS = ("prompt", "message", "query", "question", "description", "task", "text", "input")
"""Inputs that say what an agent is to do; the first one there counts."""
HTTP_INPUTS = frozenset({"url", "method", "headers", "body", "json", "data", "params"})
MEMBER_FIELDS = ("role", "goal", "backstory", "system_prompt", "provider", "model", "llm", "tools")
PROCESSES: tuple[Process, ...] = ("graph", "sequential", "hierarchical")


class Executors:
    """Makes the crew that carries tasks of a tree out."""

    def __init__(self, agents: Agents, toolbox: Toolbox, providers: Providers) -> None:
        self._agents = agents
        self._toolbox = toolbox
        self._providers = providers

    async def crew_of(self, caller: Caller, tree: TaskTree, tasks: Sequence[TreeTask], agent_id: str | None) -> Crew:
        """Return the crew that does these tasks of a tree; tasks that are left out are over.

        Args:
            agent_id: who does what `agent` shall do and does not say which one; None: nobody.
        """
        tools = {tool.name: tool for tool in await self._toolbox.list(caller.group_id)}
        there = {task.id for task in tasks}
        members: list[Member] = []
        written = []
        for task in tasks:
            place = outline(task)
            common: dict[str, Any] = {
                "id": task.id,
                "name": task.name,
                "dependencies": place.dependencies,
                "optional": place.optional,
                "parent_id": task.parent_id if task.parent_id in there else None,
                "priority": task.priority,
            }
            try:
                work, own = await self._assign(caller, task, tools, agent_id)
            except AgioError as error:
                work, own = {"refusal": str(error)}, ()
            members += own
            written.append(CrewTask(**common, **work))
        name = tree.root.name.strip()[:200] or tree.root_id
        return Crew(name=name, tasks=tuple(written), members=tuple(members))

    async def _assign(
        self, caller: Caller, task: TreeTask, tools: Mapping[str, Tool], agent_id: str | None
    ) -> tuple[dict[str, Any], tuple[Member, ...]]:
        """Return the fields of a `CrewTask` that say who does it and what, and the members that it needs."""
        wanted = str(task.schemas.get("method") or task.name).strip()
        plain = wanted.removesuffix("_executor")
        match KINDS.get(plain.lower()):
            case "agent":
                return await self._agent_work(caller, task, tools, agent_id)
            case "crew":
                return {"crew": self._crew(task, tools)}, ()
            case "http":
                return {"http": _http(task)}, ()
            case "function":
                wanted = plain = str(task.params.get("function") or task.name)
        tool = tools.get(wanted) or tools.get(plain)
        if tool is not None:
            return {"function": tool.name, "arguments": _arguments(task, tool)}, ()
        for name in (wanted, plain):
            if await self._is_agent(caller, name):
                return {"agent": name, "description": _prompt(task)}, ()
        known = ", ".join(("agent", "crew", "http", *sorted(tools)))
        raise Invalid(
            f"there is no executor {wanted[:80]!r}: an executor must be registered, and schemas.method, or the task's "
            f"name, must be its id; known are {known}, and stored agents"
        )

    async def _is_agent(self, caller: Caller, name: str) -> bool:
        """Raises `Invalid`: it is disabled."""
        try:
            agent = await self._agents.get(caller, name)
        except NotFound:
            return False
        if not agent.enabled:
            raise Invalid(f"the agent {agent.id!r} is disabled; enable it first")
        return True

    async def _agent_work(
        self, caller: Caller, task: TreeTask, tools: Mapping[str, Tool], agent_id: str | None
    ) -> tuple[dict[str, Any], tuple[Member, ...]]:
        work = {"description": _prompt(task), "expected_output": str(task.params.get("expected_output") or "")}
        named = task.params.get("agent") or task.params.get("agent_id")
        if named is None and any(task.params.get(name) for name in MEMBER_FIELDS):
            return {**work, "agent": task.id}, (self._member(task.id, task.params, tools),)
        chosen = str(named) if named is not None else agent_id
        if chosen is None or not await self._is_agent(caller, chosen):
            raise Invalid(f"there is no agent {chosen!r}" if chosen else "say in params.agent who shall do it")
        return {**work, "agent": chosen}, ()

    def _member(self, name: str, given: Mapping[str, Any], tools: Mapping[str, Tool]) -> Member:
        """Read an agent that is described in a task. Raises `Invalid`."""
        model, provider = given.get("llm") or given.get("model"), given.get("provider")
        if isinstance(model, str) and provider is None and (detected := self._providers.detect(model)):
            provider, model = detected
        if provider is not None and not self._providers.knows(str(provider)):
            raise Invalid(f"there is no provider {provider!r}")
        wanted = given.get("tools") or []
        if not isinstance(wanted, list) or any(str(one) not in tools for one in wanted):
            raise Invalid(f"the tools of {name!r} are a list of these: {', '.join(sorted(tools))}")
        temperature, steps = given.get("temperature"), given.get("max_steps")
        return Member(
            name=name,
            provider=str(provider) if provider is not None else None,
            model=str(model) if model is not None else None,
            tools=tuple(str(one) for one in wanted),
            temperature=float(temperature) if isinstance(temperature, int | float) else None,
            max_steps=steps if isinstance(steps, int) and steps > 0 else 10,
            allow_delegation=given.get("allow_delegation") is True,
            **{field: _text(given, field) for field in ("role", "goal", "backstory", "system_prompt")},
        )

    def _crew(self, task: TreeTask, tools: Mapping[str, Tool]) -> Crew:
        """Read the crew that a task's settings describe: `works.agents`, `works.tasks`. Raises `Invalid`."""
        works = task.params.get("works", task.params)
        agents = works.get("agents") if isinstance(works, dict) else None
        if not isinstance(agents, dict) or not agents or not all(isinstance(one, dict) for one in agents.values()):
            raise Invalid("params.works.agents names the agents of the crew: {name: {role, goal, backstory, llm}}")
        members = tuple(self._member(name, given, tools) for name, given in agents.items())
        process = works.get("process") or task.params.get("process") or "sequential"
        if process not in PROCESSES:
            raise Invalid(f"the process of a crew is one of {', '.join(PROCESSES)}")
        manager = _text(works, "manager")
        crew = Crew(
            name=task.name.strip()[:200] or task.id,
            process=process,
            members=members,
            tasks=_crew_tasks(task, works.get("tasks"), members),
            manager=manager,
        )
        if flaws := find_crew_flaws(crew):
            raise Invalid(f"params.works.{flaws[0].field}: {flaws[0].message}")
        return crew


def _crew_tasks(task: TreeTask, given: Any, members: Sequence[Member]) -> tuple[CrewTask, ...]:
    if not given:
        return (CrewTask(id="work", description=_prompt(task), agent=members[0].name),)
    if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
        raise Invalid("params.works.tasks are {name: {description, expected_output, agent}}")
    found = []
    for name, one in given.items():
        if not TASK_ID.fullmatch(name):
            raise Invalid(f"{name[:80]!r} cannot be the name of a crew's task")
        context = one.get("context") or []
        found.append(
            CrewTask(
                id=name,
                description=fill_inputs(str(one.get("description") or name), task.inputs),
                expected_output=fill_inputs(str(one.get("expected_output") or ""), task.inputs),
                agent=_text(one, "agent") or members[0].name,
                dependencies=tuple(str(other) for other in context) if isinstance(context, list) else (),
            )
        )
    first = found[0]
    if rest := _unused(task.inputs, [str(one.get("description")) for one in given.values()]):
        found[0] = replace(first, description=f"{first.description}\n\nInputs:\n{_json(rest)}")
    return tuple(found)


def _unused(inputs: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """Return the inputs that no text has a place for."""
    return {name: value for name, value in inputs.items() if not any(f"{{{name}}}" in text for text in texts)}


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return str(value) if value else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def _prompt(task: TreeTask) -> str:
    """Return what an agent is asked to do: a description with its inputs put in, the other inputs behind it."""
    named = next((name for name in PROMPTS if isinstance(task.inputs.get(name), str)), None)
    described = task.params.get("description")
    text = str(described) if described else task.inputs[named] if named else task.name or task.id
    rest = {name: value for name, value in task.inputs.items() if described or name != named}
    rest = _unused(rest, [text])
    filled = str(fill_inputs(text, task.inputs))
    return f"{filled}\n\nInputs:\n{_json(rest)}" if rest else filled


def _arguments(task: TreeTask, tool: Tool) -> dict[str, Any]:
    """Return a function's arguments: settings and inputs; a parameter named as a dependency is its result."""
    parameters = tool.parameters.get("properties", {})
    needed = {need.id: f"{{{{{need.id}}}}}" for need in task.dependencies if need.required}
    found = {name: value for name, value in needed.items() if name in parameters}
    found |= {name: value for name, value in task.params.items() if name in parameters}
    return found | task.inputs


def _http(task: TreeTask) -> dict[str, Any]:
    """Return what `http` sends. Raises `Invalid`."""
    given = {**task.params, **task.inputs}
    if strange := sorted(given.keys() - HTTP_INPUTS):
        raise Invalid(f"the executor http takes {', '.join(sorted(HTTP_INPUTS))}, not {strange[0][:80]!r}")
    url = given.get("url")
    if not isinstance(url, str):
        raise Invalid("the executor http needs the url of its request")
    made: dict[str, Any] = {"url": _with_query(url, given.get("params")), "method": str(given.get("method", "GET"))}
    if isinstance(given.get("headers"), dict):
        made["headers"] = given["headers"]
    bodies = [given[name] for name in ("body", "json", "data") if given.get(name) is not None]
    return {**made, "method": made["method"].upper()} | ({"body": bodies[0]} if bodies else {})


def _with_query(url: str, query: Any) -> str:
    if not isinstance(query, dict) or not query:
        return url
    parts = urlsplit(url)
    more = urlencode({name: str(value) for name, value in query.items()})
    return urlunsplit(parts._replace(query=f"{parts.query}&{more}" if parts.query else more))
