"""`agio db`: looks after the database by hand."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from agio.bootstrap import make_store
from agio.bootstrap.assembly import engine_settings
from agio.cli.output import fail, out, settings_or_fail
from agio.domain.errors import AgioError
from agio.domain.status import TERMINAL, RunStatus
from agio.engine.upkeep import collect_garbage, compact_runs, count_expired, count_uncompacted, delete_expired
from agio.settings import Settings, read_duration

app = typer.Typer(no_args_is_help=True, help="Look after the database.")

NOTHING = "nothing to do: give --older-than or --compact, or set AGIO_RETAIN_* or AGIO_COMPACT_AFTER"


@app.callback()
def db() -> None:
    """Look after the database."""


def _read_age(text: str) -> timedelta:
    try:
        age: timedelta = read_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return age


@app.command()
def prune(
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=_read_age, metavar="TIME", help="Delete runs that ended longer ago, such as 30d."),
    ] = None,
    status: Annotated[
        list[RunStatus] | None, typer.Option(help="With --older-than: only those that ended so; default: any.")
    ] = None,
    compact: Annotated[
        timedelta | None,
        typer.Option(parser=_read_age, metavar="TIME", help="Compact runs that ended longer ago, such as 1d."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete and compact ended runs, and collect what nobody refers to; servers may go on meanwhile.

    Without --older-than and --compact it does what AGIO_RETAIN_* and AGIO_COMPACT_AFTER say, at once.
    """
    settings = settings_or_fail(config_file=config.absolute() if config else None)
    ends = sorted(set(status or TERMINAL))
    if not set(ends) <= TERMINAL:
        fail(f"--status is one of {', '.join(sorted(TERMINAL))}: only ended runs are deleted")
    retain = dict.fromkeys(ends, older_than) if older_than is not None else {}
    if older_than is None and compact is None:
        kept = engine_settings(settings).upkeep
        retain, compact = dict(kept.retain), kept.compact_after
    if not retain and compact is None:
        fail(NOTHING)
    now = datetime.now(UTC)
    limits = {end: now - age for end, age in retain.items()}
    before = now - compact if compact is not None else None
    try:
        counts = asyncio.run(_look(settings, limits, before) if dry_run else _prune(settings, limits, before))
    except AgioError as error:
        fail(error)
    if as_json:
        out.print_json(json.dumps({"dry_run": dry_run, **counts}))
        return
    for what, count in counts.items():
        out.print(f"{count:>8}  {what.replace('_', ' ')}")


async def _look(settings: Settings, limits: dict[RunStatus, datetime], before: datetime | None) -> Mapping[str, int]:
    """Return what `_prune` would do."""
    store = make_store(settings)
    await store.open()
    try:
        expired = await count_expired(store, limits)
        needed = expired.pop("needed", 0)
        counts = {"runs_to_delete": expired.total(), "runs_that_others_need": needed}
        if before is not None:
            counts["runs_to_compact"] = await count_uncompacted(store, before)
        return counts
    finally:
        await store.close()


async def _prune(settings: Settings, limits: dict[RunStatus, datetime], before: datetime | None) -> Mapping[str, int]:
    store = make_store(settings)
    await store.open()
    try:
        deleted = 0
        # Once more after each success: a run may have been needed by one of another status.
        while fresh := sum([await _total(delete_expired(store, end, at)) for end, at in limits.items()]):
            deleted += fresh
        counts = {"runs_deleted": deleted}
        if before is not None:
            counts["runs_compacted"] = await _total(compact_runs(store, before))
        counts["unused_contents_found"] = await _total(collect_garbage(store))
        return counts
    finally:
        await store.close()


async def _total(work: AsyncGenerator[int, None]) -> int:
    return sum([count async for count in work])
