"""`agio doctor`: looks whether this installation can work, and says what to do where it cannot."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from agio.bootstrap import find_ui, make_engine, make_providers
from agio.bootstrap.serving import check_port, is_local
from agio.cli.output import out
from agio.domain.errors import AgioError, NotFound
from agio.domain.ids import new_id
from agio.engine.caller import Caller
from agio.observability.logs import scrub
from agio.settings import Settings, load_settings

STORE_S = 15.0
"""How long the store may take to answer."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str


def doctor(
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, settings, store, provider, UI and port; exit with 1 when something does not work."""
    checks = list(_look(config))
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        out.print_json(json.dumps({"ok": not failed, "checks": [asdict(check) for check in checks]}))
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        for check in checks:
            out.print(f"[{colours[check.status]}]{check.status:<5}[/]{check.name:<10}", end="")
            out.print(check.detail, markup=False)
    if failed:
        raise typer.Exit(1)


def _look(config: Path | None) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok" if sys.version_info >= (3, 11) else "fail", version)
    try:
        settings = load_settings(config_file=config.absolute() if config else None)
    except AgioError as error:
        yield Check("settings", "fail", scrub(str(error)))
        return
    yield Check("settings", "ok", "no unknown names, all values valid")
    yield from asyncio.run(_check_store(settings))
    yield _check_provider(settings)
    yield _check_ui()
    yield _check_port(settings)
    yield _check_access(settings)


async def _check_store(settings: Settings) -> list[Check]:
    """Open the store, which checks its schema, then write and read."""
    where = scrub(settings.store_url)
    found: list[Check] = []
    try:
        engine = make_engine(settings)
        store, worker_id = engine.store, f"doctor-{new_id()}"
        async with asyncio.timeout(STORE_S):
            await store.open()
            try:
                await store.beat(worker_id, {"host": "doctor"})
                await store.retire(worker_id)
                found.append(Check("store", "ok", f"{where}: reachable, writable, schema fits"))
                try:
                    await engine.agents.get(Caller(), settings.default_agent)
                except NotFound as error:
                    found.append(Check("agent", "warn", f"AGIO_DEFAULT_AGENT: {error}"))
                else:
                    found.append(Check("agent", "ok", f"{settings.default_agent!r} answers by default"))
            finally:
                await store.close()
    except TimeoutError:
        found.append(Check("store", "fail", f"{where}: no answer within {STORE_S:g} s"))
    except AgioError as error:
        found.append(Check("store", "fail", f"{where}: {scrub(str(error))}"))
    return found


def _check_provider(settings: Settings) -> Check:
    registry = make_providers(settings)
    ready = registry.configured()
    provider, model = registry.default()
    if not ready:
        return Check("provider", "warn", "no key is set: the offline demo model answers; set AGIO_OPENAI_API_KEY")
    if provider not in ready:
        return Check("provider", "warn", f"{', '.join(ready)} set up, but without a default model: the demo answers")
    return Check("provider", "ok", f"{', '.join(ready)} set up; {model} of {provider} answers by default")


def _check_ui() -> Check:
    folder = find_ui()
    if folder is None:
        return Check("ui", "warn", "not built; run: make ui")
    return Check("ui", "ok", f"built, in {folder}")


def _check_port(settings: Settings) -> Check:
    try:
        check_port(settings.host, settings.port)
    except AgioError as error:
        return Check("port", "fail", str(error))
    return Check("port", "ok", f"{settings.host} port {settings.port} is free")


def _check_access(settings: Settings) -> Check:
    if not settings.accepts_anyone:
        return Check("access", "ok", "callers are checked")
    if is_local(settings.host):
        return Check("access", "ok", "anyone on this machine may call; no other machine can")
    if not settings.allow_open:
        return Check(
            "access", "fail", f"the server does not start on {settings.host} without AGIO_API_KEYS or the like"
        )
    return Check("access", "warn", f"anyone who can reach {settings.host} may call")
