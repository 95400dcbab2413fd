"""Where the processes of one server put their metrics, so that any of them can answer for all.

A worker process of uvicorn and its siblings share a folder that is named after their supervisor; a process of its own
needs none. Prometheus' multiprocess mode keeps the numbers there, in files that are mapped into memory.
"""

import multiprocessing
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Who sets it chooses the folder, and empties it between starts."""
_PREFIX = f"agio-metrics-{os.getuid() if hasattr(os, 'getuid') else 0}-"


def metrics_folder() -> Path | None:
    """Return the folder of this process and its siblings, made if need be; None: it has no siblings."""
    named = os.environ.get(VARIABLE)
    if named:
        folder = Path(named)
    else:
        supervisor = multiprocessing.parent_process()
        if supervisor is None or supervisor.pid is None:
            return None
        parent = Path(tempfile.gettempdir())
        _remove_left(parent)
        folder = parent / f"{_PREFIX}{supervisor.pid}-{_started(supervisor.pid)}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def forget_dead(folder: Path) -> None:
    """Delete the gauges of processes that are gone; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _runs(int(pid)):
            file.unlink(missing_ok=True)


def _remove_left(parent: Path) -> None:
    """Delete the folders of supervisors that are gone."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        pid, _, started = folder.name.removeprefix(_PREFIX).partition("-")
        if pid.isdigit() and (not _runs(int(pid)) or _started(int(pid)) != started):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return what tells this process from an earlier one of the same id, where the system says it."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return "0"
