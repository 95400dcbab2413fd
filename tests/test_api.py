"""The whole API as a client meets it: `pytest tests/test_api.py -v` needs no server, no database and no key.

A server runs in a thread, on a fresh SQLite file, with the demo model.
"""

import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.client import check_whole, names, to_frame
from tests.e2e.in_thread import SLOWLY, Api, fresh, serving

pytestmark = pytest.mark.xdist_group("api")

JSON_ONLY = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A fresh installation: the demo model answers."""
    with serving(tmp_path_factory.mktemp("api")) as served:
        yield served


# -- health, documentation, edges


@pytest.mark.contract("A12", "A45")
def test_health_has_three_keys_and_info_says_who_answers(api: Api):
    assert api.get("/info")["demo"] is True
    body = api.get("/health")
    assert sorted(body) == ["status", "timestamp", "version"]
    assert (body["status"], body["version"]) == ("healthy", "0.1.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])


def test_root_leads_to_the_ui(api: Api):
    answer = api.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")
    assert "<html" in api.http.get("/ui/").text.lower()


@pytest.mark.contract("A5", "A10", "A11", "S76", "S77")
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/api-docs", "/api-redoc"])
def test_api_consoles_load_nothing_from_elsewhere(api: Api, path: str):
    page = api.http.get(path)
    assert page.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert source.startswith("/docs-assets/"), source
        assert api.http.get(source).status_code == 200


@pytest.mark.contract("A5", "S81")
def test_openapi_is_whole_and_its_operation_ids_are_unique(api: Api):
    document = api.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    ids = [operation["operationId"] for _, operation in operations]
    assert len(set(ids)) == len(ids) > 40
    for name, operation in operations:
        assert operation["summary"], name
        assert operation["tags"], name
        assert set(re.findall(r"{(\w+)}", name)) == {
            p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"
        }
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred <= set(document["components"]["schemas"])


@pytest.mark.contract("S6")
def test_every_path_answers_under_both_prefixes(api: Api):
    for path, item in api.http.get("/openapi.json").json()["paths"].items():
        other = path.replace("/api/", "/api/v1/", 1)
        filled = [re.sub(r"{\w+}", "no-such", one) for one in (path, other)]
        for method in set(item) & {"get", "delete"} if "/events" not in path and path != "/api/chat" else ():
            first, second = (api.http.request(method, one) for one in filled)
            assert first.status_code == second.status_code, path
            assert second.status_code != 404 or second.json()["detail"] != "Not Found", other
    answer = api.http.post("/api/v1/chat", json={"agent_id": "assistant", "message": "2 + 2", "stream": False})
    assert answer.json()["response"].startswith("The result is 4.")


def test_request_ids_are_given_and_sane_ones_are_kept(api: Api):
    uuid.UUID(api.http.get("/api/health").headers["X-Request-ID"])
    for path in ("/api/health", "/api/nope", "/api/runs/nope"):
        assert api.http.get(path, headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    bad = api.http.get("/api/runs/nope", headers={"X-Request-ID": "a b" * 90})
    assert bad.headers["X-Request-ID"] == bad.json()["request_id"] != "a b" * 90


@pytest.mark.contract("S90")
def test_browsers_of_every_origin_may_call(api: Api):
    origin = {"Origin": "http://elsewhere.test"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}
    preflight = api.http.options("/api/chat", headers=origin | asked)
    assert preflight.status_code == 200
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"].lower()
    for path in ("/api/health", "/api/runs/nope"):
        answer = api.http.get(path, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


# -- agents


@pytest.mark.contract("A1", "A13", "A14", "A15")
def test_agents_can_be_made_found_changed_and_deleted(api: Api):
    agent, tag = fresh("critic"), fresh("tag")
    body = {"id": agent, "name": "Critic", "system_prompt": "Be strict.", "tools": ["calculator"], "tags": [tag]}
    made = api.post("/agents", body, expect=201)
    assert (made["source"], made["version"], made["provider"], made["max_steps"]) == ("api", 1, "demo", 10)
    assert api.get(f"/agents/{agent}") == made
    assert [row["id"] for row in api.get(f"/agents?tag={tag}")["items"]] == [agent]
    changed = api.call("PUT", f"/agents/{agent}", {"system_prompt": "Be mild."})
    assert (changed["version"], changed["tools"], changed["system_prompt"]) == (2, ["calculator"], "Be mild.")
    assert "“Be mild.”" in api.chat("hello", agent_id=agent)["response"]
    assert api.call("PATCH", f"/agents/{agent}", {"enabled": False})["enabled"] is False
    assert api.chat("hello", agent_id=agent, expect=409)["type"] == "conflict"
    assert [row["version"] for row in api.get(f"/agents/{agent}/versions")["items"]] == [3, 2, 1]
    assert api.post("/agents", body, expect=409)["type"] == "already_exists"
    api.call("DELETE", f"/agents/{agent}", expect=204)
    assert api.get(f"/agents/{agent}", expect=404)["type"] == "not_found"


# -- chat


@pytest.mark.contract("A2", "A16", "A17", "A18", "A21", "A22", "A23", "A24", "A25", "A27")
def test_the_stream_is_framed_as_documented(api: Api):
    body = {"agent_id": "assistant", "message": "What is 6 * 7?"}
    with api.http.stream("POST", "/api/chat", json=body) as answer:
        assert answer.headers["cache-control"] == "no-store"
        text = answer.read().decode()
    assert "\r" not in text
    head, *blocks = text.split("\n\n")
    assert (head, blocks.pop()) == ("retry: 1000", "")
    frames = [to_frame(block.split("\n")) for block in blocks if not block.startswith(":")]
    check_whole(frames)
    first, last = frames[0].data, frames[-1].data
    assert (first["run_id"], first["agent_id"]) == (answer.headers["X-Run-ID"], "assistant")
    assert {"session_id", "branch_id", "model", "attempt"} <= set(first)
    assert all({"type", "run_id", "seq", "at"} <= set(frame.data) for frame in frames)
    assert last["response"].startswith("The result is 42.")
    assert last["response"] == "".join(f.data["content"] for f in frames if f.event == "content_delta")
    assert {"steps", "total_tokens", "duration_ms", "time_to_first_token_ms"} <= set(last["metrics"])
    assert names(frames) == [
        *("run_started", "checkpoint_created"),
        *("step_started", "message_completed", "tool_call_started", "tool_call_completed", "step_completed"),
        *("checkpoint_created", "step_started", "message_completed", "step_completed", "checkpoint_created"),
        "run_completed",
    ]


@pytest.mark.contract("A19", "A26")
def test_an_answer_that_is_not_streamed(api: Api):
    body = api.chat()
    assert {"run_id", "session_id", "branch_id", "response", "status", "steps", "metrics"} <= set(body)
    assert (body["status"], body["steps"]) == ("completed", 2)
    assert body["response"].startswith("The result is 42.")


@pytest.mark.contract("C5")
def test_a_native_event_source_starts_once_and_reads_on(api: Api):
    url, session = "/chat?agent_id=assistant&message=What is 6 * 7?", fresh("session")
    url += f"&session_id={session}"
    with api.http.stream("GET", f"/api{url}") as answer:
        ids = [line[4:] for line in answer.iter_lines() if line.startswith("id: ")]
    run = answer.headers["X-Run-ID"]
    assert ids == [f"{run}/{number}" for number in range(1, len(ids) + 1)]
    with api.stream("GET", url, headers={"Last-Event-ID": ids[4]}) as frames:
        assert [frame.seq for frame in frames] == list(range(6, len(ids) + 1))
    api.get(url, expect=204, headers={"Last-Event-ID": ids[-1]})
    assert api.get(f"/runs?session_id={session}")["total"] == 1
    for made_up in ("junk", "7", "no-such-run/7", f"{run}/99999", f"{run}/-1", "/"):
        assert api.get(url, expect=400, headers={"Last-Event-ID": made_up})["errors"][0]["field"] in (
            "Last-Event-ID",
            "after",
        )
    assert api.get(f"/runs?session_id={session}")["total"] == 1


def test_the_same_key_and_body_is_the_same_run(api: Api):
    key, body = fresh("key"), {"agent_id": "assistant", "message": "What is 6 * 7?"}
    with api.stream("POST", "/chat", body, headers={"Idempotency-Key": key}) as frames:
        first = list(frames)
    with api.stream("POST", "/chat", body, headers={"Idempotency-Key": key}) as frames:
        assert list(frames) == first
    with api.stream("POST", "/chat", body, headers={"Idempotency-Key": key, "Last-Event-ID": "9"}) as frames:
        assert list(frames) == first[9:]
    api.post("/chat", {**body, "message": "another"}, expect=409, headers={"Idempotency-Key": key})
    views = [api.post("/runs", body, expect=202, headers={"Idempotency-Key": fresh("key")}) for _ in range(2)]
    assert views[0]["id"] != views[1]["id"]


def test_a_client_that_leaves_a_run_that_is_not_detached_cancels_it(api: Api):
    body = {"agent_id": "assistant", "message": SLOWLY, "detached": False}
    with api.stream("POST", "/chat", body) as frames:
        run = next(frames).data["run_id"]
    assert api.events(run)[-1].event == "run_cancelled"


def test_first_messages_at_once_make_one_session(api: Api):
    session = fresh("session")
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda n: api.start(f"message {n}", session_id=session), range(4)))
    assert [api.events(run)[-1].event for run in runs] == ["run_completed"] * 4
    said = [m["content"] for m in api.get(f"/sessions/{session}/messages")["items"] if m["role"] == "user"]
    assert sorted(said) == [f"message {number}" for number in range(4)]


# -- runs and their control


@pytest.mark.contract("A31", "S75")
def test_runs_are_listed_and_looked_at(api: Api):
    session, tag = fresh("session"), fresh("tag")
    run = api.chat(session_id=session, tags=[tag], metadata={"ticket": 7})["run_id"]
    view = api.get(f"/runs/{run}")
    assert (view["status"], view["status_reason"], view["owner"], view["attempt"]) == ("completed", "answered", None, 1)
    assert (view["input"], view["tags"], view["metadata"]) == ("What is 6 * 7?", [tag], {"ticket": 7})
    assert view["last_seq"] == api.events(run)[-1].seq
    for query in (f"tag={tag}", f"session_id={session}", f"q={run}", f"status=completed&session_id={session}"):
        rows = api.get(f"/runs?{query}")["items"]
        assert [row["id"] for row in rows] == [run], query
        assert not {"input", "response"} & set(rows[0]), "rows carry no payloads"
    assert api.get(f"/runs?session_id={session}&status=failed")["total"] == 0
    assert [step["step"] for step in api.get(f"/runs/{run}/steps")["items"]] == [1, 2]
    assert [m["role"] for m in api.get(f"/runs/{run}/messages")["items"]] == ["user", "assistant", "tool", "assistant"]
    assert api.get(f"/runs/{run}/trace")["kind"] == "run"


@pytest.mark.contract("A31")
def test_events_can_be_read_as_a_list_and_from_any_place(api: Api):
    run = api.chat()["run_id"]
    frames = api.events(run)
    listed = api.get(f"/runs/{run}/events?limit=5&after=2", headers=JSON_ONLY)
    assert [item["seq"] for item in listed["items"]] == [3, 4, 5, 6, 7]
    assert listed["items"] == [frame.data for frame in frames[2:7]]
    assert (listed["has_more"], listed["next_after"]) == (True, 7)
    for path, headers in ((f"/runs/{run}/events?after=4", None), (f"/runs/{run}/events", {"Last-Event-ID": "4"})):
        with api.stream("GET", path, headers=headers) as rest:
            assert list(rest) == frames[4:]
    api.get(f"/runs/{run}/events", expect=204, headers={"Last-Event-ID": str(frames[-1].seq)})
    for made_up in ("junk", "99999", "other-run/1"):
        api.get(f"/runs/{run}/events", expect=400, headers={"Last-Event-ID": made_up})
    paused = api.start()
    api.post(f"/runs/{paused}/pause", {"mode": "now"}, expect=202)
    api.until(paused, "run_paused")
    with api.stream("GET", f"/runs/{paused}/events?follow=false") as replayed:
        assert [frame.event for frame in replayed][-1] == "run_paused"
    api.post(f"/runs/{paused}/cancel", expect=202)


@pytest.mark.contract("A3", "A28", "A29", "A30")
def test_pause_resume_and_cancel_say_what_becomes_of_them(api: Api):
    run = api.start()
    with api.stream("GET", f"/runs/{run}/events") as frames:
        next(frame for frame in frames if frame.event == "content_delta")
        answer = api.post(f"/runs/{run}/pause", {"mode": "now", "reason": "lunch"}, expect=202)
        assert (answer["run_id"], answer["pause_requested"]) == (run, True)
        assert next(f for f in frames if f.event == "run_paused").data["by"] == "anonymous"
        assert api.post(f"/runs/{run}/pause")["status"] == "paused"
        api.post(f"/runs/{run}/resume", expect=202)
        next(frame for frame in frames if frame.event == "run_resumed")
        assert api.post(f"/runs/{run}/resume", expect=409)["current_status"] == "running"
        api.post(f"/runs/{run}/cancel", {"reason": "enough"}, expect=202)
        last = list(frames)[-1]
    assert (last.event, last.data["reason"], last.data["by"]) == ("run_cancelled", "enough", "anonymous")
    assert api.post(f"/runs/{run}/cancel")["status"] == "cancelled"
    for command in ("pause", "resume"):
        problem = api.post(f"/runs/{run}/{command}", expect=409)
        assert (problem["type"], problem["current_status"]) == ("invalid_transition", "cancelled")
    completed = api.chat()["run_id"]
    assert api.post(f"/runs/{completed}/cancel", expect=409)["current_status"] == "completed"
    for command in ("pause", "resume", "cancel", "retry"):
        api.post(f"/runs/no-such-run/{command}", expect=404)


def test_a_run_can_be_cancelled_before_its_first_event_is_seen(api: Api):
    run = fresh("mine")
    api.post(f"/runs/{run}/cancel", expect=404)
    api.post("/runs", {"agent_id": "assistant", "message": SLOWLY, "run_id": run}, expect=202)
    api.post(f"/runs/{run}/cancel", expect=202)
    frames = api.events(run)
    assert (frames[0].event, frames[-1].event) == ("run_started", "run_cancelled")
    api.post("/runs", {"agent_id": "assistant", "message": "again", "run_id": run}, expect=409)


def test_a_run_that_is_resumed_late_is_in_the_history_of_its_session(api: Api):
    session = fresh("session")
    first, second, third = (api.start(text, session_id=session) for text in (SLOWLY, "second", "third"))
    api.post(f"/runs/{second}/pause", expect=202)
    api.until(second, "run_paused")
    api.post(f"/runs/{first}/cancel", expect=202)
    assert api.events(third)[-1].event == "run_completed"
    api.post(f"/runs/{second}/resume", expect=202)
    assert api.events(second)[-1].event == "run_completed"
    said = [m["content"] for m in api.get(f"/sessions/{session}/messages")["items"] if m["role"] == "user"]
    assert said == [SLOWLY, "third", "second"]


# -- checkpoints


@pytest.mark.contract("A32", "A33", "C26")
def test_checkpoints_are_listed_read_and_compared(api: Api):
    run = api.chat()["run_id"]
    rows = api.get(f"/checkpoints/runs/{run}/checkpoints")
    assert rows == api.get(f"/runs/{run}/checkpoints")
    assert [(row["step"], row["kind"], row["message_count"]) for row in rows["items"]] == [
        (0, "input", 1),
        (1, "step", 3),
        (2, "final", 4),
    ]
    first, middle, last = (row["id"] for row in rows["items"])
    state = api.get(f"/checkpoints/{middle}")
    assert [m["role"] for m in state["messages"]] == ["user", "assistant", "tool"]
    assert (state["run_id"], state["parent_checkpoint_id"], state["status"]) == (run, first, "running")
    assert {"model", "system_prompt", "tools"} <= set(state["agent"])
    diff = api.get(f"/checkpoints/{last}/diff?against={first}")
    assert ([m["role"] for m in diff["added"]], diff["removed"], diff["common"]) == (
        ["assistant", "tool", "assistant"],
        [],
        1,
    )
    marked = api.post(f"/checkpoints/runs/{run}/checkpoints", {"description": "the end", "tags": ["good"]}, expect=201)
    assert (marked["id"], marked["label"]) == (last, "the end")
    assert api.call("PATCH", f"/checkpoints/{first}", {"label": "begin"})["label"] == "begin"
    plan = api.post(f"/checkpoints/{first}/plan", {})
    assert (plan["messages_reused"], plan["steps_to_rerun"]) == (1, [1, 2])
    for path in ("/checkpoints/nope", "/checkpoints/runs/nope/checkpoints", f"/checkpoints/{run}.999"):
        assert api.get(path, expect=404)["type"] == "not_found"


@pytest.mark.contract("A34", "A36", "A37", "A38", "A39", "D8")
def test_restore_and_fork_go_on_from_any_checkpoint_and_leave_the_source_alone(api: Api):
    run = api.chat()["run_id"]
    before = api.get(f"/runs/{run}"), api.get(f"/runs/{run}/events?limit=1000", headers=JSON_ONLY)
    first, _, last = (row["id"] for row in api.get(f"/runs/{run}/checkpoints")["items"])
    body = {"modifications": {"system_prompt": "Speak like a pirate."}}
    fork = api.post(f"/checkpoints/{first}/fork", body, expect=201)
    assert {"new_run_id", "run_id", "checkpoint_id", "parent_run_id", "branch_id", "message"} <= set(fork)
    response = api.events(fork["new_run_id"])[-1].data["response"]
    assert "“Speak like a pirate.”" in response
    view = api.get(f"/runs/{fork['new_run_id']}")
    assert (view["parent"]["run_id"], view["parent"]["kind"]) == (run, "fork")
    assert view["modifications"] == body["modifications"]
    restored = api.post(
        f"/checkpoints/{last}/restore", {"modifications": {"modified_query": "What is 7 * 8?"}}, expect=201
    )
    assert api.events(restored["run_id"])[-1].data["response"].startswith("The result is 56.")
    with api.stream("POST", f"/checkpoints/{first}/fork", {"stream": True}) as frames:
        assert list(frames)[-1].data["response"].startswith("The result is 42.")
    variants = {"variants": [{"modified_query": "1 + 1"}, {"modified_query": "2 + 2"}]}
    forks = api.post(f"/checkpoints/{first}/fork", variants, expect=201)["items"]
    answers = [api.events(one["run_id"])[-1].data["response"][:16] for one in forks]
    assert answers == ["The result is 2.", "The result is 4."]
    assert (api.get(f"/runs/{run}"), api.get(f"/runs/{run}/events?limit=1000", headers=JSON_ONLY)) == before
    compared = api.get(f"/compare?a={run}&b={fork['run_id']}")
    assert (compared["first_divergence"], compared["common_ancestor"]) == (2, first)


# -- sessions, approvals, many runs in one stream


@pytest.mark.contract("A20")
def test_sessions_hold_conversations_with_branches(api: Api):
    session = fresh("session")
    assert api.post("/sessions", {"id": session, "title": "Sums"}, expect=201)["title"] == "Sums"
    first = api.chat("2 + 2", session_id=session)["run_id"]
    assert "I see 8 messages" in api.chat("3 + 3", session_id=session)["response"]
    assert len(api.get(f"/sessions/{session}/messages")["items"]) == 8
    place = api.get(f"/runs/{first}/checkpoints")["items"][0]["id"]
    api.events(api.post(f"/checkpoints/{place}/fork", {}, expect=201)["run_id"])
    assert api.get(f"/sessions/{session}/branches")["total"] == 2
    tree = api.get(f"/sessions/{session}/tree")
    assert (len(tree["branches"]), len(tree["runs"])) == (2, 3)
    assert api.get(f"/sessions?q={session}")["total"] == 1
    live = api.start(session_id=session)
    api.call("DELETE", f"/sessions/{session}", expect=409)
    api.call("DELETE", f"/sessions/{session}?cancel=true", expect=204)
    api.get(f"/sessions/{session}", expect=404)
    api.get(f"/runs/{live}", expect=404)


def test_a_guarded_call_waits_for_a_persons_word(api: Api):
    runs = [api.start("Send a message to bob saying hello") for _ in range(3)]
    approvals = [api.until(run, "approval_required").data for run in runs]
    assert {one["name"] for one in approvals} == {"send_message"}
    for run in runs:
        api.until(run, "run_waiting")
    pending = {row["id"] for row in api.get("/approvals?status=pending&limit=100")["items"]}
    assert pending >= {one["approval_id"] for one in approvals}
    decisions = [
        {"decision": "approve"},
        {"decision": "reject", "note": "not now"},
        {"decision": "approve", "arguments": {"to": "ann", "text": "hi"}},
    ]
    for one, decision in reversed(list(zip(approvals, decisions, strict=True))):
        path = f"/approvals/{one['approval_id']}"
        assert api.post(path, decision)["by"] == "anonymous"
        api.post(path, {"decision": "reject" if decision["decision"] == "approve" else "approve"}, expect=409)
    ends = [api.events(run) for run in runs]
    assert [frames[-1].event for frames in ends] == ["run_completed"] * 3
    told = [
        next(f.data for f in frames if f.event.startswith("tool_call_") and "started" not in f.event) for frames in ends
    ]
    assert "bob" in told[0]["result"]
    assert (told[1]["error"]["code"], "not now" in told[1]["error"]["message"]) == ("tool_rejected", True)
    assert "ann" in told[2]["result"]


def test_one_stream_carries_many_runs(api: Api):
    session = fresh("session")
    runs = [api.chat("2 + 2", session_id=session)["run_id"], api.chat("3 + 3")["run_id"]]
    whole = {run: api.events(run) for run in runs}
    with api.stream("GET", f"/events?runs={','.join(runs)}") as frames:
        ends: set[str] = set()
        seen = []
        while ends != set(runs):
            seen.append(next(frames))
            ends |= {seen[-1].data["run_id"]} if seen[-1].event == "run_completed" else set()
    for run in runs:
        assert [frame for frame in seen if frame.data["run_id"] == run] == whole[run]
    with api.stream("GET", f"/events?session_id={session}") as frames:
        assert next(frames).data["run_id"] == runs[0]
    with api.stream("GET", "/events?all=true") as frames:
        new = api.start("4 + 4")
        assert next(frame for frame in frames if frame.event == "run_completed").data["run_id"] == new
    api.get("/events", expect=422)
    api.get("/events?runs=no-such-run", expect=404)


# -- bad input, line by line of spec/api.md


def test_malformed_json_is_told_its_position(api: Api):
    answer = api.http.post("/api/chat", content=b'{"agent_id": }', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "character 13" in answer.json()["errors"][0]["message"]


@pytest.mark.contract("S72", "S73", "S89")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"agent_id": "assistant"}, "message"),
        ({"agent_id": "assistant", "message": ""}, "message"),
        ({"agent_id": "assistant", "message": " \n"}, "message"),
        ({"agent_id": 7, "message": "hi"}, "agent_id"),
        ({"agent_id": "assistant", "message": "hi", "stream": "perhaps"}, "stream"),
        ({"agent_id": "assistant", "message": "hi", "on_busy": "wait"}, "on_busy"),
        ({"agent_id": "assistant", "message": "hi", "run_id": "no spaces"}, "run_id"),
        ({"agent_id": "assistant", "message": "hi", "surprise": 1}, "surprise"),
        ({"agent_id": "assistant", "message": "hi", "modifications": {"surprise": 1}}, "modifications.surprise"),
        ({"agent_id": "assistant", "message": "hi", "modifications": {"tools": ["no_such"]}}, "modifications.tools"),
        ({"agent_id": "assistant", "message": "hi", "budget": {"max_seconds": 0}}, "budget.max_seconds"),
    ],
)
def test_wrong_fields_are_named(api: Api, body: object, field: str):
    problem = api.post("/chat", body, expect=422)
    assert problem["errors"][0]["field"] == field
    assert {"type", "title", "status", "detail", "errors", "request_id", "retryable"} <= set(problem)


def test_a_body_that_is_not_called_json_is_told_what_to_send(api: Api):
    problem = api.http.post("/api/chat", content=b'{"agent_id": "assistant", "message": "hi"}').json()
    assert problem["status"] == 422
    assert "Content-Type: application/json" in problem["errors"][0]["message"]


def test_unknown_ids_paths_and_methods(api: Api):
    assert api.chat(agent_id="nobody", expect=404)["type"] == "not_found"
    for path in ("/runs/x", "/runs/x/events", "/sessions/x", "/approvals/x", "/tools/x", "/agents/x", "/nowhere"):
        assert api.get(path, expect=404)["title"] == "Not found"
    answer = api.http.delete("/api/chat")
    assert (answer.status_code, answer.json()["type"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


def test_ids_of_another_group_are_unknown(api: Api):
    run, stranger = api.chat()["run_id"], {"X-Test-Group": "others"}
    checkpoint = api.get(f"/runs/{run}")["last_checkpoint_id"]
    for path in (f"/runs/{run}", f"/runs/{run}/events", f"/checkpoints/{checkpoint}", f"/compare?a={run}&b={run}"):
        api.get(path, expect=404, headers=stranger)
    for path in (f"/runs/{run}/cancel", f"/checkpoints/{checkpoint}/fork"):
        api.post(path, {}, expect=404, headers=stranger)
    assert api.get("/runs", headers=stranger)["total"] == 0


def test_bodies_over_the_limit_are_refused_declared_or_not(api: Api):
    size = 5 * 1024 * 1024
    declared = api.http.post("/api/chat", content=b"x" * size)
    undeclared = api.http.post("/api/chat", content=(b"x" * 65536 for _ in range(size // 65536)))
    for answer in (declared, undeclared):
        assert (answer.status_code, answer.json()["type"]) == (413, "too_large")
    assert api.chat("x" * 1_000_001, expect=413)["type"] == "limit_exceeded"


def test_a_checkpoint_whose_agent_is_gone_can_be_forked(api: Api):
    agent = api.post("/agents", {"name": fresh("gone"), "tools": ["calculator"]}, expect=201)["id"]
    run = api.chat(agent_id=agent)["run_id"]
    api.call("DELETE", f"/agents/{agent}", expect=204)
    place = api.get(f"/runs/{run}/checkpoints")["items"][0]["id"]
    fork = api.post(f"/checkpoints/{place}/fork", {}, expect=201)
    assert api.events(fork["run_id"])[-1].data["response"].startswith("The result is 42.")
    for changes in ({"tools": ["no_such"]}, {"provider": "no_such"}, {"max_steps": 0}, {"surprise": 1}):
        problem = api.post(f"/checkpoints/{place}/fork", {"modifications": changes}, expect=422)
        assert problem["errors"][0]["field"] == f"modifications.{next(iter(changes))}"


def test_a_store_that_is_away_is_told_apart():
    with serving(None, mongo_uri="mongodb://127.0.0.1:9/agio?serverSelectionTimeoutMS=200") as away:
        assert away.get("/health")["status"] == "healthy"
        answer = away.http.get("/api/runs")
        assert (answer.status_code, answer.json()["type"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["retryable"]
