"""aipartnerupflow's users (P37) and their model keys (P38, P43, P45) on task trees."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.security import hash_password
from agio.testing.openai_server import FakeOpenAI, RunningServer
from tests.contract.flow import Flow, flow_app
from tests.e2e.client import model
from tests.support.in_thread import running_app

HASH = hash_password("correct horse")
USERS = {
    name: {"password_hash": HASH, "roles": [role], "groups": ["team"]}
    for name, role in (("ann", "operator"), ("bob", "operator"), ("eve", "viewer"), ("root", "admin"))
}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory, openai_server: RunningServer) -> Iterator[Flow]:
    app = flow_app(
        tmp_path_factory.mktemp("users"),
        jwt_secret="0123456789abcdef0123456789abcdef",
        users=USERS,
        openai_base_url=openai_server.url,
        openai_api_key="sk-of-the-server",
    )
    with running_app(app) as url, httpx.Client(base_url=url, timeout=20) as http:
        yield Flow(http)


def bearer(flow: Flow, name: str) -> dict[str, str]:
    token = flow.http.post("/auth/login", json={"username": name, "password": "correct horse"}).json()["token"]
    return {"Authorization": f"Bearer {token}"}


def told(flow: Flow, method: str, params: Any, headers: dict[str, str]) -> Any:
    return flow.call(method, params, **headers)


@pytest.mark.contract("P37", "P24")
def test_p37_users_of_one_group_see_their_own_tasks_and_an_admin_all(flow: Flow):
    ann, bob, eve, root = (bearer(flow, name) for name in USERS)
    task = {"id": "anns", "name": "shout", "inputs": {"text": "x"}}
    assert told(flow, "tasks.create", [task], ann)["user_id"] == "ann"
    assert flow.http.get("/tasks/anns/status", headers=bob).status_code == 404
    for method in ("tasks.get", "tasks.execute", "tasks.update", "tasks.delete", "tasks.copy"):
        assert flow.refused(method, {"task_id": "anns"}, **bob)["data"]["type"] == "not_found", method
    assert told(flow, "tasks.cancel", {"task_ids": ["anns"]}, bob)[0]["status"] == "error"
    for user_id in (None, "ann"):
        assert flow.http.get("/tasks", params={"user_id": user_id} if user_id else {}, headers=bob).json() == []
    assert flow.refused("tasks.create", [{**task, "id": "x", "user_id": "ann"}], **bob)["code"] == -32001
    assert told(flow, "tasks.create", [{**task, "id": "theirs", "user_id": "bob"}], root)["user_id"] == "bob"
    assert {task["id"] for task in flow.http.get("/tasks", headers=root).json()} == {"anns", "theirs"}
    assert [task["id"] for task in flow.http.get("/tasks", headers=ann).json()] == ["anns"]
    assert told(flow, "tasks.get", {"task_id": "anns"}, root)["user_id"] == "ann"
    refused = flow.refused("tasks.create", [task], **eve)
    assert (refused["code"], refused["data"]["type"]) == (-32001, "denied")
    assert told(flow, "tasks.list", {}, eve) == []


@pytest.mark.contract("P38", "P42", "P43", "P44", "P45")
def test_p45_keys_of_the_request_the_user_and_the_environment_reach_a_crew(
    flow: Flow, provider: FakeOpenAI, tmp_path: Path
):
    def used(headers: dict[str, str], user_id: str) -> str:
        name = model(tokens=2)
        works = {"agents": {"researcher": {"role": "Research Analyst", "llm": f"openai/{name}"}}}
        crew = {"name": "CrewAI Task", "schemas": {"method": "crewai_executor"}, "params": {"works": works}}
        result = told(flow, "execute_task_tree", {"tasks": [{**crew, "user_id": user_id}]}, headers)
        assert result["status"] == "completed", result
        [asked] = [one for one in provider.recorded if one.model == name]
        return asked.headers["authorization"].removeprefix("Bearer ")

    ann, root = bearer(flow, "ann"), bearer(flow, "root")
    assert used(ann, "ann") == "sk-of-the-server"
    flow.http.post("/api/keys", json={"provider": "openai", "api_key": "sk-of-ann", "user_id": "ann"}, headers=ann)
    assert used(ann, "ann") == "sk-of-ann"
    assert used(root, "ann") == "sk-of-ann", "an administrator acts for the task's user"
    assert used({**ann, "X-LLM-API-KEY": "sk-of-the-call"}, "ann") == "sk-of-the-call"
    assert used({**ann, "X-LLM-API-KEY": "openai:sk-named"}, "ann") == "sk-named"
    assert used({**ann, "X-LLM-API-KEY": "anthropic:sk-other"}, "ann") == "sk-of-ann"
