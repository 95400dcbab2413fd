"""Which worker processes of this machine are gone for certain, whatever their last beat says."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19
"""Places behind the name in `/proc/<pid>/stat`."""


def about_me() -> dict[str, str]:
    """Return what a worker says about itself with its beats.

    `machine` and `born` are there where the system tells them: which set of process ids `pid` is one of (a boot of
    a kernel, and a namespace of it), and when the process began.
    """
    about = {"host": socket.gethostname(), "pid": str(os.getpid())}
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").stat().st_ino
        born = _fields(os.getpid())[_STARTED]
    except (OSError, IndexError):
        return about
    return {**about, "machine": f"{boot}/{namespace}", "born": born}


def is_gone(about: Mapping[str, str], me: Mapping[str, str]) -> bool:
    """Say whether a worker's process is gone; False where that cannot be known from here."""
    if "machine" not in me or about.get("machine") != me["machine"]:
        return False
    pid = int(about["pid"])
    try:
        os.kill(pid, 0)
        fields = _fields(pid)
        return fields[_STATE] in ("Z", "X") or fields[_STARTED] != about["born"]
    except ProcessLookupError:
        return True
    except (OSError, IndexError):  # there is one that is hidden from us
        return False


def _fields(pid: int) -> list[str]:
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
