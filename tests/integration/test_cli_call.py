"""`agio call`: what it sends, what it prints, and how it ends."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from agio.cli.main import app
from tests.support.server import free_port

SECRET = "key-that-nobody-may-see"
runner = CliRunner()


class Answers(BaseHTTPRequestHandler):
    """Tells the caller what it sent, refuses `/refused`, and streams `/stream`."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        status, kind = 200, "application/json"
        body = json.dumps(
            {
                "did": f"{self.command} {self.path}",
                "body": self.rfile.read(length).decode(),
                "has_key": self.headers.get("X-API-Key") == SECRET,
            }
        )
        if self.path == "/refused":
            status, kind, body = 404, "application/problem+json", '{"code": "not_found"}'
        elif self.path == "/gone":
            status, body = 204, ""
        elif self.path == "/stream":
            kind, body = "text/event-stream", 'event: run_started\ndata: {"seq": 1}\nid: 1\n\n'
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_sends_body_and_key_and_prints_the_answer(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_API_KEY", SECRET)
    done = runner.invoke(app, ["call", "POST", "/api/runs?x=1", "--json", '{"message": "Hé"}', "--url", url])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "did": "POST /api/runs?x=1",
        "body": '{"message": "H\\u00e9"}',
        "has_key": True,
    }
    assert SECRET not in done.output


def test_takes_the_address_from_the_environment_and_needs_no_key(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_URL", f"{url}/")
    monkeypatch.delenv("AGIO_API_KEY", raising=False)
    done = runner.invoke(app, ["call", "get", "api/info"])
    assert json.loads(done.stdout) == {"did": "GET /api/info", "body": "", "has_key": False}


def test_prints_a_stream_as_it_is(url: str):
    done = runner.invoke(app, ["call", "GET", "/stream", "--url", url])
    assert done.stdout.splitlines() == ["event: run_started", 'data: {"seq": 1}', "id: 1", ""]


def test_an_answer_without_a_body_prints_nothing(url: str):
    done = runner.invoke(app, ["call", "DELETE", "/gone", "--url", url])
    assert (done.exit_code, done.output) == (0, "")


def test_a_refusal_is_told_and_exits_with_1(url: str):
    done = runner.invoke(app, ["call", "GET", "/refused", "--url", url])
    assert done.exit_code == 1
    assert json.loads(done.stderr) == {"code": "not_found"}
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--json", "{"], "is not JSON"),
        (["--url", f"http://127.0.0.1:{free_port()}"], "no answer from"),
        (["--url", "nowhere"], "no answer from"),
    ],
)
def test_what_cannot_be_sent_is_one_line(arguments: list[str], says: str):
    done = runner.invoke(app, ["call", "POST", "/api/runs", *arguments])
    assert done.exit_code == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_other_methods_are_a_usage_error():
    assert runner.invoke(app, ["call", "TRACE", "/"]).exit_code == 2
