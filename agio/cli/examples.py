"""`agio examples`: the example records."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agio.bootstrap import make_engine
from agio.cli.output import fail, out, settings_or_fail
from agio.domain.errors import AgioError
from agio.engine.examples import make_examples
from agio.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Make the example records.")


@app.callback()
def examples() -> None:
    """Make the example records."""


@app.command()
def init(
    force: Annotated[bool, typer.Option("--force", help="Make them anew, those that were changed too.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
) -> None:
    """Make the examples that are not there: task trees of the default group. Other records are left alone."""
    settings = settings_or_fail(config_file=config.absolute() if config else None)
    try:
        made = asyncio.run(_init(settings, force=force))
    except AgioError as error:
        fail(error)
    out.print(f"made {made} example task trees")


async def _init(settings: Settings, *, force: bool) -> int:
    engine = make_engine(settings)
    await engine.store.open()
    try:
        return await make_examples(engine.store, engine.task_trees, force=force)
    finally:
        await engine.store.close()
