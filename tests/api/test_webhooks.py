"""Webhooks over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agio.domain.webhooks import Webhook
from agio.settings import Settings
from tests.api.serving import THEN, Api, serving
from tests.support.receiver import URL


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, webhook_attempts=1, webhook_retry_s=0.01, webhook_timeout_s=2) as served:
        yield served


async def test_a_webhook_is_made_shown_changed_and_deleted(api: Api):
    made = await api.call("POST", "/webhooks", {"url": URL, "name": "ci"}, expect=201)
    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["run_completed", "run_failed", "run_cancelled"]
    shown = await api.call("GET", f"/webhooks/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (await api.call("GET", "/webhooks"))["items"] == [shown]
    changes = {"events": ["run_failed", "run_failed"], "agent_id": "writer", "enabled": False}
    changed = await api.call("PATCH", f"/webhooks/{made['id']}", changes)
    assert (changed["events"], changed["agent_id"], changed["enabled"]) == (["run_failed"], "writer", False)
    assert changed["name"] == "ci"
    await api.call("DELETE", f"/webhooks/{made['id']}", expect=204)
    for path in (f"/webhooks/{made['id']}", f"/webhooks/{made['id']}/deliveries"):
        await api.call("GET", path, expect=404)


async def test_an_agent_that_does_not_exist_is_refused(api: Api):
    problem = await api.call("POST", "/webhooks", {"url": URL, "agent_id": "nobody"}, expect=422)
    assert problem["errors"][0]["field"] == "agent_id"
    made = await api.call("POST", "/webhooks", {"url": URL}, expect=201)
    await api.call("PATCH", f"/webhooks/{made['id']}", {"agent_id": "nobody"}, expect=422)


async def test_a_repeated_request_makes_one_webhook_and_tells_no_secret(api: Api):
    first = await api.call("POST", "/webhooks", {"url": URL}, expect=201, Idempotency_Key="k")
    again = await api.call("POST", "/webhooks", {"url": URL}, expect=201, Idempotency_Key="k")
    assert (again["id"], again["secret"]) == (first["id"], None)
    assert (await api.call("GET", "/webhooks"))["total"] == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://169.254.169.254/",
        "ftp://x.test/",
        "nonsense",
        "http://a:b@x.test",
    ],
)
async def test_a_url_that_leads_inward_or_nowhere_is_refused(api: Api, url: str):
    refused = await api.call("POST", "/webhooks", {"url": url}, expect=422)
    assert [one["field"] for one in refused["errors"]] == ["url"]
    made = await api.call("POST", "/webhooks", {"url": URL}, expect=201)
    await api.call("PATCH", f"/webhooks/{made['id']}", {"url": url}, expect=422)


async def test_hosts_may_be_allowed(tmp_path: Path):
    async with serving(tmp_path, allow_hosts=("127.0.0.0/8",)) as api:
        await api.call("POST", "/webhooks", {"url": "http://127.0.0.1:1/x"}, expect=201)
        await api.call("POST", "/webhooks", {"url": "http://10.0.0.1/x"}, expect=422)
    with pytest.raises(ValueError, match="allow_hosts"):
        Settings(allow_hosts=("https://x.test/",))


async def test_deliveries_are_logged_and_ordered_again(tmp_path: Path):
    async with serving(tmp_path, webhook_attempts=1, allow_private_http=True) as api:
        await check_log(api)


async def check_log(api: Api) -> None:
    made = await api.call("POST", "/webhooks", {"url": "http://127.0.0.1:1/x"}, expect=201)  # nobody listens there
    run = await api.chat("hello")
    path = f"/webhooks/{made['id']}/deliveries"

    async def failed(attempts: int) -> dict[str, object]:
        async with asyncio.timeout(20):
            while True:
                rows = (await api.call("GET", f"{path}?state=failed"))["items"]
                if rows and len(rows[0]["attempts"]) == attempts:
                    row: dict[str, object] = rows[0]
                    return row
                await asyncio.sleep(0.02)

    row = await failed(1)
    assert (row["run_id"], row["event"], row["next_at"]) == (run["run_id"], "run_completed", None)
    whole = await api.call("GET", f"{path}/{row['id']}")
    assert '"response":"fine"' in whole["body"]
    ordered = await api.call("POST", f"{path}/{row['id']}/redeliver", expect=202)
    assert ordered["state"] == "due"
    await failed(2)
    await api.call("GET", f"{path}/nothing", expect=404)
    await api.call("POST", f"{path}/nothing/redeliver", expect=404)


def test_a_secret_is_in_no_representation():
    secrets: dict[str, Any] = {"secret": "planted", "headers": {"A": "planted"}}
    webhook = Webhook(id="w", group_id="g", url=URL, created_at=THEN, updated_at=THEN, **secrets)
    assert "planted" not in repr(webhook)
