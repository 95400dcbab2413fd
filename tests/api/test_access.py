"""Logins, users, access keys, stream tokens, lock-out; who may call an open server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.security import COOKIE, hash_password
from tests.api.serving import Api, frames_of, serving

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
HASH = hash_password(PASSWORD)
ADMIN = {"X-API-Key": "an-admin-key-of-the-settings"}
RUN = {"agent_id": "writer", "message": "hello", "stream": False}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A server with an admin's key, one user, and three attempts for everyone."""
    users = {"ann": {"password_hash": HASH, "groups": ["default", "other"], "roles": ["operator"]}}
    given: dict[str, Any] = {"api_keys": [ADMIN["X-API-Key"], "short"], "jwt_secret": SECRET, "users": users}
    async with serving(tmp_path, **given, auth_failures="3/300") as served:
        yield served


async def login(api: Api, name: str = "ann", password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await api.client.post("/auth/login", json={"username": name, "password": password, **more})


async def status_of(api: Api, headers: dict[str, str], path: str = "/api/runs") -> int:
    return (await api.client.get(path, headers=headers)).status_code


def read_all(folder: Path) -> bytes:
    """Return everything that a store has written."""
    return b"".join(path.read_bytes() for path in folder.glob("agio.db*"))


# -- access keys


async def test_key_is_told_once_listed_masked_and_revoked(api: Api):
    made = await api.client.post("/api/access-keys", json={"name": "ci"}, headers=ADMIN)
    body = made.json()
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert (body["scopes"], body["created_by"], body["revoked_at"]) == (["read", "run"], "api-key-1", None)
    key = {"X-API-Key": body["key"]}
    assert await status_of(api, key) == 200
    me = (await api.client.get("/api/me", headers=key)).json()
    assert (me["name"], me["kind"], me["permissions"]) == ("key:ci", "key", ["read", "run"])
    listed = await api.client.get("/api/access-keys", headers=ADMIN)
    one = await api.client.get(f"/api/access-keys/{body['id']}", headers=ADMIN)
    for answer in (listed, one):
        assert body["key"] not in answer.text
        assert body["key"].rpartition(".")[2] not in answer.text
    assert listed.json()["items"][0]["last_used_at"] is not None
    assert (await api.client.delete(f"/api/access-keys/{body['id']}", headers=ADMIN)).status_code == 204
    assert await status_of(api, key) == 401
    revoked = (await api.client.get(f"/api/access-keys/{body['id']}", headers=ADMIN)).json()
    assert revoked["revoked_by"] == "api-key-1"
    assert (await api.client.delete("/api/access-keys/none", headers=ADMIN)).status_code == 404


async def test_the_store_holds_no_key(api: Api, tmp_path: Path):
    made = (await api.client.post("/api/access-keys", json={"name": "ci"}, headers=ADMIN)).json()
    token = (await api.client.post("/api/stream-tokens", headers=ADMIN)).json()["token"]
    stored = read_all(tmp_path)
    assert made["id"].encode() in stored
    for text in (made["key"], token):
        assert text.rpartition(".")[2].encode() not in stored


async def test_scopes_bound_a_key_and_its_offspring(api: Api):
    wanted = {"name": "reader", "scopes": ["read"]}
    reader = {"X-API-Key": (await api.client.post("/api/access-keys", json=wanted, headers=ADMIN)).json()["key"]}
    assert await status_of(api, reader) == 200
    assert (await api.client.post("/api/chat", json=RUN, headers=reader)).status_code == 403
    wanted = {"name": "key maker", "scopes": ["read", "admin"]}
    maker = {"X-API-Key": (await api.client.post("/api/access-keys", json=wanted, headers=ADMIN)).json()["key"]}
    refused = await api.client.post("/api/access-keys", json={"name": "x", "scopes": ["run"]}, headers=maker)
    assert (refused.status_code, "'run'" in refused.json()["detail"]) == (403, True)


async def test_repeated_request_makes_one_key_and_tells_it_once(api: Api):
    headers = {**ADMIN, "Idempotency-Key": "once"}
    first, second = [(await api.client.post("/api/access-keys", json={"name": "ci"}, headers=headers)) for _ in "ab"]
    assert (first.status_code, second.status_code) == (201, 201)
    assert (second.json()["id"], second.json()["key"]) == (first.json()["id"], None)
    assert (await api.client.get("/api/access-keys", headers=ADMIN)).json()["total"] == 1


async def test_key_that_would_have_expired_is_refused(api: Api):
    body = {"name": "old", "expires_at": "2020-01-01T00:00:00Z"}
    answer = await api.client.post("/api/access-keys", json=body, headers=ADMIN)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "expires_at")


# -- stream tokens


async def test_stream_token_reads_what_it_is_for_and_nothing_else(api: Api):
    run = (await api.client.post("/api/chat", json=RUN, headers=ADMIN)).json()
    other = (await api.client.post("/api/chat", json=RUN, headers=ADMIN)).json()
    issued = await api.client.post("/api/stream-tokens", json={"run_id": run["run_id"]}, headers=ADMIN)
    assert (issued.status_code, issued.headers["cache-control"]) == (201, "no-store")
    token = issued.json()["token"]
    events = await api.client.get(f"/api/runs/{run['run_id']}/events?token={token}")
    assert frames_of(events.text)[-1].event == "run_completed"
    for method, path in (
        ("GET", f"/api/runs/{other['run_id']}/events"),
        ("GET", f"/api/runs/{run['run_id']}"),
        ("GET", "/api/events?all=true"),
        ("GET", f"/api/events?runs={other['run_id']}"),
        ("GET", f"/api/events?runs={run['run_id']}&session_id={run['session_id']}"),
        ("POST", f"/api/runs/{run['run_id']}/cancel"),
    ):
        answer = await api.client.request(method, path + ("&" if "?" in path else "?") + f"token={token}")
        assert answer.status_code == 403, path
    again = await api.client.post("/api/stream-tokens", headers={"Authorization": f"Bearer {token}"})
    assert again.status_code == 403


# -- users


async def test_admin_makes_changes_and_deletes_users(api: Api):
    made = await api.client.post("/api/users", json={"name": "bob", "password": "long enough"}, headers=ADMIN)
    assert (made.status_code, made.json()["groups"], made.json()["roles"]) == (201, ["default"], ["operator"])
    assert "argon2" not in made.text
    bob = {"Authorization": f"Bearer {(await login(api, 'bob', 'long enough')).json()['token']}"}
    assert await status_of(api, bob) == 200
    again = await api.client.post("/api/users", json={"name": "bob", "password": "long enough"}, headers=ADMIN)
    assert again.status_code == 409
    changed = await api.client.patch("/api/users/bob", json={"password": "even longer"}, headers=ADMIN)
    assert changed.status_code == 200
    assert await status_of(api, bob) == 401  # from before
    bob = {"Authorization": f"Bearer {(await login(api, 'bob', 'even longer')).json()['token']}"}
    assert await status_of(api, bob) == 200
    await api.client.patch("/api/users/bob", json={"enabled": False}, headers=ADMIN)
    assert await status_of(api, bob) == 401
    assert (await login(api, "bob", "even longer")).status_code == 401
    assert (await api.client.delete("/api/users/bob", headers=ADMIN)).status_code == 204
    assert (await api.client.get("/api/users/bob", headers=ADMIN)).status_code == 404


async def test_users_of_the_settings_are_changed_there(api: Api):
    assert (await api.client.patch("/api/users/ann", json={"enabled": False}, headers=ADMIN)).status_code == 409
    body = {"name": "ann", "password": "long enough"}
    assert (await api.client.post("/api/users", json=body, headers=ADMIN)).status_code == 409


async def test_user_of_several_groups_belongs_to_no_single_admin(api: Api):
    access = api.app.state.access
    await access.people.add("eve", "long enough", groups=["default", "other"], roles=["viewer"])
    await access.people.add("zoe", "long enough", groups=["other"], roles=["viewer"])
    listed = [user["name"] for user in (await api.client.get("/api/users", headers=ADMIN)).json()["items"]]
    assert listed == ["eve"]
    assert (await api.client.delete("/api/users/eve", headers=ADMIN)).status_code == 409
    assert (await api.client.delete("/api/users/zoe", headers=ADMIN)).status_code == 404


# -- logins


async def test_login_chooses_a_group_and_a_request_another(api: Api):
    token = (await login(api, group="other")).json()
    headers = {"Authorization": f"Bearer {token['token']}"}
    assert token["group_id"] == "other"
    assert (await api.client.get("/api/me", headers=headers)).json()["group_id"] == "other"
    chosen = (await api.client.get("/api/me", headers={**headers, "X-Group-ID": "default"})).json()
    assert (chosen["group_id"], chosen["groups"]) == ("default", ["default", "other"])
    assert (await login(api, group="third")).status_code == 403


async def test_cookie_is_for_pages_of_this_site_only(api: Api):
    answer = await login(api, cookie=True)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert (await api.client.get("/api/me")).json()["name"] == "ann"
    assert (await api.client.post("/auth/logout")).status_code == 204
    assert (await api.client.get("/api/me")).status_code == 401
    assert (await api.client.get("/api/me", headers={"Cookie": cookie.partition(";")[0]})).status_code == 401


async def test_too_many_wrong_passwords_are_refused_right_ones_included(api: Api):
    assert [(await login(api, "ann", f"wrong {n}")).status_code for n in range(3)] == [401] * 3
    locked = await login(api)
    assert (locked.status_code, locked.json()["type"]) == (429, "too_many_failures")
    assert 0 < int(locked.headers["retry-after"]) <= 310
    assert await status_of(api, ADMIN) == 200  # nobody finds a long key by trying
    assert await status_of(api, {"X-API-Key": "short"}) == 429
    assert await status_of(api, {"X-API-Key": "wrong"}) == 429
    assert (await api.client.get("/api/runs")).status_code == 401  # nothing was tried


async def test_lock_out_is_by_forwarded_address_and_by_name(tmp_path: Path):
    users = {name: {"password_hash": HASH} for name in ("ann", "bob")}
    given: dict[str, Any] = {"jwt_secret": SECRET, "users": users, "trust_proxy": ["127.0.0.1"]}

    async with serving(tmp_path, **given, auth_failures="2/300") as api:

        async def attempt(name: str, password: str, address: str) -> int:
            body = {"username": name, "password": password}
            headers = {"X-Forwarded-For": f"9.9.9.9, {address}"}
            return (await api.client.post("/auth/login", json=body, headers=headers)).status_code

        assert [await attempt("ann", "wrong", "1.1.1.1") for _ in "abc"] == [401, 401, 429]
        assert await attempt("bob", PASSWORD, "1.1.1.1") == 429
        assert await attempt("ann", PASSWORD, "2.2.2.2") == 429
        assert await attempt("bob", PASSWORD, "2.2.2.2") == 200


# -- open servers


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403), ("testclient", 200)]
)
async def test_open_server_answers_its_own_machine_only(address: str, status: int, tmp_path: Path):
    async with serving(tmp_path) as api:
        transport = httpx.ASGITransport(api.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.get("/api/runs")
            assert answer.status_code == status
            assert (await client.get("/health")).status_code == 200
            if status == 403:
                assert answer.json()["type"] == "server_not_public"
                assert "AGIO_ALLOW_OPEN" in answer.json()["detail"]


async def test_open_server_answers_everyone_where_that_is_asked_for(tmp_path: Path):
    async with serving(tmp_path, allow_open=True) as api:
        transport = httpx.ASGITransport(api.app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/api/runs")).status_code == 200


async def test_keys_of_the_settings_count_while_the_store_is_away_and_others_are_503(tmp_path: Path):
    async with serving(tmp_path, api_keys=[ADMIN["X-API-Key"]]) as api:
        key = (await api.client.post("/api/access-keys", json={"name": "ci"}, headers=ADMIN)).json()["key"]
        await api.engine.store.close()
        answer = await api.client.get("/api/me", headers={"X-API-Key": key})
        assert (answer.status_code, answer.json()["type"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert (await api.client.get("/api/me", headers=ADMIN)).status_code == 200
        await api.engine.store.open()


async def test_refusals_on_json_rpc_paths_are_json_rpc(api: Api):
    for path in ("/", "/tasks"):
        answer = await api.client.post(path, json={"jsonrpc": "2.0", "id": 1, "method": "tasks.list"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, -32001)
