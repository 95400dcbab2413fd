"""Where settings come from: arguments, then the environment, then `.env`, then a config file, then defaults."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource

from agio.domain.errors import Invalid

PREFIX = "AGIO_"

PROVIDERS = ("anthropic", "databricks", "deepseek", "gemini", "groq", "mistral", "ollama", "openrouter", "vllm")
"""Each has `AGIO_<NAME>_API_KEY` and `AGIO_<NAME>_BASE_URL`, which the provider looks up itself."""

_READ_ELSEWHERE = frozenset(
    {
        *(f"{PREFIX}{name.upper()}_{what}" for name in PROVIDERS for what in ("API_KEY", "BASE_URL")),
        f"{PREFIX}URL",  # clients: which server to talk to
        f"{PREFIX}BASE_URL",
        f"{PREFIX}CRASH_AT",  # tests
        f"{PREFIX}FAULTS",
        f"{PREFIX}REQUIRE_MONGO",
    }
)

SECTIONS = ("server", "database", "models", "auth", "runs")
"""Headings that a config file may group its settings by."""

STORE_FIELDS = ("mongo_uri", "database_url")
"""One setting by two names: what a stronger layer says of either replaces what weaker ones say of both."""

EnvFile: TypeAlias = str | Path | None
Layer: TypeAlias = Literal["argument", "environment", ".env", "config file", "default"]


@dataclass(frozen=True, slots=True)
class Given:
    """A value as a layer gives it."""

    value: Any
    layer: Layer
    name: str
    """What it is called there: a variable, `server.port`, …"""


class LayeredSource(PydanticBaseSettingsSource):
    """All layers as one source, so that each value's origin can be told."""

    def __init__(self, settings_cls: type[BaseSettings], arguments: Mapping[str, Any], env_file: EnvFile) -> None:
        super().__init__(settings_cls)
        self._arguments = arguments
        self._env_file = env_file

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return one field's value, by the base class's contract."""
        given = self.resolve().get(field_name)
        return (given.value if given else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what is set, by field name."""
        return {field: given.value for field, given in self.resolve().items()}

    def resolve(self) -> dict[str, Given]:
        """Return what is set, each from its strongest layer.

        Raises:
            Invalid: a name that starts with `AGIO_` or stands in the config file is no setting; the
                file cannot be read.
        """
        names = variable_names(self.settings_cls)
        found: dict[str, Given] = {}
        by_key = {key: field for field, keys in names.items() for key in (field, *keys)}
        _add(found, {by_key.get(k, k): Given(v, "argument", by_key.get(k, k)) for k, v in self._arguments.items()})
        _add(found, _variables(names, dict(os.environ), "environment"))
        _add(found, _variables(names, read_env_file(self._env_file), ".env"))
        config_file = found.get("config_file")
        if config_file is not None:
            _add(found, _read_config(Path(str(config_file.value)), self.settings_cls))
        return found


def variable_names(settings_cls: type[BaseSettings]) -> dict[str, tuple[str, ...]]:
    """Return `{field: its variables}`, Agio's own name first."""
    return {name: tuple(_names(name, field)) for name, field in settings_cls.model_fields.items()}


def read_env_file(env_file: EnvFile) -> dict[str, str]:
    """Return the variables of a `.env` file, nothing when there is none."""
    if env_file is None:
        return {}
    source = DotEnvSettingsSource(BaseSettings, env_file=env_file, case_sensitive=True)
    return {name: value for name, value in source.env_vars.items() if value is not None}


def _names(name: str, field: FieldInfo) -> Iterator[str]:
    if isinstance(field.validation_alias, AliasChoices):
        yield from (choice for choice in field.validation_alias.choices if isinstance(choice, str))
    else:
        yield f"{PREFIX}{name.upper()}"


def _add(found: dict[str, Given], layer: Mapping[str, Given]) -> None:
    decided = any(name in found for name in STORE_FIELDS)
    for field, given in layer.items():
        if field not in found and not (decided and field in STORE_FIELDS):
            found[field] = given


def _variables(names: Mapping[str, tuple[str, ...]], variables: Mapping[str, str], layer: Layer) -> dict[str, Given]:
    """Return what variables say; a blank one counts as not set."""
    given = {name.upper(): value for name, value in variables.items() if value.strip()}
    ours = {name for own in names.values() for name in own}
    for name in given:
        if name.startswith(PREFIX) and name not in ours | _READ_ELSEWHERE:
            where = "in .env" if layer == ".env" else "in the environment"
            raise Invalid(f"{name} ({where}) is not a setting of Agio{_guess(name, ours)}", field=name)
    found = {
        field: Given(given[first[0]], layer, first[0])
        for field, own in names.items()
        if (first := [name for name in own if name in given])
    }
    if "mongo_uri" in found and not found.get("database_url", found["mongo_uri"]).name.startswith(PREFIX):
        del found["database_url"]  # a neighbour's name for the store gives way to Agio's own
    return found


def _read_config(path: Path, settings_cls: type[BaseSettings]) -> dict[str, Given]:
    fields = [name for name in settings_cls.model_fields if name != "config_file"]
    found: dict[str, Given] = {}
    for section, key, value in _flatten(path):
        label = f"{section}.{key}" if section else key
        field = next((name for name in (key, f"{section}_{key}") if name in fields), None)
        if field is None:
            raise Invalid(f"{label} in {path} is not a setting of Agio{_guess(key, fields)}", field=label)
        if field in found:
            raise Invalid(f"{path} sets {field} twice, as {found[field].name} and as {label}", field=label)
        if value is not None and value != "":
            found[field] = Given(value, "config file", label)
    return found


def _flatten(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield `(section or "", key, value)`."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"the config file {path} cannot be read: {error}", field="config_file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise Invalid(f"the config file {path} is not YAML{line}", field="config_file") from error
    if not isinstance(document, dict | None):
        raise Invalid(f"the config file {path} must be a mapping", field="config_file")
    for name, value in (document or {}).items():
        if name not in SECTIONS:
            yield "", str(name), value
        elif isinstance(value, dict):
            yield from ((name, str(key), inner) for key, inner in value.items())
        elif value is not None:
            raise Invalid(f"{name} in {path} must be a mapping", field=str(name))


def _guess(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
