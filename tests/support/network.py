"""Keep tests on this machine: a connection to any other address fails at once."""

import ipaddress
import socket
import sys
from typing import Any


class OutsideNetwork(RuntimeError):
    """A test tried to reach an address outside this machine."""


def forbid_outside_network() -> None:
    """Refuse, for the rest of this process, to connect to or look up anything but this machine.

    uvloop opens its connections below Python and is not seen here.
    """
    sys.addaudithook(_refuse_outside)


def _refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and args[0].family in (socket.AF_INET, socket.AF_INET6):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if not _is_here(host):
        raise OutsideNetwork(f"a test tried to reach {host!r}; tests use 127.0.0.1 only")


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(name))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
