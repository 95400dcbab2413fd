"""Schedules over HTTP: make, look, change, run now, delete; what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.serving import Api, serving

CHAT = {"agent_id": "writer", "message": "Good morning"}
BODY: dict[str, Any] = {"id": "morning", "name": "Morning", "cron": "0 7 * * MON-FRI", "chat": CHAT}
CREW = {"name": "team", "tasks": [{"id": "only", "agent": "writer", "description": "say {what}"}]}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, default_agent="writer") as served:
        yield served


async def test_schedule_is_made_shown_changed_and_deleted(api: Api):
    made = await api.call("POST", "/schedules", BODY | {"timezone": "Europe/Berlin"}, expect=201)
    assert (made["id"], made["missed"], made["overlap"], made["chat"]["message"]) == (
        *("morning", "once", "skip"),
        "Good morning",
    )
    assert len(made["next_fires"]) == 5
    assert made["next_fires"] == sorted(made["next_fires"])
    assert await api.call("GET", "/schedules/morning") == made
    assert (await api.call("GET", "/schedules?enabled=true"))["items"] == [made]
    off = await api.call("PATCH", "/schedules/morning", {"enabled": False})
    assert (off["enabled"], off["next_fires"], off["timezone"]) == (False, [], "Europe/Berlin")
    assert (await api.call("GET", "/schedules?enabled=true"))["total"] == 0
    on = await api.call("PATCH", "/schedules/morning", {"enabled": True, "crew": CREW, "inputs": {"what": "hi"}})
    assert (on["next_fires"], on["chat"], on["crew"]) == (made["next_fires"], None, "team")
    await api.call("DELETE", "/schedules/morning", expect=204)
    assert (await api.call("GET", "/schedules/morning", expect=404))["type"] == "not_found"


async def test_run_now_starts_a_run_and_is_noted(api: Api):
    await api.call("POST", "/schedules", BODY, expect=201)
    fires = [await api.call("POST", "/schedules/morning/run", expect=202, Idempotency_Key="k") for _ in range(2)]
    assert fires[0] == fires[1]
    run = await api.until(fires[0]["run_id"], "completed")
    assert run["tags"] == ["schedule:morning"]
    noted = await api.call("GET", "/schedules/morning/fires")
    assert noted["items"] == [fires[0]]
    assert (fires[0]["manual"], fires[0]["outcome"]) == (True, "started")


async def test_crew_is_run_with_its_inputs(api: Api):
    body = {"name": "Team", "cron": "*/5 * * * *", "crew": CREW, "inputs": {"what": "cheese"}}
    made = await api.call("POST", "/schedules", body, expect=201)
    fire = await api.call("POST", f"/schedules/{made['id']}/run", expect=202)
    await api.until(fire["run_id"], "completed")
    assert api.provider.requests[-1].messages[-1].content == "say cheese"
    await api.call("PATCH", f"/schedules/{made['id']}", {"inputs": {"what": "bread"}})
    fire = await api.call("POST", f"/schedules/{made['id']}/run", expect=202)
    await api.until(fire["run_id"], "completed")
    assert api.provider.requests[-1].messages[-1].content == "say bread"


async def test_taken_id_is_refused(api: Api):
    await api.call("POST", "/schedules", BODY, expect=201)
    assert (await api.call("POST", "/schedules", BODY, expect=409))["type"] == "already_exists"


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"cron": "0 7 * *"}, 422, "cron"),
    ({"cron": "61 7 * * *"}, 422, "cron"),
    ({"cron": "0 0 30 2 *"}, 422, "cron"),
    ({"cron": "* * * * * *"}, 422, "cron"),
    ({"timezone": "Mars"}, 422, "timezone"),
    ({"chat": None}, 422, "chat"),
    ({"crew": CREW}, 422, "chat"),
    ({"chat": CHAT | {"agent_id": "nobody"}}, 404, ""),
    ({"chat": None, "crew": {"tasks": [{"id": "a", "agent": "nobody"}]}}, 422, "crew.tasks.0.agent"),
    ({"overlap": "sometimes"}, 422, "overlap"),
    ({"grace_s": 0}, 422, "grace_s"),
]


@pytest.mark.parametrize(("wrong", "status", "field"), BAD, ids=[str(number) for number in range(len(BAD))])
async def test_what_is_wrong_is_named(api: Api, wrong: dict[str, Any], status: int, field: str):
    answer = await api.call("POST", "/schedules", BODY | wrong, expect=status)
    assert status == 404 or any(field in error["field"] for error in answer["errors"]), answer
    assert (await api.call("GET", "/schedules"))["total"] == 0


async def test_schedule_of_another_group_is_not_there(api: Api):
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/run"), ("GET", "/fires")):
        body: Any = {} if method == "PATCH" else None
        assert (await api.call(method, f"/schedules/nobody{path}", body, expect=404))["type"] == "not_found"
