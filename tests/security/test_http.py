"""What browsers and attackers on the network meet: headers, origins, paths, bodies, log lines."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.api.app import create_app
from agio.bootstrap import make_runtime
from agio.observability.logs import JsonFormatter, TextFormatter
from agio.settings import Settings
from tests.api.serving import Api, listening, serving

ORIGIN = {"Origin": "https://app.example"}
KEY = "a-key-of-ours-with-24-chars"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/runs", 200),
        ("GET", "/api/runs/nowhere", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/api/chat", 422),
        ("DELETE", "/api/health", 405),
        ("GET", "/health", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/api/agents", 500),
        ("OPTIONS", "/api/agents", 200),
    ],
)
async def test_every_answer_tells_browsers_what_not_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int
):
    async with serving(tmp_path) as api:
        _break_agents(api, monkeypatch)
        preflight = {"Access-Control-Request-Method": "GET"} if method == "OPTIONS" else {}
        answer = await api.client.request(method, path, headers=ORIGIN | preflight)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in answer.headers
    if path != "/docs":
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


def _break_agents(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_down(*_: object, **__: object):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(api.engine.agents, "list", break_down)


async def test_refusals_carry_origins_and_ids_whoever_refuses(tmp_path: Path):
    given: dict[str, Any] = {
        "api_keys": [KEY],
        "rate_limit": "2/60",
        "cors_origins": ["https://app.example"],
        "max_body_bytes": 100,
    }
    known = {**ORIGIN, "X-API-Key": KEY}
    async with serving(tmp_path, **given) as api:
        answers = [
            await api.client.get("/api/runs", headers=ORIGIN),
            await api.client.post("/api/chat", content=b"x" * 101, headers=known),
            await api.client.get("/api/runs", headers={**known, "X-Group-ID": "elsewhere"}),
            await api.client.get("/api/runs", headers={**known, "X-Big": "x" * 40_000}),
            await api.client.get("/api/runs", headers=known),
            await api.client.get("/api/runs", headers=known),
        ]
        stranger = await api.client.get("/api/runs", headers={**known, "Origin": "https://evil.example"})
    assert [answer.status_code for answer in answers] == [401, 413, 403, 431, 200, 429]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "x-request-id" in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in stranger.headers


async def test_answer_that_has_begun_is_cut_off_and_not_completed_by_an_error(tmp_path: Path):
    """A client must be able to tell half an answer from a whole one."""
    async with serving(tmp_path) as api:

        async def half(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("broken")

        api.app.mount("/half", half)
        api.app.router.routes.insert(0, api.app.router.routes.pop())
        async with listening(api) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/half/")


async def _raw(port: int, target: str) -> bytes:
    """Send a request target as it stands; clients would tidy it up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


TRAVERSALS = [
    "/ui/../secret.txt",
    "/ui/..%2fsecret.txt",
    "/ui/%2e%2e/secret.txt",
    "/ui/%2e%2e%2fsecret.txt",
    "/ui/..%5csecret.txt",
    "/ui/assets/../../secret.txt",
    "/ui//../secret.txt",
    "/ui/%00../secret.txt",
    "/ui/....//secret.txt",
    "/ui/link.txt",
    "/ui/assets/%252e%252e/%252e%252e/secret.txt",
    "/docs-assets/..%2f..%2f..%2fpyproject.toml",
]


async def test_no_path_leads_out_of_the_ui(tmp_path: Path):
    build = tmp_path / "dist"
    (build / "assets").mkdir(parents=True)
    (build / "index.html").write_text("<p>the page</p>")
    (build / "assets" / "app.js").write_text("run()")
    (tmp_path / "secret.txt").write_text("the secret")
    (build / "link.txt").symlink_to(tmp_path / "secret.txt")
    settings = Settings(database_url=f"sqlite:///{tmp_path}/agio.db", drain_s=0.1)
    runtime = make_runtime(settings)
    app = create_app(settings, runtime=runtime, ui_dir=build)
    async with app.router.lifespan_context(app):
        api = Api(app, httpx.AsyncClient(), runtime.engine, None)  # type: ignore[arg-type]
        async with listening(api) as client:
            port = client.base_url.port or 0
            assert b"run()" in await _raw(port, "/ui/assets/app.js")
            for target in [*TRAVERSALS, f"/ui/{tmp_path}/secret.txt", f"/ui//{tmp_path}/secret.txt"]:
                answer = await _raw(port, target)
                assert b"the secret" not in answer, target
                assert b"[project]" not in answer, target
                assert answer.split(b" ")[1] in (b"200", b"400", b"404"), (target, answer[:200])
            assert b" 500 " not in await _raw(port, "/ui/" + "a" * 5_000)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_callers_text_begins_no_line_of_the_log_and_colours_none(formatter: logging.Formatter):
    record = logging.makeLogRecord(
        {
            "name": "agio.api",
            "levelname": "ERROR",
            "msg": 'GET /x\n12:00:00 INFO agio: all is well\x1b[2J "%s"',
            "args": ("a\r\nb\x9b31m",),
            "path": "/api/\n12:00:00 INFO\x1b[31m",
            "spoof": "\x1b[0m\u2028",
        }
    )
    line = formatter.format(record)
    assert len(line.splitlines()) == 1 or isinstance(formatter, JsonFormatter)
    assert not any(one in line for one in ("\n", "\r", "\x1b"))


def test_trace_keeps_its_lines_and_nothing_else():
    try:
        raise ValueError("bad\x1b[31m input")
    except ValueError as error:
        record = logging.makeLogRecord({"name": "x", "msg": "x", "exc_info": (type(error), error, error.__traceback__)})
    text = TextFormatter().format(record)
    assert "\\x1b[31m input" in text
    assert text.count("\n") > 2
