"""Traps of uvicorn, Starlette and PyMongo that others fell into, and that one line could open again.

The table of docs/reliability.md names each of them.
"""

from pathlib import Path

import httpx
import pytest

from agio.bootstrap.serving import server_options
from agio.settings import Settings
from agio.storage.mongo.database import CLIENT_DEFAULTS, WATCH_OPTIONS
from tests.api.serving import listening, serving

SOURCES = sorted((Path(__file__).resolve().parents[2] / "agio").rglob("*.py"))


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("BaseHTTPMiddleware", "wraps bodies, and cancels what runs behind an answer when the client leaves"),
        ("BackgroundTask", "ends with the request that made it"),
        ("GZipMiddleware", "older versions hold event streams back"),
        ("asyncio.wait_for", "swallows cancellations on Python 3.11"),
        ("start_transaction", "a worker that dies inside one keeps its locks for a minute"),
        ("start_session", "a worker that dies inside a transaction keeps its locks for a minute"),
    ],
)
def test_what_is_never_used(word: str, why: str):
    calls = [f"{word}(", f"import {word}", f"{word}s("]
    found = [path.name for path in SOURCES if any(call in path.read_text() for call in calls)]
    assert found == [], f"{word}: {why}"


def test_a_worker_that_is_merely_busy_is_not_killed_by_its_supervisor():
    options = server_options(Settings(workers=2))
    assert options["timeout_worker_healthcheck"] >= 30, "uvicorn's 5 s kill processes that compute"
    assert options["timeout_graceful_shutdown"] > Settings().drain_s, "else a stuck reader keeps it for ever"


def test_mongodb_is_asked_with_limits_of_time():
    assert CLIENT_DEFAULTS["connectTimeoutMS"] <= 2_000, "the monitor's, too: how soon a frozen primary is missed"
    assert CLIENT_DEFAULTS["heartbeatFrequencyMS"] <= 1_000, "a retry waits for the next look at the set"
    assert CLIENT_DEFAULTS["timeoutMS"] <= 10_000
    assert CLIENT_DEFAULTS["waitQueueTimeoutMS"] <= 5_000
    assert WATCH_OPTIONS["maxPoolSize"] < CLIENT_DEFAULTS["maxPoolSize"], (
        "streams hold connections: they have their own"
    )
    assert WATCH_OPTIONS["timeoutMS"] is None, "their cursors wait on purpose"


async def test_streams_tell_proxies_not_to_hold_them_back(tmp_path: Path):
    async with serving(tmp_path) as api, listening(api) as client:
        run = await api.chat()
        async with client.stream("GET", f"/api/runs/{run['run_id']}/events") as answer:
            assert isinstance(answer, httpx.Response)
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.headers["cache-control"] == "no-store"
