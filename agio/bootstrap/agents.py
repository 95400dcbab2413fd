"""Agents from Python code become records of the engine: their models and tools become names."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from agio.domain.agents import Agent
from agio.domain.errors import Invalid
from agio.providers.demo import DemoProvider
from agio.providers.model import OpenAIModel
from agio.providers.presets import detect_preset, find_preset
from agio.providers.python import Function
from agio.providers.registry import ProviderRegistry
from agio.settings import Settings
from agio.tools import Tool

DEFAULT_ID = "assistant"

DEFAULT_PROMPT = (
    "You are a helpful assistant. Answer briefly. Use a tool where it gives a better answer than you could by "
    "yourself, and say so when you are not sure."
)

DEFAULT_TOOLS = ("calculator", "current_time", "http_get", "send_message")
"""`send_message` is there to try approvals with: a person approves each call, and it sends nothing."""


class DeclaredAgent(Protocol):
    """An agent as Python code declares it."""

    @property
    def id(self) -> str:
        """As requests name it."""
        ...

    @property
    def function(self) -> Function | None:
        """What answers in place of a model."""
        ...

    @property
    def model(self) -> OpenAIModel | str | None:
        """An endpoint's model, `provider/model`, or None: the installation's default."""
        ...

    @property
    def tool_objects(self) -> Sequence[Tool]:
        """The tools that it brings along."""
        ...

    def to_record(self, *, provider: str, model: str, at: datetime) -> Agent:
        """Return the record that the engine knows it by."""
        ...


def to_agent(agent: DeclaredAgent, registry: ProviderRegistry, now: datetime) -> Agent:
    """Return the agent's record, its endpoint made known to the registry.

    Raises:
        Invalid: nothing tells whose model it names.
    """
    if agent.function is not None:
        provider, model = registry.register_function(agent.id, agent.function)
    else:
        provider, model = resolve_model(agent.model, registry)
    return agent.to_record(provider=provider, model=model, at=now)


def resolve_model(model: OpenAIModel | str | None, registry: ProviderRegistry) -> tuple[str, str]:
    """Return provider and model.

    A text is `provider/model`, a provider's name alone, or a model's name: that of a known vendor, or of the
    default provider's when one is set up.

    Raises:
        Invalid: nothing tells whose model it is.
    """
    if isinstance(model, OpenAIModel):
        return registry.register_model(model), model.model_id
    if model is None:
        return registry.default()
    if registry.knows(model):
        return _provider_alone(model)
    name, slash, rest = model.partition("/")
    if slash and rest and find_preset(name) is None and registry.knows(name):
        return name, rest
    if detected := detect_preset(model):
        return detected[0].name, detected[1]
    provider, _ = registry.default()
    if provider == DemoProvider.name:
        raise Invalid(f"nothing tells whose model {model!r} is; write provider/model", field="model")
    return provider, model


def _provider_alone(name: str) -> tuple[str, str]:
    preset = find_preset(name)
    if preset is None:
        return name, name  # registered in Python, or the demo: its only model goes by its name
    if preset.default_model is None:
        raise Invalid(f"{name} has no default model; write {name}/model", field="model")
    return preset.name, preset.default_model


def default_agents(
    settings: Settings, registry: ProviderRegistry, known: Collection[Agent], now: datetime
) -> list[Agent]:
    """Return the agent that a fresh installation has; none when code brings the default one itself."""
    ids = {agent.id for agent in known}
    if DEFAULT_ID in ids or settings.default_agent in ids:
        return []
    provider, model = registry.default()
    searches = ("web_search",) if settings.serper_api_key else ()
    return [
        Agent(
            id=DEFAULT_ID,
            group_id="default",
            name="Assistant",
            description="Answers questions with the built-in tools.",
            provider=provider,
            model=model,
            system_prompt=DEFAULT_PROMPT,
            tools=(*DEFAULT_TOOLS, *searches),
            source="code",
            created_at=now,
            updated_at=now,
        )
    ]
