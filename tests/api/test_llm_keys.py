"""Keys of model providers: with requests, kept for users and groups, of the environment; whose comes first."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agio import LLMKeyConfigManager
from agio.providers.base import ModelRequest
from agio.security import hash_password
from agio.security.sealing import Sealer, Unreadable
from agio.storage.port import LLM_KEYS
from agio.testing.provider import Answer, ScriptedProvider
from tests.api.serving import Api, serving

NEW, OLD = "a newer secret to encrypt with of many bytes", "an older secret to encrypt with of many bytes"
PASSWORD = hash_password("correct horse")
USERS = {name: {"password_hash": PASSWORD, "groups": ["team"], "roles": ["operator"]} for name in ("ann", "bob")}
ADMIN = {"key": "the-key-of-an-admin-of-the-team", "name": "admin", "group": "team"}
VIEWER = {"key": "the-key-of-a-viewer-of-the-team", "name": "viewer", "group": "team", "role": "viewer"}
FOREIGN = {"key": "the-key-of-an-admin-elsewhere", "name": "foreign", "group": "elsewhere"}
WITH_PEOPLE: dict[str, Any] = {
    "api_keys": [ADMIN, VIEWER, FOREIGN],
    "users": USERS,
    "jwt_secret": "0123456789abcdef0123456789abcdef",
    "secret_key": NEW,
}


def by(key: dict[str, str]) -> dict[str, str]:
    return {"X-API-Key": key["key"]}


async def log_in(api: Api, name: str) -> dict[str, str]:
    answer = await api.client.post("/auth/login", json={"username": name, "password": "correct horse"})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def keep(api: Api, headers: dict[str, str], key: str, *, expect: int = 201, **fields: Any) -> Any:
    body = {"provider": "scripted", "api_key": key, **fields}
    answer = await api.client.post("/api/keys", json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def used(api: Api, headers: dict[str, str] | None = None, **fields: Any) -> str | None:
    """Return the key that a run calls its model with; None: none was handed to the provider."""
    body = {"agent_id": "writer", "message": "hello", "stream": False, **fields}
    answer = await api.client.post("/api/chat", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return api.provider.requests[-1].api_key


@pytest.mark.contract("P38", "P39", "P40", "P45", "C30")
async def test_key_of_a_request_is_for_its_run_alone(tmp_path: Path):
    async with serving(tmp_path) as api:
        for sent, key in (
            ("sk-plain", "sk-plain"),
            ("scripted:sk-named", "sk-named"),
            ("Scripted: sk-spaced ", "sk-spaced"),
            ("openai:sk-of-another", None),
            ("google:sk-alias", None),
            ("nobody:with:colons", "nobody:with:colons"),
        ):
            assert await used(api, {"X-LLM-API-KEY": sent}) == key
        assert await used(api) is None
        answer = await api.chat(expect=200)
        checkpoint = (await api.checkpoints(answer["run_id"]))[-1]["id"]
        headers = {"X-LLM-API-KEY": "sk-of-a-fork"}
        await api.call("POST", f"/checkpoints/{checkpoint}/fork", {"modifications": {}}, expect=201, **headers)
        await api.provider.wait_for_calls(9)
        assert api.provider.requests[-1].api_key == "sk-of-a-fork"


@pytest.mark.parametrize("sent", ["openai:", "x" * 1001, "sk-\x7fdelete"])
async def test_what_cannot_be_a_key_is_refused_and_not_repeated(tmp_path: Path, sent: str):
    async with serving(tmp_path) as api:
        answer = await api.client.get("/api/runs", headers={"X-LLM-API-KEY": sent})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "X-LLM-API-KEY")
    assert sent not in answer.text


@pytest.mark.contract("P42", "P43", "P44", "P46")
async def test_the_callers_key_comes_before_the_users_the_groups_and_the_environments(tmp_path: Path):
    async with serving(tmp_path, **WITH_PEOPLE) as api:
        ann, bob = await log_in(api, "ann"), await log_in(api, "bob")
        assert await used(api, ann) is None  # the provider takes its own
        await keep(api, by(ADMIN), "key-of-the-group")
        assert await used(api, ann) == "key-of-the-group"
        await keep(api, ann, "key-of-ann")
        assert await used(api, ann) == "key-of-ann"
        assert await used(api, bob) == "key-of-the-group"
        assert await used(api, {**ann, "X-LLM-API-KEY": "key-of-the-request"}) == "key-of-the-request"
        assert await used(api, bob, user_id="ann") == "key-of-the-group"  # a person is who they are
        assert await used(api, by(ADMIN), user_id="ann") == "key-of-ann"  # a service says for whom it asks
        assert await used(api, by(FOREIGN), user_id="ann") is None


@pytest.mark.contract("P47", "P48", "S86", "C29")
async def test_keys_are_kept_masked_for_those_who_may(tmp_path: Path):
    async with serving(tmp_path, **WITH_PEOPLE) as api:
        ann, bob = await log_in(api, "ann"), await log_in(api, "bob")
        mine = await keep(api, ann, "sk-0123456789abcdef-of-ann")
        assert (mine["user_id"], mine["masked"], mine["kept"], mine["usable"]) == ("ann", "…-ann", "encrypted", True)
        await keep(api, ann, "another-provider's", provider="openai")
        assert (await keep(api, ann, "sk-renewed", expect=200))["id"] == mine["id"]
        assert await used(api, ann) == "sk-renewed"
        await keep(api, ann, "x", expect=403, user_id="bob")
        await keep(api, ann, "x", expect=403, user_id=None)
        await keep(api, by(VIEWER), "x", expect=403)
        await keep(api, ann, "x", expect=422, provider="nobody")
        await keep(api, ann, "ключ", expect=422)
        shared = await keep(api, by(ADMIN), "short")
        assert shared["masked"] == "…"

        async def seen(headers: dict[str, str], query: str = "") -> list[str]:
            answer = await api.client.get(f"/api/keys{query}", headers=headers)
            assert answer.status_code == 200, answer.text
            return [key["id"] for key in answer.json()["items"]]

        assert len(await seen(ann)) == 3
        assert await seen(bob) == await seen(by(VIEWER)) == [shared["id"]]
        assert len(await seen(by(ADMIN))) == 3
        assert len(await seen(by(ADMIN), "?user_id=ann")) == 2
        assert await seen(by(FOREIGN)) == []
        assert (await api.client.get("/api/keys?user_id=ann", headers=bob)).status_code == 403

        async def forget(key: Any, headers: dict[str, str]) -> int:
            return (await api.client.delete(f"/api/keys/{key['id']}", headers=headers)).status_code

        assert [await forget(mine, who) for who in (bob, by(FOREIGN), by(VIEWER), ann, ann)] == [
            404,
            404,
            403,
            204,
            404,
        ]
        assert await forget(shared, ann) == 403
        assert await used(api, ann) == "short"


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
async def test_kept_keys_are_encrypted_and_survive_rotation(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    url = f"sqlite:///{tmp_path}/keys.db" if kind == "sqlite" else request.getfixturevalue("mongo_uri")
    async with serving(tmp_path, database_url=url, secret_key=OLD) as api:
        first = await keep(api, {}, "sk-secret-of-the-group")
    async with serving(tmp_path, database_url=url, secret_key=f"{NEW},{OLD}") as api:
        before = (await api.engine.store.get(LLM_KEYS, "default", first["id"])).sealed
        assert await used(api) == "sk-secret-of-the-group"
        after = (await api.engine.store.get(LLM_KEYS, "default", first["id"])).sealed
        assert before != after
        assert "sk-secret" not in before + after
    async with serving(tmp_path, database_url=url, secret_key=NEW) as api:
        assert await used(api) == "sk-secret-of-the-group"
    async with serving(tmp_path, database_url=url, secret_key=OLD) as api:
        failed = await api.chat(expect=500)
        assert failed["type"] == "llm_key_unreadable"
        assert [key["usable"] for key in (await api.call("GET", "/keys"))["items"]] == [False]
        assert api.provider.calls == 0
    if kind == "sqlite":
        assert b"sk-secret" not in (tmp_path / "keys.db").read_bytes()
        with closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
            assert connection.execute("SELECT count(*) FROM llm_keys").fetchone() == (1,)


def test_sealed_key_opens_in_its_own_record_only():
    sealed = Sealer([NEW]).seal("sk", of=["group", "place"])
    assert Sealer([OLD, NEW]).open(sealed, of=["group", "place"]) == "sk"
    for sealer, of in ((Sealer([OLD]), ["group", "place"]), (Sealer([NEW]), ["other", "place"])):
        with pytest.raises(Unreadable):
            sealer.open(sealed, of=of)


@pytest.mark.contract("P47", "P48")
async def test_without_a_secret_keys_stay_in_memory_and_it_says_so(tmp_path: Path):
    async with serving(tmp_path) as api:
        kept = await keep(api, {}, "key-in-memory")
        assert kept["kept"] == "memory"
        assert await used(api) == "key-in-memory"
        assert (await api.engine.store.find(LLM_KEYS, "default")).total == 0
        assert [key["id"] for key in (await api.call("GET", "/keys"))["items"]] == [kept["id"]]
        manager = LLMKeyConfigManager()
        try:
            manager.set_key(user_id="ann", api_key="key-of-ann", provider="scripted")
            manager.set_key(user_id="ann", api_key="another", provider="openai")
            assert await used(api, user_id="ann") == "key-of-ann"
            assert manager.get_key("ann", "openai") == "another"
            assert LLMKeyConfigManager().has_key("ann", "SCRIPTED")
        finally:
            assert [manager.delete_key("ann", name) for name in ("scripted", "openai", "openai")] == [True, True, False]
        assert await used(api, user_id="ann") == "key-in-memory"
        await api.call("DELETE", f"/keys/{kept['id']}", expect=204)
        assert await used(api) is None


def _whose() -> Callable[[ModelRequest], Answer]:
    """Answer with the key that came, slowly enough for others to come between."""

    def answer(request: ModelRequest) -> Answer:
        return Answer(*f"{request.messages[-1].content} {request.api_key}".split(" "))

    return answer


@pytest.mark.contract("P49", "P37")
async def test_keys_of_users_never_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    provider = ScriptedProvider(default=_whose())
    async with serving(tmp_path, provider, **WITH_PEOPLE) as api:
        people = {"ann": await log_in(api, "ann"), "bob": await log_in(api, "bob")}
        for name, headers in people.items():
            await keep(api, headers, f"kept-for-{name}")
        calls = []
        for number in range(60):
            name = ("ann", "bob")[number % 2]
            own = {"X-LLM-API-KEY": f"sent-by-{name}-{number}"} if number % 3 else {}
            body = {"agent_id": "writer", "message": f"{name} {number}", "stream": False}
            calls.append(api.client.post("/api/chat", json=body, headers=people[name] | own))
        answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert len(provider.requests) == 60
    for request in provider.requests:
        name, asked = str(request.messages[-1].content).split(" ")
        assert request.api_key == (f"sent-by-{name}-{asked}" if int(asked) % 3 else f"kept-for-{name}")
    assert os.environ["OPENAI_API_KEY"] == "key-of-the-environment"
