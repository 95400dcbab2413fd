"""How the commands talk: one line for an error, and never a secret."""

from typing import Any, NoReturn

import typer
from pydantic import BaseModel, SecretStr
from rich.console import Console

from agio.domain.errors import AgioError
from agio.observability.logs import scrub
from agio.settings import Settings, load_settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(reason: object) -> NoReturn:
    """Print one line and exit with code 1."""
    text = " ".join(scrub(str(reason)).split())
    err.print(f"[red]agio:[/] {_literal(text)}")
    raise typer.Exit(1)


def note(text: str) -> None:
    """Print one line that is no error."""
    err.print(f"[yellow]note:[/] {_literal(scrub(text))}")


def settings_or_fail(**arguments: Any) -> Settings:
    """Return the settings, or print what is wrong with them and exit with code 1."""
    try:
        return load_settings(**arguments)
    except AgioError as error:
        fail(error)


def shown(value: Any) -> Any:
    """Return a setting's value as it may be seen: secrets as `***`, passwords cut out of URLs."""
    match value:
        case None | bool() | int() | float():
            return value
        case SecretStr():
            return "***" if value.get_secret_value() else None
        case BaseModel():
            return {name: shown(getattr(value, name)) for name in type(value).model_fields}
        case dict():
            return {name: shown(inner) for name, inner in value.items()}
        case list() | tuple():
            return [shown(inner) for inner in value]
        case _:
            return scrub(str(value))


def _literal(text: str) -> str:
    """Keep what looks like rich's markup as it is."""
    return text.replace("[", r"\[")
