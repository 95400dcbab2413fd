"""Going on from a checkpoint."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agio.testing.provider import Answer, Call, ScriptedProvider, Silence
from tests.api.serving import Api, frames_of, serving, writer


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    script = ScriptedProvider([Answer(calls=[Call("calculator", {"expression": "6*7"})]), "It is 42."], default="fine")
    agents = [writer(id="calc", tools=("calculator",), system_prompt="Be short.")]
    async with serving(tmp_path, script, agents=agents) as served:
        yield served


async def ended(api: Api):
    run = await api.chat("6*7?", agent_id="calc", session_id="s1")
    return run["run_id"], await api.checkpoints(run["run_id"])


@pytest.mark.contract("A34", "A39")
async def test_restore_begins_a_new_run_that_the_session_stands_on(api: Api):
    source, [first, *_] = await ended(api)
    body = {"create_new_run": True, "modifications": {"modified_query": "7*7?"}}
    made = await api.call("POST", f"/checkpoints/{first['id']}/restore", body, expect=201)
    assert made["run_id"] == made["new_run_id"] != source
    assert (made["parent_run_id"], made["checkpoint_id"], made["session_id"]) == (source, first["id"], "s1")
    view = await api.until(made["run_id"], "completed")
    assert (view["input"], view["modifications"]) == ("7*7?", {"modified_query": "7*7?"})
    assert view["parent"] == {"run_id": source, "checkpoint_id": first["id"], "kind": "restore"}
    assert api.provider.requests[-1].messages[-1].content == "7*7?"
    assert (await api.call("GET", "/sessions/s1"))["current_branch_id"] == made["branch_id"]
    messages = (await api.call("GET", "/sessions/s1/messages"))["items"]
    assert [message["content"] for message in messages] == ["7*7?", "fine"]


@pytest.mark.contract("A37", "A38")
async def test_fork_changes_what_the_model_sees_and_leaves_the_source_alone(api: Api):
    source, [_, step, _] = await ended(api)
    before = [await api.call("GET", f"/runs/{source}"), await api.checkpoints(source)]
    body = {"modifications": {"system_prompt": "Answer in French."}}
    made = await api.call("POST", f"/checkpoints/{step['id']}/fork", body, expect=201)
    await api.until(made["run_id"], "completed")
    assert api.provider.requests[-1].messages[0].content == "Answer in French."
    assert [await api.call("GET", f"/runs/{source}"), await api.checkpoints(source)] == before
    assert (await api.call("GET", "/sessions/s1"))["current_branch_id"] == "s1"


async def test_every_call_works_without_a_body(api: Api):
    _, [first, *_] = await ended(api)
    for path in ("fork", "restore"):
        made = await api.call("POST", f"/checkpoints/{first['id']}/{path}", expect=201)
        assert (await api.until(made["run_id"], "completed"))["response"] == "fine"
    await api.call("POST", f"/checkpoints/{first['id']}/plan")


async def test_the_client_may_choose_the_id(api: Api):
    _, [first, *_] = await ended(api)
    made = await api.call("POST", f"/checkpoints/{first['id']}/fork", {"run_id": "mine"}, expect=201)
    assert made["run_id"] == "mine"
    await api.call("POST", f"/checkpoints/{first['id']}/fork", {"run_id": "mine"}, expect=409)
    await api.call("POST", f"/checkpoints/{first['id']}/fork", {"run_id": "a b"}, expect=422)


async def test_a_run_that_is_not_started_rests(api: Api):
    _, [first, *_] = await ended(api)
    made = await api.call("POST", f"/checkpoints/{first['id']}/fork", {"start": False}, expect=201)
    assert "rests" in made["message"]
    assert (await api.until(made["run_id"], "paused"))["status_reason"] == "not_started"
    await api.call("POST", f"/runs/{made['run_id']}/resume", expect=202)
    await api.until(made["run_id"], "completed")


async def test_a_fork_into_a_new_session_takes_the_history_along(api: Api):
    _, [_, step, _] = await ended(api)
    made = await api.call("POST", f"/checkpoints/{step['id']}/fork", {"session": "new"}, expect=201)
    await api.until(made["run_id"], "completed")
    assert made["session_id"] != "s1"
    messages = (await api.call("GET", f"/sessions/{made['session_id']}/messages"))["items"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]


async def test_variants_make_a_run_each(api: Api):
    _, [first, *_] = await ended(api)
    body = {"modifications": {"temperature": 0.1}, "variants": [{"model": "m1"}, {"model": "m2", "temperature": 0.2}]}
    made = await api.call("POST", f"/checkpoints/{first['id']}/fork", body, expect=201, Idempotency_Key="k")
    assert made["total"] == 2
    views = [await api.until(one["run_id"], "completed") for one in made["items"]]
    assert [view["model"] for view in views] == ["m1", "m2"]
    assert [view["modifications"]["temperature"] for view in views] == [0.1, 0.2]
    assert await api.call("POST", f"/checkpoints/{first['id']}/fork", body, expect=201, Idempotency_Key="k") == made
    assert (await api.call("GET", "/runs"))["total"] == 3


async def test_a_wrong_variant_begins_none(api: Api):
    _, [first, *_] = await ended(api)
    body = {"variants": [{"model": "m1"}, {"tools": ["nonsense"]}]}
    answer = await api.call("POST", f"/checkpoints/{first['id']}/fork", body, expect=422)
    assert answer["errors"][0]["field"] == "variants.1.tools"
    assert (await api.call("GET", "/runs"))["total"] == 1
    unfit: list[dict[str, object]] = [{"stream": True}, {"run_id": "x"}, {"variants": []}, {"variants": [{}] * 6}]
    for extra in unfit:
        await api.call("POST", f"/checkpoints/{first['id']}/fork", {"variants": [{}], **extra}, expect=422)


@pytest.mark.contract("C25")
@pytest.mark.parametrize(
    "modifications",
    [
        {"nonsense": 1},
        {"tools": ["nonsense"]},
        {"provider": "nonsense"},
        {"modified_messages": [{"index": 99, "content": "x"}]},
        {"modified_messages": [{"message_id": "none", "content": "x"}]},
        {"tool_results": {"none": "x"}},
        {"temperature": 9},
        {"max_steps": 0},
    ],
)
async def test_modifications_that_cannot_be_applied_are_refused(api: Api, modifications: object):
    _, [_, step, _] = await ended(api)
    for path in ("fork", "restore", "plan"):
        await api.call("POST", f"/checkpoints/{step['id']}/{path}", {"modifications": modifications}, expect=422)


async def test_the_same_idempotency_key_makes_one_run(api: Api):
    _, [first, *_] = await ended(api)
    path = f"/checkpoints/{first['id']}/restore"
    made = await asyncio.gather(*(api.call("POST", path, {}, expect=201, Idempotency_Key="k") for _ in range(4)))
    assert len({one["run_id"] for one in made}) == 1
    await api.until(made[0]["run_id"], "completed")
    assert (await api.call("POST", path, {}, expect=201, Idempotency_Key="k"))["run_id"] == made[0]["run_id"]
    assert (await api.call("GET", "/runs"))["total"] == 2
    await api.call("POST", path, {"start": False}, expect=409, Idempotency_Key="k")


async def stream(api: Api, path: str, body: object, **headers: str):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await api.client.post(f"/api{path}", json=body, headers=sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.headers["x-run-id"], frames_of(answer.text)


async def test_stream_answers_with_the_new_runs_events(api: Api):
    source, [first, *_] = await ended(api)
    for path in ("fork", "restore"):
        run_id, events = await stream(api, f"/checkpoints/{first['id']}/{path}", {"stream": True})
        assert run_id != source
        assert [events[0].event, events[-1].event] == ["run_started", "run_completed"]
        assert [event.id for event in events] == [str(number) for number in range(1, len(events) + 1)]


async def test_a_repeated_stream_attaches_to_the_run_of_the_first(api: Api):
    _, [first, *_] = await ended(api)
    path = f"/checkpoints/{first['id']}/fork"
    run_id, events = await stream(api, path, {"stream": True}, Idempotency_Key="k")
    again = await stream(api, path, {"stream": True}, Idempotency_Key="k", Last_Event_ID="2")
    assert again == (run_id, events[2:])
    body, headers = {"stream": True}, {"Idempotency-Key": "k", "Last-Event-ID": events[-1].id}
    assert (await api.client.post(f"/api{path}", json=body, headers=headers)).status_code == 204


@pytest.mark.contract("A35")
async def test_restoring_in_place_rewinds_the_run_itself(api: Api):
    source, [first, step, last] = await ended(api)
    made = await api.call("POST", f"/checkpoints/{step['id']}/restore", {"create_new_run": False}, expect=201)
    assert (made["run_id"], made["new_run_id"], made["parent_run_id"]) == (source, None, source)
    view = await api.until(source, "completed")
    assert (view["attempt"], view["response"], view["branch_id"]) == (2, "fine", made["branch_id"])
    rows = {row["id"]: row["superseded"] for row in await api.checkpoints(source)}
    assert (rows[first["id"]], rows[step["id"]], rows[last["id"]]) == (False, False, True)
    whole = await api.call("GET", f"/checkpoints/{last['id']}")
    assert (whole["superseded"], whole["status"], whole["messages"][-1]["content"]) == (True, "completed", "It is 42.")
    fork = await api.call("POST", f"/checkpoints/{last['id']}/fork", {}, expect=201)
    await api.until(fork["run_id"], "completed")


async def test_restoring_in_place_streams_from_where_the_journal_stood(api: Api):
    source, [_, step, _] = await ended(api)
    head = (await api.call("GET", f"/runs/{source}"))["last_seq"]
    path, body = f"/checkpoints/{step['id']}/restore", {"create_new_run": False, "stream": True}
    run_id, events = await stream(api, path, body, Idempotency_Key="k")
    assert (run_id, events[0].event, events[-1].event) == (source, "run_restored", "run_completed")
    assert int(events[0].id) == head + 1
    assert events[0].data["attempt"] == 2
    assert await stream(api, path, body, Idempotency_Key="k") == (source, events)
    assert (await api.call("GET", f"/runs/{source}"))["attempt"] == 2


async def test_the_same_idempotency_key_rewinds_once(api: Api):
    source, [_, step, _] = await ended(api)
    path, body = f"/checkpoints/{step['id']}/restore", {"create_new_run": False}
    made = await asyncio.gather(*(api.call("POST", path, body, expect=201, Idempotency_Key="k") for _ in range(3)))
    await api.until(source, "completed")
    again = await api.call("POST", path, body, expect=201, Idempotency_Key="k")
    assert {one["branch_id"] for one in (*made, again)} == {made[0]["branch_id"]}
    assert (await api.call("GET", f"/runs/{source}"))["attempt"] == 2


async def test_a_live_run_cannot_be_rewound(tmp_path: Path):
    script = ScriptedProvider([Answer("so far", Silence())], default="fine")
    async with serving(tmp_path, script) as api:
        run = await api.start()
        await api.until_event(run["id"], "checkpoint_created")
        [first] = await api.checkpoints(run["id"])
        path = f"/checkpoints/{first['id']}/restore"
        refused = await api.call("POST", path, {"create_new_run": False}, expect=409)
        assert refused["current_status"] == "running"
        await api.call("POST", path, {"create_new_run": False, "run_id": "x"}, expect=422)
        made = await api.call("POST", path, {}, expect=201)
        assert (await api.until(made["run_id"], "completed"))["response"] == "fine"


async def test_an_agent_that_is_gone_can_still_be_forked(api: Api):
    body = {"id": "gone", "name": "x", "provider": "scripted", "model": "m"}
    await api.call("POST", "/agents", body, expect=201)
    run = await api.chat(agent_id="gone")
    await api.call("DELETE", "/agents/gone", expect=204)
    [first, *_] = await api.checkpoints(run["run_id"])
    made = await api.call("POST", f"/checkpoints/{first['id']}/fork", {}, expect=201)
    await api.until(made["run_id"], "completed")
