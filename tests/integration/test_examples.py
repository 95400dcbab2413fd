"""The examples run as they stand."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import ROOT, Server, environment, serving

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("examples")]

EXAMPLES = ROOT / "examples"


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Return what the command printed; fail with all of it when it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, **variables), capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(["-m", "agio.cli", "serve"], tmp_path_factory.mktemp("server")) as started:
        started.wait_until_healthy()
        yield started


def test_quickstart_answers_without_a_server_and_leaves_nothing(tmp_path: Path):
    printed = run([sys.executable, str(EXAMPLES / "quickstart.py")], tmp_path, TMPDIR=str(tmp_path))
    assert "42" in printed
    assert "2 steps" in printed
    assert list(tmp_path.iterdir()) == []


def test_httpx_client_prints_the_answer_as_it_comes(server: Server, tmp_path: Path):
    assert "42" in run([sys.executable, str(EXAMPLES / "httpx_stream.py")], tmp_path, AGIO_URL=server.url)


def test_curl_commands_work(server: Server, tmp_path: Path):
    printed = run(["bash", str(EXAMPLES / "curl.sh")], tmp_path, AGIO_URL=server.url)
    assert "event: run_completed" in printed
    assert "event: run_cancelled" in printed
    assert '"parent_run_id"' in printed.rpartition("# fork")[2]


@pytest.mark.contract("K5", "K49")
def test_served_agent_answers_with_its_own_tool(tmp_path: Path):
    with serving(["-m", "examples.serve_example"], tmp_path) as started:
        started.wait_until_healthy()
        agents = httpx.get(f"{started.url}/api/agents").json()["items"]
        assert [agent["id"] for agent in agents] == ["barista"]
        body = {"agent_id": "barista", "message": "use price_of for tea", "stream": False}
        answer = httpx.post(f"{started.url}/api/chat", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        messages = httpx.get(f"{started.url}/api/runs/{answer.json()['run_id']}/messages").json()
        assert "price_of" in json.dumps(messages)


def test_every_example_is_tried_here():
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix} == {
        "curl.sh",
        "httpx_stream.py",
        "quickstart.py",
        "serve_example.py",
    }
