"""Limits of a server of four processes, and model keys that one of them holds."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import PLAIN, Client, check_whole, model
from tests.e2e.cluster import Cluster
from tests.support.databases import MongoDatabase, SQLiteFile
from tests.support.mongod import fresh_database

pytestmark = pytest.mark.e2e

LIMIT = 30
KEY, OTHER = "key-that-came-with-a-request-1234", "key-that-came-with-a-resume-5678"


def keys_sent(provider: FakeOpenAI, name: str) -> list[str]:
    return [seen.headers["authorization"].removeprefix("Bearer ") for seen in provider.recorded if seen.model == name]


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """A server that limits each address."""
    variables = {"AGIO_RATE_LIMIT": f"{LIMIT}/600", "AGIO_TRUST_PROXY": "127.0.0.1", "AGIO_ALLOW_OPEN": "true"}

    def cluster(database: SQLiteFile | MongoDatabase) -> Iterator[Cluster]:
        made = Cluster(tmp_path, database, variables)
        try:
            made.ensure()
            yield made
        finally:
            made.kill()

    if request.param == "mongo":
        with fresh_database(request.getfixturevalue("mongo_replica_set")) as uri:
            yield from cluster(MongoDatabase(uri))
    else:
        yield from cluster(SQLiteFile(tmp_path / "agio.db"))


@pytest.mark.contract("D12", "C31", "F31", "F33", "K52")
async def test_four_processes_share_one_window_for_each_forwarded_address(limited: Cluster):
    client = Client(limited)
    seen: Counter[tuple[str, int]] = Counter()

    async def ask(pid: int, address: str) -> None:
        async with client.connection(pid) as connection:
            for _ in range(LIMIT // 2):
                answer = await connection.get("/runs", headers={"X-Forwarded-For": address})
                seen[address, answer.status_code] += 1
                assert answer.status_code == 200 or int(answer.headers["retry-after"]) > 500

    await asyncio.gather(*(ask(pid, address) for pid in limited.pids() for address in ("192.0.2.1", "192.0.2.2")))
    assert seen == {(one, code): LIMIT for one in ("192.0.2.1", "192.0.2.2") for code in (200, 429)}
    async with httpx.AsyncClient(base_url=limited.url, verify=PLAIN) as other:
        headers = {"X-Forwarded-For": "192.0.2.3"}
        body = {"agent_id": "assistant", "message": "say something", "stream": False}
        assert (await other.post("/api/chat", json=body, headers=headers, timeout=60)).status_code == 200
        assert (await other.get("/health/ready", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 200


@pytest.mark.faults
@pytest.mark.contract("P38", "P42", "C29")
async def test_run_whose_key_died_waits_and_goes_on_with_a_new_one(
    client: Client, cluster: Cluster, provider: FakeOpenAI
):
    """The environment's key is never used in its place; nothing is written of either."""
    asked = model(tokens=60, pace=30)
    agent = await client.agent(model=asked)
    async with httpx.AsyncClient(base_url=cluster.url, verify=PLAIN, timeout=30) as http:
        sent = {"X-LLM-API-KEY": f"openai:{KEY}"}
        started = await http.post("/api/runs", json={"agent_id": agent, "message": "hello"}, headers=sent)
        run = started.json()["id"]
        async with client.follow(run) as reader:
            await reader.saw("step_started")
            view = await client.until(
                run, "running", "waiting"
            )  # waiting: on a busy machine its owner was taken for dead
            if view["status"] == "running":
                os.kill(cluster.workers()[view["owner"]["worker"]], signal.SIGKILL)
            waiting = await reader.saw("run_waiting")
            assert waiting.data["reason"] == "llm_key_missing"
            assert (await client.until(run, "waiting"))["status_reason"] == "llm_key_missing"
            refused = await http.post(f"/api/runs/{run}/resume", json={})
            assert (refused.status_code, refused.json()["type"]) == (409, "llm_key_missing")
            while (await client.until(run, "waiting", "completed"))["status"] == "waiting":
                await http.post(f"/api/runs/{run}/resume", json={}, headers={"X-LLM-API-KEY": OTHER})
            frames = await reader.all()
    check_whole(frames)
    assert frames[-1].event == "run_completed"
    sent_keys = keys_sent(provider, asked)
    assert OTHER in sent_keys
    assert set(sent_keys) <= {KEY, OTHER}
    assert not any(key in cluster.log.read_text() for key in (KEY, OTHER))


async def test_run_that_is_resumed_anywhere_goes_on_where_its_key_is(
    client: Client, cluster: Cluster, provider: FakeOpenAI
):
    asked = model(tokens=30, pace=8)
    agent = await client.agent(model=asked)
    keys = [f"{KEY}-{number}" for number in range(6)]
    async with httpx.AsyncClient(base_url=cluster.url, verify=PLAIN, timeout=30) as http:

        async def start(key: str) -> str:
            body = {"agent_id": agent, "message": "hello"}
            started = await http.post("/api/runs", json=body, headers={"X-LLM-API-KEY": key})
            run: str = started.json()["id"]
            await client.call("POST", f"/runs/{run}/pause", {"mode": "now"}, expect=202)
            return run

        runs = await asyncio.gather(*map(start, keys))
    for number, run in enumerate(runs):
        await client.until(run, "paused")
        await client.call("POST", f"/runs/{run}/resume", {}, expect=202, pid=cluster.pids()[number % 4])
    for run in runs:
        assert (await client.ended(run))[-1].event == "run_completed"
    sent = keys_sent(provider, asked)
    assert set(sent) == set(keys)
    assert len(sent) >= len(keys)
