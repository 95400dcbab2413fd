"""What starting a server takes: uvicorn's options, a free port, the built UI."""

import errno
import itertools
import math
import multiprocessing
import os
import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from uvicorn import _subprocess

from agio.domain.errors import Conflict, Invalid
from agio.observability.logs import log_config
from agio.settings import Settings

APP = "agio.api.app:app"
"""Import string of the application: uvicorn takes no object where it starts processes of its own."""

PRELOAD = "agio.api.preload"
"""What is imported once for all worker processes."""

PROTOCOL = "agio.bootstrap.protocol:BoundedHttpProtocol"
"""Import string of the HTTP protocol."""

GRACE_S = 5
"""What streams get, beyond the drain, to end by themselves."""

_PACKAGE = Path(__file__).resolve().parents[1]


def server_options(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's options, for `uvicorn.run` or `uvicorn.Config`."""
    options: dict[str, Any] = {
        "http": PROTOCOL,
        "host": settings.host,
        "port": settings.port,
        "log_config": log_config(settings.log_level, settings.log_format),
        # Agio reads them itself (agio.api.forwarded), and must see who the peer was.
        "proxy_headers": False,
        # Longer than the drain, which runs while uvicorn waits for the streams.
        "timeout_graceful_shutdown": math.ceil(settings.drain_s) + GRACE_S,
        # Longer than clients and proxies (60 s in nginx) keep idle connections: who re-uses one that the server has
        # just closed gets an error that looks like a lost request.
        "timeout_keep_alive": 75,
        # At its default of 5 s the supervisor kills workers that are merely busy.
        "timeout_worker_healthcheck": 30,
    }
    if settings.reload:
        options["reload"] = True
    else:
        options["workers"] = settings.workers
    return options


def fork_workers() -> None:
    """Let uvicorn fork the workers that it starts from a process that has imported the program.

    A worker is there in a tenth of the time, and shares what it does not change. On systems without `fork` each worker
    starts from nothing, as always with uvicorn's own command.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", PRELOAD])
        _subprocess.spawn = context  # type: ignore[assignment]  # uvicorn offers no other way to say so


def worker_variables(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return `{variable: text}` that tell the processes which uvicorn starts what this one was told by argument."""
    return {f"AGIO_{name.upper()}": _said(value) for name, value in arguments.items() if value is not None}


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on now.

    Raises:
        Conflict: something else listens there.
        Invalid: it is no address of this machine, or not allowed to this user.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} on {host} is in use; stop what listens there, or choose another port"
            ) from error
        raise Invalid(f"cannot listen on {host} port {port}: {error.strerror or error}", field="port") from error


def is_local(host: str) -> bool:
    """Say whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_open(settings: Settings, host: str) -> None:
    """Refuse to serve whoever can reach a public address, unless that is asked for.

    Raises:
        Invalid: nobody is checked, and other machines could call.
    """
    if settings.accepts_anyone and not settings.allow_open and not is_local(host):
        raise Invalid(
            f"nothing says who may call, and every machine that reaches {host} could: set AGIO_API_KEYS or another way "
            "to check callers, or AGIO_ALLOW_OPEN=true, or listen on 127.0.0.1",
            field="allow_open",
        )


def uvicorn_host(arguments: Sequence[str], variables: Mapping[str, str]) -> str | None:
    """Return the address that uvicorn's own command was told to listen on; None: this is not that command.

    uvicorn does not tell its application.
    """
    program = Path(arguments[0]) if arguments else Path()
    if program.stem != "uvicorn" and program.parts[-2:] != ("uvicorn", "__main__.py"):
        return None
    host = variables.get("UVICORN_HOST", "127.0.0.1")
    for argument, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument == "--host":
            host = following
        elif argument.startswith("--host="):
            host = argument.partition("=")[2]
        elif argument in ("--uds", "--fd"):
            return None  # whoever opened the socket decides who can reach it
    return host


def find_ui() -> Path | None:
    """Return the folder of the built UI: the installed package's, or the checkout's; None when there is none."""
    for folder in (_PACKAGE / "ui", _PACKAGE.parent / "frontend" / "dist"):
        if (folder / "index.html").is_file():
            return folder
    return None


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
