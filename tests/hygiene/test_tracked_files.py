"""Files say nothing about the machine or the network they were written on."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Written in pieces, so that this file passes its own test.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "yarnpkg" + ".com",
    "deb.debian" + ".org",
    "crates" + ".io",
    "proxy.golang" + ".org",
]
REGISTRY_OPTIONS = ["--index" + "-url", "--extra-index" + "-url", "--find" + "-links", "--trusted" + "-host"]

FORBIDDEN = {
    "a registry's host": re.compile("|".join(map(re.escape, REGISTRY_HOSTS))),
    "a registry option": re.compile("|".join(map(re.escape, REGISTRY_OPTIONS))),
    "a machine's path": re.compile(r"(?<![\w.~$}-])/(?:work|root|home/\w+|Users/\w+)/"),
}


def tracked_files() -> list[Path]:
    """Return the files that git has or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    return [ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]


def findings(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        for number, line in enumerate(text.splitlines(), start=1):
            yield from (
                f"{path}:{number}: {what}: {found.group()}"
                for what, pattern in FORBIDDEN.items()
                if (found := pattern.search(line))
            )


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    found = list(findings(tracked_files()))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("https://files.python" + "hosted.org/x", 1),
        ("db = '/home" + "/ann/agio.db'", 1),
        ("cd /ro" + "ot/agio && make", 1),
        ("GET /api/homework/1", 0),
        ("sqlite:////data/agio.db", 0),
        ("frontend/work/item.ts", 0),
    ],
)
def test_findings_are_exact(tmp_path: Path, line: str, count: int):
    (tmp_path / "file.txt").write_text(line)
    assert len(list(findings([tmp_path / "file.txt"]))) == count
