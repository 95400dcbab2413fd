"""Kasal's agents, crews and tasks (S7 to S21)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.contract.kasal import AGENTS, TASKS, TEXTS, Kasal, kasal

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENT = {
    "name": "Research Analyst",
    "role": "Senior analyst",
    "goal": "Find facts",
    "backstory": "You have read everything.",
    "llm": "gpt-4o-mini",
    "tools": ["calculator"],
    "allow_delegation": True,
    "verbose": True,
}
CREW = {"name": "Article", "description": "Writes.", "model": "m", "process": "sequential", "verbose": True, **TEXTS}
TASK = {
    "name": "Research",
    "description": "Collect facts.",
    "expected_output": "A list.",
    "agent": "helper",
    "tools": ["calculator"],
}
STANDARD = {"id", "name", "created_at", "updated_at", "group_id"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kasal]:
    async with kasal(tmp_path_factory.mktemp("crews")) as served:
        yield served


async def made(server: Kasal, path: str, body: dict[str, Any], **changes: Any) -> Any:
    return await server.post(path, body | changes)


@pytest.mark.contract("S7", "S74")
async def test_s7_an_agent_has_kasals_fields_and_works_as_they_say(server: Kasal):
    agent = await made(server, "/agents", AGENT, name="S7")
    assert {key: agent[key] for key in AGENT if key != "name"} == {k: v for k, v in AGENT.items() if k != "name"}
    assert agent.keys() >= STANDARD
    answer = await server.post("/chat", {"agent_id": agent["id"], "message": "hi", "stream": False}, expect=200)
    asked = server.api.provider.requests[-1]
    assert (answer["status"], asked.model, [tool.name for tool in asked.tools]) == (
        "completed",
        "gpt-4o-mini",
        ["calculator"],
    )
    assert all(str(text) in str(asked.messages[0].content) for text in (AGENT["role"], AGENT["goal"]))


@pytest.mark.contract("S8", "S75")
async def test_s8_agents_are_listed_by_pages(server: Kasal):
    for number in range(3):
        await made(server, "/agents", AGENT, name=f"S8 {number}")
    first = await server.get("/agents?limit=2&offset=0&q=s8")
    rest = await server.get("/agents?limit=2&offset=2&q=s8")
    assert [one["name"] for one in first["items"] + rest["items"]] == ["S8 0", "S8 1", "S8 2"]
    assert [(p["total"], p["limit"], p["offset"], p["has_more"]) for p in (first, rest)] == [
        (3, 2, 0, True),
        (3, 2, 2, False),
    ]


@pytest.mark.contract("S9", "C3")
async def test_s9_an_agent_is_looked_at_in_every_view(server: Kasal):
    agent = await made(server, "/agents", AGENT, name="S9")
    assert await server.get(f"/agents/{agent['id']}") == agent
    assert (await server.api.client.get(f"/api/agents/{agent['id']}")).json() == agent
    assert agent["id"] in (await server.api.client.get("/agents/")).text
    assert (await server.get("/agents/nobody", expect=404))["type"] == "not_found"


@pytest.mark.contract("S10")
async def test_s10_put_changes_what_it_names_and_nothing_else(server: Kasal):
    agent = await made(server, "/agents", AGENT, name="S10")
    changed = await server.call("PUT", f"/agents/{agent['id']}", {"goal": "Doubt", "llm": "other"})
    assert (changed["goal"], changed["llm"], changed["model"]) == ("Doubt", "other", "other")
    different = {"goal", "llm", "model", "version", "updated_at"}
    assert {k: v for k, v in changed.items() if k not in different} == {
        k: v for k, v in agent.items() if k not in different
    }


@pytest.mark.contract("S11", "C3")
async def test_s11_a_deleted_agent_is_gone_from_every_view(server: Kasal):
    agent = await made(server, "/agents", AGENT, name="S11")
    await server.call("DELETE", f"/agents/{agent['id']}", expect=204)
    await server.get(f"/agents/{agent['id']}", expect=404)
    assert agent["id"] not in (await server.api.client.get("/agents/")).text
    await server.call("DELETE", f"/agents/{agent['id']}", expect=404)


@pytest.mark.contract("S12", "S74")
@pytest.mark.parametrize("form", ["text", "object", "nonsense"])
async def test_s12_a_crew_is_kept_as_it_was_written(server: Kasal, form: str):
    given: Any = {"text": AGENTS, "object": {"writer": {"role": "Writer"}}, "nonsense": "- ]["}[form]
    crew = await made(server, "/crews", CREW, agents_yaml=given)
    assert {key: crew[key] for key in CREW} == CREW | {"agents_yaml": given}
    assert crew.keys() >= STANDARD


@pytest.mark.contract("S12")
@pytest.mark.parametrize(
    "wrong", [{"process": "chaotic"}, {"name": ""}, {"agents_yaml": 7}, {"tasks_yaml": "x" * 200_001}, {"color": "red"}]
)
async def test_s12_what_no_crew_can_be_is_refused(server: Kasal, wrong: dict[str, Any]):
    answer = await server.call("POST", "/crews", CREW | wrong, expect=422)
    assert answer["type"] == "validation_error"
    assert answer["errors"][0]["field"].startswith(next(iter(wrong)))


@pytest.mark.contract("S13", "S75")
async def test_s13_crews_are_listed_by_pages(server: Kasal):
    for number in range(3):
        await made(server, "/crews", CREW, name=f"S13 {number}")
    page = await server.get("/crews?q=s13&limit=2")
    assert ([one["name"] for one in page["items"]], page["total"], page["has_more"]) == (["S13 0", "S13 1"], 3, True)


@pytest.mark.contract("S14")
async def test_s14_a_crew_is_looked_at(server: Kasal):
    crew = await made(server, "/crews", CREW)
    assert await server.get(f"/crews/{crew['id']}") == crew
    assert (await server.get("/crews/none", expect=404))["detail"] == "there is no crew 'none'"


@pytest.mark.contract("S15")
async def test_s15_put_changes_what_it_names_and_delete_removes(server: Kasal):
    crew = await made(server, "/crews", CREW)
    changed = await server.call("PUT", f"/crews/{crew['id']}", {"description": "New.", "agents_yaml": "a: {role: A}"})
    assert (changed["description"], changed["agents_yaml"]) == ("New.", "a: {role: A}")
    kept = {"name", "tasks_yaml", "model", "process", "verbose", "created_at"}
    assert {k: changed[k] for k in kept} == {k: crew[k] for k in kept}
    assert changed["updated_at"] > crew["updated_at"]
    await server.call("PUT", "/crews/none", {"description": "x"}, expect=404)
    await server.call("DELETE", f"/crews/{crew['id']}", expect=204)
    await server.get(f"/crews/{crew['id']}", expect=404)


@pytest.mark.contract("S16")
async def test_s16_debug_of_a_sound_crew_gives_the_order_and_warnings(server: Kasal):
    agents = AGENTS.replace("role: Writer", "role: Writer\n  memory: true\n  color: red\n  max_iter: 3")
    found = await server.post("/crews/debug", {"agents_yaml": agents, "tasks_yaml": TASKS}, expect=200)
    assert (found["valid"], found["errors"], found["order"]) == (True, [], ["research", "write"])
    assert {one["field"] for one in found["warnings"]} == {"agents_yaml.writer.memory", "agents_yaml.writer.color"}


@pytest.mark.contract("S16")
@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"agents_yaml": "a: [\n  b"}, "agents_yaml", "line 3"),
        ({"agents_yaml": "a: &x {role: R}\nb: *x"}, "agents_yaml", "aliases"),
        ({"agents_yaml": "[" * 100}, "agents_yaml", "nested"),
        ({"agents_yaml": "!!python/object/apply:os.system ['true']"}, "agents_yaml", "python"),
        ({"agents_yaml": "just words"}, "agents_yaml", "by name"),
        ({"agents_yaml": "researcher: {role: 7}\nwriter: {}"}, "agents_yaml.researcher.role", "string"),
        ({"agents_yaml": "researcher: {tools: [nothing]}\nwriter: {}"}, "agents_yaml.researcher.tools", "no tool"),
        ({"tasks_yaml": ""}, "tasks_yaml", "at least one task"),
        ({"tasks_yaml": "t: {agent: ghost, description: x}"}, "tasks_yaml.t.agent", "ghost"),
        ({"tasks_yaml": "t: {agent: writer, context: [u]}"}, "tasks_yaml.t.dependencies", "'u'"),
        (
            {"tasks_yaml": "t: {agent: writer, context: [u]}\nu: {agent: writer, context: [t]}"},
            "tasks_yaml",
            "in a circle",
        ),
        ({"tasks_yaml": "t: {agent: writer, tools: [nothing]}"}, "tasks_yaml.t.tools", "no tool"),
        ({"agent_ids": ["ghost"]}, "agent_ids", "ghost"),
        ({"task_ids": ["ghost"]}, "task_ids", "ghost"),
    ],
)
async def test_s16_debug_says_what_is_wrong_and_where(server: Kasal, change: dict[str, Any], field: str, said: str):
    found = await server.post("/crews/debug", TEXTS | change, expect=200)
    assert (found["valid"], found["order"]) == (False, [])
    assert [one["field"] for one in found["errors"]] == [field], found
    assert said in found["errors"][0]["message"]
    refused = await server.post("/executions", TEXTS | change, expect=422)
    assert refused["type"] == "invalid"
    assert said in refused["detail"]


@pytest.mark.contract("S17", "S74")
async def test_s17_a_task_is_kept(server: Kasal):
    task = await made(server, "/tasks", TASK)
    assert {key: task[key] for key in TASK} == TASK
    assert task.keys() >= STANDARD
    for wrong in ({"description": 7}, {"tools": ["nothing"]}, {"name": " "}):
        await server.call("POST", "/tasks", TASK | wrong, expect=422)


@pytest.mark.contract("S18", "S75")
async def test_s18_tasks_are_listed_by_pages(server: Kasal):
    for number in range(3):
        await made(server, "/tasks", TASK, name=f"S18 {number}")
    page = await server.get("/tasks?q=s18&limit=2&offset=1")
    assert ([one["name"] for one in page["items"]], page["total"], page["has_more"]) == (["S18 1", "S18 2"], 3, False)


@pytest.mark.contract("S19")
async def test_s19_a_task_is_looked_at(server: Kasal):
    task = await made(server, "/tasks", TASK)
    assert await server.get(f"/tasks/{task['id']}") == task
    await server.get("/tasks/none", expect=404)


@pytest.mark.contract("S20")
async def test_s20_full_writes_a_task_anew(server: Kasal):
    task = await made(server, "/tasks", TASK)
    whole = {"name": "Other", "description": "D", "expected_output": "E"}
    changed = await server.call("PUT", f"/tasks/{task['id']}/full", whole)
    assert {key: changed[key] for key in TASK} == {**whole, "agent": None, "tools": []}
    for absent in whole:
        partial = {key: value for key, value in whole.items() if key != absent}
        refused = await server.call("PUT", f"/tasks/{task['id']}/full", partial, expect=422)
        assert refused["errors"] == [{"field": absent, "message": "Field required"}]


@pytest.mark.contract("S21")
async def test_s21_put_changes_what_it_names_and_delete_removes(server: Kasal):
    task = await made(server, "/tasks", TASK)
    changed = await server.call("PUT", f"/tasks/{task['id']}", {"description": "Other"})
    assert {key: changed[key] for key in TASK} == TASK | {"description": "Other"}
    await server.call("DELETE", f"/tasks/{task['id']}", expect=204)
    await server.call("PUT", f"/tasks/{task['id']}", {"description": "Other"}, expect=404)


@pytest.mark.contract("S12", "S17", "S28")
async def test_s17_stored_agents_and_tasks_make_a_crew(server: Kasal):
    agent = await made(server, "/agents", AGENT, name="S17 agent", tools=[])
    tasks = [
        await made(server, "/tasks", TASK, name=name, description=f"{name} of {{topic}}", agent=agent["name"])
        for name in ("First", "Second")
    ]
    ids = {"agent_ids": [agent["id"]], "task_ids": [task["id"] for task in tasks]}
    crew = await made(server, "/crews", {"name": "Stored", **ids})
    view = await server.done(crew_id=crew["id"], inputs={"topic": "tides"})
    assert (view["status"], view["result"]) == ("COMPLETED", "done: Second of tides")
    assert [tool.name for tool in server.api.provider.requests[-1].tools] == ["calculator"]  # the task's


@pytest.mark.contract("S7", "S12", "S17")
@pytest.mark.parametrize("path", ["/crews", "/tasks"])
async def test_creating_twice_under_one_key_creates_once(server: Kasal, path: str):
    body = CREW if path == "/crews" else TASK
    answers = [await server.post(path, body, idempotency_key=f"one-{path}") for _ in range(2)]
    assert answers[0] == answers[1]
