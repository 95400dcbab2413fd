"""Kasal's scheduler (S66 to S69)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agio.testing.provider import ScriptedProvider
from tests.api.serving import Api, serving

CREW = {
    "name": "Briefing",
    "description": "Writes the briefing.",
    "agents_yaml": "writer:\n  role: Writer\n  goal: Write\n  backstory: Wrote much\n",
    "tasks_yaml": "write:\n  description: Write about {topic}\n  expected_output: A text\n  agent: writer\n",
    "process": "sequential",
}
PATH = "/v1/scheduler/schedules"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, ScriptedProvider(default="fine"), default_agent="writer") as served:
        yield served


async def wish(api: Api, **changes: Any) -> dict[str, Any]:
    crew = await api.call("POST", "/v1/crews", CREW, expect=201)
    body = {"name": "Daily", "cron_expression": "0 9 * * *", "crew_id": crew["id"], "inputs": {"topic": "cheese"}}
    return body | {"enabled": True} | changes


@pytest.mark.contract("S66", "S67")
async def test_s66_s67_a_schedule_is_made_and_listed_with_its_next_run(api: Api):
    body = await wish(api)
    made = await api.call("POST", PATH, body, expect=201)
    assert {name: made[name] for name in body} == body
    next_run = datetime.fromisoformat(made["next_run_at"])
    assert (next_run.hour, next_run.minute) == (9, 0)
    assert timedelta(0) < next_run - datetime.now(UTC) <= timedelta(days=1)
    assert len(made["next_runs"]) == 5
    listed = await api.call("GET", PATH)
    assert (listed["items"], listed["total"]) == ([made], 1)
    assert await api.call("GET", f"{PATH}/{made['id']}") == made
    (native,) = (await api.call("GET", "/schedules"))["items"]
    assert (native["id"], native["crew"], native["next_fires"][0]) == (made["id"], "Briefing", made["next_run_at"])
    assert await api.call("POST", PATH, body, expect=201, Idempotency_Key="k") == await api.call(
        "POST", PATH, body, expect=201, Idempotency_Key="k"
    )


@pytest.mark.contract("S67")
@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"cron_expression": "every day"}, 422, "cron_expression"),
        ({"cron_expression": "61 0 * * *"}, 422, "cron_expression"),
        ({"cron_expression": "0 0 * * * *"}, 422, "cron_expression"),
        ({"timezone": "Mars"}, 422, "timezone"),
        ({"crew_id": "nobody"}, 404, ""),
        ({"inputs": []}, 422, "inputs"),
        ({"name": ""}, 422, "name"),
    ],
)
async def test_s67_what_is_wrong_is_named(api: Api, wrong: dict[str, Any], status: int, field: str):
    answer = await api.call("POST", PATH, await wish(api, **wrong), expect=status)
    assert status == 404 or any(field in error["field"] for error in answer["errors"]), answer
    assert (await api.call("GET", PATH))["total"] == 0


@pytest.mark.contract("S68")
async def test_s68_toggle_switches_a_schedule_off_and_on(api: Api):
    made = await api.call("POST", PATH, await wish(api, enabled=False), expect=201)
    assert (made["enabled"], made["next_run_at"]) == (False, None)
    on = await api.call("PATCH", f"{PATH}/{made['id']}/toggle")
    assert on["enabled"]
    assert on["next_run_at"] is not None
    off = await api.call("PATCH", f"{PATH}/{made['id']}/toggle")
    assert (off["enabled"], off["next_run_at"]) == (False, None)
    changed = await api.call("PUT", f"{PATH}/{made['id']}", {"inputs": {"topic": "bread"}, "name": "Later"})
    assert (changed["inputs"], changed["name"], changed["crew_id"]) == ({"topic": "bread"}, "Later", made["crew_id"])
    await api.call("PATCH", f"{PATH}/nobody/toggle", expect=404)
    await api.call("DELETE", f"{PATH}/{made['id']}", expect=204)
    await api.call("GET", f"{PATH}/{made['id']}", expect=404)


@pytest.mark.contract("S69")
async def test_s69_a_tick_starts_one_execution_of_the_crew_as_it_is_then(api: Api, monkeypatch: pytest.MonkeyPatch):
    made = await api.call("POST", PATH, await wish(api), expect=201)
    changed = {"tasks_yaml": CREW["tasks_yaml"].replace("Write about", "Sing of")}
    await api.call("PUT", f"/v1/crews/{made['crew_id']}", changed)
    tick = datetime.fromisoformat(made["next_run_at"])

    async def at_the_tick() -> datetime:
        return tick

    monkeypatch.setattr(api.engine.store, "read_clock", at_the_tick)
    await asyncio.gather(*(api.engine.scheduler.fire_due() for _ in range(3)))
    listed = (await api.call("GET", f"/v1/executions?crew_id={made['crew_id']}"))["items"]
    assert len(listed) == 1
    run = await api.until(listed[0]["execution_id"], "completed")
    assert run["tags"] == [f"schedule:{made['id']}", f"crew:{made['crew_id']}"]
    assert "Sing of cheese" in str(api.provider.requests[-1].messages[-1].content)
    after = await api.call("GET", f"{PATH}/{made['id']}")
    assert (after["last_run_at"], after["last_execution_id"]) == (made["next_run_at"], run["id"])
    assert after["next_run_at"] == made["next_runs"][1]
    await api.call("DELETE", f"/v1/crews/{made['crew_id']}", expect=204)
    tick += timedelta(days=1)
    await api.engine.scheduler.fire_due()
    (failed, _) = (await api.call("GET", f"/schedules/{made['id']}/fires"))["items"]
    assert (failed["outcome"], "there is no crew" in failed["error"]) == ("failed", True)
