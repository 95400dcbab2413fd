"""Loads settings, and tells where each one came from."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from agio.domain.errors import Invalid
from agio.settings.fields import Settings
from agio.settings.layers import EnvFile, Given, LayeredSource, read_env_file

ENV_FILE = ".env"


def load_settings(*, env_file: EnvFile = ENV_FILE, **arguments: Any) -> Settings:
    """Return the settings of this process.

    Args:
        env_file: Read below the environment; None: none.
        arguments: Fields by name; they win over everything else. None counts as not given.

    Raises:
        Invalid: something is wrong; the message names the variable, never a value that may be secret.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings(**{"_env_file": env_file, **given})
    except ValidationError as error:
        origins = find_origins(env_file=env_file, **given)
        message = "; ".join(_describe(error, origins))
    raise Invalid(message)


def find_origins(*, env_file: EnvFile = ENV_FILE, **arguments: Any) -> dict[str, Given]:
    """Return what is set and by whom, by field; a field that is not there has its default."""
    given = {name: value for name, value in arguments.items() if value is not None}
    return LayeredSource(Settings, given, env_file).resolve()


class Variables(Mapping[str, str]):
    """The environment over a `.env` file, as it is at each look-up; blank values count as not set."""

    def __init__(self, env_file: EnvFile = ENV_FILE) -> None:
        self._file = {name: value for name, value in read_env_file(env_file).items() if value.strip()}

    def __getitem__(self, name: str) -> str:
        value = os.environ.get(name, "")
        return value if value.strip() else self._file[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*os.environ, *self._file)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return "Variables(…)"  # they hold keys


def _describe(error: ValidationError, origins: Mapping[str, Given]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        text = problem["msg"].removeprefix("Value error, ")
        # Of alternatives pydantic names the kinds too, at length; people know the field.
        field, *inside = (part for one in problem["loc"] or [""] if len(part := str(one)) <= 40 or "[" not in part)
        name = origins[field].name if field in origins else field
        place = ".".join([name, *inside])
        yield f"{place}: {text[:1].lower()}{text[1:]}" if place else text
