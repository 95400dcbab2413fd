"""Kasal's executions across restarts of real server processes (S46 to S48, S50 to S52), and one at a time (S49)."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.kasal import Kasal, kasal, one_task
from tests.e2e.in_thread import SLOWLY
from tests.support.server import Server, free_port, serving

TEXT = "Job cancelled - service was restarted while job was running"


def call(server: Server, method: str, path: str, body: Any = None) -> Any:
    answer = httpx.request(method, f"{server.url}/api/v1{path}", json=body, timeout=20)
    assert answer.status_code < 400, answer.text
    return answer.json()


def seen(server: Server, execution_id: str, holds: Callable[[Any], bool]) -> Any:
    """Return the execution as soon as this holds of it."""
    deadline = time.monotonic() + 30
    while not holds(view := call(server, "GET", f"/executions/{execution_id}")):
        assert time.monotonic() < deadline, view
        time.sleep(0.02)
    return view


def begun(server: Server, execution_id: str) -> None:
    """Return when a task of the execution is at its model."""
    seen(server, execution_id, lambda view: view["status"] == "RUNNING")
    deadline = time.monotonic() + 30
    while not any(run["place"] and run["step"] == 0 and run["owner"] for run in runs(server, execution_id)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(server: Server, execution_id: str) -> list[Any]:
    tasks = call(server, "GET", f"/workflows/{execution_id}")["tasks"]
    return [call(server, "GET", f"/runs/{task['run_id']}") for task in tasks if task["run_id"]]


@pytest.mark.slow
@pytest.mark.contract("S46", "S47", "S48", "S50", "S51", "S52", "S36", "C15")
def test_s47_running_executions_are_cancelled_by_a_restart_and_new_ones_work_at_once(tmp_path: Path):
    """Twice: killed (as a reload may, S52), and stopped in good order (S51)."""
    variables = {
        "AGIO_DATABASE_URL": f"sqlite:///{tmp_path}/agio.db",
        "AGIO_ON_RESTART": "cancel",
        "AGIO_DRAIN_S": "0.2",
    }
    command = ["-m", "agio.cli", "serve"]
    port = free_port()
    interrupted: list[str] = []
    for number in (signal.SIGKILL, signal.SIGTERM, None):
        with serving(command, tmp_path, port=port, variables=variables) as server:
            server.wait_for("/health/ready", 200)
            for execution_id in interrupted:
                view = seen(server, execution_id, lambda view: view["status"] not in ("PENDING", "RUNNING"))
                assert (view["status"], view["message"]) == ("CANCELLED", TEXT)
                line = call(server, "GET", f"/execution-logs/{execution_id}")["items"][-1]
                assert line["message"] == f"CANCELLED by system: {TEXT}"
            fresh = call(server, "POST", "/executions", one_task("What is 6 * 7?"))["execution_id"]
            assert "6 * 7" in seen(server, fresh, lambda view: view["status"] == "COMPLETED")["result"]
            if number is None:
                history = call(server, "GET", "/execution-history")
                assert [one["status"] for one in history["items"]] == ["COMPLETED", "CANCELLED"] * 2 + ["COMPLETED"]
                return
            interrupted = [call(server, "POST", "/executions", one_task(SLOWLY))["execution_id"]]
            begun(server, interrupted[0])
            server.stop(number)


@pytest.mark.contract("S49", "S84", "C16", "S31")
@pytest.mark.parametrize("store", ["sqlite", pytest.param("mongodb", marks=pytest.mark.mongo)])
async def test_s49_one_execution_at_a_time_where_the_limit_is_one(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
):
    url = f"sqlite:///{tmp_path}/agio.db" if store == "sqlite" else request.getfixturevalue("mongo_uri")
    async with kasal(tmp_path, max_runs_per_group=1, database_url=url) as server:
        made = [await server.execute(**_two_tasks(f"s49{name}")) for name in "abc"]
        for number, execution_id in enumerate(made):
            name = "abc"[number]
            for task in "12":
                async with asyncio.timeout(20):
                    await server.gates[f"s49{name}{task}"].reached.wait()
                statuses = [(await server.get(f"/executions/{one}"))["status"] for one in made]
                assert statuses == ["COMPLETED"] * number + ["RUNNING"] + ["PENDING"] * (2 - number)
                pending = await server.get("/executions?status=pending")
                assert pending["total"] == 2 - number
                server.gates[f"s49{name}{task}"].open()
            await server.until(execution_id, "COMPLETED")


def _two_tasks(name: str) -> dict[str, Any]:
    crew = one_task(f"hold:{name}1")
    crew["tasks_yaml"]["then"] = {"description": f"hold:{name}2", "agent": "helper"}
    return crew


@pytest.mark.contract("S49", "C16")
async def test_s49_a_stopped_execution_makes_room(tmp_path: Path):
    async with kasal(tmp_path, max_runs_per_group=1) as server:
        first, second = [await server.execute(**one_task(f"hold:{name}")) for name in ("room1", "room2")]
        async with asyncio.timeout(20):
            await server.gates["room1"].reached.wait()
        await server.post(f"/executions/{first}/stop", expect=202)
        await server.until(first, "CANCELLED")
        await _finish(server, second, "room2")


async def _finish(server: Kasal, execution_id: str, gate: str) -> None:
    server.gates[gate].open()
    await server.until(execution_id, "COMPLETED")
