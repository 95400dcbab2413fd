"""A real Chromium without a window, told by its debugging protocol to run a script in a page."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S = 60.0

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (.ci/run with CI_BROWSER=1 installs it)")


@dataclass(slots=True)
class Page:
    """One page, at an address of the server that it shall call or at another one."""

    connection: ClientConnection
    count: int = 0

    def run(self, script: str) -> Any:
        """Run a script that may `await`, and return what it returns."""
        expression = f"(async () => {{ {script} }})()"
        options = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        while self.run("return document.readyState") != "complete":
            time.sleep(0.02)

    def call(self, method: str, **params: Any) -> Any:
        self.count += 1
        self.connection.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            message = json.loads(self.connection.recv(timeout=120))
            if message.get("id") == self.count:
                return message["result"]


@contextmanager
def opened(url: str) -> Iterator[Page]:
    """Open a page in a browser of its own."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command = [CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(folder), process), max_size=None) as connection:
                page = Page(connection)
                page.open(url)
                yield page
        finally:
            process.terminate()
            process.wait(30)


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """Return the address of the browser's first page."""
    note = folder / "DevToolsActivePort"
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if note.is_file() and note.read_text().count("\n"):
            port, _ = note.read_text().split("\n", 1)
            return _first_page(int(port))
        time.sleep(0.05)
    pytest.fail("the browser did not start")


def _first_page(port: int) -> str:
    while True:
        pages = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=10).json()
        for page in pages:
            if page["type"] == "page":
                return str(page["webSocketDebuggerUrl"])
        time.sleep(0.02)
