"""Kasal's models, API keys and templates (S58 to S65, C9, C29)."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agio.security import hash_password
from agio.testing.provider import ScriptedProvider
from tests.api.serving import Api, serving

SECRET = "a secret to encrypt stored keys with of many bytes"
MODEL = {
    "name": "team/precise",
    "provider": "scripted",
    "model": "script-2",
    "api_key_name": "main",
    "parameters": {"temperature": 0.1, "max_tokens": 77, "seed": 5},
}
KEY = {"name": "main", "service": "scripted", "key": "sk-0123456789abcdef-of-the-group"}
TEMPLATE = {"name": "greeting", "template": "Greet {customer} in {language}.", "variables": ["customer", "language"]}
ADMIN = {"key": "the-key-of-an-admin-of-the-team", "name": "admin", "group": "team"}
FOREIGN = {"key": "the-key-of-an-admin-elsewhere", "name": "foreign", "group": "elsewhere"}
PEOPLE: dict[str, Any] = {
    "api_keys": [ADMIN, FOREIGN],
    "users": {
        name: {"password_hash": hash_password("correct horse"), "groups": ["team"], "roles": ["operator"]}
        for name in ("ann", "bob")
    },
    "jwt_secret": "0123456789abcdef0123456789abcdef",
    "secret_key": SECRET,
}


async def v1(api: Api, method: str, path: str, body: Any = None, *, expect: int = 200, **headers: str) -> Any:
    return await api.call(method, f"/v1{path}", body, expect=expect, **headers)


@pytest.mark.contract("S58", "S59", "S60")
@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_s58_s59_s60_models_are_named_listed_and_found_whatever_their_names_hold(tmp_path: Path, prefix: str):
    async with serving(tmp_path) as api:
        made = await api.call("POST", f"{prefix}/models", MODEL, expect=201)
        assert {name: made[name] for name in MODEL} == MODEL
        assert {"id", "created_at", "updated_at", "group_id"} <= made.keys()
        assert await api.call("GET", f"{prefix}/models/team/precise") == made
        assert await api.call("GET", f"{prefix}/models/team%2Fprecise") == made
        listed = await api.call("GET", f"{prefix}/models?limit=1")
        assert (listed["items"], listed["total"], listed["has_more"]) == ([made], 1, False)
        assert (await api.call("POST", f"{prefix}/models", MODEL, expect=409))["type"] == "already_exists"
        changed = await api.call("PUT", f"{prefix}/models/team/precise", {"parameters": {"temperature": 1}})
        assert (changed["parameters"], changed["model"]) == ({"temperature": 1}, "script-2")
        await api.call("DELETE", f"{prefix}/models/team/precise", expect=204)
        assert (await api.call("GET", f"{prefix}/models/team/precise", expect=404))["type"] == "not_found"


@pytest.mark.contract("S60", "S89")
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"parameters": {"temperature": 3}}, "temperature"),
        ({"parameters": {"max_tokens": 0}}, "max_tokens"),
        ({"name": "a//b"}, "name"),
        ({"name": ""}, "name"),
        ({"model": None}, "model"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_s60_a_model_that_is_wrong_is_refused(tmp_path: Path, wrong: dict[str, Any], field: str):
    async with serving(tmp_path) as api:
        answer = await v1(api, "POST", "/models", MODEL | wrong, expect=422)
    assert any(field in error["field"] for error in answer["errors"]), answer


@pytest.mark.contract("S60", "S62")
async def test_s60_agents_crews_and_runs_that_name_a_model_are_asked_with_its_parameters_and_key(tmp_path: Path):
    """An agent's own parameters come first, and a key that comes with the request comes before the model's."""
    async with serving(tmp_path, secret_key=SECRET) as api:
        await v1(api, "POST", "/api-keys", KEY, expect=201)
        await v1(api, "POST", "/api-keys", KEY | {"name": "another", "key": "sk-another-0123456789"}, expect=201)
        await v1(api, "POST", "/models", MODEL, expect=201)
        await v1(api, "POST", "/agents", {"id": "own", "name": "Own", "llm": "team/precise"}, expect=201)
        chosen = {"id": "warm", "name": "Warm", "model": "team/precise", "temperature": 0.9}
        await v1(api, "POST", "/agents", chosen, expect=201)
        await api.chat(agent_id="own")
        await api.chat(agent_id="warm")
        await api.chat(modifications={"model": "team/precise"})
        run = await api.chat(agent_id="writer")
        place = (await api.checkpoints(run["run_id"]))[-1]["id"]
        fork = await api.call(
            "POST", f"/checkpoints/{place}/fork", {"modifications": {"model": "team/precise"}}, expect=201
        )
        await api.until(fork["new_run_id"], "completed")
        crew: dict[str, Any] = {"name": "team", "model": "team/precise", "agents": {"x": {"role": "X"}}}
        crew["tasks"] = [{"id": "only", "agent": "x", "description": "do it"}]
        begun = await api.call("POST", "/workflows", {"crew": crew}, expect=202)
        await api.until(begun["id"], "completed")
        own, warm, run_by, plain, forked, member = api.provider.requests
        for request in (own, run_by, forked, member):
            assert (request.model, request.temperature, request.max_tokens) == ("script-2", 0.1, 77)
            assert (request.params, request.api_key) == ({"seed": 5}, KEY["key"])
        assert (warm.model, warm.temperature, warm.max_tokens) == ("script-2", 0.9, 77)
        assert (plain.model, plain.temperature, plain.api_key) == ("script-1", None, "sk-another-0123456789")
        answer = await api.client.post(
            "/api/chat",
            json={"agent_id": "own", "message": "hello", "stream": False},
            headers={"X-LLM-API-KEY": "sk-of-the-request"},
        )
        assert answer.status_code == 200
        assert api.provider.requests[-1].api_key == "sk-of-the-request"


@pytest.mark.contract("S60")
async def test_s60_a_model_whose_key_is_not_kept_is_not_called_with_another(tmp_path: Path):
    async with serving(tmp_path, secret_key=SECRET) as api:
        await v1(api, "POST", "/api-keys", KEY | {"name": "another"}, expect=201)
        await v1(api, "POST", "/models", MODEL, expect=201)
        await v1(api, "POST", "/agents", {"id": "own", "name": "Own", "llm": "team/precise"}, expect=201)
        failed = await api.chat(agent_id="own", expect=500)
        assert failed["type"] == "llm_key_unknown"
        assert "'main'" in failed["detail"]
        assert api.provider.calls == 0
        await v1(api, "POST", "/api-keys", KEY, expect=201)
        await api.call("POST", f"/runs/{failed['run_id']}/retry", expect=202)
        await api.until(failed["run_id"], "completed")


@pytest.mark.contract("S61", "S62", "S63", "S86", "C29")
async def test_s61_s62_s63_keys_are_kept_encrypted_masked_and_never_echoed(tmp_path: Path):
    async with serving(tmp_path, secret_key=SECRET) as api:
        made = await v1(api, "POST", "/api-keys", KEY, expect=201)
        assert (made["name"], made["service"], made["masked"]) == ("main", "scripted", "…roup")
        assert (await v1(api, "POST", "/api-keys", KEY, expect=409))["type"] == "already_exists"
        assert (await v1(api, "POST", "/api-keys", KEY | {"service": "nobody"}, expect=422))["errors"][0][
            "field"
        ] == "service"
        renamed = await v1(api, "PUT", f"/api-keys/{made['id']}", {"name": "first"})
        assert (renamed["id"], renamed["name"], renamed["masked"]) == (made["id"], "first", "…roup")
        assert (await api.chat())["status"] == "completed"
        assert api.provider.requests[-1].api_key == KEY["key"]
        fresh = "sk-another-text-0123456789"
        replaced = await v1(api, "PUT", f"/api-keys/{made['id']}", {"name": "first", "key": fresh})
        assert replaced["masked"] == "…6789"
        await api.chat()
        assert api.provider.requests[-1].api_key == fresh
        listed = await v1(api, "GET", "/api-keys")
        assert listed["items"] == [replaced]
        assert [key["id"] for key in (await api.call("GET", "/keys"))["items"]] == [made["id"]], "one store, two views"
        told = json.dumps([made, renamed, replaced, listed])
        assert KEY["key"] not in told
        assert fresh not in told
        await v1(api, "PUT", "/api-keys/nobody", {"name": "x"}, expect=404)
        await v1(api, "DELETE", f"/api-keys/{made['id']}", expect=204)
        assert (await v1(api, "GET", "/api-keys"))["total"] == 0
    stored = (tmp_path / "agio.db").read_bytes()
    assert KEY["key"].encode() not in stored
    assert fresh.encode() not in stored
    with closing(sqlite3.connect(tmp_path / "agio.db")) as connection:
        assert connection.execute("SELECT count(*) FROM llm_keys").fetchone() == (0,)


@pytest.mark.contract("S61", "S63", "C9")
async def test_s61_s63_keys_are_their_groups_and_their_peoples(tmp_path: Path):
    """Who is no admin keeps keys for their own runs alone. None of them lets anyone in."""
    async with serving(tmp_path, **PEOPLE) as api:

        async def as_(who: dict[str, str], method: str, path: str, body: Any = None) -> Any:
            return await api.client.request(method, f"/api/v1{path}", json=body, headers=who)

        async def log_in(name: str) -> dict[str, str]:
            answer = await api.client.post("/auth/login", json={"username": name, "password": "correct horse"})
            return {"Authorization": f"Bearer {answer.json()['access_token']}"}

        admin, foreign = {"X-API-Key": ADMIN["key"]}, {"X-API-Key": FOREIGN["key"]}
        ann, bob = await log_in("ann"), await log_in("bob")
        shared = (await as_(admin, "POST", "/api-keys", KEY)).json()
        mine = (await as_(ann, "POST", "/api-keys", KEY | {"key": "sk-of-ann-0123456789"})).json()
        assert (shared["user_id"], mine["user_id"], mine["group_id"]) == (None, "ann", "team")
        for who, ids in ((ann, {shared["id"], mine["id"]}), (bob, {shared["id"]}), (foreign, set())):
            assert {key["id"] for key in (await as_(who, "GET", "/api-keys")).json()["items"]} == ids
        change = {"key": "sk-of-somebody-else-0123"}
        statuses = [
            (await as_(who, "PUT", f"/api-keys/{mine['id']}", change)).status_code for who in (bob, foreign, ann)
        ]
        assert statuses == [404, 404, 200]
        assert (await as_(ann, "PUT", f"/api-keys/{shared['id']}", change)).status_code == 403
        assert (await as_({"Authorization": f"Bearer {KEY['key']}"}, "GET", "/api-keys")).status_code == 401


@pytest.mark.contract("S64", "S65")
async def test_s64_s65_templates_are_kept_if_their_variables_are_those_in_the_braces(tmp_path: Path):
    async with serving(tmp_path) as api:
        made = await v1(api, "POST", "/templates", TEMPLATE, expect=201)
        assert {name: made[name] for name in TEMPLATE} == TEMPLATE
        assert {"id", "created_at", "updated_at", "group_id"} <= made.keys()
        assert (await v1(api, "GET", "/templates"))["items"] == [made]
        assert await v1(api, "GET", f"/templates/{made['id']}") == made
        for variables in (["customer"], ["customer", "language", "mood"], ["customer", "customer", "language"]):
            answer = await v1(api, "POST", "/templates", TEMPLATE | {"variables": variables}, expect=422)
            assert answer["errors"][0]["field"] == "variables"
        assert (await v1(api, "POST", "/templates", TEMPLATE, expect=409))["type"] == "already_exists"
        found = {"name": "shape", "template": 'Say {{this}} and {"json": {value}} to {you} and {you}.'}
        assert (await v1(api, "POST", "/templates", found, expect=201))["variables"] == ["value", "you"]
        changed = await v1(api, "PUT", f"/templates/{made['id']}", {"template": "Bye, {customer}."})
        assert (changed["variables"], changed["name"]) == (["customer"], "greeting")
        await v1(api, "PUT", f"/templates/{made['id']}", {"variables": ["nobody"]}, expect=422)
        await v1(api, "PUT", f"/templates/{made['id']}", {"name": "shape"}, expect=409)
        await v1(api, "DELETE", f"/templates/{made['id']}", expect=204)
        await v1(api, "GET", f"/templates/{made['id']}", expect=404)


@pytest.mark.contract("S60", "S65")
async def test_repeated_requests_make_one(tmp_path: Path):
    async with serving(tmp_path, ScriptedProvider(default="fine"), secret_key=SECRET) as api:
        for path, body in (("/models", MODEL), ("/templates", TEMPLATE), ("/api-keys", KEY)):
            answers = [await v1(api, "POST", path, body, expect=201, Idempotency_Key=path) for _ in range(2)]
            assert answers[0] == answers[1]
            assert (await v1(api, "GET", path))["total"] == 1
