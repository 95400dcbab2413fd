"""`.env.example` names every setting, and nothing that is not one."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENT = re.compile(r"^#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)

#: Variables that the neighbours' documents name (appendix D of the contract); they must be explained too.
NEIGHBOURS = {
    "OPENROUTER_API_KEY",
    "SERPER_API_KEY",
    "API_KEY",
    "FIREFLY_GENAI_AUTH_API_KEYS",
    "FIREFLY_GENAI_AUTH_BEARER_TOKENS",
    "AIPARTNERUPFLOW_HOST",
    "AIPARTNERUPFLOW_PORT",
    "AIPARTNERUPFLOW_DATABASE_URL",
    "AIPARTNERUPFLOW_JWT_SECRET",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "DOCS_ENABLED",
}

TEXT = (ROOT / ".env.example").read_text(encoding="utf-8")
LISTED = [name for name in ASSIGNMENT.findall(TEXT) if name.startswith("AGIO_")]


@pytest.fixture(scope="module")
def read() -> set[str]:
    """The environment variables that the settings read."""
    try:
        settings = importlib.import_module("agio.settings").Settings
    except ModuleNotFoundError as error:
        if error.name not in ("agio", "agio.settings"):
            raise
        pytest.skip("agio.settings is not there yet")
    prefix = settings.model_config.get("env_prefix", "")
    return {
        variable
        for name, field in settings.model_fields.items()
        for variable in _variables(field.validation_alias, default=f"{prefix}{name}".upper())
    }


def _variables(alias: Any, *, default: str) -> set[str]:
    if isinstance(alias, AliasChoices):
        return {choice.upper() for choice in alias.choices if isinstance(choice, str)}
    return {alias.upper() if isinstance(alias, str) else default}


def test_each_setting_is_listed_once():
    assert len(LISTED) == len(set(LISTED))


def test_each_listed_setting_is_read(read: set[str]):
    assert set(LISTED) <= read, "not a field of Settings"


def test_each_setting_is_listed(read: set[str]):
    assert {name for name in read if name.startswith("AGIO_")} <= set(LISTED), "add it to .env.example"


def test_each_name_of_a_neighbour_is_explained():
    assert set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", TEXT)) >= NEIGHBOURS


def test_everything_is_commented_out():
    assert [line for line in TEXT.splitlines() if line and not line.startswith("#")] == []
