"""aipartnerupflow's login and users (items P34 to P37), and Kasal's groups (S2 to S5, S87, S93)."""

from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from agio.security import hash_password
from tests.api.serving import Api, serving

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
HASH = hash_password(PASSWORD)
MESSAGE = {"agent_id": "writer", "message": "hello", "stream": False}


def users(**roles: str) -> dict[str, Any]:
    return {name: {"password_hash": HASH, "roles": [role]} for name, role in roles.items()}


async def login(api: Api, name: str, password: str = PASSWORD) -> httpx.Response:
    return await api.client.post("/auth/login", json={"username": name, "password": password})


async def bearer(api: Api, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(await login(api, name)).json()['token']}"}


@pytest.mark.contract("P34")
async def test_p34_tokens_are_optional(tmp_path: Path):
    async with serving(tmp_path) as api:
        assert (await api.client.get("/api/runs")).status_code == 200
        assert (await login(api, "ann")).status_code == 404


@pytest.mark.contract("P35", "P36")
async def test_p35_p36_a_login_answers_a_token_that_calls_are_made_with(tmp_path: Path):
    async with serving(tmp_path, jwt_secret=SECRET, users=users(ann="operator")) as api:
        answer = await login(api, "ann")
        body = answer.json()
        assert (answer.status_code, body["token_type"], body["access_token"]) == (200, "bearer", body["token"])
        assert body["expires_in"] == 3600
        wrong = [await login(api, "ann", "wrong"), await login(api, "nobody")]
        assert [each.status_code for each in wrong] == [401, 401]
        assert wrong[0].json()["detail"] == wrong[1].json()["detail"]
        assert (await api.client.get("/api/runs")).status_code == 401
        for scheme in ("Bearer", "bearer"):
            headers = {"Authorization": f"{scheme} {body['token']}"}
            assert (await api.client.get("/api/runs", headers=headers)).status_code == 200


@pytest.mark.contract("P37")
async def test_p37_users_see_and_cancel_their_own_only(tmp_path: Path):
    async with serving(tmp_path, jwt_secret=SECRET, users=users(ann="operator", bob="operator")) as api:
        ann, bob = await bearer(api, "ann"), await bearer(api, "bob")
        run_id = (await api.client.post("/api/chat", json=MESSAGE, headers=ann)).json()["run_id"]
        assert (await api.client.get(f"/api/runs/{run_id}", headers=ann)).json()["created_by"] == "ann"
        for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/events"), ("DELETE", "")):
            assert (await api.client.request(method, f"/api/runs/{run_id}{path}", headers=bob)).status_code == 404
        assert (await api.client.get("/api/runs", headers=bob)).json()["total"] == 0


@pytest.mark.contract("P36", "C9")
async def test_p36_a_token_that_was_made_elsewhere_with_the_secret_counts(tmp_path: Path):
    def made(**claims: Any) -> dict[str, str]:
        text = jwt.encode({"sub": "eve", "exp": 4_000_000_000, **claims}, SECRET, "HS256")
        return {"Authorization": f"Bearer {text}"}

    async with serving(tmp_path, jwt_secret=SECRET) as api:
        me = (await api.client.get("/api/me", headers=made(roles=["admin"], groups=["team"]))).json()
        assert (me["name"], me["group_id"], "admin" in me["permissions"]) == ("eve", "team", True)
        alone = (await api.client.get("/api/me", headers=made())).json()
        assert (alone["group_id"], "admin" in alone["permissions"]) == ("user:eve", False)
        for claims in ({"exp": 1}, {"sub": None}, {"sub": "a b"}, {"groups": ["*"]}, {"iss": "agio"}):
            assert (await api.client.get("/api/me", headers=made(**claims))).status_code == 401, claims
        for secret, algorithm in (("x" * 32, "HS256"), (SECRET * 2, "HS384"), (None, "none")):
            forged = jwt.encode({"sub": "eve", "exp": 4_000_000_000}, secret or "", algorithm)
            assert (await api.client.get("/api/me", headers={"Authorization": f"Bearer {forged}"})).status_code == 401


@pytest.mark.contract("S2", "C9")
async def test_s2_an_api_key_counts_as_bearer(tmp_path: Path):
    async with serving(tmp_path, api_keys=["a-key-of-kasals-clients"]) as api:
        headers = {"Authorization": "Bearer a-key-of-kasals-clients"}
        assert (await api.client.get("/api/v1/agents", headers=headers)).status_code == 200
        assert (await api.client.get("/api/v1/agents", headers={"Authorization": "Bearer x"})).status_code == 401


@pytest.mark.contract("S3", "C35")
async def test_s3_a_proxys_user_counts_only_where_the_proxy_is_trusted(tmp_path: Path):
    named = {"X-Forwarded-Email": "ann@corp.example", "X-Forwarded-Access-Token": "t"}
    async with serving(tmp_path, api_keys=["key"], trust_proxy=True) as api:
        assert (await api.client.get("/api/me", headers=named)).status_code == 401
    async with serving(tmp_path, proxy_auth=True, trust_proxy=["10.0.0.1"]) as api:
        assert (await api.client.get("/api/me", headers=named)).status_code == 401
    async with serving(tmp_path, proxy_auth=True, trust_proxy=["127.0.0.1"]) as api:
        me = (await api.client.get("/api/me", headers=named)).json()
        assert (await api.client.get("/api/me")).status_code == 401
    assert (me["name"], me["kind"], me["permissions"]) == ("ann@corp.example", "user", ["build", "read", "run"])


@pytest.mark.contract("S4")
@pytest.mark.parametrize(
    ("headers", "group"),
    [
        ({"X-Forwarded-Email": "ann@corp.example"}, "corp.example"),
        ({"X-Forwarded-Email": "ann@gmail.com"}, "user:ann@gmail.com"),
        ({"X-Forwarded-User": "ann"}, "user:ann"),
        ({"X-Forwarded-Email": "ann@corp.example", "X-Forwarded-Groups": "team-a, team-b"}, "team-a"),
        (
            {"X-Forwarded-Email": "a@corp.example", "X-Forwarded-Groups": "team-a,team-b", "X-Group-ID": "team-b"},
            "team-b",
        ),
    ],
)
async def test_s4_group_follows_from_headers_or_the_mail_domain(headers: dict[str, str], group: str, tmp_path: Path):
    async with serving(tmp_path, proxy_auth=True, trust_proxy=True) as api:
        assert (await api.client.get("/api/me", headers=headers)).json()["group_id"] == group
        assert (await api.client.get("/api/me", headers={"X-Forwarded-Email": "not a name"})).status_code == 401


@pytest.mark.contract("S93", "C10")
async def test_s93_403_is_a_known_caller_without_the_right(tmp_path: Path):
    both = users(ann="viewer", bob="operator")
    async with serving(tmp_path, jwt_secret=SECRET, users=both) as api:
        ann, bob = await bearer(api, "ann"), await bearer(api, "bob")
        answers = [
            await api.client.post("/api/chat", json=MESSAGE, headers=ann),
            await api.client.get("/api/chat?agent_id=writer&message=hello", headers=ann),
            await api.client.post("/api/agents", json={"name": "A"}, headers=ann),
            await api.client.get("/api/access-keys", headers=bob),
            await api.client.get("/api/users", headers=bob),
            await api.client.get("/api/runs", headers={**ann, "X-Group-ID": "another"}),
        ]
        assert [(each.status_code, each.json()["type"]) for each in answers] == [(403, "denied")] * 6
        assert (await api.client.get("/api/runs", headers=ann)).status_code == 200
        assert (await api.client.post("/api/chat", json=MESSAGE, headers=bob)).status_code == 200
