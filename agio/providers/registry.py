"""Finds and makes providers: the presets, the demo, and those registered in Python."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agio.domain.agents import PYTHON
from agio.domain.errors import ProviderError
from agio.providers.base import Provider
from agio.providers.demo import DemoProvider
from agio.providers.model import OpenAIModel
from agio.providers.presets import PRESETS, Preset, Quirks, detect_preset, find_preset, is_openai
from agio.providers.python import Function, PythonProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What the registry needs to know."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where the presets' variables are looked up, at every call; empty values count as unset."""
    openai_api_key: str | None = field(default=None, repr=False)
    """Wins over the variables of `env`."""
    openai_base_url: str | None = None
    """Wins over the variables of `env`."""
    default_model: str | None = None
    """For agents that name none; its prefix may name the provider (`anthropic/claude-…`)."""
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 120.0
    """Longest silence of an endpoint."""
    demo_delay_s: float = 0.015
    """Pause of the demo model after every word."""


class ProviderRegistry:
    """All providers of a process; makes each when it is first asked for."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._made: dict[str, Provider] = {}
        self._registered: dict[str, Provider] = {}
        self._replaced: list[Provider] = []

    def register(self, name: str, provider: Provider | OpenAIModel) -> str:
        """Make a provider known under a name, in place of what had that name; return the name."""
        if isinstance(provider, OpenAIModel):
            provider = self._make_for_model(name, provider)
        name = name.strip().lower()
        if before := self._registered.pop(name, None):
            self._replaced.append(before)
        self._registered[name] = provider
        return name

    def register_model(self, model: OpenAIModel) -> str:
        """Make the model's endpoint known; return its provider's name, for agents to name."""
        name = model.provider_name
        if name not in PRESETS and name not in self._registered:
            self.register(name, model)
        return name

    def register_function(self, name: str, function: Function) -> tuple[str, str]:
        """Make an agent's function known; return provider and model, for the agent to name."""
        provider = self._registered.get(PYTHON)
        if not isinstance(provider, PythonProvider):
            provider = PythonProvider()
            self.register(PYTHON, provider)
        provider.add(name, function)
        return PYTHON, name

    def get(self, name: str) -> Provider:
        """Return the provider.

        A missing key shows when it is called, not here: a request may bring its own.

        Raises:
            ProviderError: code `provider_not_configured`, when there is none of that name or its
                endpoint is not known.
        """
        key = self.canonical(name)
        provider = self._registered.get(key) or self._made.get(key)
        if provider is None:
            provider = self._made[key] = self._make(key)
        return provider

    def knows(self, name: str) -> bool:
        """Say whether there is a provider of that name, configured or not."""
        key = self.canonical(name)
        return key in self._registered or key in PRESETS or key == DemoProvider.name

    def configured(self) -> list[str]:
        """Return the names of the real models' providers that are set up here, presets first.

        A preset is set up when it has a key, or was given a base URL and needs no key.
        """
        presets = [name for name, preset in PRESETS.items() if self._is_set_up(preset)]
        own = [name for name, provider in self._registered.items() if not provider.is_demo]
        return list(dict.fromkeys([*presets, *own]))

    def default(self) -> tuple[str, str]:
        """Return provider and model for agents that name none.

        OpenAI when it is set up, else the first preset that is, else the demo.
        """
        wanted = self._settings.default_model
        ready = [name for name in self.configured() if name in PRESETS]
        if wanted and (detected := detect_preset(wanted)) and detected[0].name in ready:
            return detected[0].name, detected[1]
        for name in ready:
            if model := wanted or PRESETS[name].default_model:
                return name, model
        return DemoProvider.name, DemoProvider.model

    def prepare(self) -> None:
        """Make the default's provider now: its client is half a second of imports, for which a first run would wait."""
        self.get(self.default()[0])

    async def close(self) -> None:
        """Close every provider that was made or registered."""
        providers = [*self._made.values(), *self._registered.values(), *self._replaced]
        self._made.clear()
        self._replaced.clear()
        for provider in providers:
            await provider.close()

    def canonical(self, name: str) -> str:
        """Return the one name of a provider that has several; of an unknown one its own, in lower case."""
        key = name.strip().lower()
        preset = find_preset(key)
        return preset.name if preset and key not in self._registered else key

    def detect(self, model: str) -> tuple[str, str] | None:
        """Return whose model it is and its name there; registered providers are known by their prefix."""
        vendor, slash, rest = model.partition("/")
        if slash and rest and self.canonical(vendor) in {*self._registered, DemoProvider.name}:
            return self.canonical(vendor), rest
        found = detect_preset(model)
        return (found[0].name, found[1]) if found else None

    def _make(self, name: str) -> Provider:
        if name == DemoProvider.name:
            return DemoProvider(delay_s=self._settings.demo_delay_s)
        preset = PRESETS.get(name)
        if preset is None:
            known = ", ".join(sorted({*PRESETS, *self._registered, DemoProvider.name}))
            raise ProviderError(f"there is no provider {name!r}; known are {known}", code="provider_not_configured")
        base_url = self._base_url(preset)
        if base_url is None:
            raise ProviderError(
                f"{name} has no base URL: set {' or '.join(preset.base_url_names)}",
                code="provider_not_configured",
            )
        quirks = preset.quirks
        if name == "openai" and not is_openai(base_url):
            quirks = Quirks()  # some other server behind OpenAI's name; most know `max_tokens` only
        return self._provider(
            name,
            base_url,
            lambda: self._key(preset),
            preset.key_names,
            needs_key=not self._serves_without_key(preset),
            quirks=quirks,
        )

    def _make_for_model(self, name: str, model: OpenAIModel) -> Provider:
        preset, variable = model.preset, model.api_key_env_var
        names = (variable,) if variable else preset.key_names if preset else ()
        base_url = model.base_url or (preset and self._base_url(preset)) or ""
        return self._provider(
            name,
            base_url,
            lambda: _first(self._settings.env, names),
            names,
            needs_key=bool(variable) or (preset is not None and preset.needs_key),
            quirks=preset.quirks if preset else Quirks(),
        )

    def _provider(
        self,
        name: str,
        base_url: str,
        key: Callable[[], str | None],
        key_names: tuple[str, ...],
        *,
        needs_key: bool,
        quirks: Quirks,
    ) -> Provider:
        # Only where a real model is set up: importing the client costs half a second.
        from agio.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

        return OpenAICompatibleProvider(
            name,
            base_url,
            key=key,
            key_names=key_names,
            needs_key=needs_key,
            quirks=quirks,
            connect_timeout_s=self._settings.connect_timeout_s,
            read_timeout_s=self._settings.read_timeout_s,
        )

    def _is_set_up(self, preset: Preset) -> bool:
        if self._base_url(preset) is None:
            return False
        if self._key(preset):
            return True
        return self._given_base_url(preset) is not None and self._serves_without_key(preset)

    def _serves_without_key(self, preset: Preset) -> bool:
        # AGIO_OPENAI_BASE_URL mostly names a server in the house; those rarely have keys.
        moved = self._given_base_url(preset)
        elsewhere = preset.name == "openai" and moved is not None and not is_openai(moved)
        return elsewhere or not preset.needs_key

    def _key(self, preset: Preset) -> str | None:
        own = self._settings.openai_api_key if preset.name == "openai" else None
        return own or _first(self._settings.env, preset.key_names)

    def _base_url(self, preset: Preset) -> str | None:
        return self._given_base_url(preset) or preset.base_url

    def _given_base_url(self, preset: Preset) -> str | None:
        own = self._settings.openai_base_url if preset.name == "openai" else None
        given = own or _first(self._settings.env, preset.base_url_names)
        return _complete(given, preset.base_url_suffix) if given else None


def _first(env: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((value for name in names if (value := env.get(name, "").strip())), None)


def _complete(url: str, suffix: str) -> str:
    """Add what people leave out: the scheme (`DATABRICKS_HOST` often has none), the path."""
    url = url.rstrip("/")
    if "://" not in url:
        local = url.startswith(("localhost", "127.", "[::1]"))
        url = f"{'http' if local else 'https'}://{url}"
    return url if urlsplit(url).path else url + suffix
