"""Presets and what is told from a model's name."""

import pytest

from agio.providers.presets import PRESETS, detect_preset, find_preset


def test_all_vendors_are_there():
    assert " ".join(PRESETS) == "openai anthropic gemini mistral groq deepseek openrouter ollama databricks vllm"


@pytest.mark.parametrize(("name", "found"), [("google", "gemini"), ("OpenAI ", "openai"), ("foo", None), ("", None)])
def test_find_by_name_or_alias(name: str, found: str | None):
    preset = find_preset(name)
    assert (preset and preset.name) == found


@pytest.mark.parametrize(
    ("model", "vendor", "rest"),
    [
        ("openai/gpt-4", "openai", "gpt-4"),
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("o3-mini", "openai", "o3-mini"),
        ("claude-opus-4-6", "anthropic", "claude-opus-4-6"),
        ("anthropic/claude-opus-4-6", "anthropic", "claude-opus-4-6"),
        ("Gemini-3-flash", "gemini", "Gemini-3-flash"),
        ("google/gemini-3-flash", "gemini", "gemini-3-flash"),
        ("mistral-large-latest", "mistral", "mistral-large-latest"),
        ("magistral-medium-latest", "mistral", "magistral-medium-latest"),
        ("groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("openrouter/auto", "openrouter", "openrouter/auto"),
        ("databricks-claude-sonnet", "databricks", "databricks-claude-sonnet"),
    ],
)
def test_vendor_is_told_from_the_model(model: str, vendor: str, rest: str):
    detected = detect_preset(model)
    assert detected is not None
    assert (detected[0].name, detected[1]) == (vendor, rest)


@pytest.mark.parametrize("model", ["llama3", "my-model", "acme/gpt", "openai/", "", "demo"])
def test_other_models_are_nobodys(model: str):
    assert detect_preset(model) is None


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_preset_can_be_reached(preset):
    assert preset.base_url or preset.base_url_names
    assert not (preset.base_url or "").endswith("/")
    assert preset.key_names
    assert preset.key_names[0] == f"AGIO_{preset.name.upper()}_API_KEY"


def test_context_window_is_a_hint_by_prefix():
    assert PRESETS["openai"].context_window("gpt-4o-mini") == 128_000
    assert PRESETS["openai"].context_window("unheard-of") is None
