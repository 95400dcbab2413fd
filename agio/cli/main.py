"""`agio`: all commands."""

import json
from pathlib import Path
from typing import Annotated

import typer
from uvicorn.importer import import_from_string

from agio import __version__
from agio.cli import access, config, db, examples
from agio.cli.call import call
from agio.cli.doctor import doctor
from agio.cli.output import fail, out
from agio.cli.serve import dev, serve
from agio.domain.errors import AgioError

app = typer.Typer(
    name="agio",
    help="Run control for LLM agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(dev)
app.command()(doctor)
app.command()(call)
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.add_typer(examples.app, name="examples")
app.add_typer(access.users, name="user")
app.add_typer(access.keys, name="key")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run control for LLM agents: pause, resume, cancel, restore and fork durable runs."""


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__)


@app.command()
def openapi(
    output: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
) -> None:
    """Print the API's OpenAPI document."""
    try:
        create_app = import_from_string("agio.api.app:create_app")
        text = json.dumps(create_app().openapi(), indent=2, ensure_ascii=False)
    except AgioError as error:
        fail(error)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")
