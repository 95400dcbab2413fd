"""Kasal's generation of agents, tasks and crews (S53 to S56)."""

import json
from pathlib import Path
from typing import Any

import pytest

from agio.api.native.schemas.generation import NOTICE
from agio.providers.base import ModelRequest
from agio.testing.provider import ScriptedProvider
from tests.api.serving import Api, serving

AGENT = {"name": "Ada", "role": "Analyst", "goal": "Find prices.", "backstory": "Knows shops.", "tools": ["calculator"]}
TASK = {"name": "compare", "description": "Compare prices.", "expected_output": "A table.", "tools": []}
CREW = {
    "crew": {"name": "Buyers", "description": "Buys well.", "process": "sequential"},
    "agents": [AGENT, AGENT | {"name": "Bob", "tools": []}],
    "tasks": [
        TASK | {"agent": "Ada", "dependencies": []},
        TASK | {"name": "buy", "agent": "Bob", "dependencies": ["compare"]},
    ],
}
WISH = {"description": "Someone who compares laptops.", "model": "script-9"}
PATHS = {
    "agent": "/agent-generation/generate",
    "task": "/task-generation/generate",
    "crew": "/crew-generation/generate",
}


async def ask(api: Api, what: str, body: Any = WISH, *, expect: int = 200) -> Any:
    return await api.call("POST", f"/v1{PATHS[what]}", body, expect=expect)


def first_lines(request: ModelRequest) -> tuple[str, str]:
    return str(request.messages[0].content).partition("\n")[0], str(request.messages[1].content)


@pytest.mark.contract("S53", "S54", "S55", "S56")
@pytest.mark.parametrize(("what", "given"), [("agent", AGENT), ("task", TASK), ("crew", CREW)])
async def test_s53_to_s56_a_model_drafts_what_was_described(tmp_path: Path, what: str, given: dict[str, Any]):
    provider = ScriptedProvider([f"Here you are:\n```json\n{json.dumps(given)}\n```"])
    async with serving(tmp_path, provider, default_agent="writer") as api:
        answer = await ask(api, what)
    made = {name: answer[name] for name in ("crew", "agents", "tasks")} if what == "crew" else answer[what]
    assert made == given
    assert (answer["offline"], answer["notice"], answer["repaired"]) == (False, None, False)
    (request,) = provider.requests
    assert request.model == "script-9"
    assert request.messages[1].content == WISH["description"]
    schema = request.params["response_format"]["json_schema"]["schema"]
    assert json.dumps(schema, ensure_ascii=False) in str(request.messages[0].content)
    assert "calculator" in json.dumps(schema)


WRONG: list[tuple[str, Any, str]] = [
    ("agent", "I cannot do that.", "no JSON object"),
    ("agent", AGENT | {"goal": ""}, "goal"),
    ("agent", AGENT | {"tools": ["telepathy"]}, "there is no tool 'telepathy'"),
    ("task", {"name": "x"}, "expected_output"),
    ("crew", CREW | {"agents": [AGENT]}, "which is not among the agents"),
    ("crew", CREW | {"tasks": [TASK | {"agent": "Ada", "dependencies": ["compare"]}]}, "compare"),
]


@pytest.mark.contract("S54", "S55", "S56")
@pytest.mark.parametrize(("what", "wrong", "told"), WRONG, ids=[str(number) for number in range(len(WRONG))])
async def test_s54_an_answer_that_does_not_hold_is_asked_for_once_more_then_502(
    tmp_path: Path, what: str, wrong: Any, told: str
):
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    right = json.dumps({"agent": AGENT, "task": TASK, "crew": CREW}[what])
    provider = ScriptedProvider([text, right, text, text])
    async with serving(tmp_path, provider, default_agent="writer") as api:
        mended = await ask(api, what)
        failed = await ask(api, what, expect=502)
    assert mended["repaired"]
    assert told in str(provider.requests[1].messages[-1].content)
    assert provider.requests[1].messages[-2].content == text
    assert (failed["type"], failed["retryable"]) == ("answer_unusable", True)
    assert told in failed["detail"]
    assert provider.calls == 4


@pytest.mark.contract("S53", "S55", "S56")
@pytest.mark.parametrize("what", ["agent", "task", "crew"])
async def test_s53_without_a_real_model_the_demo_drafts_and_says_so(tmp_path: Path, what: str):
    long = "Someone who compares laptops and knows all the prices of every shop that is in town today."
    async with serving(tmp_path, default_agent="assistant") as api:
        answer = await ask(api, what, {"description": long, "model": "gpt-4o"})
        assert (answer["offline"], answer["notice"], answer["provider"]) == (True, NOTICE, "demo")
        assert api.provider.calls == 0
        if what == "agent":
            made = await api.call("POST", "/v1/agents", {**answer["agent"], "id": "drafted"}, expect=201)
            assert made["role"].startswith("Someone who compares laptops")


@pytest.mark.contract("S53")
@pytest.mark.parametrize("body", [{}, {"description": " "}, {"description": "x", "model": ""}, {"description": 7}])
async def test_s53_a_wish_that_says_nothing_is_refused(tmp_path: Path, body: dict[str, Any]):
    async with serving(tmp_path) as api:
        assert (await ask(api, "agent", body, expect=422))["type"] == "validation_error"
        assert api.provider.calls == 0


@pytest.mark.contract("S53", "S60", "S65")
async def test_s53_a_stored_model_and_a_template_of_the_group_are_used(tmp_path: Path):
    provider = ScriptedProvider([json.dumps(AGENT)])
    async with serving(tmp_path, provider, default_agent="writer") as api:
        model = {"name": "team/drafts", "provider": "scripted", "model": "script-3", "parameters": {"temperature": 1.5}}
        await api.call("POST", "/v1/models", model, expect=201)
        template = {"name": "generate_agent", "template": "Make a pirate of: {description}"}
        await api.call("POST", "/v1/templates", template, expect=201)
        await ask(api, "agent", {"description": "a cook", "model": "team/drafts"})
    (request,) = provider.requests
    assert (request.model, request.temperature) == ("script-3", 1.5)
    assert first_lines(request) == ("Make a pirate of: a cook", "a cook")
