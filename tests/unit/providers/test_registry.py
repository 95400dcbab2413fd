"""Which provider a name, a key or a URL gives."""

from typing import Any

import pytest

from agio.domain.errors import ProviderError
from agio.providers.base import Providers
from agio.providers.model import OpenAIModel
from agio.providers.openai_compatible import OpenAICompatibleProvider
from agio.providers.presets import PRESETS
from agio.providers.registry import ProviderRegistry, ProviderSettings
from agio.testing.openai_server import RunningServer
from agio.testing.provider import ScriptedProvider
from tests.unit.providers.calls import ask, collect, finish_of


def registry(env: dict[str, str] | None = None, **settings: Any) -> ProviderRegistry:
    return ProviderRegistry(ProviderSettings(env={} if env is None else env, **settings))


def made(providers: ProviderRegistry, name: str) -> OpenAICompatibleProvider:
    provider = providers.get(name)
    assert isinstance(provider, OpenAICompatibleProvider)
    return provider


def test_nothing_configured_means_the_demo():
    providers: Providers = registry()
    assert isinstance(providers, ProviderRegistry)
    assert providers.configured() == []
    assert providers.default() == ("demo", "demo")
    assert providers.get("demo").is_demo


@pytest.mark.parametrize(
    ("env", "settings", "default"),
    [
        ({"OPENAI_API_KEY": "k"}, {}, ("openai", PRESETS["openai"].default_model)),
        ({"OPENAI_API_KEY": ""}, {}, ("demo", "demo")),
        ({"OPENAI_API_KEY": "  "}, {"openai_api_key": ""}, ("demo", "demo")),
        ({}, {"openai_api_key": "k"}, ("openai", PRESETS["openai"].default_model)),
        ({}, {"openai_base_url": "http://localhost:1/v1", "default_model": "local"}, ("openai", "local")),
        ({"AGIO_OPENAI_BASE_URL": "http://localhost:1/v1"}, {}, ("openai", PRESETS["openai"].default_model)),
        ({"ANTHROPIC_API_KEY": "k"}, {}, ("anthropic", PRESETS["anthropic"].default_model)),
        ({"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}, {"default_model": "claude-x"}, ("anthropic", "claude-x")),
        ({"OPENAI_API_KEY": "k"}, {"default_model": "openai/gpt-4o"}, ("openai", "gpt-4o")),
        ({}, {"default_model": "gpt-4o"}, ("demo", "demo")),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1"}, {}, ("demo", "demo")),
    ],
)
def test_default_is_what_is_set_up(env: dict[str, str], settings: dict[str, str], default: tuple[str, str]):
    assert registry(env, **settings).default() == default


def test_configured_names_what_has_a_key_or_a_url():
    env = {"GOOGLE_API_KEY": "k", "MISTRAL_API_KEY": "", "VLLM_BASE_URL": "http://localhost:1", "DATABRICKS_TOKEN": "k"}
    assert registry(env).configured() == ["gemini", "vllm"]


def test_agio_names_win_over_the_vendors():
    env = {"OPENAI_API_KEY": "vendor", "AGIO_OPENAI_API_KEY": "agio"}
    assert made(registry(env), "openai")._key() == "agio"
    assert made(registry(env, openai_api_key="settings"), "openai")._key() == "settings"


def test_key_is_looked_up_at_every_call():
    env: dict[str, str] = {}
    provider = made(registry(env), "groq")
    assert provider._key() is None
    env["GROQ_API_KEY"] = "later"
    assert provider._key() == "later"


def test_a_provider_is_made_once_and_found_by_alias():
    providers = registry()
    assert providers.get("google") is providers.get("Gemini")
    assert providers.get("gemini").name == "gemini"


@pytest.mark.parametrize(
    ("env", "name", "url"),
    [
        (
            {"DATABRICKS_HOST": "adb-1.azuredatabricks.net"},
            "databricks",
            "https://adb-1.azuredatabricks.net/serving-endpoints",
        ),
        ({"VLLM_BASE_URL": "localhost:8001/"}, "vllm", "http://localhost:8001/v1"),
        ({"VLLM_BASE_URL": "http://gpu/v1"}, "vllm", "http://gpu/v1"),
        ({"AGIO_OPENAI_BASE_URL": "http://proxy/v1/"}, "openai", "http://proxy/v1"),
        ({}, "ollama", "http://localhost:11434/v1"),
    ],
)
def test_base_urls(env: dict[str, str], name: str, url: str):
    assert made(registry(env), name).base_url == url


@pytest.mark.parametrize("name", ["nobody", "vllm", "databricks", ""])
def test_unknown_or_homeless_provider_is_not_configured(name: str):
    with pytest.raises(ProviderError) as caught:
        registry().get(name)
    assert caught.value.code == "provider_not_configured"


async def test_missing_key_shows_when_called_unless_the_request_brings_one(server: RunningServer):
    providers = registry({"AGIO_ANTHROPIC_BASE_URL": server.url})
    provider = providers.get("anthropic")
    with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY") as caught:
        await collect(provider, ask())
    assert caught.value.code == "provider_not_configured"
    assert finish_of(await collect(provider, ask(api_key="sk-mine"))) == "stop"
    await providers.close()


async def test_server_in_the_house_needs_no_key_and_gets_max_tokens(server: RunningServer):
    providers = registry(openai_base_url=server.url)
    await collect(providers.get("openai"), ask(max_tokens=5))
    assert server.app.recorded[0].body["max_tokens"] == 5
    assert "authorization" not in server.app.recorded[0].headers
    await providers.close()


def test_knows_presets_aliases_the_demo_and_what_was_registered():
    providers = registry()
    providers.register("Mine", ScriptedProvider())
    assert [providers.knows(name) for name in ("openai", "google", "demo", "mine", "foo")] == [True] * 4 + [False]
    assert providers.configured() == ["mine"]


def test_registered_provider_takes_the_place_of_a_preset():
    providers, own = registry(), ScriptedProvider()
    providers.register("openai", own)
    assert providers.get("openai") is own


async def test_close_reaches_every_provider():
    providers, first, second = registry(), ScriptedProvider(), ScriptedProvider()
    providers.register("a", first)
    providers.register("a", second)
    providers.get("demo")
    await providers.close()
    assert first.was_closed
    assert second.was_closed


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (OpenAIModel(model_id="gpt-4o"), "openai"),
        (OpenAIModel(model_id="gpt-4o", api_key_env_var="OPENAI_API_KEY"), "openai"),
        (OpenAIModel(model_id="gpt-4o", api_key_env_var="TEAM_KEY"), "openai-team-key"),
        (
            OpenAIModel(model_id="x", base_url="https://openrouter.ai/api/v1/", api_key_env_var="OPENROUTER_API_KEY"),
            "openrouter",
        ),
        (OpenAIModel(model_id="x", base_url="http://localhost:8001/v1"), "localhost-8001"),
        (
            OpenAIModel(model_id="x", base_url="https://llm.acme.com/team/v1", api_key_env_var="K"),
            "llm.acme.com-team-k",
        ),
    ],
)
def test_model_in_python_has_a_stable_provider_name(model: OpenAIModel, name: str):
    providers = registry()
    assert providers.register_model(model) == name
    assert providers.register_model(model) == name
    assert providers.knows(name)
    assert providers.get(name).name == name


async def test_models_key_is_read_from_its_variable_at_call_time(server: RunningServer):
    env: dict[str, str] = {"OPENAI_API_KEY": "sk-not-this-one"}
    providers = registry(env)
    name = providers.register_model(OpenAIModel(model_id="fake", base_url=server.url, api_key_env_var="ACME_KEY"))
    with pytest.raises(ProviderError, match="ACME_KEY"):
        await collect(providers.get(name), ask())
    env["ACME_KEY"] = "sk-acme"
    await collect(providers.get(name), ask())
    assert [item.headers["authorization"] for item in server.app.recorded] == ["Bearer sk-acme"]
    await providers.close()


def test_settings_show_no_key():
    assert "secret" not in repr(ProviderSettings(env={"OPENAI_API_KEY": "secret"}, openai_api_key="secret"))
