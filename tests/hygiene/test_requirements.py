"""The pinned versions are the ones that pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(name: str) -> dict[str, str]:
    """Return `{package: version}` of a requirements file and of those it includes."""
    found: dict[str, str] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            found |= pins(line[3:])
        elif pin := re.match(r"([\w.-]+)==([^;\s]+)", line):
            found[canonicalize_name(pin[1])] = pin[2]
        else:
            assert line.startswith("#"), f"{name}: not a pin: {line}"
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-dev.txt", [*EXTRAS["test"], *EXTRAS["dev"]]),
        ("requirements-docs.txt", EXTRAS["docs"]),
    ],
)
def test_pins_lie_within_the_ranges(name: str, wanted: list[str]):
    pinned = pins(name)
    for need in map(Requirement, wanted):
        if need.name != PROJECT["name"]:
            version = pinned.get(canonicalize_name(need.name))
            assert version, f"{name} does not pin {need.name}; run scripts.lock"
            assert version in need.specifier, f"{name}: {need.name}=={version} is outside {need.specifier}"


def test_files_that_are_installed_together_agree():
    run, dev, docs = pins("requirements.txt"), pins("requirements-dev.txt"), pins("requirements-docs.txt")
    for name in dev.keys() & docs.keys():
        assert dev[name] == docs[name], name
    assert run.items() <= dev.items()
