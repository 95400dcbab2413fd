"""What Kasal's document says of the platform around its resources (S5, S70 to S92); Kawai's key (K57); health (P59)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.settings import Settings
from agio.storage.mongo import MongoStore
from agio.storage.port import StoreSettings
from agio.testing.provider import Answer, Gate, ScriptedProvider
from tests.api.serving import Api, listening, serving

V1 = "/api/v1"
ASK = {"agent_id": "writer", "message": "hello"}


@asynccontextmanager
async def over_http(
    folder: Path, provider: ScriptedProvider | None = None, **given: Any
) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    """A server on a port of its own, and a client of it."""
    async with serving(folder, provider, **given) as api, listening(api) as http:
        yield api, http


@pytest.mark.contract("K57", "C10")
async def test_k57_the_key_of_the_environment_is_demanded_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A wrong key is 401 and not the sample's 403: the register decides so for all documents."""
    monkeypatch.setenv("API_KEY", "a-key-of-kawais")
    assert Settings().api_key is not None
    async with over_http(tmp_path, api_key=Settings().api_key) as (_, http):
        body = {"message": "hello", "agent": "writer"}
        answers = [
            await http.post("/chat", json=body, headers=headers)
            for headers in ({"X-API-Key": "a-key-of-kawais"}, {"X-API-Key": "another"}, {})
        ]
    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert answers[0].json()["answer"] == "fine"


@pytest.mark.contract("P59", "S92", "C1")
async def test_p59_s92_health_needs_neither_a_key_nor_the_database(tmp_path: Path):
    async with over_http(tmp_path, api_key="a-key") as (api, http):
        await api.engine.store.close()
        answer = await http.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "healthy")
    assert {"version", "timestamp"} <= body.keys()


@pytest.mark.contract("S5", "S87")
async def test_s5_s87_the_group_comes_from_the_key_and_what_is_foreign_is_not_there(tmp_path: Path):
    keys = [{"key": f"key-of-{name}", "name": name, "group": name} for name in ("red", "blue")]
    async with over_http(tmp_path, api_keys=keys) as (_, http):
        red, blue = ({"Authorization": f"Bearer key-of-{name}"} for name in ("red", "blue"))
        agent = {"id": "mine", "name": "Mine", "group_id": "blue"}
        assert (await http.post(f"{V1}/agents", json=agent, headers=red)).status_code == 422  # nobody says his group
        made = await http.post(f"{V1}/agents", json={"id": "mine", "name": "Mine"}, headers=red)
        assert (made.status_code, made.json()["group_id"]) == (201, "red")
        run = (await http.post(f"{V1}/chat", json=ASK | {"stream": False}, headers=red)).json()["run_id"]
        assert (await http.get(f"{V1}/runs/{run}", headers=red)).json()["group_id"] == "red"
        for path in (f"/runs/{run}", "/agents/mine"):
            assert (await http.get(V1 + path, headers=blue)).status_code == 404
        assert (await http.get(f"{V1}/runs", headers=blue)).json()["total"] == 0


@pytest.mark.contract("S70")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_s70_a_body_of_another_kind_is_told_what_to_send(tmp_path: Path, kind: str | None):
    async with over_http(tmp_path) as (_, http):
        headers = {"Content-Type": kind} if kind else {}
        answer = await http.post(f"{V1}/agents", content=b'{"id": "a", "name": "A"}', headers=headers)
        typed = await http.post(
            f"{V1}/agents", content=b'{"id": "a", "name": "A"}', headers={"Content-Type": "application/json"}
        )
    assert (answer.status_code, typed.status_code) == (422, 201)
    assert "Content-Type: application/json" in answer.text


@pytest.mark.contract("S71")
async def test_s71_status_codes_are_the_listed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = [{"key": name, "name": name, "role": name} for name in ("viewer", "admin")]
    async with over_http(tmp_path, api_keys=keys) as (api, http):
        admin, viewer = {"X-API-Key": "admin"}, {"X-API-Key": "viewer"}
        agent = {"id": "a", "name": "A"}
        got = {
            200: await http.get(f"{V1}/agents", headers=viewer),
            201: await http.post(f"{V1}/agents", json=agent, headers=admin),
            400: await http.get(f"{V1}/chat", params=ASK, headers=admin | {"Last-Event-ID": "nonsense"}),
            401: await http.get(f"{V1}/agents"),
            403: await http.post(f"{V1}/agents", json=agent, headers=viewer),
            404: await http.get(f"{V1}/agents/nobody", headers=viewer),
            422: await http.post(f"{V1}/agents", json={"id": 7}, headers=admin),
        }

        async def broken(*args: Any, **options: Any) -> Any:
            raise RuntimeError("sk-a-secret that must not be told")

        monkeypatch.setattr(api.engine.store, "list_runs", broken)
        got[500] = await http.get(f"{V1}/runs", headers=admin)
    assert {wanted: answer.status_code for wanted, answer in got.items()} == {wanted: wanted for wanted in got}
    assert all(answer.json()["detail"] for status, answer in got.items() if status >= 400)
    assert "sk-a-secret" not in got[500].text


@pytest.mark.contract("S74")
async def test_s74_records_have_the_standard_fields(tmp_path: Path):
    async with over_http(tmp_path) as (_, http):
        made = (await http.post(f"{V1}/agents", json={"id": "a", "name": "A"})).json()
        changed = (await http.put(f"{V1}/agents/a", json={"name": "B"})).json()
        listed = (await http.get(f"{V1}/agents")).json()["items"]
    assert (made["id"], made["name"], made["group_id"]) == ("a", "A", "default")
    assert made["created_at"].endswith("Z")
    assert changed["created_at"] == made["created_at"]
    assert datetime.fromisoformat(changed["updated_at"]) > datetime.fromisoformat(made["updated_at"])
    assert all({"id", "name", "created_at", "updated_at", "group_id"} <= one.keys() for one in listed)


@pytest.mark.contract("S78", "S79", "C2")
async def test_s78_s79_consoles_can_try_endpoints_and_know_the_ways_to_authenticate(tmp_path: Path):
    async with over_http(tmp_path, api_key="a-key") as (_, http):
        described, usual = [(await http.get(path)).json() for path in ("/api-openapi.json", "/openapi.json")]
        console = (await http.get("/api-docs")).text
    assert described == usual
    assert described["openapi"].startswith("3.")
    kinds = {scheme["type"] for scheme in described["components"]["securitySchemes"].values()}
    assert kinds >= {"apiKey", "http"}
    assert '"tryItOutEnabled": true' in console
    chat = described["paths"]["/api/chat"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"]
    given = [one for name, one in described["components"]["schemas"].items() if "examples" in str(one)]
    assert given, "schemas show examples"


@pytest.mark.contract("S82", "C31")
async def test_s82_nobody_is_limited_unless_a_setting_says_so(tmp_path: Path):
    async with over_http(tmp_path) as (_, http):
        answers = [await http.get(f"{V1}/runs") for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit-limit" not in answers[-1].headers


@pytest.mark.contract("S83", "C34")
async def test_s83_a_run_is_accepted_at_once_however_long_it_takes(tmp_path: Path):
    provider = ScriptedProvider([Answer("first ", gate := Gate(), "last")])
    async with over_http(tmp_path, provider) as (api, http):
        answer = await http.post(f"{V1}/runs", json=ASK)
        assert answer.status_code == 202
        assert answer.json()["status"] in ("queued", "running")
        gate.open()
        await api.until(answer.json()["run_id"], "completed")


@pytest.mark.contract("S84", "C16")
@pytest.mark.parametrize(("limit", "at_once"), [(None, 3), (1, 1)])
async def test_s84_runs_work_at_once_or_wait_in_one_queue(tmp_path: Path, limit: int | None, at_once: int):
    gates = [Gate() for _ in range(3)]
    provider = ScriptedProvider([Answer("a ", gate, "b") for gate in gates])
    async with over_http(tmp_path, provider, max_runs_per_group=limit) as (api, http):
        made = [(await http.post(f"{V1}/runs", json=ASK)).json() for _ in gates]
        async with asyncio.timeout(20):
            for gate in gates[:at_once]:
                await gate.reached.wait()
        listed = (await http.get(f"{V1}/runs")).json()["items"]
        assert sorted(run["status"] for run in listed) == ["queued"] * (3 - at_once) + ["running"] * at_once
        for gate in gates:
            gate.open()
        for run in made:
            await api.until(run["run_id"], "completed")
    assert provider.calls == 3


@pytest.mark.mongo
@pytest.mark.contract("S85", "C23")
async def test_s85_connections_are_pooled_and_the_url_says_how_many(mongo_uri: str):
    sign = "&" if "?" in mongo_uri else "?"
    store = MongoStore(StoreSettings(url=f"{mongo_uri}{sign}maxPoolSize=7"))
    await store.open()
    try:
        await asyncio.gather(*(store.count_live() for _ in range(50)))
        client = store._database._opened()
        assert client.options.pool_options.max_pool_size == 7
        (pool,) = [server.pool for server in client._topology._servers.values()]
        assert 1 < len(pool.conns) <= 7
    finally:
        await store.close()
