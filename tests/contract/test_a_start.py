"""How Agio's own document has it installed, started and put into an image (seed items A6, A8, A46, A50)."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.server import ROOT, free_port, serving

NAMED = {"fastapi", "uvicorn", "sse-starlette"}


@pytest.mark.contract("A6")
def test_requirements_hold_what_the_install_line_names():
    pinned = {line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert pinned >= NAMED
    assert {Requirement(line).name for line in project["dependencies"]} >= NAMED


@pytest.mark.contract("A8")
@pytest.mark.e2e
def test_uvicorn_starts_the_import_string_with_reload(tmp_path: Path):
    port = free_port()
    command = ["-m", "uvicorn", "agio.api.app:app", "--reload", "--port", str(port)]
    with serving(command, tmp_path, port=port) as server:
        server.wait_until_healthy()
        server.stop()
    assert "Started reloader process" in server.log.read_text()


@pytest.mark.contract("A46")
def test_dockerfile_is_the_documented_one():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    last = text[text.rindex("\nFROM ") + 1 :]
    assert last.startswith("FROM python:3.11-slim\n")
    places = [
        re.search(pattern, last, re.MULTILINE)
        for pattern in (
            r"^COPY requirements\.txt ",
            r"^RUN pip install --no-cache-dir -r requirements\.txt$",
            r"^COPY .*wheels",
            r"^EXPOSE 8000$",
            r'^CMD \["uvicorn", "agio\.api\.app:app", "--host", "0\.0\.0\.0", "--port", "8000"',
        )
    ]
    begins = [place.start() for place in places if place is not None]
    assert len(begins) == len(places), places
    assert begins == sorted(begins), "in the documented order, for layers that are kept"


@pytest.mark.contract("A50")
def test_what_the_document_calls_the_next_steps_is_there():
    assert (ROOT / "agio/api/DESIGN.md").read_text(encoding="utf-8").startswith("# ")
    assert '"react"' in (ROOT / "frontend/package.json").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in ("DESIGN.md", "docs/ui.md", "docs/access.md"):
        assert f"]({page})" in readme, page
        assert (ROOT / page).is_file()
