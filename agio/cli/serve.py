"""`agio serve` and `agio dev`."""

import asyncio
import os
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from agio.bootstrap import find_ui, make_providers, make_store
from agio.bootstrap.serving import APP, check_open, check_port, fork_workers, is_local, server_options, worker_variables
from agio.cli.output import fail, note, out, settings_or_fail
from agio.domain.errors import AgioError, StoreUnavailable
from agio.settings import Settings

PROBE_S = 2.0
"""How long a start waits for a database before it goes on without."""

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="TCP port to listen on.")]
Workers = Annotated[int | None, typer.Option(help="Number of server processes.")]
Reload = Annotated[bool | None, typer.Option("--reload/--no-reload", help="Start over when a source file changes.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with settings; variables win over it.")]
LogLevel = Annotated[str | None, typer.Option(help="critical, error, warning, info, debug or trace.")]
Open = Annotated[bool, typer.Option("--open", help="Open the UI in a browser.")]


def serve(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    reload: Reload = None,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Start the server. Order of settings: these options, AGIO_* variables, .env, the config file, defaults."""
    arguments = _arguments(host=host, port=port, workers=workers, reload=reload, config=config, log_level=log_level)
    _start(settings_or_fail(**arguments), arguments)


def dev(
    host: Host = None, port: Port = None, config: Config = None, log_level: LogLevel = None, open: Open = False
) -> None:
    """Start a development server: one process that starts over when a source file changes."""
    arguments = _arguments(host=host, port=port, workers=1, reload=True, config=config, log_level=log_level)
    settings = settings_or_fail(**arguments)
    _check_port(settings)
    _announce(settings)
    if open:
        threading.Thread(target=_open_when_up, args=(_base_url(settings),), daemon=True).start()
    _start(settings, arguments)


def _arguments(*, config: Path | None, **given: Any) -> dict[str, Any]:
    # Absolute, since it is read again by each process.
    return {**given, "config_file": config.absolute() if config else None}


def _start(settings: Settings, arguments: dict[str, Any]) -> None:
    """Run the server until it is stopped. What was said by option reaches its processes as variables."""
    _check_port(settings)
    if settings.reload and settings.workers > 1:
        note("reload works with one process; the number of workers is ignored")
    _check_open(settings)
    asyncio.run(_probe_store(settings))
    os.environ.update(worker_variables(arguments))
    if settings.preload:
        fork_workers()
    uvicorn.run(APP, **server_options(settings))


def _check_port(settings: Settings) -> None:
    try:
        check_port(settings.host, settings.port)
    except AgioError as error:
        fail(error)


def _check_open(settings: Settings) -> None:
    try:
        check_open(settings, settings.host)
    except AgioError as error:
        fail(error)
    if settings.accepts_anyone and not is_local(settings.host):
        note(f"everyone who can reach {settings.host} port {settings.port} may use this server")


async def _probe_store(settings: Settings) -> None:
    """Say in one line what no later attempt can mend; a database that is away may come."""
    try:
        store = make_store(settings)
        async with asyncio.timeout(PROBE_S):
            await store.open()
        await store.close()
    except TimeoutError:
        note("the database has not answered yet; the server starts without it")
    except StoreUnavailable as error:
        note(f"the database cannot be reached now ({error}); the server starts and keeps trying")
    except AgioError as error:
        fail(error)


def _announce(settings: Settings) -> None:
    base = _base_url(settings)
    out.print(f"  UI    {base}/ui/" + ("" if find_ui() else "   (not built yet: make ui)"))
    out.print(f"  Docs  {base}/docs")
    out.print(f"  API   {base}/api")
    if not make_providers(settings).configured():
        out.print("  No model is set up: the offline demo model answers. Set AGIO_OPENAI_API_KEY for a real one.")


def _base_url(settings: Settings) -> str:
    host = "localhost" if settings.host in ("0.0.0.0", "::", "127.0.0.1") else settings.host  # noqa: S104 - compared
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _open_when_up(base: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{base}/api/health", timeout=2).close()  # noqa: S310 - our own address
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            webbrowser.open(f"{base}/ui/")
            return
