"""`agio config`: what holds, and who said so."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from agio.cli.output import out, settings_or_fail, shown
from agio.settings import find_origins

app = typer.Typer(no_args_is_help=True, help="Look at the settings.")


@app.callback()
def config() -> None:
    """Look at the settings."""


@app.command()
def show(
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting with its value and its source; secrets are masked."""
    arguments = {"config_file": config.absolute() if config else None}
    settings = settings_or_fail(**arguments)
    origins = find_origins(**arguments)
    rows: dict[str, dict[str, Any]] = {
        name: {
            "value": shown(getattr(settings, name)),
            "source": origins[name].layer if name in origins else "default",
            "name": origins[name].name if name in origins else None,
        }
        for name in type(settings).model_fields
    }
    rows["store_url"] = {"value": shown(settings.store_url), "source": "in effect", "name": None}
    if as_json:
        out.print_json(json.dumps(rows))
        return
    table = Table("setting", "value", "source", box=None, pad_edge=False)
    for name, row in rows.items():
        source = row["source"] if row["name"] in (None, name) else f"{row['source']}: {row['name']}"
        text = "" if row["value"] is None else row["value"]
        table.add_row(name, text if isinstance(text, str) else json.dumps(text), source)
    out.print(table, markup=False)
