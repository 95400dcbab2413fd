"""The command line: what it says, and the servers that it starts."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from agio import __version__
from agio.cli.main import app
from tests.support.server import ROOT, Server, environment, free_port, serving

SECRET = "s3cret-value-that-nobody-may-see"
CLI = ["-m", "agio.cli"]
runner = CliRunner()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a `.env`, data and a port of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGIO_DATABASE_URL", f"sqlite:///{tmp_path / 'agio.db'}")
    monkeypatch.setenv("AGIO_PORT", str(free_port()))
    return tmp_path


# -- looking


def test_version():
    assert runner.invoke(app, ["version"]).stdout.strip() == __version__
    assert runner.invoke(app, ["--version"]).stdout.strip() == __version__


def test_config_show_tells_values_and_sources_but_no_secret(empty_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("AIPARTNERUPFLOW_HOST", "0.0.0.0")
    monkeypatch.setenv("AGIO_API_KEYS", f'["{SECRET}"]')
    monkeypatch.setenv("AGIO_DATABASE_URL", f"mongodb://ann:{SECRET}@db/agio")
    (empty_folder / "c.yaml").write_text("server: {workers: 3}")
    printed = runner.invoke(app, ["config", "show", "--config", "c.yaml", "--json"])
    assert SECRET not in printed.output
    rows = json.loads(printed.stdout)
    assert rows["host"] == {"value": "0.0.0.0", "source": "environment", "name": "AIPARTNERUPFLOW_HOST"}
    assert rows["workers"] == {"value": 3, "source": "config file", "name": "server.workers"}
    assert rows["lease_s"] == {"value": 10.0, "source": "default", "name": None}
    assert (rows["openai_api_key"]["value"], rows["api_keys"]["value"]) == ("***", ["***"])
    assert rows["store_url"]["value"] == "mongodb://ann:***@db/agio"
    table = runner.invoke(app, ["config", "show", "--config", "c.yaml"])
    assert "config file: server.workers" in table.output
    assert SECRET not in table.output


def test_doctor_finds_a_fresh_installation_healthy(monkeypatch: pytest.MonkeyPatch):
    printed = runner.invoke(app, ["doctor", "--json"])
    assert printed.exit_code == 0, printed.output
    checks = {check["name"]: check for check in json.loads(printed.stdout)["checks"]}
    assert {name: check["status"] for name, check in checks.items() if name != "ui"} == {
        "python": "ok",
        "settings": "ok",
        "store": "ok",
        "agent": "ok",
        "provider": "warn",
        "port": "ok",
        "access": "ok",
    }
    monkeypatch.setenv("AGIO_OPENAI_API_KEY", SECRET)
    printed = runner.invoke(app, ["doctor"])
    assert "openai set up" in printed.output
    assert SECRET not in printed.output


def test_doctor_fails_for_a_store_that_cannot_be_written_and_a_port_that_is_taken(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (empty_folder / "folder").touch()
    monkeypatch.setenv("AGIO_DATABASE_URL", f"sqlite:///{empty_folder / 'folder' / 'agio.db'}")
    with socket.create_server(("127.0.0.1", int(os.environ["AGIO_PORT"]))):
        printed = runner.invoke(app, ["doctor", "--json"])
    assert printed.exit_code == 1
    found = json.loads(printed.stdout)
    assert not found["ok"]
    assert {check["name"] for check in found["checks"] if check["status"] == "fail"} == {"store", "port"}


def test_doctor_says_what_is_wrong_with_the_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_PROT", "1")
    printed = runner.invoke(app, ["doctor"])
    assert printed.exit_code == 1
    assert "did you mean AGIO_PORT" in printed.output


def test_openapi_prints_the_document(empty_folder: Path):
    printed = runner.invoke(app, ["openapi"])
    assert "/api/chat" in json.loads(printed.stdout)["paths"]
    assert runner.invoke(app, ["openapi", "--output", "api.json"]).exit_code == 0
    assert json.loads((empty_folder / "api.json").read_text()) == json.loads(printed.stdout)


# -- refusing to start


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts all the same must not run on in this process."""

    def start(*_: object, **__: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr("uvicorn.run", start)


@pytest.mark.usefixtures("no_server")
def test_bad_settings_are_one_plain_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_DATABASE_URL", f"postgresql://ann:{SECRET}@db/agio")
    printed = runner.invoke(app, ["serve"])
    assert printed.exit_code == 1
    assert printed.output.startswith("agio: AGIO_DATABASE_URL: 'postgresql' is no kind of database")
    assert printed.output.count("\n") == 1
    assert SECRET not in printed.output


@pytest.mark.contract("P61")
@pytest.mark.usefixtures("no_server")
def test_taken_port_is_one_plain_line():
    with socket.create_server(("127.0.0.1", int(os.environ["AGIO_PORT"]))):
        printed = runner.invoke(app, ["serve"])
    assert printed.exit_code == 1
    assert "is in use" in printed.output
    assert printed.output.count("\n") == 1


@pytest.mark.usefixtures("no_server")
def test_database_of_another_program_is_one_plain_line(empty_folder: Path):
    with closing(sqlite3.connect(empty_folder / "agio.db")) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    printed = runner.invoke(app, ["serve"])
    assert printed.exit_code == 1
    assert "belongs to another program" in printed.output
    assert printed.output.count("\n") == 1


# -- serving


def workers_of(server: Server) -> list[int]:
    """Return the ids of the processes that the server started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def count_slowly(server: Server) -> str:
    """Start a run that takes half a minute, and return its id once it says something."""
    body = {"agent_id": "assistant", "message": "Count to 500 slowly"}
    run_id: str = httpx.post(f"{server.url}/api/runs", json=body).json()["id"]
    with httpx.stream("GET", f"{server.url}/api/runs/{run_id}/events", timeout=20) as stream:
        assert any(line == "event: content_delta" for line in stream.iter_lines())
    return run_id


@pytest.mark.contract("P3", "P5", "P7", "P8", "P9", "C19")
@pytest.mark.e2e
def test_options_win_and_reach_every_worker_process(empty_folder: Path):
    (empty_folder / "c.yaml").write_text("server: {workers: 1, docs_enabled: false}\n")
    port = free_port()
    arguments = [*CLI, "serve", "--workers", "2", "--port", str(port), "--config", "c.yaml", "--log-level", "debug"]
    with serving(arguments, empty_folder, port=port, variables={"AGIO_PORT": "1"}) as server:
        server.wait_until_healthy()
        eventually(lambda: len([pid for pid in workers_of(server) if is_alive(pid)]) >= 2)
        assert httpx.get(f"{server.url}/docs").status_code == 404
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert {"ready", "Application startup complete."} <= {line["message"] for line in lines}


@pytest.mark.e2e
def test_stopping_ends_streams_and_hands_runs_over_without_waiting_for_them(empty_folder: Path):
    with serving([*CLI, "serve"], empty_folder, variables={"AGIO_DRAIN_S": "1"}) as server:
        server.wait_until_healthy()
        run_id = count_slowly(server)
        with httpx.stream("GET", f"{server.url}/api/runs/{run_id}/events", timeout=20) as stream:
            lines = stream.iter_lines()
            next(lines)
            began = time.monotonic()
            server.process.terminate()
            assert not any("run_completed" in line for line in lines)
        server.process.wait(30)
        assert time.monotonic() - began < 15
    with serving([*CLI, "serve"], empty_folder) as again:
        again.wait_until_healthy()
        with httpx.stream("GET", f"{again.url}/api/runs/{run_id}/events", timeout=20) as stream:
            assert any(line == "event: run_recovered" for line in stream.iter_lines())


@pytest.mark.e2e
@pytest.mark.faults
def test_worker_processes_stop_when_their_supervisor_is_killed(empty_folder: Path):
    with serving([*CLI, "serve", "--workers", "2"], empty_folder) as server:
        server.wait_until_healthy()
        eventually(lambda: len(workers_of(server)) >= 2)
        workers = workers_of(server)
        server.stop(signal.SIGKILL)
        eventually(lambda: not any(is_alive(pid) for pid in workers))
    assert "the supervisor is gone" in server.log.read_text()


@pytest.mark.contract("P61", "F58", "A49")
@pytest.mark.e2e
def test_server_without_its_database_answers_503_until_it_is_there(empty_folder: Path):
    in_the_way = empty_folder / "folder"
    in_the_way.touch()
    url = f"sqlite:///{in_the_way / 'agio.db'}"
    with serving([*CLI, "serve"], empty_folder, variables={"AGIO_DATABASE_URL": url}) as server:
        server.wait_until_healthy()
        answer = httpx.get(f"{server.url}/api/runs")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        in_the_way.unlink()
        server.wait_for("/api/runs", 200)
    assert "the database cannot be reached now" in server.log.read_text()


@pytest.mark.contract("A7")
@pytest.mark.e2e
def test_main_py_is_a_development_server_that_reloads(empty_folder: Path):
    with serving([str(ROOT / "main.py")], empty_folder) as server:
        server.wait_until_healthy()
        assert server.stop() == 0
    log = server.log.read_text()
    for path in ("/ui/", "/docs", "/api"):
        assert f"http://localhost:{server.port}{path}" in log
    assert "Started reloader process" in log


@pytest.mark.contract("P6", "C19")
@pytest.mark.e2e
def test_reload_wins_over_workers_and_says_so(empty_folder: Path):
    with serving([*CLI, "serve", "--reload", "--workers", "4"], empty_folder) as server:
        server.wait_until_healthy()
        server.stop()
    assert "the number of workers is ignored" in server.log.read_text()


@pytest.mark.e2e
def test_installed_command_is_the_same(empty_folder: Path):
    command = Path(sys.executable).with_name("agio")
    done = subprocess.run([command, "version"], env=environment(empty_folder), capture_output=True, text=True)
    assert done.stdout.strip() == __version__, done.stderr


# -- looking after the database


def counted(*arguments: str) -> dict[str, int]:
    printed = runner.invoke(app, ["db", "prune", *arguments, "--json"])
    assert printed.exit_code == 0, printed.output
    counts: dict[str, int] = json.loads(printed.stdout)
    assert counts.pop("dry_run") == ("--dry-run" in arguments)
    return counts


@pytest.mark.e2e
def test_prune_beside_a_running_server(empty_folder: Path, monkeypatch: pytest.MonkeyPatch):
    with serving([*CLI, "serve"], empty_folder) as server:
        server.wait_until_healthy()
        ask = {"agent_id": "assistant", "message": "Count to 20", "stream": False}
        session = httpx.post(f"{server.url}/api/chat", json=ask, timeout=20).json()["session_id"]
        run_id = httpx.post(f"{server.url}/api/chat", json={**ask, "session_id": session}, timeout=20).json()["run_id"]
        live = count_slowly(server)
        assert counted("--compact", "0s", "--dry-run") == {
            "runs_to_delete": 0,
            "runs_that_others_need": 0,
            "runs_to_compact": 2,
        }
        assert counted("--compact", "0s")["runs_compacted"] == 2
        headers = {"Accept": "application/json"}
        page = httpx.get(f"{server.url}/api/runs/{run_id}/events?limit=4", headers=headers).json()
        assert any(item["compacted"]["through_seq"] > item["seq"] for item in page["items"] if "compacted" in item)
        rest = httpx.get(f"{server.url}/api/runs/{run_id}/events?after={page['next_after']}", headers=headers).json()
        ids = [(item["seq"], item.get("compacted", {}).get("through_seq", item["seq"])) for item in page["items"]]
        ids += [(item["seq"], item.get("compacted", {}).get("through_seq", item["seq"])) for item in rest["items"]]
        assert [first for first, _ in ids] == [1, *(last + 1 for _, last in ids[:-1])]
        assert counted("--older-than", "1h") == {"runs_deleted": 0, "unused_contents_found": 0}
        assert counted("--older-than", "0s", "--status", "failed", "--dry-run")["runs_to_delete"] == 0
        assert counted("--older-than", "0s", "--dry-run")["runs_to_delete"] == 2
        monkeypatch.setenv("AGIO_RETAIN_COMPLETED", "0.001s")
        assert counted()["runs_deleted"] == 2
        monkeypatch.delenv("AGIO_RETAIN_COMPLETED")
        assert httpx.get(f"{server.url}/api/runs/{run_id}").status_code == 404
        assert httpx.get(f"{server.url}/api/sessions/{session}").status_code == 404
        assert httpx.get(f"{server.url}/api/runs/{live}").json()["status"] == "running"
        httpx.post(f"{server.url}/api/runs/{live}/cancel").raise_for_status()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to do"),
        (["--older-than", "30 days"], "must be a number with s, m, h, d or w"),
        (["--older-than", "1d", "--status", "running"], "only ended runs"),
    ],
)
def test_prune_says_what_it_cannot_do(arguments: list[str], said: str):
    printed = runner.invoke(app, ["db", "prune", *arguments])
    assert printed.exit_code != 0
    assert said in " ".join(printed.output.replace("│", " ").split())
