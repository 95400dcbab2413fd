"""The systemd units and the compose file name what exists; systemd itself checks the units where it is installed."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agio.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
IMAGES = [ROOT / "Dockerfile", *sorted((ROOT / "deploy" / "docker").iterdir())]
ANALYZE = shutil.which("systemd-analyze")


class _Unit(configparser.RawConfigParser):
    """A unit file; `Environment=` may stand in it many times."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False)
        self.read_string(path.read_text(encoding="utf-8"))
        self.variables = dict(re.findall(r"^Environment=(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(path: Path, tmp_path: Path):
    if ANALYZE is None:
        pytest.skip("SYSTEMD IS MISSING: the units were NOT checked by systemd-analyze")
    text = path.read_text(encoding="utf-8")
    here = re.sub(r"/opt/agio/\.venv/bin/\w+", sys.executable, text).replace("=/opt/agio", f"={ROOT}")
    copy = tmp_path / path.name
    copy.write_text(here, encoding="utf-8")
    done = subprocess.run([ANALYZE, "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.contract("P58")
def test_server_is_started_as_its_own_user_and_again_when_it_ends():
    unit = _Unit(ROOT / "deploy" / "systemd" / "agio.service")
    service = unit["Service"]
    assert (service["User"], service["Restart"]) == ("agio", "always")
    assert service["ExecStart"].split()[0].endswith("/bin/agio")
    assert service["ExecStart"].split()[1:] == ["serve"]
    settings = Settings(**{name.removeprefix("AGIO_").lower(): value for name, value in unit.variables.items()})
    assert settings.workers > 1
    assert int(service["TimeoutStopSec"]) > settings.drain_s + 20, "the drain, streams and the stop fit in"
    assert service["KillMode"] == "mixed", "the supervisor alone gets SIGTERM: it tells its workers"


@pytest.mark.contract("K49")
def test_unit_of_the_served_agent_is_as_documented():
    unit = _Unit(ROOT / "deploy" / "systemd" / "agio-example.service")
    service = unit["Service"]
    assert (service["User"], service["Restart"]) == ("www-data", "always")
    assert service["ExecStart"].endswith("python -m examples.serve_example")
    assert {"OPENROUTER_API_KEY", "SERPER_API_KEY"} <= unit.variables.keys()
    assert service["WorkingDirectory"]


def test_compose_stops_containers_after_their_runs_were_handed_over():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (graceful,) = re.findall(r"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN=(\d+)", dockerfile)
    assert int(graceful) > Settings().drain_s
    for name in ("agio", "agio-sqlite"):
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) > int(graceful)
    assert "?replicaSet=" in compose["services"]["agio"]["environment"]["AGIO_DATABASE_URL"]


@pytest.mark.parametrize(
    "path", [ROOT / "Dockerfile", *(ROOT / "deploy" / "docker").iterdir()], ids=lambda path: path.name
)
def test_image_is_built_from_files_that_are_there_and_get_in(path: Path):
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    text = path.read_text(encoding="utf-8")
    named = [part for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for part in line.split()[:-1]]
    assert named
    for name in named:
        place = ROOT / name
        assert place.exists() or name.startswith("frontend/"), name
        assert any(name.rstrip("/").startswith(top) for top in let_in), f"{name} is left out by .dockerignore"
    assert re.search(r"^USER agio$", text, re.MULTILINE), "it does not run as root"
