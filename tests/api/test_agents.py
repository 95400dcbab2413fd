"""Agents over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agio.engine.caller import Caller
from agio.testing.provider import Answer, ScriptedProvider, Silence
from tests.api.serving import Api, serving, writer


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as served:
        yield served


async def test_a_new_agent_gets_its_id_from_its_name_and_the_default_agents_provider(api: Api):
    made = await api.call("POST", "/agents", {"name": "Research Analyst!", "tools": ["calculator"]}, expect=201)
    assert made["id"] == "research-analyst"
    assert (made["provider"], made["model"], made["max_steps"], made["version"]) == ("demo", "demo", 10, 1)
    assert (made["source"], made["group_id"], made["enabled"]) == ("api", "default", True)
    assert made["created_at"].endswith("Z")
    assert await api.call("GET", "/agents/research-analyst") == made


async def test_every_field_comes_back_as_it_was_given(api: Api):
    given = {
        "id": "full",
        "name": "Full",
        "description": "has everything",
        "provider": "scripted",
        "model": "script-1",
        "system_prompt": "Be short.",
        "tools": ["calculator", "current_time"],
        "max_steps": 3,
        "planning_interval": 2,
        "temperature": 0.5,
        "max_tokens": 100,
        "params": {"top_p": 0.9, "stop": ["x"]},
        "tags": ["a", "b"],
        "enabled": False,
        "metadata": {"deep": [{"er": None}]},
        "role": "r",
        "goal": "g",
        "backstory": "b",
        "llm": "gpt",
        "allow_delegation": True,
        "verbose": True,
    }
    made = await api.call("POST", "/agents", given, expect=201)
    assert {name: made[name] for name in given} == given


async def test_kasals_llm_names_the_model(api: Api):
    body = {"name": "Crew member", "role": "analyst", "goal": "find", "backstory": "long", "llm": "gpt-4"}
    made = await api.call("POST", "/agents", body, expect=201)
    assert (made["llm"], made["model"]) == ("gpt-4", "gpt-4")
    changed = await api.call("PUT", "/agents/crew-member", {"llm": "gpt-5"})
    assert (changed["llm"], changed["model"], changed["role"]) == ("gpt-5", "gpt-5", "analyst")


async def test_another_provider_needs_a_model(api: Api):
    answer = await api.call("POST", "/agents", {"name": "x", "provider": "openai"}, expect=422)
    assert answer["errors"][0]["field"] == "model"


async def test_put_changes_what_is_given_and_null_clears(api: Api):
    await api.call("POST", "/agents", {"id": "a", "name": "A", "temperature": 1, "tags": ["x"]}, expect=201)
    changed = await api.call("PUT", "/agents/a", {"temperature": None, "description": "new"})
    assert (changed["temperature"], changed["description"], changed["tags"], changed["version"]) == (
        None,
        "new",
        ["x"],
        2,
    )
    again = await api.call("PATCH", "/agents/a", {"description": "new"})
    assert again["version"] == 2
    await api.call("PATCH", "/agents/a", {"name": None}, expect=422)


async def test_versions_are_kept_newest_first(api: Api):
    await api.call("POST", "/agents", {"id": "a", "name": "One"}, expect=201)
    await api.call("PATCH", "/agents/a", {"name": "Two"})
    listed = await api.call("GET", "/agents/a/versions")
    assert [(v["version"], v["agent"]["name"]) for v in listed["items"]] == [(2, "Two"), (1, "One")]
    assert (await api.call("GET", "/agents/writer/versions"))["total"] == 1
    await api.call("GET", "/agents/none/versions", expect=404)


async def test_list_filters_by_tag_and_text_before_it_pages(api: Api):
    for number in range(5):
        body = {"id": f"a{number}", "name": f"Agent {number}", "tags": ["even" if number % 2 == 0 else "odd"]}
        await api.call("POST", "/agents", body, expect=201)
    page = await api.call("GET", "/agents?tag=even&limit=2")
    assert [agent["id"] for agent in page["items"]] == ["a0", "a2"]
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (3, 2, 0, True)
    assert [a["id"] for a in (await api.call("GET", "/agents?q=AGENT%203"))["items"]] == ["a3"]
    everything = await api.call("GET", "/agents")
    assert [a["id"] for a in everything["items"]][:2] == ["writer", "assistant"]


async def test_a_taken_id_is_refused(api: Api):
    await api.call("POST", "/agents", {"name": "Twin"}, expect=201)
    answer = await api.call("POST", "/agents", {"name": "Twin"}, expect=409)
    assert answer["type"] == "already_exists"
    await api.call("POST", "/agents", {"id": "writer", "name": "x"}, expect=409)


async def test_the_same_idempotency_key_makes_one_agent_and_answers_the_same(api: Api):
    body = {"name": "Once"}
    first = await api.call("POST", "/agents", body, expect=201, Idempotency_Key="k1")
    await api.call("PATCH", "/agents/once", {"name": "Changed"})
    assert await api.call("POST", "/agents", body, expect=201, Idempotency_Key="k1") == first
    await api.call("POST", "/agents", {"name": "Other"}, expect=409, Idempotency_Key="k1")


async def test_two_requests_with_one_key_at_the_same_time_both_succeed(api: Api):
    async def create():
        return await api.call("POST", "/agents", {"name": "Racer"}, expect=201, Idempotency_Key="k1")

    made = await asyncio.gather(*(create() for _ in range(5)))
    assert {agent["id"] for agent in made} == {"racer"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({}, "name"),
        ({"name": "x", "id": "Bad Id"}, "id"),
        ({"name": "x", "id": "conversations"}, "id"),
        ({"name": "x", "tools": ["nonsense"]}, "tools"),
        ({"name": "x", "provider": "nonsense"}, "provider"),
        ({"name": "x", "max_steps": 0}, "max_steps"),
        ({"name": "x", "temperature": 3}, "temperature"),
        ({"name": "x", "unknown": 1}, "unknown"),
        ({"name": "x", "tags": "a"}, "tags"),
        ({"name": "x", "enabled": "yes"}, "enabled"),
        ({"name": "x", "max_steps": "5"}, "max_steps"),
    ],
)
async def test_bad_agents_are_refused_with_the_field(api: Api, body: object, field: str):
    answer = await api.call("POST", "/agents", body, expect=422)
    assert field in [error["field"] for error in answer["errors"]]


@pytest.mark.parametrize(
    "metadata", ["NaN", "1e999", '"\\ud800"', '{"\\udfff": 1}', "[" * 80 + "]" * 80], ids=lambda text: text[:10]
)
async def test_what_json_cannot_hold_is_refused_in_free_form_values(api: Api, metadata: str):
    body = f'{{"name": "x", "metadata": {{"value": {metadata}}}}}'
    answer = await api.client.post("/api/agents", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_an_agent_from_python_is_read_only(api: Api):
    assert (await api.call("GET", "/agents/writer"))["source"] == "code"
    await api.call("PUT", "/agents/writer", {"name": "x"}, expect=409)
    await api.call("DELETE", "/agents/writer", expect=409)


async def test_deleting_is_refused_while_it_has_live_runs(tmp_path: Path):
    async with serving(tmp_path, ScriptedProvider([Answer(Silence())]), agents=[]) as api:
        await api.call("POST", "/agents", {"id": "busy", "name": "x", "provider": "scripted", "model": "m"}, expect=201)
        run = await api.start(agent_id="busy")
        refused = await api.call("DELETE", "/agents/busy", expect=409)
        assert refused["type"] == "conflict"
        await api.call("POST", f"/runs/{run['id']}/cancel", expect=202)
        await api.until(run["id"], "cancelled")
        await api.call("DELETE", "/agents/busy", expect=204)
        await api.call("GET", "/agents/busy", expect=404)
        await api.call("DELETE", "/agents/busy", expect=404)
        assert (await api.call("GET", f"/runs/{run['id']}"))["agent_id"] == "busy"


async def test_another_groups_agent_does_not_exist(api: Api):
    theirs = replace(writer(id="theirs"), group_id="elsewhere", source="api")
    await api.engine.agents.create(Caller("bob", "elsewhere"), theirs)
    await api.call("GET", "/agents/theirs", expect=404)
    await api.call("PUT", "/agents/theirs", {"name": "stolen"}, expect=404)
    await api.call("DELETE", "/agents/theirs", expect=404)
