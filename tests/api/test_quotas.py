"""What a group may spend: runs at once and tokens, counted over all processes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agio.domain.metrics import Usage
from agio.security import Windows
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from tests.api.serving import serving

KEYS = [{"key": f"a-key-of-{name}-with-24-chars", "name": name, "group": name} for name in ("ours", "theirs")]
OURS, THEIRS = ({"X-API-Key": key["key"]} for key in KEYS)
BODY = {"agent_id": "writer", "message": "hello", "stream": False}


def spending(tokens: int) -> Answer:
    """Return an answer that costs so many tokens."""
    return Answer("fine", usage=Usage(prompt_tokens=tokens - 1, completion_tokens=1, total_tokens=tokens))


@pytest.mark.contract("D12")
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
async def test_tokens_of_a_group_are_counted_by_all_processes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
):
    url = f"sqlite:///{tmp_path}/shared.db" if kind == "sqlite" else request.getfixturevalue("mongo_uri")
    given: dict[str, Any] = {"api_keys": KEYS, "group_tokens": "100/3600", "group_limits": {"theirs": {"runs": 9}}}
    provider = ScriptedProvider(default=lambda request: spending(60))
    async with (
        serving(tmp_path, provider, database_url=url, **given) as first,
        serving(tmp_path, provider, database_url=url, **given) as second,
    ):
        assert (await first.client.post("/api/chat", json=BODY, headers=OURS)).status_code == 200
        run = (await second.client.post("/api/chat", json=BODY, headers=OURS)).json()
        for api in (first, second):
            refused = await api.client.post("/api/chat", json=BODY, headers=OURS)
            assert (refused.status_code, refused.json()["type"]) == (429, "quota_exceeded")
            assert 3500 < int(refused.headers["retry-after"]) <= 3661
            assert (await api.client.get(f"/api/runs/{run['run_id']}", headers=OURS)).status_code == 200
        checkpoints = (await first.client.get(f"/api/runs/{run['run_id']}/checkpoints", headers=OURS)).json()
        place = f"/api/checkpoints/{checkpoints['items'][-1]['id']}"
        for path in (f"{place}/fork", f"{place}/restore"):
            assert (await first.client.post(path, json={}, headers=OURS)).status_code == 429
        assert (await second.client.post("/api/chat", json=BODY, headers=THEIRS)).status_code == 200
    assert provider.calls == 3


async def test_run_stops_before_the_call_that_its_group_cannot_pay_and_retry_goes_on(tmp_path: Path):
    again = Answer(calls=[Call("calculator", {"expression": "1+1"})], usage=spending(60).usage)
    provider = ScriptedProvider([again, again, spending(1)])
    given: dict[str, Any] = {"group_limits": {"default": {"tokens": "100/3600"}}}
    async with serving(tmp_path, provider, **given) as api:
        failed = await api.chat(modifications={"tools": ["calculator"]}, expect=500)
        assert (failed["type"], failed["retryable"]) == ("quota_exceeded", True)
        await api.call("POST", f"/runs/{failed['run_id']}/retry", {}, expect=429)
        assert provider.calls == 2
        # an hour later
        windows: Windows = api.engine.worker._services.quota._windows  # type: ignore[attr-defined]
        for known in (windows, api.engine.starting._quota._windows):  # type: ignore[attr-defined]
            clock = known._clock
            known._clock = lambda clock=clock: clock().replace(year=2099)
        await api.call("POST", f"/runs/{failed['run_id']}/retry", {}, expect=202)
        assert (await api.until(failed["run_id"], "completed"))["metrics"]["steps"] == 3
    assert provider.calls == 3


async def test_group_with_a_limit_of_its_own_waits_while_others_run(tmp_path: Path):
    gate = Gate()
    provider = ScriptedProvider(default=lambda request: Answer(gate, "fine"))
    given: dict[str, Any] = {"api_keys": KEYS, "group_limits": {"ours": {"runs": 2}}}
    async with serving(tmp_path, provider, **given) as api:
        body = {"agent_id": "writer", "message": "hello"}

        async def until(headers: dict[str, str], *wanted: str) -> None:
            for _ in range(400):
                items = (await api.client.get("/api/runs", headers=headers)).json()["items"]
                if sorted(run["status"] for run in items) == list(wanted):
                    return
                await asyncio.sleep(0.05)
            raise AssertionError(f"never {wanted}: {items}")

        for _ in range(3):
            for headers in (OURS, THEIRS):
                assert (await api.client.post("/api/runs", json=body, headers=headers)).status_code == 202
        await until(OURS, "queued", "running", "running")
        await until(THEIRS, "running", "running", "running")
        gate.open()
        await until(OURS, "completed", "completed", "completed")
