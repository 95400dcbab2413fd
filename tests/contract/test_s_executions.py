"""Kasal's executions and their history (S28 to S41, S45)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agio.domain.errors import ProviderError
from agio.testing.provider import Answer
from tests.contract.kasal import TEXTS, Kasal, kasal, one_task

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kasal]:
    async with kasal(tmp_path_factory.mktemp("executions")) as served:
        yield served


@pytest.mark.contract("S28")
@pytest.mark.parametrize("form", ["stored", "texts", "objects"])
async def test_s28_a_crew_is_set_to_work_with_inputs_and_a_model(server: Kasal, form: str):
    body: dict[str, Any] = {"inputs": {"topic": "tides"}, "model": "chosen"}
    if form == "stored":
        body["crew_id"] = (await server.post("/crews", {"name": "Article", "model": "other", **TEXTS}))["id"]
    elif form == "texts":
        body |= TEXTS
    else:
        body |= {
            "agents_yaml": {"researcher": {"role": "Researcher of {topic}"}, "writer": {"llm": "big"}},
            "tasks_yaml": [
                {"name": "research", "description": "Collect facts on {topic}.", "agent": "researcher"},
                {"name": "write", "description": "Write an article.", "agent": "writer"},
            ],
        }
    view = await server.done(**body)
    assert (view["status"], view["result"]) == ("COMPLETED", "done: Write an article.")
    first, second = server.api.provider.requests[-2:]
    assert [first.model, second.model] == ["chosen", "big"]
    assert "Researcher of tides" in str(first.messages[0].content)
    assert str(first.messages[-1].content).startswith("Collect facts on tides.")
    assert "done: Collect facts on tides." in str(second.messages[-1].content)


@pytest.mark.contract("S28", "S12")
async def test_s28_of_a_hierarchical_crew_a_manager_has_the_agents_do_the_tasks(server: Kasal):
    crew = await server.post("/crews", {"name": "Managed", "process": "hierarchical", **one_task("x")})
    view = await server.done(crew_id=crew["id"])
    asked = server.api.provider.requests[-1]
    assert (view["status"], view["crew_id"], view["run_name"]) == ("COMPLETED", crew["id"], "Managed")
    assert [tool.name for tool in asked.tools] == ["delegate_work"]
    assert "helper" in str(asked.tools[0].parameters)


@pytest.mark.contract("S28")
async def test_s28_what_cannot_start_is_refused_before_anything_is_there(server: Kasal):
    before = (await server.get("/executions"))["total"]
    assert (await server.post("/executions", {"crew_id": "none"}, expect=404))["type"] == "not_found"
    assert (await server.post("/executions", {}, expect=422))["errors"][0]["field"] == "tasks_yaml"
    crew = await server.post("/crews", {"name": "Bad", "tasks_yaml": "- ]["})
    refused = await server.post("/executions", {"crew_id": crew["id"]}, expect=422)
    assert refused["errors"][0]["field"] == "tasks_yaml"
    both = await server.post("/executions", {"crew_id": crew["id"], "tasks_yaml": "x"}, expect=422)
    assert both["errors"][0]["field"] == "tasks_yaml"
    assert (await server.get("/executions"))["total"] == before


@pytest.mark.contract("S29", "C14", "C34")
async def test_s29_the_answer_comes_at_once(server: Kasal):
    started = await server.post("/executions", one_task("hold:s29"))
    assert started.keys() >= {"execution_id", "status", "message", "run_name"}
    assert (started["status"], started["status_text"], started["run_name"]) == ("PENDING", "pending", "Help")
    server.gates["s29"].open()
    await server.until(started["execution_id"], "COMPLETED")
    again = [await server.post("/executions", one_task("x"), idempotency_key="s29") for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.contract("S30", "S1")
async def test_s30_an_execution_is_looked_at_and_is_a_run(server: Kasal):
    view = await server.done(**TEXTS, inputs={"topic": "tides"}, run_name="My run")
    assert (view["run_name"], view["result"], view["error"]) == ("My run", "done: Write an article.", None)
    assert view["created_at"] <= view["completed_at"]
    run = await server.get(f"/runs/{view['execution_id']}")
    assert (run["status"], run["response"]) == ("completed", view["result"])
    assert (await server.get("/executions/none", expect=404))["detail"] == "there is no execution 'none'"
    other = (await server.post("/chat", {"agent_id": "writer", "message": "x", "stream": False}, expect=200))["run_id"]
    task = (await server.get(f"/execution-history/{view['id']}"))["tasks"][0]["run_id"]
    for run_id in (other, task):  # runs, but no executions
        await server.get(f"/executions/{run_id}", expect=404)


@pytest.mark.contract("S31", "S32", "S33", "S34")
async def test_s31_to_s34_statuses_follow_each_other(server: Kasal, monkeypatch: pytest.MonkeyPatch):
    """Begun by hand: what comes between is over too soon to be seen otherwise."""
    engine = server.api.engine
    monkeypatch.setattr(engine.worker, "_has_room", lambda group: False)
    monkeypatch.setattr(engine.worker, "_draining", True)  # claims nothing
    execution_id = await server.execute(**one_task("hold:s31"))

    async def status() -> str:
        found: str = (await server.get(f"/executions/{execution_id}"))["status"]
        listed = await server.get(f"/executions?status={found.lower()}&limit=1")
        assert listed["items"][0]["id"] == execution_id
        return found

    assert await status() == "PENDING"
    monkeypatch.undo()
    append, held = engine.store.append, asyncio.Event()

    async def wait_and_append(batch: Any) -> Any:
        await held.wait()
        return await append(batch)

    monkeypatch.setattr(engine.store, "append", wait_and_append)
    engine.worker.wake()
    await server.until(execution_id, "PREPARING")
    assert await status() == "PREPARING"
    held.set()
    async with asyncio.timeout(20):
        await server.gates["s31"].reached.wait()
    assert await status() == "RUNNING"
    server.gates["s31"].open()
    await server.until(execution_id, "COMPLETED")
    assert await status() == "COMPLETED"
    messages = [line["message"] for line in (await server.get(f"/execution-logs/{execution_id}"))["items"]]
    assert [text.split(":")[0] for text in messages if text[:4].isupper()] == [
        "PENDING",
        "PREPARING",
        "RUNNING",
        "COMPLETED",
    ]


@pytest.mark.contract("S35")
async def test_s35_a_failure_is_told_with_its_reason(server: Kasal):
    crew = one_task("x")
    crew["tasks_yaml"]["help"] = {"function": "calculator", "arguments": {"expression": "1/0"}}
    view = await server.done(**crew)
    assert (view["status"], view["status_text"], view["result"]) == ("FAILED", "failed", None)
    assert "task 'help' failed" in view["error"]
    assert view["message"] == view["error"]


@pytest.mark.contract("S36")
@pytest.mark.parametrize("verb", ["stop", "cancel"])
async def test_s36_an_execution_is_stopped_by_hand(server: Kasal, verb: str):
    execution_id = await server.execute(**one_task(f"hold:s36{verb}"))
    async with asyncio.timeout(20):
        await server.gates[f"s36{verb}"].reached.wait()
    asked = await server.post(f"/executions/{execution_id}/{verb}", {"reason": "wrong inputs"}, expect=202)
    assert asked["execution_id"] == execution_id
    view = await server.until(execution_id, "CANCELLED")
    assert (view["status_text"], view["message"]) == ("cancelled", "cancelled: wrong inputs")
    assert (await server.post(f"/executions/{execution_id}/{verb}", expect=200))["status"] == "CANCELLED"
    done = await server.done(**one_task("x"))
    refused = await server.post(f"/executions/{done['id']}/{verb}", {"stop_type": "force"}, expect=409)
    assert refused["current_status"] == "completed"
    await server.post(f"/executions/none/{verb}", expect=404)


@pytest.mark.contract("S33", "S36")
async def test_s33_a_paused_execution_runs_and_says_that_it_rests(server: Kasal):
    execution_id = await server.execute(**one_task("hold:s33"))
    async with asyncio.timeout(20):
        await server.gates["s33"].reached.wait()
    await server.post(f"/runs/{execution_id}/pause", {"mode": "now"}, expect=202)
    view = await server.seen(f"/executions/{execution_id}", lambda view: bool(view["paused"]))
    assert (view["status"], view["waiting"]) == ("RUNNING", False)
    server.gates["s33"].open()
    await server.post(f"/runs/{execution_id}/resume", expect=202)
    assert (await server.until(execution_id, "COMPLETED"))["paused"] is False


@pytest.mark.contract("S33")
async def test_s33_an_execution_whose_task_waits_for_a_person_says_so(server: Kasal):
    crew = one_task("publish it")
    crew["agents_yaml"]["helper"]["tools"] = ["publish"]
    execution_id = await server.execute(**crew)
    pending = await server.seen("/approvals?status=pending", lambda view: bool(view["items"]))
    view = await server.seen(f"/executions/{execution_id}", lambda view: bool(view["waiting"]))
    (row,) = [one for one in (await server.get("/executions?status=running"))["items"] if one["id"] == execution_id]
    assert (view["status"], row["waiting"]) == ("RUNNING", True)
    await server.post(f"/approvals/{pending['items'][0]['id']}", {"decision": "reject"}, expect=200)
    await server.post(f"/executions/{execution_id}/cancel", expect=202)
    await server.until(execution_id, "CANCELLED")


@pytest.mark.contract("S37", "S75")
async def test_s37_executions_are_listed_newest_first(server: Kasal):
    made = [(await server.done(**one_task("x")))["id"] for _ in range(3)]
    page = await server.get("/executions?limit=2&offset=0")
    rest = await server.get("/executions?limit=2&offset=2")
    assert [one["id"] for one in page["items"] + rest["items"]][:3] == made[::-1]
    assert (page["limit"], page["offset"], page["has_more"]) == (2, 0, True)
    assert page["total"] == rest["total"] >= 3
    assert not page["items"][0].keys() & {"result", "inputs"}


@pytest.mark.contract("S38", "C14")
async def test_s38_the_list_is_narrowed_by_status_crew_and_time(server: Kasal):
    crew = await server.post("/crews", {"name": "Mine", **one_task("x")})
    done = await server.done(crew_id=crew["id"])
    for status in ("completed", "COMPLETED", "Completed"):
        found = await server.get(f"/executions?crew_id={crew['id']}&status={status}")
        assert [one["id"] for one in found["items"]] == [done["id"]]
    for empty in ("failed", "cancelled", "pending", "preparing", "running"):
        assert (await server.get(f"/executions?crew_id={crew['id']}&status={empty}"))["total"] == 0
    assert (await server.get(f"/executions?crew_id={crew['id']}&since={done['completed_at']}"))["total"] == 0
    assert (await server.get("/executions?status=asleep", expect=422))["errors"][0]["field"] == "status"


@pytest.mark.contract("S38", "S5", "C10")
async def test_s38_a_foreign_group_is_403_and_a_foreign_execution_404(tmp_path: Path):
    keys = [{"key": f"key-of-{name}", "name": name, "group": name} for name in ("red", "blue")]
    async with kasal(tmp_path, api_keys=keys) as server:
        red: Any = {"authorization": "Bearer key-of-red"}
        blue: Any = {"authorization": "Bearer key-of-blue"}
        made = (await server.post("/executions", one_task("x"), **red))["execution_id"]
        assert (await server.get("/executions?group_id=red", **red))["total"] == 1
        assert (await server.get("/executions?group_id=red", expect=403, **blue))["type"] == "denied"
        assert (await server.get("/executions", **blue))["total"] == 0
        for path in ("executions", "execution-history", "execution-logs", "execution-trace"):
            await server.get(f"/{path}/{made}", expect=404, **blue)
        await server.post(f"/executions/{made}/stop", expect=404, **blue)


@pytest.mark.contract("S39")
async def test_s39_a_model_finds_a_name(server: Kasal):
    body = {**TEXTS, "model": "namer"}
    server.say = '{"name": " Tide  Report "}'
    assert await server.post("/executions/generate-name", body, expect=200) == {"name": "Tide Report"}
    asked = server.api.provider.requests[-1]
    assert asked.model == "namer"
    assert "Collect facts on {topic}." in str(asked.messages[-1].content)
    for unusable in ('{"name": ""}', "no name", '{"name": 7}', Answer(ProviderError("away", code="provider_rejected"))):
        server.say = unusable
        assert await server.post("/executions/generate-name", body, expect=200) == {"name": "Research"}
    server.say = None


@pytest.mark.contract("S39")
async def test_s39_without_a_model_a_name_is_made_from_the_crew(server: Kasal):
    before = len(server.api.provider.requests)
    names = [await server.post("/executions/generate-name", TEXTS, expect=200) for _ in range(2)]
    assert names == [{"name": "Research"}] * 2
    assert len(server.api.provider.requests) == before
    agents_only = await server.post("/executions/generate-name", {"agents_yaml": TEXTS["agents_yaml"]}, expect=200)
    assert agents_only == {"name": "Researcher Topic"}
    for nothing in ({}, {"tasks_yaml": "]["}):
        assert await server.post("/executions/generate-name", nothing, expect=200) == {"name": "Execution"}


@pytest.mark.contract("S40", "S75")
async def test_s40_history_is_listed(server: Kasal):
    done = await server.done(**one_task("x"))
    page = await server.get("/execution-history?limit=50&offset=0")
    assert page["items"][0]["id"] == done["id"]
    assert (page["limit"], page["offset"]) == (50, 0)
    assert page["items"][0]["total_tokens"] > 0
    assert page["items"][0]["duration_s"] >= 0


@pytest.mark.contract("S41")
async def test_s41_history_shows_what_each_task_answered(server: Kasal):
    done = await server.done(**TEXTS, inputs={"topic": "tides"})
    view = await server.get(f"/execution-history/{done['id']}")
    assert [(task["id"], task["status"], task["result"]) for task in view["tasks"]] == [
        ("research", "completed", "done: Collect facts on tides."),
        ("write", "completed", "done: Write an article."),
    ]
    assert (view["result"], view["inputs"]) == (done["result"], {"topic": "tides"})
    await server.get("/execution-history/none", expect=404)


@pytest.mark.contract("S45")
async def test_s45_history_adds_up(server: Kasal):
    crew = await server.post("/crews", {"name": "Counted", **one_task("{what}")})
    done = [await server.done(crew_id=crew["id"], inputs={"what": "x"}) for _ in range(2)]
    stopped = await server.execute(crew_id=crew["id"], inputs={"what": "hold:s45"})
    async with asyncio.timeout(20):
        await server.gates["s45"].reached.wait()
    await server.post(f"/executions/{stopped}/cancel", expect=202)
    await server.until(stopped, "CANCELLED")
    found = await server.get(f"/execution-history/analytics?crew_id={crew['id']}")
    assert found["by_status"] == {s: {"COMPLETED": 2, "CANCELLED": 1}.get(s, 0) for s in found["by_status"]}
    assert len(found["by_status"]) == 6
    assert (found["total"], found["truncated"]) == (3, False)
    assert 0 < found["mean_duration_s"] <= found["p95_duration_s"]
    assert found["total_tokens"] >= sum(one["total_tokens"] for one in done) > 0
    assert sum(day["total"] for day in found["days"]) == 3
    nothing = await server.get("/execution-history/analytics?since=2100-01-01")
    assert (nothing["total"], nothing["mean_duration_s"], nothing["days"]) == (0, None, [])


@pytest.mark.mongo
@pytest.mark.contract("S28", "S37", "S45", "S46")
async def test_s28_executions_work_on_mongodb(tmp_path: Path, mongo_uri: str):
    async with kasal(tmp_path, database_url=mongo_uri) as server:
        crew = await server.post("/crews", {"name": "Article", **TEXTS})
        done = await server.done(crew_id=crew["id"], inputs={"topic": "tides"})
        assert (done["status"], done["result"]) == ("COMPLETED", "done: Write an article.")
        await server.post("/chat", {"agent_id": "writer", "message": "x", "stream": False}, expect=200)
        page = await server.get("/executions")
        assert ([one["id"] for one in page["items"]], page["total"]) == ([done["id"]], 1)
        assert (await server.get("/execution-history/analytics"))["by_status"]["COMPLETED"] == 1
        assert (await server.get(f"/execution-logs/{done['id']}"))["items"][-1]["message"] == "COMPLETED"
