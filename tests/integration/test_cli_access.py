"""`agio user` and `agio key`: what they say, and that the server goes by it."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agio.cli.main import app
from tests.api.serving import serving

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD, OTHER = "correct horse", "battery staple"
runner = CliRunner()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGIO_DATABASE_URL", f"sqlite:///{tmp_path}/agio.db")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str, given: str = "", fails: bool = False) -> str:
    done = runner.invoke(app, list(arguments), input=given)
    assert (done.exit_code != 0) is fails, done.output
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), done.exception
    return done.output


def logins(folder: Path, tried: Iterable[tuple[str, str]]) -> list[int]:
    """Return the statuses of logins at a server on that database."""

    async def ask() -> list[int]:
        async with serving(folder, jwt_secret=SECRET) as api:
            bodies = [{"username": name, "password": password} for name, password in tried]
            return [(await api.client.post("/auth/login", json=body)).status_code for body in bodies]

    return asyncio.run(ask())


def calls(folder: Path, key: str, *paths: str) -> list[int]:
    async def ask() -> list[int]:
        async with serving(folder, jwt_secret=SECRET) as api:
            return [(await api.client.get(path, headers={"X-API-Key": key})).status_code for path in paths]

    return asyncio.run(ask())


def test_people_are_made_listed_changed_and_removed(empty_folder: Path):
    assert "made ann" in run("user", "add", "ann", "--group", "team", "--role", "viewer", given=f"{PASSWORD}\n" * 2)
    run("user", "add", "bob", "--password", PASSWORD)
    listed = run("user", "list", "--group", "team")
    assert re.search(r"ann\s+team\s+viewer\s+yes", listed)
    assert "bob" not in listed
    assert PASSWORD not in listed
    assert logins(empty_folder, [("ann", PASSWORD), ("ann", OTHER), ("bob", PASSWORD)]) == [200, 401, 200]
    run("user", "passwd", "ann", "--password", OTHER)
    run("user", "disable", "bob")
    assert logins(empty_folder, [("ann", PASSWORD), ("ann", OTHER), ("bob", PASSWORD)]) == [401, 200, 401]
    run("user", "enable", "bob")
    run("user", "remove", "ann")
    assert logins(empty_folder, [("ann", OTHER), ("bob", PASSWORD)]) == [401, 200]


def test_wrong_use_is_one_plain_line():
    run("user", "add", "ann", "--password", PASSWORD)
    for arguments, said in (
        (("user", "add", "ann", "--password", PASSWORD), "ann"),
        (("user", "add", "no spaces", "--password", PASSWORD), "user"),
        (("user", "passwd", "nobody", "--password", PASSWORD), "nobody"),
        (("user", "remove", "nobody"), "nobody"),
        (("key", "issue", "ci", "--group", "no spaces"), "group"),
        (("key", "revoke", "nowhere"), "nowhere"),
    ):
        output = run(*arguments, fails=True)
        assert said in output
        assert "Traceback" not in output
        assert len(output.strip().splitlines()) == 1, output
    assert "do not match" in run("user", "add", "eve", given="one password\nanother\n", fails=True)


def test_hash_is_what_the_settings_take(empty_folder: Path, monkeypatch: pytest.MonkeyPatch):
    printed = run("user", "hash", "--password", PASSWORD).strip()
    assert printed.startswith("$argon2id$")

    async def ask() -> int:
        async with serving(empty_folder, jwt_secret=SECRET, users={"ann": {"password_hash": printed}}) as api:
            body = {"username": "ann", "password": PASSWORD}
            return (await api.client.post("/auth/login", json=body)).status_code

    assert asyncio.run(ask()) == 200


def test_key_is_printed_once_and_works_until_it_is_revoked(empty_folder: Path):
    key = run("key", "issue", "ci", "--group", "team", "--scope", "read", "--days", "1").strip()
    assert calls(empty_folder, key, "/api/runs", "/api/access-keys") == [200, 403]
    listed = run("key", "list", "--group", "team")
    assert key not in listed
    assert "active" in listed
    assert run("key", "list").strip().splitlines()[1:] == []
    key_id = listed.strip().splitlines()[1].split()[0]
    run("key", "revoke", key_id, "--group", "elsewhere", fails=True)
    assert calls(empty_folder, key, "/api/runs") == [200]
    run("key", "revoke", key_id, "--group", "team")
    assert "revoked" in run("key", "list", "--group", "team")
    assert calls(empty_folder, key, "/api/runs") == [401]
