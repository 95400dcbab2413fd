"""Groups: whatever a caller does with another group's ids, it meets nothing of it, lists and streams included."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.in_thread import Api, serving
from tests.security.bodies import minimal

pytestmark = pytest.mark.xdist_group("tenancy")

GROUPS = ("red", "green", "blue")
ENDLESS = {"followEvents"}
"""Streams without an end; tested by themselves below."""
STARTING = {"chatByQuery", "kawaiStream"}
"""Requests that start a run by their query, and make the session that they name."""
OWN_NAMES = {"run_id", "name", "id", "session_id", "conversation_id"}
"""Members of bodies by which a caller names what it creates, a session in passing: tested by themselves below."""
NOBODY = "0190aaaa-0000-7000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Group:
    """One tenant, everything of it made over the API."""

    name: str
    ids: dict[str, tuple[str, ...]]
    """Kind of id → ids."""

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": key_of(self.name)}


class World:
    """A server and its tenants."""

    def __init__(self, api: Api, document: dict[str, Any], groups: dict[str, Group]) -> None:
        self.api = api
        self.document = document
        self.groups = groups

    def __repr__(self) -> str:
        return "World()"  # hypothesis prints it with every finding


def key_of(group: str) -> str:
    return f"key-of-{group}-with-many-characters"


def _furnish(api: Api, name: str) -> Group:
    """Make one of everything."""
    headers = {"X-API-Key": key_of(name)}

    def post(path: str, body: Any = None, expect: int = 201) -> Any:
        return api.post(path, body, expect=expect, headers=headers)

    tool = post("/tools", {"name": f"{name}-tool", "tool_type": "http", "configuration": {"url": "https://x.test"}})
    webhook = post("/webhooks", {"url": "https://x.test/hook"})
    agent = post("/agents", {"id": f"{name}-agent", "name": f"{name} agent"})
    chat = {"agent_id": agent["id"], "message": f"secret of {name}", "stream": False}
    done = post("/chat", chat, expect=200)
    checkpoint = api.get(f"/runs/{done['run_id']}/checkpoints", headers=headers)["items"][0]
    fork = post(f"/checkpoints/{checkpoint['id']}/fork", {"modifications": {"modified_query": "again"}})
    asked = api.post(
        "/chat",
        {"agent_id": "assistant", "message": f"send a message to {name}@example.com", "stream": False},
        expect=202,
        headers=headers,
    )
    deliveries = api.get(f"/webhooks/{webhook['id']}/deliveries", headers=headers)["items"]
    access_key = post("/access-keys", {"name": f"{name} key"})
    chat = {"agent_id": agent["id"], "message": f"secret of {name}"}
    schedule = post("/schedules", {"name": f"{name} plan", "cron": "0 0 1 1 *", "chat": chat})
    llm_key = post("/keys", {"provider": "openai", "api_key": f"secret key of {name}"})
    model = post("/models", {"name": f"{name}/model", "provider": "demo", "model": "demo"})
    template = post("/templates", {"name": f"{name} text", "template": f"secret of {name}"})
    api_key = post("/api-keys", {"name": f"{name} key", "service": "openai", "key": f"another key of {name}"})
    crew = post("/crews", {"name": f"{name} crew", "tasks_yaml": f"secret of {name}"})
    task = post("/tasks", {"name": f"{name} task", "description": f"secret of {name}", "expected_output": ""})
    written = {"tasks_yaml": {"a": {"description": f"secret of {name}", "agent": "assistant"}}}
    execution = post("/executions", written)["execution_id"]
    post("/users", {"name": f"{name}-user", "password": "long enough"})
    leaf = {"id": f"{name}-leaf", "name": "calculator", "inputs": {"expression": f"secret of {name}"}}
    made = {"jsonrpc": "2.0", "method": "execute_task_tree", "params": [leaf], "id": 1}
    assert api.http.post("/tasks", json=made, headers=headers).json()["result"]["id"] == leaf["id"]
    return Group(
        name,
        {
            "run": (done["run_id"], fork["run_id"], asked["run_id"]),
            "session": (done["session_id"], asked["session_id"]),
            "branch": (done["branch_id"], fork["branch_id"]),
            "checkpoint": (checkpoint["id"],),
            "approval": tuple(asked["pending_approvals"]),
            "agent": (agent["id"],),
            "tool": (tool["id"], tool["name"]),
            "key": (access_key["id"], llm_key["id"], api_key["id"]),
            "model": (model["id"],),
            "template": (template["id"],),
            "name": (f"{name}-user",),
            "schedule": (schedule["id"],),
            "webhook": (webhook["id"],),
            "crew": (crew["id"],),
            "task": (task["id"],),
            "execution": (execution,),
            "delivery": tuple(delivery["id"] for delivery in deliveries),
            "leaf": (f"{name}-leaf",),
        },
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    keys = [{"key": key_of(group), "name": group, "group": group} for group in GROUPS]
    with serving(tmp_path_factory.mktemp("tenancy"), api_keys=keys) as api:
        document = api.http.get("/openapi.json").json()
        yield World(api, document, {name: _furnish(api, name) for name in GROUPS})


KIND_OF = {
    **dict.fromkeys(("run_id", "runs", "run_ids", "a", "b", "parent_run_id"), "run"),
    **{"checkpoint_id": "checkpoint", "against": "checkpoint", "approval_id": "approval", "tool_id": "tool"},
    **{"session_id": "session", "branch_id": "branch", "current_branch_id": "branch", "agent_id": "agent"},
    **{"key_id": "key", "name": "name", "conversation_id": "session", "schedule_id": "schedule"},
    **{"webhook_id": "webhook", "delivery_id": "delivery"},
    **{"model_name": "model", "template_id": "template"},
    **{
        "tool_name": "tool",
        "crew_id": "crew",
        "execution_id": "execution",
        "task_id": "task",
        "task_ids": "task",
        "agent_ids": "agent",
    },
}
"""Name of a parameter or member → what its id is of."""


def kind_of(call: "Call", name: str) -> str | None:
    """Return what the id of a parameter or member is of; Firefly's agents go by their name."""
    if name == "task_id" and call.path.startswith("/tasks/"):
        return "leaf"  # aipartnerupflow's, not Kasal's
    return "agent" if name == "name" and call.path.startswith("/agents/") else KIND_OF.get(name)


@dataclass(frozen=True, slots=True)
class Call:
    """An operation, and where its ids go."""

    operation: str
    method: str
    path: str
    in_path: tuple[str, ...]
    in_query: tuple[tuple[str, bool], ...]
    """Names, and whether they are required."""
    body: dict[str, Any] | None
    """Its schema."""


def calls_of(document: dict[str, Any]) -> list[Call]:
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = operation.get("parameters", [])
            content = operation.get("requestBody", {}).get("content", {})
            found.append(
                Call(
                    operation=operation["operationId"],
                    method=method.upper(),
                    path=path,
                    in_path=tuple(re.findall(r"{(\w+)}", path)),
                    in_query=tuple(
                        (p["name"], p["required"])
                        for p in parameters
                        if p["in"] == "query" and not (operation["operationId"] in STARTING and p["name"] in OWN_NAMES)
                    ),
                    body=content.get("application/json", {}).get("schema"),
                )
            )
    return found


def send(world: World, call: Call, caller: str, ids: dict[str, str]) -> tuple[int, str]:
    """Make the call; return status and body, without what is new at every call."""
    path = re.sub(r"{(\w+)}", lambda match: ids[match[1]], call.path)
    query = {name: ids.get(name, "true") for name, must in call.in_query if must or name in ids}
    inside = {name: value for name, value in ids.items() if name not in OWN_NAMES}
    body = minimal(call.body, world.document, inside) if call.body else None
    answer = world.api.http.request(
        call.method, path, params=query, json=body, headers={**world.groups[caller].headers, "X-Request-ID": "r"}
    )
    return answer.status_code, answer.text


def test_every_id_in_a_path_is_tried(world: World):
    named = {name for call in calls_of(world.document) for name in call.in_path}
    assert named <= KIND_OF.keys(), "say in KIND_OF what these ids are of, and make one in _furnish"


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(number=st.integers(0, 10_000), pair=st.permutations(GROUPS), pick=st.integers(0, 5))
def test_foreign_ids_are_answered_as_if_nothing_were_there(world: World, number: int, pair: list[str], pick: int):
    calls = [call for call in calls_of(world.document) if call.operation not in ENDLESS]
    calls = [call for call in calls if call.in_path or call.in_query or call.body]
    call, (caller, owner, _) = calls[number % len(calls)], pair
    places = {*call.in_path, *(name for name, _ in call.in_query), *_members(call, world)}
    of_owner = world.groups[owner].ids
    kinds = {name: kind for name in places if (kind := kind_of(call, name)) is not None}
    foreign = {name: of_owner[kind][pick % len(of_owner[kind])] for name, kind in kinds.items()}
    if not foreign:
        return
    status, text = send(world, call, caller, foreign)
    nothing = {name: _absent(name) for name in foreign}
    status_of_nothing, said_of_nothing = send(world, call, caller, nothing)
    assert (status, _plain(text, foreign)) == (status_of_nothing, _plain(said_of_nothing, nothing)), call
    if call.in_path:
        assert status == 404, (call, text)
    rest = text
    for one in foreign.values():
        rest = rest.replace(one, "")
    for secret in _secrets(world, owner, besides=foreign.values()):
        assert secret not in rest, (call, secret)


def _members(call: Call, world: World) -> list[str]:
    return [
        name
        for name in KIND_OF.keys() - OWN_NAMES
        if call.body and f'"{name}"' in json.dumps(_flat(call.body, world.document))
    ]


def _flat(schema: Any, document: dict[str, Any], depth: int = 0) -> Any:
    """Return a schema with its references resolved."""
    if depth > 8:
        return None
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _flat(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document, depth + 1)
        return {name: _flat(value, document, depth + 1) for name, value in schema.items()}
    return [_flat(value, document, depth + 1) for value in schema] if isinstance(schema, list) else schema


def _absent(name: str) -> str:
    return f"{NOBODY}.3" if KIND_OF[name] == "checkpoint" else NOBODY


def _plain(text: str, ids: dict[str, str]) -> str:
    """Return a text without the ids that were sent, and without what differs from call to call."""
    for value in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(value, "<id>")
    return re.sub(r"\d+", "0", re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<new>", text))


def _secrets(world: World, owner: str, besides: Any) -> set[str]:
    """Return what must not be seen of a group: its ids, and what was said there."""
    ids = {one for several in world.groups[owner].ids.values() for one in several}
    return (ids - set(besides)) | {f"secret of {owner}", f"{owner} key", f"{owner}-user", f"{owner} agent"} - set(
        besides
    )


@pytest.mark.parametrize("caller", GROUPS)
def test_lists_and_counts_hold_the_callers_own_only(world: World, caller: str):
    own, others = world.groups[caller], [world.groups[name] for name in GROUPS if name != caller]
    listed = [call for call in calls_of(world.document) if call.method == "GET" and not call.in_path]
    seen = ""
    for call in listed:
        if call.operation in ENDLESS or any(must for _, must in call.in_query):
            continue
        answer = world.api.http.get(call.path, params={"limit": 100}, headers=own.headers)
        assert answer.status_code == 200, call
        seen += answer.text
        for other in others:
            for secret in _secrets(world, other.name, besides=()):
                assert secret not in answer.text, (call, secret)
    for kind in own.ids.keys() - {"branch", "checkpoint", "delivery", "webhook"}:
        assert any(f'"{one}"' in seen for one in own.ids[kind]), kind
    for path, number in (("/api/access-keys", 1), ("/api/keys", 2), ("/api/users", 1)):
        assert world.api.http.get(path, headers=own.headers).json()["total"] == number


def test_multiplexed_stream_carries_the_callers_own_runs_only(world: World):
    red, green = world.groups["red"], world.groups["green"]
    for query in (f"runs={red.ids['run'][0]}", f"session_id={red.ids['session'][0]}"):
        assert world.api.http.get(f"/api/events?{query}", headers=green.headers).status_code == 404
    mixed = f"runs={green.ids['run'][0]},{red.ids['run'][0]}"
    assert world.api.http.get(f"/api/events?{mixed}", headers=green.headers).status_code == 404
    place = {"Last-Event-ID": f"{red.ids['run'][0]}/2"}
    assert world.api.http.get("/api/events?all=true", headers={**green.headers, **place}).status_code == 400
    with world.api.stream("GET", "/events?all=true", headers=green.headers) as frames:
        theirs = world.api.post("/runs", {"agent_id": "assistant", "message": "1 + 1"}, expect=202, headers=red.headers)
        ours = world.api.post("/runs", {"agent_id": "assistant", "message": "2 + 2"}, expect=202, headers=green.headers)
        world.api.call("GET", f"/runs/{theirs['id']}/messages", headers=red.headers)
        followed = []
        for frame in frames:
            followed.append(frame.data["run_id"])
            if (frame.event, frame.data["run_id"]) == ("run_completed", ours["id"]):
                break
    assert theirs["id"] not in followed
    for run_id in set(followed):  # others of the same group may be under way
        world.api.get(f"/runs/{run_id}", headers=green.headers)


def test_bulk_commands_reach_the_callers_own_runs_only(world: World):
    red, green = world.groups["red"], world.groups["green"]
    asked = {"agent_id": "assistant", "message": "send a message to red@example.com", "stream": False}
    waiting = world.api.post("/chat", asked, expect=202, headers=red.headers)["run_id"]
    answer = world.api.post("/runs/cancel", {"filter": {"run_ids": [waiting]}}, headers=green.headers)
    assert (answer["accepted"], answer["items"][0]["type"]) == (0, "not_found")
    world.api.post("/runs/cancel", {"filter": {}}, headers=green.headers)
    assert world.api.get(f"/runs/{waiting}", headers=red.headers)["status"] == "waiting"


def test_foreign_session_id_opens_a_session_of_ones_own(world: World):
    red, blue = world.groups["red"], world.groups["blue"]
    session_id = red.ids["session"][0]
    body = {"agent_id": "assistant", "message": "what did I say?", "stream": False, "session_id": session_id}
    branch = {**body, "branch_id": red.ids["branch"][1]}
    world.api.post("/chat", branch, expect=404, headers=blue.headers)
    world.api.post("/stream-tokens", {"session_id": session_id}, expect=404, headers=blue.headers)
    world.api.post("/stream-tokens", {"run_id": red.ids["run"][0]}, expect=404, headers=blue.headers)
    made = world.api.post("/chat", body, headers=blue.headers)
    own = world.api.get(f"/sessions/{session_id}/messages", headers=blue.headers)
    assert (made["session_id"], own["total"], "red" in json.dumps(own)) == (session_id, 2, False)
    assert "secret of red" in json.dumps(world.api.get(f"/sessions/{session_id}/messages", headers=red.headers))


def test_a_key_of_one_group_names_no_other(world: World):
    headers = {**world.groups["red"].headers, "X-Group-ID": "green"}
    answer = world.api.http.get("/api/runs", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "denied")
    assert world.api.http.get("/api/runs", headers={**headers, "X-Group-ID": "red"}).status_code == 200


def test_no_method_finds_a_task_of_another_group(world: World):
    red, blue = world.groups["red"], world.groups["blue"]
    [task_id] = red.ids["leaf"]

    def answer(method: str, params: Any) -> str:
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        sent = world.api.http.post("/tasks", json=body, headers=blue.headers)
        assert sent.status_code == 200, sent.text
        text: str = sent.text
        return text

    for name in ("get", "detail", "tree", "children", "update", "delete", "copy", "execute"):
        for more in ({}, {"copy_execution": True, "use_streaming": True, "force": True, "name": "x"}):
            found = answer(f"tasks.{name}", {"task_id": task_id, **more})
            assert found == answer(f"tasks.{name}", {"task_id": NOBODY, **more}).replace(NOBODY, task_id), name
            assert '"not_found"' in found or "Update failed" in found
    for name in ("cancel", "running.status"):
        found = answer(f"tasks.{name}", {"task_ids": [task_id]})
        assert found == answer(f"tasks.{name}", {"task_ids": [NOBODY]}).replace(NOBODY, task_id)
    for name in ("list", "running.list"):
        assert "red" not in answer(f"tasks.{name}", {"user_id": None})
    made = json.loads(answer("tasks.create", [{"id": task_id, "name": "calculator"}]))
    assert made["result"]["id"] == task_id, "ids are a group's own"
