"""Use cases on agents: those registered in Python and those made over the API, as one collection."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from agio.domain.agents import Agent, AgentSnapshot
from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound, ToolError
from agio.domain.runs import RunFilter
from agio.domain.status import LIVE
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.providers.base import Providers
from agio.storage.port import AGENT_VERSIONS, AGENTS, MODELS, AgentVersion, Page, Store
from agio.tools.base import Toolbox

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
RESERVED = frozenset({"conversations"})
"""Ids that a neighbour's path takes (seed item F53)."""


def slug_of(name: str) -> str:
    """Return an id made from a name: lower case, other characters as dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].strip("-")


class Agents:
    """Finds, makes and changes agents."""

    def __init__(self, store: Store, providers: Providers, toolbox: Toolbox, registered: Iterable[Agent]) -> None:
        self._store = store
        self._providers = providers
        self._toolbox = toolbox
        self._registered = {agent.id: agent for agent in registered}

    def register(self, agent: Agent) -> None:
        """Add an agent made in Python; every group sees it."""
        self._registered[agent.id] = agent

    async def get(self, caller: Caller, agent_id: str) -> Agent:
        """Return an agent. Raises `NotFound`."""
        agent = self._registered.get(agent_id)
        if agent is not None:
            return replace(agent, group_id=caller.group_id)
        try:
            return await self._store.get(AGENTS, caller.group_id, agent_id)
        except NotFound:
            raise NotFound(f"there is no agent {agent_id!r}") from None

    async def list(
        self, caller: Caller, *, limit: int, offset: int, tag: str | None = None, text: str | None = None
    ) -> Page[Agent]:
        """Return agents: those registered in Python first, then by time of creation."""
        code = [
            replace(agent, group_id=caller.group_id)
            for agent in self._registered.values()
            if (tag is None or tag in agent.tags) and (text is None or _mentions(agent, text))
        ]
        items = code[offset : offset + limit]
        stored = await self._store.find(
            AGENTS,
            caller.group_id,
            {"tags": tag} if tag is not None else None,
            text=text,
            limit=max(limit - len(items), 1),
            offset=max(offset - len(code), 0),
        )
        items += stored.items[: limit - len(items)]
        return Page(items=items, total=len(code) + stored.total)

    async def create(self, caller: Caller, agent: Agent) -> Agent:
        """Keep a new agent.

        Raises:
            AlreadyExists: the id is taken.
            Invalid: a bad id, an unknown provider or tool.
        """
        if not _SLUG.fullmatch(agent.id) or agent.id in RESERVED:
            raise Invalid(
                f"{agent.id!r} cannot be an agent id: use lower-case letters, digits, '-' and '_'", field="id"
            )
        if agent.id in self._registered:
            raise AlreadyExists(f"there is an agent {agent.id!r} already, registered in Python")
        await self.check(caller, provider=agent.provider, tools=agent.tools)
        try:
            made = await self._store.insert(AGENTS, agent)
        except AlreadyExists:
            raise AlreadyExists(f"there is an agent {agent.id!r} already") from None
        await self._keep_version(made)
        return made

    async def update(self, caller: Caller, agent_id: str, changes: dict[str, Any]) -> Agent:
        """Change some fields; each change is a new version."""
        self._refuse_code(agent_id)
        await self.check(caller, provider=changes.get("provider"), tools=changes.get("tools", ()))
        now = utc_now()

        def change(agent: Agent) -> Agent:
            changed = replace(agent, **changes)
            if changed == agent:
                return agent
            return replace(changed, version=agent.version + 1, updated_at=now)

        agent = await self._update(caller, agent_id, change)
        await self._keep_version(agent)
        return agent

    async def _update(self, caller: Caller, agent_id: str, change: Callable[[Agent], Agent]) -> Agent:
        try:
            return await self._store.update(AGENTS, caller.group_id, agent_id, change)
        except NotFound:
            raise NotFound(f"there is no agent {agent_id!r}") from None

    async def delete(self, caller: Caller, agent_id: str) -> None:
        """Delete an agent; its runs keep their snapshot.

        Raises:
            Conflict: it has live runs.
        """
        self._refuse_code(agent_id)
        await self.get(caller, agent_id)
        live = await self._store.list_runs(caller.group_id, RunFilter(agent_id=agent_id, statuses=LIVE), limit=1)
        if live.total:
            raise Conflict(f"the agent {agent_id!r} has {live.total} live runs; cancel them first")
        await self._store.delete(AGENTS, caller.group_id, agent_id)

    async def versions(self, caller: Caller, agent_id: str, *, limit: int, offset: int) -> Page[AgentVersion]:
        """Return the agent's versions, newest first."""
        agent = await self.get(caller, agent_id)
        if agent.source == "code":
            only = AgentVersion(
                id=f"{agent.id}@{agent.version}",
                group_id=caller.group_id,
                agent_id=agent.id,
                version=agent.version,
                agent=agent,
                created_at=agent.updated_at,
            )
            return Page(items=[only][offset : offset + limit], total=1)
        return await self._store.find(
            AGENT_VERSIONS,
            caller.group_id,
            {"agent_id": agent_id},
            limit=limit,
            offset=offset,
            newest_first=True,
        )

    async def check(self, caller: Caller, *, provider: str | None, tools: Iterable[str], at: str = "") -> None:
        """Refuse a provider or a tool that nobody here knows. `at` prefixes the field's name.

        Raises:
            Invalid: names the field.
        """
        if provider is not None and not self._providers.knows(provider):
            raise Invalid(f"there is no provider {provider!r}", field=f"{at}provider")
        wanted = list(tools)
        if not wanted:
            return
        found = await self._toolbox.find_all(caller.group_id, wanted)
        for name in wanted:
            tool = found.get(name)
            if isinstance(tool, ToolError):
                how = " Enable it first." if tool.code == "tool_disabled" else ""
                raise Invalid(f"{tool}{how}", field=f"{at}tools")
            if tool is None and not any(one.startswith(f"{name}.") for one in found):
                names = ", ".join(tool.name for tool in await self._toolbox.list(caller.group_id))
                raise Invalid(f"there is no tool {name!r}; known are {names}", field=f"{at}tools")

    async def check_modifications(self, caller: Caller, modifications: Mapping[str, Any]) -> None:
        """Refuse modifications that name a provider or tool that nobody here knows."""
        await self.check(
            caller,
            provider=modifications.get("provider"),
            tools=modifications.get("tools") or (),
            at="modifications.",
        )

    async def pin(self, caller: Caller, agent: Agent) -> AgentSnapshot:
        """Return what a run of the agent pins now: a stored model that it names is what its provider is asked.

        Agents made in Python name a provider's own model.
        """
        return agent.snapshot() if agent.source == "code" else await self.resolve(caller, agent.snapshot())

    async def resolve(self, caller: Caller, snapshot: AgentSnapshot) -> AgentSnapshot:
        """Return the snapshot with the stored model that it names, if there is one of that name."""
        try:
            stored = await self._store.get(MODELS, caller.group_id, snapshot.model)
        except NotFound:
            return snapshot
        return stored.apply(snapshot)

    async def _keep_version(self, agent: Agent) -> None:
        record = AgentVersion(
            id=f"{agent.id}@{agent.version}",
            group_id=agent.group_id,
            agent_id=agent.id,
            version=agent.version,
            agent=agent,
            created_at=agent.updated_at,
        )
        try:
            await self._store.insert(AGENT_VERSIONS, record)
        except AlreadyExists:
            return  # nothing was changed, or an agent of that id was deleted and made again

    def _refuse_code(self, agent_id: str) -> None:
        if agent_id in self._registered:
            raise Conflict(f"the agent {agent_id!r} is registered in Python; change it there")


def _mentions(agent: Agent, text: str) -> bool:
    return any(text.lower() in field.lower() for field in (agent.id, agent.name, agent.description))
