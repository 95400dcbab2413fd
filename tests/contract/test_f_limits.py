"""Firefly's rate limit, as its documentation shows it (items F30 to F35)."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from agio import RateLimiter, add_rate_limit_middleware
from agio.domain.errors import Invalid
from agio.domain.windows import Counts, Limit, admit
from tests.api.serving import listening, serving
from tests.security.sockets import add_echo, connect


def plain_app(**given: Any) -> FastAPI:
    """Return somebody's own application with the middleware on it."""
    app = FastAPI()

    @app.get("/agents/")
    async def agents() -> list[str]:
        return ["one"]

    @app.get("/health")
    async def health() -> str:
        return "well"

    add_rate_limit_middleware(app, **given)
    return app


def calling(app: FastAPI, address: str = "192.0.2.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://test")


@pytest.mark.contract("F30", "F32", "F33")
async def test_f30_f32_f33_more_requests_of_one_address_are_refused():
    app = plain_app(max_requests=2, window_seconds=60.0)
    async with calling(app) as client, calling(app, "192.0.2.2") as other:
        first = await client.get("/agents/")
        assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("2", "1")
        assert [(await client.get("/agents/")).status_code for _ in "ab"] == [200, 429]
        refused = await client.get("/agents/")
        assert (refused.status_code, refused.json()) == (429, {"detail": "Rate limit exceeded"})
        assert 0 < int(refused.headers["retry-after"]) <= 61
        assert refused.headers["ratelimit-remaining"] == "0"
        assert (await other.get("/agents/")).status_code == 200
        assert [(await client.get("/health")).status_code for _ in "abc"] == [200] * 3
    assert (await connect(app, "/agents/", can_deny=False)).status == 403  # no such socket, and it counts


@pytest.mark.contract("F34")
@pytest.mark.parametrize("is_async", [False, True])
async def test_f34_key_function_says_who_it_is(is_async: bool):
    def by_key(request: Any) -> str:
        return str(request.headers.get("X-API-Key", "anonymous"))

    async def by_key_later(request: Any) -> str:
        return by_key(request)

    app = plain_app(max_requests=1, window_seconds=60.0, key_func=by_key_later if is_async else by_key)
    async with calling(app) as client, calling(app, "192.0.2.2") as other:
        assert (await client.get("/agents/", headers={"X-API-Key": "a"})).status_code == 200
        assert (await other.get("/agents/", headers={"X-API-Key": "a"})).status_code == 429
        assert (await client.get("/agents/", headers={"X-API-Key": "b"})).status_code == 200
        assert (await client.get("/agents/")).status_code == 200
        assert (await other.get("/agents/")).status_code == 429


def test_f30_numbers_out_of_bounds_are_refused():
    for given in ({"max_requests": 0}, {"window_seconds": 0}, {"window_seconds": 1e9}):
        with pytest.raises(Invalid):
            plain_app(**given)


@pytest.mark.contract("F31")
def test_f31_no_window_wherever_it_begins_lets_more_pass():
    limit, passed = Limit(count=10, window_s=6.0), list[float]()
    counts: Counts = ()
    chance = random.Random(31)
    at_s = 1_000.0
    for _ in range(3_000):
        at_s += chance.choice([0.0, 0.001, 0.05, 0.4, 3.0])
        counts, admission = admit(counts, limit, at_s)
        passed += [at_s] * admission.granted
    for number, begin in enumerate(passed):
        assert len([one for one in passed[number : number + 11] if one < begin + 6.0]) <= 10
    assert len(passed) > 500  # it lets pass what it may
    _, full = admit(((0, 10),), limit, 0.05)
    assert full.granted == 0
    assert admit(((0, 10),), limit, 0.05 + full.retry_after_s)[1].granted == 1


@pytest.mark.contract("F35")
def test_f35_limiter_works_by_itself():
    now = [0.0]
    limiter = RateLimiter(max_requests=2, window_seconds=10.0, clock=lambda: now[0], max_keys=3)

    def call(key: str) -> None:
        if not limiter.is_allowed(key):
            raise HTTPException(429, "Rate limit exceeded")

    call("a")
    now[0] = 6.0
    call("a")
    with pytest.raises(HTTPException, match="Rate limit exceeded"):
        call("a")
    call("b")
    assert (limiter.remaining("a"), limiter.remaining("b"), limiter.retry_after("a")) == (0, 1, 4.0)
    now[0] = 10.0  # the first is out of the window, the second is not
    call("a")
    assert not limiter.is_allowed("a")
    for key in "cdefgh":
        call(key)
    assert limiter.remaining("a") == 2  # forgotten: the memory is bounded


@pytest.mark.contract("F30", "C31")
async def test_f30_setting_counts_the_recognised_caller_and_cuts_no_stream(tmp_path: Path):
    keys = [{"key": f"a-key-of-{name}-with-24-chars", "name": name} for name in ("ann", "bob")]
    ann, bob = ({"X-API-Key": key["key"]} for key in keys)
    async with serving(tmp_path, api_keys=keys, rate_limit="3/60") as api:
        add_echo(api.app)
        async with listening(api) as client:
            body = {"agent_id": "writer", "message": "hello"}
            streamed = await client.post("/api/chat", json=body, headers=ann)
            assert "run_completed" in streamed.text
            assert [(await client.get("/api/runs", headers=ann)).status_code for _ in "abc"] == [200, 200, 429]
            refused = await client.get("/api/runs", headers={**ann, "Origin": "https://a.example"})
            assert (refused.json()["type"], refused.json()["detail"]) == ("rate_limited", "Rate limit exceeded")
            assert refused.headers["access-control-allow-origin"] == "*"
            assert "x-request-id" in refused.headers
            assert (await client.get("/api/runs", headers=bob)).status_code == 200
            assert (await client.get("/health/ready")).status_code == 200
            assert (await connect(api.app, headers=ann)).status == 429


@pytest.mark.contract("D12", "C31")
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
async def test_c31_window_is_shared_by_everyone_on_the_store(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    url = f"sqlite:///{tmp_path}/shared.db" if kind == "sqlite" else request.getfixturevalue("mongo_uri")
    keys: dict[str, Any] = {"api_keys": [{"key": "a-key-of-ann-with-24-chars", "name": "ann"}], "rate_limit": "30/60"}
    headers = {"X-API-Key": "a-key-of-ann-with-24-chars"}
    async with (
        serving(tmp_path, database_url=url, **keys) as first,
        serving(tmp_path, database_url=url, **keys) as second,
    ):
        calls = [api.client.get("/api/me", headers=headers) for api in [first, second] * 40]
        statuses = [answer.status_code for answer in await asyncio.gather(*calls)]
    assert (statuses.count(200), statuses.count(429)) == (30, 50)
