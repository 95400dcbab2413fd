"""Sessions over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agio.engine.caller import Caller
from agio.engine.starting import StartRequest
from agio.storage.port import BRANCHES, SESSIONS
from agio.testing.provider import Answer, ScriptedProvider, Silence
from tests.api.serving import Api, serving


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as served:
        yield served


async def test_a_session_can_be_made_before_its_first_message(api: Api):
    body = {"id": "s1", "user_id": "ada", "agent_id": "writer", "title": "June", "metadata": {"a": [1]}}
    made = await api.call("POST", "/sessions", body, expect=201)
    assert {name: made[name] for name in body} == body
    assert (made["current_branch_id"], made["created_by"]) == ("s1", "anonymous")
    assert (await api.call("GET", "/sessions/s1/messages"))["items"] == []
    run = await api.chat("hi", session_id="s1")
    assert (run["session_id"], run["branch_id"]) == ("s1", "s1")
    assert [m["content"] for m in (await api.call("GET", "/sessions/s1/messages"))["items"]] == ["hi", "fine"]


async def test_a_session_without_an_id_gets_one(api: Api):
    made = await api.call("POST", "/sessions", {}, expect=201)
    assert await api.call("GET", f"/sessions/{made['id']}") == made


async def test_bad_sessions_are_refused(api: Api):
    await api.call("POST", "/sessions", {"id": "a b"}, expect=422)
    await api.call("POST", "/sessions", {"agent_id": "none"}, expect=404)
    await api.call("POST", "/sessions", {"nonsense": 1}, expect=422)
    await api.call("POST", "/sessions", {"id": "s1"}, expect=201)
    assert (await api.call("POST", "/sessions", {"id": "s1"}, expect=409))["type"] == "already_exists"
    await api.call("GET", "/sessions/none", expect=404)


async def test_a_session_whose_making_was_cut_off_can_be_made_again(api: Api):
    await api.call("POST", "/sessions", {"id": "s1"}, expect=201)
    await api.engine.store.delete(SESSIONS, "default", "s1")  # only its branch was written
    await api.call("POST", "/sessions", {"id": "s1"}, expect=201)
    await api.chat(session_id="s1")


async def test_the_same_idempotency_key_makes_one_session(api: Api):
    async def create():
        return await api.call("POST", "/sessions", {"title": "x"}, expect=201, Idempotency_Key="k")

    made = await asyncio.gather(*(create() for _ in range(4)))
    assert len({one["id"] for one in made}) == 1
    assert (await api.call("GET", "/sessions"))["total"] == 1


async def test_list_is_newest_first_and_filtered(api: Api):
    for number in range(3):
        body = {"id": f"s{number}", "user_id": "ada" if number else "bob", "title": f"Title {number}"}
        await api.call("POST", "/sessions", body, expect=201)
    await api.chat("a question", session_id="s3", user_id="ada")
    listed = await api.call("GET", "/sessions")
    assert [one["id"] for one in listed["items"]] == ["s3", "s2", "s1", "s0"]
    assert [one["id"] for one in (await api.call("GET", "/sessions?user_id=ada&limit=2"))["items"]] == ["s3", "s2"]
    assert [one["id"] for one in (await api.call("GET", "/sessions?agent_id=writer"))["items"]] == ["s3"]
    assert [one["id"] for one in (await api.call("GET", "/sessions?q=TITLE%201"))["items"]] == ["s1"]
    await api.call("GET", "/sessions?q=%00", expect=422)


async def test_patch_changes_what_is_given(api: Api):
    await api.call("POST", "/sessions", {"id": "s1", "title": "old", "user_id": "ada"}, expect=201)
    changed = await api.call("PATCH", "/sessions/s1", {"title": "new", "metadata": {"x": 1}})
    assert (changed["title"], changed["user_id"], changed["metadata"]) == ("new", "ada", {"x": 1})
    assert (await api.call("PATCH", "/sessions/s1", {"title": None}))["title"] is None
    await api.call("PATCH", "/sessions/none", {"title": "x"}, expect=404)


async def test_branches_and_the_current_one(api: Api):
    run = await api.chat("one", session_id="s1")
    [first, _] = await api.checkpoints(run["run_id"])
    fork = await api.call("POST", f"/checkpoints/{first['id']}/fork", {}, expect=201)
    await api.until(fork["run_id"], "completed")
    rows = (await api.call("GET", "/sessions/s1/branches"))["items"]
    assert [(row["kind"], row["parent_id"], row["is_current"]) for row in rows] == [
        ("root", None, True),
        ("fork", "s1", False),
    ]
    assert [(row["fork_position"], row["message_count"]) for row in rows] == [(0, 2), (1, 2)]
    assert rows[1]["from_checkpoint_id"] == first["id"]
    await api.call("PATCH", "/sessions/s1", {"current_branch_id": fork["branch_id"]})
    assert (await api.chat("two", session_id="s1"))["branch_id"] == fork["branch_id"]
    messages = await api.call("GET", f"/sessions/s1/messages?branch_id={fork['branch_id']}&limit=1&offset=2")
    assert [m["content"] for m in messages["items"]] == ["two"]
    assert (messages["total"], messages["has_more"]) == (4, True)


async def test_branches_of_another_session_are_not_there(api: Api):
    await api.chat(session_id="s1")
    await api.chat(session_id="s2")
    await api.call("GET", "/sessions/s1/messages?branch_id=s2", expect=404)
    await api.call("GET", "/sessions/s1/messages?branch_id=none", expect=404)
    await api.call("PATCH", "/sessions/s1", {"current_branch_id": "s2"}, expect=404)
    await api.call("PATCH", "/sessions/s1", {"current_branch_id": "none"}, expect=404)


async def test_the_tree_holds_branches_checkpoints_and_runs_without_payloads(api: Api):
    run = await api.chat("one", session_id="s1")
    [first, last] = await api.checkpoints(run["run_id"])
    await api.call("POST", f"/checkpoints/{first['id']}/restore", {"create_new_run": False}, expect=201)
    await api.until(run["run_id"], "completed")
    tree = await api.call("GET", "/sessions/s1/tree")
    assert [branch["kind"] for branch in tree["branches"]] == ["root", "restore"]
    assert tree["current_branch_id"] == tree["branches"][1]["id"]
    assert [row["id"] for row in tree["runs"]] == [run["run_id"]]
    marks = {row["id"]: row["superseded"] for row in tree["checkpoints"]}
    assert marks[first["id"]] is False
    assert marks[last["id"]] is True
    assert len(marks) > 2
    assert "messages" not in tree["checkpoints"][0]
    await api.call("GET", "/sessions/none/tree", expect=404)


async def test_deleting_takes_runs_and_branches_along(api: Api):
    first = await api.chat("one", session_id="s1")
    second = await api.chat("two", session_id="s1")
    [checkpoint, *_] = await api.checkpoints(first["run_id"])
    fork = await api.call("POST", f"/checkpoints/{checkpoint['id']}/fork", {}, expect=201)
    await api.until(fork["run_id"], "completed")
    await api.call("DELETE", "/sessions/s1", expect=204)
    for run_id in (first["run_id"], second["run_id"], fork["run_id"]):
        await api.call("GET", f"/runs/{run_id}", expect=404)
    await api.call("GET", "/sessions/s1", expect=404)
    await api.call("DELETE", "/sessions/s1", expect=404)
    assert (await api.engine.store.find(BRANCHES, "default", {"session_id": "s1"})).total == 0
    again = await api.chat("anew", session_id="s1")
    assert len((await api.call("GET", f"/runs/{again['run_id']}/messages"))["items"]) == 2


async def test_deleting_is_refused_while_it_runs_unless_its_runs_shall_be_cancelled(tmp_path: Path):
    async with serving(tmp_path, ScriptedProvider(default=lambda _: Answer("so far", Silence()))) as api:
        running = await api.start(session_id="s1")
        waiting = await api.start(session_id="s1")
        resting = await api.start(session_id="s1", on_busy="fork")
        await api.call("POST", f"/runs/{resting['id']}/pause", {"mode": "now"}, expect=202)
        await api.until(resting["id"], "paused")
        refused = await api.call("DELETE", "/sessions/s1", expect=409)
        assert "3 live runs" in refused["detail"]
        await api.call("DELETE", "/sessions/s1?cancel=true", expect=204)
        for run in (running, waiting, resting):
            await api.call("GET", f"/runs/{run['id']}", expect=404)
        assert api.provider.open_streams == 0


async def test_deleting_is_refused_while_another_session_stands_on_it(api: Api):
    run = await api.chat("one", session_id="s1")
    [first, *_] = await api.checkpoints(run["run_id"])
    fork = await api.call("POST", f"/checkpoints/{first['id']}/fork", {"session": "new"}, expect=201)
    await api.until(fork["run_id"], "completed")
    refused = await api.call("DELETE", "/sessions/s1", expect=409)
    assert "1 other sessions" in refused["detail"]
    assert (await api.call("GET", f"/sessions/{fork['session_id']}/messages"))["total"] == 2
    await api.call("DELETE", f"/sessions/{fork['session_id']}", expect=204)
    await api.call("DELETE", "/sessions/s1", expect=204)


async def test_another_groups_session_does_not_exist(api: Api):
    bob = Caller("bob", "elsewhere")
    run = await api.engine.starting.start(bob, StartRequest(agent_id="writer", message="x", session_id="theirs"))
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/messages"),
        ("GET", "/branches"),
        ("GET", "/tree"),
        ("DELETE", "?cancel=true"),
    ):
        await api.call(method, f"/sessions/theirs{path}", expect=404)
    await api.call("PATCH", "/sessions/theirs", {"title": "stolen"}, expect=404)
    assert (await api.engine.store.get_run("elsewhere", run.id)).id == run.id
    await api.call("POST", "/sessions", {"id": "theirs"}, expect=201)
