"""The documentation's code blocks run as they stand."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.snippets import Snippet, read_snippets

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
SNIPPETS = [snippet for page in PAGES if page.is_file() for snippet in read_snippets(page, ROOT)]
START_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with an SQLite file of its own and the offline demo provider."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "agio.api.app:app", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment(XDG_DATA_HOME=str(folder)), stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_healthy(url, server, folder / "server.log")
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/api/health", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the server did not come up:\n{log.read_text()}")


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which `agio` and its command come from this checkout."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **more}


@pytest.mark.e2e
@pytest.mark.xdist_group("snippets")  # a later block goes on with the runs of an earlier one
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.place)
def test_snippet_runs(snippet: Snippet, tmp_path: Path, request: pytest.FixtureRequest):
    needs_server = snippet.language == "bash" or "AGIO_URL" in snippet.code
    own = {"XDG_DATA_HOME": str(tmp_path)}
    env = environment(**own, AGIO_URL=request.getfixturevalue("server_url")) if needs_server else environment(**own)
    command = [sys.executable, "-"] if snippet.language == "python" else ["bash", "-euo", "pipefail", "-s"]
    done = subprocess.run(
        command, input=snippet.code, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{snippet.place}\n{done.stdout}\n{done.stderr}"


def test_only_marked_blocks_are_found_and_lose_their_indentation(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nnot_tested\n```\n"
        "1. item\n\n"
        "    ```python test\n    if True:\n        print(1)\n    ```\n\n"
        "```bash test\ncurl $AGIO_URL\n```\n"
    )
    assert list(read_snippets(page, tmp_path)) == [
        Snippet(place="page.md:6", language="python", code="if True:\n    print(1)\n"),
        Snippet(place="page.md:11", language="bash", code="curl $AGIO_URL\n"),
    ]
