"""aipartnerupflow's task trees (items P15 to P25, P62): JSON-RPC at `/` and `/tasks`, status routes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.api.protocols.aipartnerupflow import methods
from tests.contract.flow import CALLS, GATES, Flow, flow_app, named
from tests.e2e.in_thread import fresh
from tests.support.in_thread import running_app

DIAMOND: list[dict[str, Any]] = [
    {"id": "top", "name": "shout", "inputs": {"text": "a"}},
    {"id": "l", "name": "shout", "parent_id": "top", "dependencies": ["top"], "inputs": {"text": "{{top}}b"}},
    {"id": "r", "name": "shout", "parent_id": "top", "dependencies": [{"id": "top"}], "inputs": {"text": "{{top}}c"}},
    {
        "id": "end",
        "name": "both",
        "parent_id": "top",
        "schemas": {"method": "join"},
        "dependencies": [{"id": "l", "required": True}, "r"],
        "inputs": {"left": "{{l}}", "right": "{{r}}"},
    },
]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with running_app(flow_app(tmp_path_factory.mktemp("flow"))) as url, httpx.Client(base_url=url, timeout=20) as http:
        yield Flow(http)


def one(name: str = "shout", **inputs: Any) -> dict[str, Any]:
    return {"id": fresh("t"), "name": name, "inputs": inputs or {"text": "x"}}


@pytest.mark.contract("P12", "P15", "C32")
def test_p15_envelope_and_error_codes(flow: Flow):
    def code(body: Any) -> tuple[int, Any]:
        answer = flow.post(body, "/")
        return answer["error"]["code"], answer["id"]

    call = {"jsonrpc": "2.0", "method": "tasks.list", "id": "a"}
    assert flow.http.post("/", content=b"{x").json()["error"]["code"] == -32700
    for odd in (b'{"a": NaN}', b'{"a": 1e999}', rb'{"id": "\ud800"}', b"\xff", b""):
        assert flow.http.post("/", content=odd).json()["error"]["code"] == -32700, odd
    assert flow.http.post("/", content=b"[" * 100_000).json()["error"]["code"] == -32700
    assert code({**call, "jsonrpc": "1.0"}) == (-32600, "a")
    odds: list[Any] = [[], 5, "x", {}, {**call, "method": 5}, {**call, "params": "x"}, {**call, "id": [1]}]
    for odd in odds:
        assert code(odd)[0] == -32600, odd
    assert code({**call, "method": "tasks.invalid"}) == (-32601, "a")
    assert code({**call, "method": "tasks.get", "params": {}, "id": 4.5}) == (-32602, 4.5)
    assert flow.post(call, "/")["result"] == [], "the examples are switched off here"
    without = {"jsonrpc": "2.0", "method": "tasks.running.count"}
    assert flow.post(without, "/") == {"jsonrpc": "2.0", "id": None, "result": {"count": 0}}


@pytest.mark.contract("P15")
def test_p15_batch_answers_calls_and_leaves_notifications_out(flow: Flow):
    call = {"jsonrpc": "2.0", "method": "tasks.running.count"}
    answers = flow.post([{**call, "id": 1}, call, {**call, "method": "no", "id": "b"}, 5])
    assert [(a["id"], "result" in a) for a in answers] == [(1, True), ("b", False), (None, False)]
    assert flow.post([call], expect=204) is None
    assert flow.post([call] * 51)["error"]["code"] == -32600
    stream = {**call, "method": "execute_task_tree", "id": 3, "params": {"tasks": [one()], "use_streaming": True}}
    assert flow.post([stream])[0]["error"]["code"] == -32600


@pytest.mark.contract("P15", "C10")
def test_p15_unauthorised_is_an_error_object_with_401(tmp_path: Path):
    app = flow_app(tmp_path, api_keys=["a-key-with-more-than-20-characters"])
    with running_app(app) as url, httpx.Client(base_url=url) as http:
        for path in ("/", "/tasks"):
            answer = http.post(path, json={"jsonrpc": "2.0", "method": "tasks.list", "id": 1})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, -32001)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert http.get("/tasks").status_code == 401
        assert http.get("/", follow_redirects=False).headers["location"] == "/ui/"


@pytest.mark.contract("P16", "P17")
def test_p16_execute_task_tree_answers_what_came_of_it(flow: Flow):
    task = {"id": "task1", "name": "my_task", "user_id": "user123", "inputs": {"key": "value"}}
    body = {"jsonrpc": "2.0", "method": "execute_task_tree", "params": {"tasks": [task]}, "id": "request-123"}
    answer = flow.post(body, "/")
    result = answer["result"]
    assert answer["id"] == "request-123"
    assert (result["task_id"], result["status"], result["progress"]) == ("task1", "completed", 1.0)
    assert (result["result"], result["user_id"], result["success"]) == ("did value", "user123", True)
    again = flow.post(body, "/")["result"]
    assert (again["status"], again["task_id"] == "task1") == ("completed", False), "a taken id is replaced"


@pytest.mark.contract("P16", "C6")
def test_p16_long_tree_is_answered_within_the_clients_5_s(flow: Flow, monkeypatch: pytest.MonkeyPatch):
    assert methods.ANSWER_S < 4
    monkeypatch.setattr(methods, "ANSWER_S", 0.3)
    gate = fresh("gate")
    task = one("hold", gate=gate)
    with httpx.Client(base_url=flow.http.base_url) as plain:  # its timeout is 5 s
        body = {"jsonrpc": "2.0", "method": "execute_task_tree", "params": {"tasks": [task]}, "id": 1}
        result = plain.post("/", json=body).json()["result"]
    assert (result["status"], result["success"], result["progress"]) == ("in_progress", True, 0.0)
    GATES[gate].set()
    with flow.stream({"task_id": task["id"]}) as frames:
        assert list(frames)[-2]["status"] == "completed"


@pytest.mark.contract("P18")
def test_p18_schemas_name_the_executor_and_params_set_it_up(flow: Flow):
    works = {
        "agents": {"researcher": {"role": "Research Analyst", "llm": "demo/demo-1"}, "writer": {"role": "Writer"}},
        "tasks": {
            "find": {"description": "Say {word} once.", "agent": "researcher"},
            "tell": {"description": "Say it again.", "agent": "writer", "expected_output": "A word."},
        },
    }
    crew = {**one(word="hello"), "name": "CrewAI Task", "schemas": {"method": "crewai_executor"}}
    agent = {**one(prompt="What is 6 * 7?"), "name": "ask", "schemas": {"method": "agent"}}
    function = {**one(text="x"), "name": "any", "schemas": {"method": "shout_executor"}}
    http = {**one(), "name": "get", "schemas": {"method": "rest_executor"}, "inputs": {"url": "http://127.0.0.1:1/"}}
    for task, status in ((dict(crew, params={"works": works}), "completed"), (agent, "completed"), (http, "failed")):
        frames = flow.execute([task])
        assert frames[-2]["status"] == status, frames
    inner = flow.http.get(f"/api/workflows/{flow.status(crew['id'])['run_id']}").json()["tasks"][0]["tasks"]
    assert [task["id"] for task in inner] == ["find", "tell"]
    assert flow.execute([function])[-2]["result"] == "X"
    assert "42" in flow.status(agent["id"])["result"]


@pytest.mark.contract("P19")
def test_p19_tree_has_one_root_and_dependencies_say_the_order(flow: Flow):
    tasks = named(DIAMOND)
    frames = flow.execute(tasks)
    started = [frame["task_id"] for frame in frames if frame["type"] == "task_start"]
    assert (started[0], started[-1]) == (tasks[0]["id"], tasks[-1]["id"])
    assert flow.status(tasks[-1]["id"])["result"] == {"both": "AB+AC"}
    tree = flow.call("tasks.tree", {"task_id": tasks[-1]["id"]})
    assert [child["id"] for child in tree["children"]] == [task["id"] for task in tasks[1:]]
    bad = [
        [one(), one()],
        [dict(tasks[0], dependencies=["x"])],
        [dict(tasks[0], id="a", dependencies=["b"]), dict(tasks[0], id="b", parent_id="a", dependencies=["a"])],
        [dict(tasks[0], id="a"), dict(tasks[0], id="a", parent_id="a")],
        [dict(tasks[0], id="a", user_id="x"), dict(tasks[0], id="b", parent_id="a", user_id="y")],
        [dict(tasks[0], id="no id")],
        [],
    ]
    for given in bad:
        assert flow.refused("tasks.create", {"tasks": given})["code"] == -32602, given


@pytest.mark.contract("P19")
def test_p19_priority_orders_what_may_start_and_optional_dependencies_may_fail(flow: Flow):
    tasks = named(
        [
            {
                "id": "root",
                "name": "shout",
                "inputs": {"text": "x"},
                "dependencies": [{"id": "bad", "required": False}],
            },
            {"id": "bad", "name": "nobody", "parent_id": "root"},
            {"id": "late", "name": "shout", "parent_id": "root", "priority": 3, "inputs": {"text": "x"}},
            {"id": "soon", "name": "shout", "parent_id": "root", "priority": 0, "inputs": {"text": "x"}},
        ]
    )
    frames = flow.execute(tasks)
    told = [frame["task_id"].rpartition("-")[2] for frame in frames if frame["type"] in ("task_start", "task_failed")]
    assert told[0] == "soon"
    assert told.index("bad") < told.index("root")
    assert told.index("soon") < told.index("late")
    assert frames[-2]["status"] == "completed"


@pytest.mark.contract("P20")
@pytest.mark.parametrize("shape", ["list in tasks", "object in tasks", "bare list"])
def test_p20_tasks_are_created_and_nothing_is_done_yet(flow: Flow, shape: str):
    word = fresh("said")
    task = one(text=word)
    params = {"list in tasks": {"tasks": [task]}, "object in tasks": {"tasks": task}, "bare list": [task]}[shape]
    made = flow.call("tasks.create", params)
    assert (made["task_id"], made["status"], made["progress"], made["children"]) == (task["id"], "pending", 0.0, [])
    assert made["created_at"].endswith("Z")
    assert flow.refused("tasks.create", params)["data"]["type"] == "already_exists"
    assert word not in CALLS


@pytest.mark.contract("P20")
def test_p20_idempotency_key_creates_once(flow: Flow):
    key = fresh("key")
    body = {
        "jsonrpc": "2.0",
        "method": "execute_task_tree",
        "params": [{"name": "shout", "inputs": {"text": key}}],
        "id": 1,
    }
    answers = [flow.post(body, "/", Idempotency_Key=key) for _ in range(2)]
    assert answers[0] == answers[1]
    assert CALLS.count(key) == 1
    assert flow.http.post("/", json={**body, "id": 2}, headers={"Idempotency-Key": key}).status_code == 409


@pytest.mark.contract("P21")
def test_p21_execute_starts_a_task_that_is_there(flow: Flow):
    task = one()
    flow.call("tasks.create", [task])
    answer = flow.post({"jsonrpc": "2.0", "method": "tasks.execute", "params": {"task_id": task["id"]}, "id": 1})
    assert (answer["id"], type(answer["id"])) == (1, int)
    assert (answer["result"]["status"], answer["result"]["root_task_id"]) == ("started", task["id"])
    with flow.stream({"task_id": task["id"]}) as frames:
        assert list(frames)[-2]["status"] == "completed"
    told = flow.refused("tasks.execute", {"task_id": task["id"], "webhook_config": {"url": "https://x.test"}})
    assert "/api/webhooks" in told["message"]
    again = flow.call("tasks.execute", {"task_id": task["id"]})
    assert (again["status"], again["run_id"]) == ("completed", answer["result"]["run_id"])
    copied = flow.call("tasks.execute", {"task_id": task["id"], "copy_execution": True})
    assert (copied["original_task_id"], copied["task_id"] != task["id"]) == (task["id"], True)


@pytest.mark.contract("P21")
def test_p21_child_is_executed_with_what_it_needs_and_a_failed_tree_goes_on(flow: Flow):
    tasks = named(DIAMOND)
    flow.call("tasks.create", tasks)
    with flow.stream({"task_id": tasks[1]["id"]}) as frames:
        done = {frame["task_id"] for frame in frames if frame.get("type") == "task_completed"}
    assert done == {tasks[0]["id"], tasks[1]["id"]}
    assert flow.status(tasks[3]["id"])["status"] == "pending"
    word = fresh("said")
    broken = named(
        [
            {"id": "a", "name": "shout", "inputs": {"text": word}},
            {"id": "b", "name": "fails", "parent_id": "a", "dependencies": ["a"], "inputs": {"once": word}},
        ]
    )
    assert flow.execute(broken)[-2]["status"] == "failed"
    assert flow.status(broken[1]["id"])["error"] == "broken"
    with flow.stream({"task_id": broken[0]["id"]}) as frames:
        told = list(frames)
    assert told[0]["result"]["status"] == "started"
    assert [frame["task_id"] for frame in told if frame.get("type") == "task_start"] == [broken[1]["id"]]
    assert (told[-2]["status"], CALLS.count(word)) == ("completed", 1)


@pytest.mark.contract("P22")
def test_p22_get_detail_children_and_list(flow: Flow):
    tasks = named(DIAMOND)
    flow.call("tasks.create", {"tasks": tasks})
    for method in ("tasks.get", "tasks.detail"):
        got = flow.call(method, {"task_id": tasks[1]["id"]}, path="/")
        assert (got["name"], got["parent_id"], got["has_children"]) == ("shout", tasks[0]["id"], False)
        assert got["dependencies"] == [{"id": tasks[0]["id"], "required": True}]
    assert len(flow.call("tasks.children", {"parent_id": tasks[0]["id"]})) == 3
    listed = flow.call("tasks.list", {"limit": 3, "offset": 1})
    assert [task["id"] for task in listed] == [task["id"] for task in tasks[1:]]
    roots = flow.call("tasks.list", {"limit": 1, "root_only": True, "status": "pending"})
    assert roots[0]["id"] == tasks[0]["id"]
    for method in ("tasks.get", "tasks.tree", "tasks.children", "tasks.update", "tasks.delete", "tasks.copy"):
        error = flow.refused(method, {"task_id": "nobody"})
        assert (error["code"], error["data"]["type"]) == (-32602, "not_found"), method


@pytest.mark.contract("P22")
def test_p22_update_changes_what_may_be_changed(flow: Flow):
    tasks = named(DIAMOND)
    flow.call("tasks.create", tasks)
    last = tasks[3]["id"]
    changed = flow.call(
        "tasks.update", {"task_id": last, "name": "other", "priority": 0, "dependencies": [tasks[0]["id"]]}
    )
    assert (changed["name"], changed["priority"], len(changed["dependencies"])) == ("other", 0, 1)
    error = flow.refused("tasks.update", {"task_id": last, "parent_id": None, "user_id": "x", "dependencies": [last]})
    assert error["code"] == -32602
    for said in ("'parent_id'", "'user_id'", "Circular dependency"):
        assert said in error["message"]
    assert "'status'" in flow.refused("tasks.update", {"task_id": last, "status": "completed"})["message"]
    flow.call("tasks.update", {"task_id": tasks[0]["id"], "inputs": {"text": "z"}})
    flow.call("tasks.update", {"task_id": last, "inputs": {"left": "1", "right": "2"}})
    with flow.stream({"task_id": tasks[0]["id"]}) as frames:
        assert list(frames)[-2]["status"] == "completed"
    assert flow.status(tasks[1]["id"])["result"] == "ZB"
    text = flow.refused("tasks.update", {"task_id": last, "dependencies": []})["message"]
    assert "must be 'pending'" in text


@pytest.mark.contract("P22")
def test_p22_delete_and_copy(flow: Flow):
    tasks = named(DIAMOND)
    flow.call("tasks.create", tasks)
    assert "depend on this task" in flow.refused("tasks.delete", {"task_id": tasks[1]["id"]})["message"]
    assert flow.call("tasks.delete", {"task_id": tasks[3]["id"]})["deleted_count"] == 1
    copy = flow.call("tasks.copy", {"task_id": tasks[0]["id"]})
    assert (copy["original_task_id"], len(copy["children"]), copy["status"]) == (tasks[0]["id"], 2, "pending")
    assert flow.call("tasks.get", {"task_id": tasks[0]["id"]})["has_copy"] is True
    with flow.stream({"task_id": copy["id"]}) as frames:
        assert list(frames)[-2]["status"] == "completed"
    assert flow.status(tasks[0]["id"])["status"] == "pending"
    gone = flow.call("tasks.delete", {"task_id": tasks[0]["id"]})
    assert gone == {"success": True, "task_id": tasks[0]["id"], "deleted_count": 3, "children_deleted": 2}
    flow.status(tasks[0]["id"], expect=404)
    error = flow.refused("tasks.delete", {"task_id": copy["id"]})
    assert "task is completed" in error["message"]
    assert flow.call("tasks.delete", {"task_id": copy["id"], "force": True})["deleted_count"] == 3
    assert flow.call("tasks.create", tasks)["id"] == tasks[0]["id"], "the ids are free again"


@pytest.mark.contract("P22")
def test_p22_cancel_and_what_is_running(flow: Flow):
    gate = fresh("gate")
    task = {**one("hold", gate=gate), "user_id": gate}
    flow.call("tasks.create", [task])
    assert flow.call("tasks.cancel", {"task_ids": [task["id"]]})[0]["status"] == "failed"
    with flow.stream({"task_id": task["id"]}) as frames:
        next(frame for frame in frames if frame.get("type") == "progress" and "hold" in frame["message"])
        running = flow.call("tasks.running.list", {"user_id": gate})
        assert [(each["id"], each["status"]) for each in running] == [(task["id"], "in_progress")]
        assert flow.call("tasks.running.count", {"user_id": gate}) == {"count": 1, "user_id": gate}
        found = flow.call("tasks.running.status", {"task_ids": [task["id"], "nobody"]})
        assert [each["status"] for each in found] == ["in_progress", "not_found"]
        assert flow.call("tasks.execute", {"task_id": task["id"]})["status"] == "already_running"
        answer = flow.call("tasks.cancel", {"task_ids": [task["id"], "nobody"], "error_message": "enough"})
        assert [each["status"] for each in answer] == ["cancelled", "error"]
        assert [(frame["type"], frame["status"]) for frame in frames][-2:] == [
            ("final", "cancelled"),
            ("stream_end", "cancelled"),
        ]
    assert flow.status(task["id"])["status"] == "cancelled"
    assert flow.call("tasks.running.count", {"user_id": gate})["count"] == 0


@pytest.mark.contract("P23")
def test_p23_status_of_a_task(flow: Flow):
    task = one(text="x")
    made = flow.call("tasks.create", [task])
    assert flow.status(task["id"]) | {"run_id": 1} == {
        **{"task_id": task["id"], "root_task_id": task["id"], "status": "pending", "progress": 0.0, "result": None},
        **{"error": None, "run_id": 1, "created_at": made["created_at"], "updated_at": made["updated_at"]},
        **{"started_at": None, "completed_at": None},
    }
    with flow.stream({"task_id": task["id"]}) as frames:
        list(frames)
    after = flow.status(task["id"])
    assert (after["status"], after["progress"], after["result"]) == ("completed", 1.0, "X")
    assert after["started_at"] <= after["completed_at"]
    assert flow.status("nobody", expect=404) == {"detail": "there is no task 'nobody'"}


@pytest.mark.contract("P24", "C28")
def test_p24_tasks_of_a_user(flow: Flow):
    user = fresh("user")
    tasks = [dict(one(), user_id=user) for _ in range(3)]
    for task in tasks:
        flow.call("tasks.create", [task])
    listed = flow.http.get("/tasks", params={"user_id": user}).json()
    assert [task["id"] for task in listed] == [task["id"] for task in reversed(tasks)]
    assert {task["user_id"] for task in listed} == {user}
    page = flow.http.get("/tasks", params={"user_id": user, "limit": 1, "offset": 1}).json()
    assert [task["id"] for task in page] == [tasks[1]["id"]]
    assert len(flow.http.get("/tasks").json()) > 3
    assert flow.http.get("/tasks", params={"limit": 0}).status_code == 422


@pytest.mark.contract("P25")
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", None])
def test_p25_content_type_of_the_curl_examples(flow: Flow, content_type: str | None):
    body = json.dumps({"jsonrpc": "2.0", "method": "tasks.running.count", "id": 1}).encode()
    headers = {"Content-Type": content_type} if content_type else {}
    assert flow.http.post("/tasks", content=body, headers=headers).json()["result"] == {"count": 0}


@pytest.mark.contract("P62", "P17")
def test_p62_unknown_executor_fails_its_task_with_the_hint(flow: Flow):
    tasks = named(
        [{"id": "a", "name": "my_unknown"}, {"id": "b", "name": "shout", "parent_id": "a", "inputs": {"text": "x"}}]
    )
    frames = flow.execute(tasks)
    failed = next(frame for frame in frames if frame["type"] == "task_failed")
    assert failed["task_id"] == tasks[0]["id"]
    for said in ("'my_unknown'", "executor must be registered", "task's name, must be its id", "shout"):
        assert said in failed["error"]
    assert frames[-2]["status"] == "failed"
    assert flow.status(tasks[0]["id"])["status"] == "failed"
    assert flow.status(tasks[1]["id"])["status"] == "completed"


@pytest.mark.contract("C20")
def test_c20_a2as_methods_reach_the_default_agent(flow: Flow):
    message = {"role": "user", "parts": [{"kind": "text", "text": "6 * 7"}], "messageId": "m1", "kind": "message"}
    call = {"jsonrpc": "2.0", "method": "message/send", "id": 1, "params": {"message": message}}
    task = flow.post(call, "/")["result"]
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    got = flow.post({**call, "method": "tasks/get", "params": {"id": task["id"]}}, "/")["result"]
    assert got["id"] == task["id"]
    over = flow.post({**call, "method": "tasks/cancel", "params": {"id": task["id"]}}, "/")
    assert over["error"]["code"] == -32002
    with flow.http.stream("POST", "/", json={**call, "method": "message/stream"}) as answer:
        frames = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert frames[-1]["result"]["status"]["state"] == "completed"
    assert flow.refused("message/send", {"message": message})["code"] == -32601, "not at /tasks"
