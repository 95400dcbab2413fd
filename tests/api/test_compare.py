"""Two runs side by side."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agio.domain.metrics import Usage
from agio.testing.provider import Answer, Call, ScriptedProvider
from tests.api.serving import Api, serving, writer


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    script = ScriptedProvider(
        [
            Answer(calls=[Call("calculator", {"expression": "6*7"})], usage=Usage(total_tokens=10)),
            Answer("It is 42.", usage=Usage(total_tokens=5)),
            Answer("Zweiundvierzig.", usage=Usage(total_tokens=7)),
        ],
        default="fine",
    )
    async with serving(tmp_path, script, agents=[writer(id="calc", tools=("calculator",))]) as served:
        yield served


async def test_a_fork_is_compared_with_its_source(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [_, step, _] = await api.checkpoints(run["run_id"])
    fork = await api.call("POST", f"/checkpoints/{step['id']}/fork", {}, expect=201)
    await api.until(fork["run_id"], "completed")
    body = await api.call("GET", f"/compare?a={run['run_id']}&b={fork['run_id']}")
    assert [(row["step"], row["kind"], row["changes"]) for row in body["rows"]] == [
        (1, "same", []),
        (2, "changed", ["content"]),
    ]
    assert body["first_divergence"] == 2
    assert (body["rows"][1]["a"]["content"], body["rows"][1]["b"]["content"]) == ("It is 42.", "Zweiundvierzig.")
    assert body["common_ancestor"] == step["id"]
    assert (body["a"]["id"], body["b"]["id"]) == (run["run_id"], fork["run_id"])
    totals = body["totals"]
    assert (totals["a"]["total_tokens"], totals["b"]["total_tokens"], totals["delta"]["total_tokens"]) == (15, 7, -8)
    assert totals["delta"]["cost"] is None


async def test_siblings_meet_at_the_checkpoint_that_both_were_forked_from(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    [first, *_] = await api.checkpoints(run["run_id"])
    forks = await api.call("POST", f"/checkpoints/{first['id']}/fork", {"variants": [{}, {}]}, expect=201)
    ids = [fork["run_id"] for fork in forks["items"]]
    for run_id in ids:
        await api.until(run_id, "completed")
    assert (await api.call("GET", f"/compare?a={ids[0]}&b={ids[1]}"))["common_ancestor"] == first["id"]


async def test_strangers_have_no_common_ancestor(api: Api):
    one, two = await api.chat("one"), await api.chat("two")
    body = await api.call("GET", f"/compare?a={one['run_id']}&b={two['run_id']}")
    assert body["common_ancestor"] is None


async def test_a_run_equals_itself(api: Api):
    run = await api.chat("6*7?", agent_id="calc")
    body = await api.call("GET", f"/compare?a={run['run_id']}&b={run['run_id']}")
    assert {row["kind"] for row in body["rows"]} == {"same"}
    assert body["first_divergence"] is None
    assert body["common_ancestor"] == (await api.checkpoints(run["run_id"]))[-1]["id"]


async def test_both_runs_must_be_there(api: Api):
    run = await api.chat()
    await api.call("GET", f"/compare?a={run['run_id']}&b=none", expect=404)
    await api.call("GET", f"/compare?a=none&b={run['run_id']}", expect=404)
    await api.call("GET", f"/compare?a={run['run_id']}", expect=422)
