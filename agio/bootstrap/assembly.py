"""Builds an engine from settings, adapters and what Python code brings along."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agio.bootstrap.access import read_limit
from agio.bootstrap.agents import DeclaredAgent, default_agents, to_agent
from agio.domain.agents import Agent
from agio.domain.errors import AlreadyExists
from agio.domain.status import RunStatus
from agio.domain.tools import StoredTool
from agio.domain.webhooks import RetryPolicy
from agio.engine.caretaker import UpkeepSettings
from agio.engine.clock import utc_now
from agio.engine.dispatch import WebhookSettings
from agio.engine.engine import Engine
from agio.engine.observer import NOBODY, Observer
from agio.engine.quota import NO_QUOTA, Quota
from agio.engine.settings import EngineSettings
from agio.providers.base import Provider
from agio.providers.model import OpenAIModel
from agio.providers.registry import ProviderRegistry, ProviderSettings
from agio.security import LlmKeys, TokenQuota, Windows
from agio.settings import Settings, Variables
from agio.storage.port import TOOLS, Store, StoreSettings
from agio.tools import AddressPolicy, GuardedClient, NetworkPolicy, Tool, ToolRegistry, http_tool_maker
from agio.tools import tool as make_tool
from agio.tools.builtin import BuiltinToolSettings, builtin_tools
from agio.tools.mcp_source import McpServers


def make_store(settings: Settings) -> Store:
    """Return the store that the settings name, not opened yet."""
    store_settings = StoreSettings(url=settings.store_url)
    # Only the adapter that is used is imported: the other one's driver costs a fifth of a second.
    if settings.store_url.startswith("sqlite:"):
        from agio.storage.sqlite import SQLiteStore  # noqa: PLC0415

        return SQLiteStore(store_settings)
    from agio.storage.mongo import MongoStore  # noqa: PLC0415

    return MongoStore(store_settings)


def make_providers(settings: Settings, variables: Mapping[str, str] | None = None) -> ProviderRegistry:
    """Return the providers of a process.

    Args:
        variables: Where the vendors' variables are looked up; default: the environment over `.env`.
    """
    key = settings.openai_api_key
    return ProviderRegistry(
        ProviderSettings(
            env=Variables() if variables is None else variables,
            openai_api_key=key.get_secret_value() if key else None,
            openai_base_url=settings.openai_base_url,
            default_model=settings.default_model,
        )
    )


def make_network_policy(settings: Settings) -> NetworkPolicy:
    """Return where tools and webhooks may connect to."""
    allowed = AddressPolicy.allowing(settings.allow_hosts, allow_private=settings.allow_private_http)
    return NetworkPolicy(addresses=allowed)


def make_tools(settings: Settings, store: Store, tools: Iterable[Tool | Callable[..., Any]] = ()) -> ToolRegistry:
    """Return the tools of a process: those given, the built-in ones, and those that groups made over the API.

    A given tool takes the place of the built-in one of its name.

    Raises:
        AlreadyExists: two different tools have one name.
    """
    network = make_network_policy(settings)
    key = settings.serper_api_key
    builtin = BuiltinToolSettings(serper_api_key=key.get_secret_value() if key else None, network=network)
    by_name = {tool.name: tool for tool in builtin_tools(builtin)} | _by_name(tools)

    async def list_stored(group_id: str) -> Iterable[StoredTool]:
        return (await store.find(TOOLS, group_id)).items

    return ToolRegistry(
        by_name.values(),
        list_stored=list_stored,
        makers={"http": http_tool_maker(GuardedClient(network))},
        sources={"mcp": McpServers(GuardedClient(network), settings.mcp_commands)},
    )


def make_engine(
    settings: Settings,
    *,
    agents: Iterable[Agent | DeclaredAgent] = (),
    tools: Iterable[Tool | Callable[..., Any]] = (),
    providers: Iterable[Provider | OpenAIModel] = (),
    variables: Mapping[str, str] | None = None,
    observer: Observer = NOBODY,
) -> Engine:
    """Return an engine with its store closed and its worker at rest; see `running` and `Runtime`.

    Args:
        agents: Registered under their ids, with the tools and endpoints that they bring.
        tools: For every agent to name.
        providers: Known by their names; they come before the presets of the same name.
        variables: See `make_providers`.
        observer: Hears what the engine does.
    """
    declared = list(agents)
    registry = make_providers(settings, variables)
    for provider in providers:
        if isinstance(provider, OpenAIModel):
            registry.register_model(provider)
        else:
            registry.register(provider.name, provider)
    registry.prepare()
    store = make_store(settings)
    brought = [tool for agent in declared if not isinstance(agent, Agent) for tool in agent.tool_objects]
    toolbox = make_tools(settings, store, [*tools, *brought])
    now = utc_now()
    known = [agent if isinstance(agent, Agent) else to_agent(agent, registry, now) for agent in declared]
    all_agents = [*known, *default_agents(settings, registry, known, now)]
    quota = make_quota(settings, Windows(store))
    client = GuardedClient(make_network_policy(settings))
    kept = LlmKeys(store, settings.secret_keys, canonical=registry.canonical)
    return Engine(store, registry, toolbox, engine_settings(settings), all_agents, observer, quota, client, kept)


def make_quota(settings: Settings, windows: Windows) -> Quota:
    """Return what counts the groups' tokens, where the settings limit them."""
    every = read_limit(settings.group_tokens) if settings.group_tokens else None
    own = {name: read_limit(given.tokens) for name, given in settings.group_limits.items() if given.tokens}
    return TokenQuota(windows, every, own) if every or own else NO_QUOTA


def engine_settings(settings: Settings) -> EngineSettings:
    """Return the part of the settings that the engine needs."""
    retention = {
        RunStatus.COMPLETED: settings.retain_completed,
        RunStatus.FAILED: settings.retain_failed,
        RunStatus.CANCELLED: settings.retain_cancelled,
    }
    return EngineSettings(
        lease_s=settings.lease_s,
        local_takeover=settings.local_takeover,
        drain_s=settings.drain_s,
        runs_per_worker=settings.max_runs_per_worker,
        runs_per_group=settings.max_runs_per_group,
        runs_of_groups={name: own.runs for name, own in settings.group_limits.items() if own.runs is not None},
        on_restart=settings.on_restart,
        upkeep=UpkeepSettings(
            compact_after=settings.compact_after,
            retain={status: kept for status, kept in retention.items() if kept is not None},
        ),
        webhooks=WebhookSettings(
            retry=RetryPolicy(attempts=settings.webhook_attempts, base_s=settings.webhook_retry_s),
            timeout_s=settings.webhook_timeout_s,
        ),
    )


def _by_name(tools: Iterable[Tool | Callable[..., Any]]) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    for given in tools:
        tool = given if isinstance(given, Tool) else make_tool(given)
        other = found.setdefault(tool.name, tool)
        if other is not tool and not (_is_builtin(other) and _is_builtin(tool)):
            raise AlreadyExists(f"two different tools are named {tool.name!r}; give one of them another name")
    return found


def _is_builtin(tool: Tool) -> bool:
    """Say whether it is one of ours: two agents may each bring their own `WebSearchTool()`."""
    module = getattr(getattr(tool, "function", None), "__module__", "")
    return str(module).startswith("agio.tools.builtin.")
