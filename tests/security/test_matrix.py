"""Every kind of credential × HTTP, event stream, WebSocket × right, missing, wrong, expired, revoked, foreign."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agio.domain.access import EVERYWHERE, Permission, RevokedToken
from agio.security import COOKIE, hash_password
from agio.security.issued import KEY_PREFIX, STREAM_PREFIX, read
from agio.security.principal import Principal
from agio.storage.port import ACCESS_KEYS, REVOKED_TOKENS, STREAM_TOKENS
from tests.api.serving import Api, serving
from tests.security.sockets import add_echo, connect

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
PAST = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD_HASH = hash_password(PASSWORD)

STATIC = {"name": "static", "group": "ours", "key": "a-static-key-of-24-chars"}
BEARER = {"name": "bearer", "group": "ours", "key": "a-bearer-token-of-24-chars"}
FOREIGN = {"name": "foreign", "group": "theirs"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of credential, and how one of it comes about."""

    name: str
    place: str
    """Where a request carries it."""
    make: Callable[[Api, str], Awaitable[str]]
    """Of a group."""
    expire: Callable[[Api, str], Awaitable[str]] | None = None
    """Make it expire; return it, or one like it that has."""
    revoke: Callable[[Api, str], Awaitable[None]] | None = None
    is_stream: bool = False


async def _static(api: Api, group: str) -> str:
    return "a-static-key-of-24-chars" if group == "ours" else "their-static-key-24-chars"


async def _bearer(api: Api, group: str) -> str:
    return "a-bearer-token-of-24-chars" if group == "ours" else "their-bearer-token-24-chars"


def _admin(group: str) -> Principal:
    return Principal(
        name="admin", kind="user", group_id=group, groups=(group,), permissions=frozenset(Permission), user_id="admin"
    )


async def _issued(api: Api, group: str) -> str:
    scopes = [Permission.READ, Permission.RUN]
    return (await api.app.state.access.access_keys.issue(_admin(group), name="k", scopes=scopes)).text


async def _expire_issued(api: Api, text: str) -> str:
    key = read(text, KEY_PREFIX)
    assert key is not None
    await api.engine.store.update(ACCESS_KEYS, key.group_id, key.id, lambda r: replace(r, expires_at=PAST))
    return text


async def _revoke_issued(api: Api, text: str) -> None:
    key = read(text, KEY_PREFIX)
    assert key is not None
    await api.app.state.access.access_keys.revoke(key.group_id, key.id, by="admin")


async def _login(api: Api, group: str) -> str:
    name = "ann" if group == "ours" else "bob"
    answer = await api.client.post("/auth/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def _claims(text: str) -> dict[str, Any]:
    return dict(jwt.decode(text, SECRET, ["HS256"]))


async def _expire_login(api: Api, text: str) -> str:
    return jwt.encode(_claims(text) | {"iat": PAST.timestamp(), "exp": PAST.timestamp() + 60}, SECRET, "HS256")


async def _revoke_login(api: Api, text: str) -> None:
    answer = await api.client.post("/auth/logout", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 204, answer.text


async def _stream(api: Api, group: str) -> str:
    return (await api.app.state.access.stream_tokens.issue(name="ann", group_id=group)).text


async def _expire_stream(api: Api, text: str) -> str:
    token = read(text, STREAM_PREFIX)
    assert token is not None
    await api.engine.store.update(STREAM_TOKENS, token.group_id, token.id, lambda r: replace(r, expires_at=PAST))
    return text


async def _revoke_stream(api: Api, text: str) -> None:
    token = read(text, STREAM_PREFIX)
    assert token is not None
    await api.engine.store.delete(STREAM_TOKENS, token.group_id, token.id)


KINDS = [
    Kind("static key", "x-api-key", _static),
    Kind("static key as bearer", "bearer", _static),
    Kind("static token", "bearer", _bearer),
    Kind("issued key", "x-api-key", _issued, _expire_issued, _revoke_issued),
    Kind("issued key as bearer", "bearer", _issued, _expire_issued, _revoke_issued),
    Kind("login", "bearer", _login, _expire_login, _revoke_login),
    Kind("login cookie", "cookie", _login, _expire_login, _revoke_login),
    Kind("stream token", "query", _stream, _expire_stream, _revoke_stream, is_stream=True),
    Kind("stream token as bearer", "bearer", _stream, _expire_stream, _revoke_stream, is_stream=True),
]
BY_NAME = {kind.name: kind for kind in KINDS}


@asynccontextmanager
async def furnished(folder: Path) -> AsyncIterator[Api]:
    """A server that knows every kind of credential, for two groups."""
    user = {"password_hash": PASSWORD_HASH, "roles": ["operator"]}
    given: dict[str, Any] = {
        "api_keys": [STATIC, {**FOREIGN, "key": "their-static-key-24-chars"}],
        "bearer_tokens": [BEARER, {**FOREIGN, "key": "their-bearer-token-24-chars"}],
        "jwt_secret": SECRET,
        "auth_failures": "1000/60",
        "users": {"ann": {**user, "groups": ["ours"]}, "bob": {**user, "groups": ["theirs"]}},
    }
    async with serving(folder, **given) as served:
        add_echo(served.app)
        yield served


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with furnished(tmp_path) as served:
        yield served


def carried(kind: Kind, text: str) -> tuple[dict[str, str], str]:
    """Return headers and query that carry a credential."""
    match kind.place:
        case "x-api-key":
            return {"X-API-Key": text}, ""
        case "bearer":
            return {"Authorization": f"bEaReR {text}"}, ""
        case "cookie":
            return {"Cookie": f"other=1; {COOKIE}={text}"}, ""
    return {}, f"token={text}"


async def call(api: Api, transport: str, kind: Kind, text: str, run_id: str) -> int:
    """Call in one of the three ways; return the status."""
    headers, query = carried(kind, text)
    if transport == "websocket":
        return (await connect(api.app, query=query, headers={**headers, "Origin": "http://test"})).status
    path = f"/api/runs/{run_id}" + ("/events" if transport == "stream" else "")
    return (await api.client.get(path, params=query, headers=headers)).status_code


async def _ended_run(api: Api) -> str:
    headers = {"X-API-Key": STATIC["key"]}
    body = {"agent_id": "writer", "message": "hello", "stream": False}
    answer = await api.client.post("/api/chat", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["run_id"])


@pytest.mark.parametrize("transport", ["http", "stream", "websocket"])
@pytest.mark.parametrize("name", BY_NAME)
async def test_right_is_let_in_and_everything_else_is_not(api: Api, transport: str, name: str):
    kind = BY_NAME[name]
    run_id = await _ended_run(api)
    text = await kind.make(api, "ours")
    right = 101 if transport == "websocket" else 403 if kind.is_stream and transport == "http" else 200
    assert await call(api, transport, kind, text, run_id) == right
    wrong = text[:-3] + ("aaa" if text[-3:] != "aaa" else "bbb")
    assert await call(api, transport, kind, wrong, run_id) == 401
    assert await call(api, transport, kind, "nonsense", run_id) == 401
    foreign = await kind.make(api, "theirs")
    unseen = {"http": 403 if kind.is_stream else 404, "stream": 404, "websocket": 101}[transport]
    assert await call(api, transport, kind, foreign, run_id) == unseen
    if kind.expire is not None:
        assert await call(api, transport, kind, await kind.expire(api, await kind.make(api, "ours")), run_id) == 401
    if kind.revoke is not None:
        await kind.revoke(api, text)
        assert await call(api, transport, kind, text, run_id) == 401


@pytest.mark.parametrize("transport", ["http", "stream", "websocket"])
async def test_nothing_at_all_is_401_with_a_challenge(api: Api, transport: str):
    if transport == "websocket":
        refused = await connect(api.app)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="agio"')
        assert not (await connect(api.app, can_deny=False)).accepted
        return
    answer = await api.client.get("/api/runs/x" + ("/events" if transport == "stream" else ""))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="agio"')
    assert (answer.json()["type"], answer.json()["detail"]) == ("unauthorized", "Unauthorized")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["agio", "bearer.a-bearer-token-of-24-chars"], "agio"),
        (["bearer.a-bearer-token-of-24-chars"], "bearer.a-bearer-token-of-24-chars"),
        (["api-key.a-static-key-of-24-chars", "x"], "x"),
    ],
)
async def test_browser_socket_brings_its_credential_as_a_sub_protocol(api: Api, offered: list[str], chosen: str):
    answer = await connect(api.app, subprotocols=offered)
    assert (answer.accepted, answer.subprotocol) == (True, chosen)
    assert answer.said.endswith(" of ours")
    assert (await connect(api.app, subprotocols=["bearer.wrong", "agio"])).status == 401


@pytest.mark.parametrize(
    "query",
    ["api_key=a-static-key-of-24-chars", "token=a-bearer-token-of-24-chars", "x=1&token=a-bearer-token-of-24-chars"],
)
async def test_browser_socket_brings_its_credential_in_the_query(api: Api, query: str):
    assert (await connect(api.app, query=query)).accepted
    assert (await connect(api.app, query=query.replace("24", "42"))).status == 401


async def test_only_a_stream_token_counts_in_the_address_of_a_request(api: Api):
    for query in ("api_key=a-static-key-of-24-chars", "token=a-bearer-token-of-24-chars"):
        assert (await api.client.get(f"/api/runs?{query}")).status_code == 401


async def test_either_of_two_credentials_suffices(api: Api):
    headers = {"X-API-Key": STATIC["key"], "Authorization": "Bearer nonsense"}
    assert (await api.client.get("/api/runs", headers=headers)).status_code == 200
    headers = {"X-API-Key": "nonsense", "Authorization": f"Bearer {BEARER['key']}"}
    assert (await api.client.get("/api/runs", headers=headers)).status_code == 200


async def test_cookie_of_a_foreign_page_does_not_count(api: Api):
    cookie = {"Cookie": f"{COOKIE}={await _login(api, 'ours')}"}
    body = {"agent_id": "writer", "message": "hello"}
    for origin, status in (("http://test", 202), ("https://evil.example", 401)):
        answer = await api.client.post("/api/runs", json=body, headers={**cookie, "Origin": origin})
        assert answer.status_code == status
        handshake = await connect(api.app, headers={**cookie, "Origin": origin})
        assert handshake.accepted is (status == 202)
    cross = {**cookie, "Sec-Fetch-Site": "cross-site"}
    assert (await api.client.post("/api/runs", json=body, headers=cross)).status_code == 401


async def test_revocation_is_pruned_with_its_token(api: Api):
    await api.engine.store.insert(REVOKED_TOKENS, RevokedToken(id="old", created_at=PAST))
    fresh = await _login(api, "ours")
    await _revoke_login(api, fresh)
    assert await api.engine.store.prune(REVOKED_TOKENS, datetime.now(UTC)) == 1
    assert (await api.engine.store.find(REVOKED_TOKENS, EVERYWHERE)).total == 1
    later = datetime.now(UTC) + timedelta(hours=2)
    assert await api.engine.store.prune(REVOKED_TOKENS, later) == 1
