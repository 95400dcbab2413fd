"""Spans of a whole server: to whose trace they belong, how they leave the process, and what it takes to have them."""

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agio.bootstrap.runtime import start_traces
from agio.domain.errors import Invalid
from agio.domain.messages import ToolCall
from agio.testing.provider import ScriptedProvider
from tests.api.serving import serving
from tests.support.server import environment

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans over OTLP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.services: set[str] = set()
        self.spans: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["content-length"]))
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            self.server.services.add(named["service.name"])
            for of_scope in of_resource.scope_spans:
                self.server.spans += of_scope.spans
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


async def test_spans_of_a_callers_trace_reach_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with serving(tmp_path, ScriptedProvider(["hi"]), traces_enabled=True) as api:
            headers = {"traceparent": CALLER}
            body = {"agent_id": "writer", "message": "hello", "stream": False}
            assert (await api.client.post("/api/chat", json=body, headers=headers)).status_code == 200
    assert collector.services == {"agio"}
    by_name = {span.name: span for span in collector.spans}
    assert [name.split()[0] for name in sorted(by_name)] == ["accept_run", "chat", "invoke_agent", "step"]
    assert {span.trace_id.hex() for span in collector.spans} == {CALLER.split("-")[1]}
    assert by_name["accept_run"].parent_span_id.hex() == CALLER.split("-")[2]


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000])
async def test_header_that_names_no_span_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    async with serving(tmp_path, ScriptedProvider(["hi"]), traces_enabled=True) as api:
        body = {"agent_id": "writer", "message": "hello", "stream": False}
        answer = await api.client.post("/api/chat", json=body, headers={"traceparent": header})
    assert answer.status_code == 200


def test_collector_that_is_away_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{refusing.getsockname()[1]}")
        monkeypatch.setattr("agio.observability.otel.CLOSE_S", 0.5)
        traces = start_traces()
        with traces.calling(ToolCall(id="c1", name="look_up", arguments="")):
            pass
        traces.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "agio-otel-close"]


def test_exporter_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "pigeon")
    with pytest.raises(Invalid, match="'pigeon'; Agio knows otlp, console and none"):
        start_traces()


def test_what_to_install_is_said_where_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "agio.observability.otel", raising=False)
    with pytest.raises(Invalid, match=r"pip install 'agio\[otel\]'"):
        start_traces()


def test_nothing_of_it_is_loaded_unless_it_is_switched_on(tmp_path: Path):
    code = (
        "import sys; from agio.api.app import create_app; from agio.settings import Settings\n"
        "app = create_app(Settings(database_url='sqlite:///x.db'))\n"
        "assert app.state.runtime.traces is None\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'agio.observability.otel'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.strip() == b"[]", done.stderr.decode()
