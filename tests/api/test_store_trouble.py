"""A store that is away, or behind its own journal, while clients wait."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agio.domain.errors import StoreUnavailable
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider
from agio.tools.decorator import tool
from tests.api.serving import Api, listening, serving, writer

SOON_S = 0.3


class Behind:
    """Lets the journal have the entry with an event, and the run's record only when it is told to."""

    def __init__(self, api: Api, event: str) -> None:
        self._append = api.engine.store.append
        self._event = event
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, batch: Any) -> Any:
        if any(event.type == self._event for item in batch for event in item.entry.events):
            await self._append([replace(item, update=None) for item in batch])
            self.reached.set()
            await self.go.wait()
        return await self._append(batch)


@tool(requires_approval=True)
async def pay() -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize(("event", "status"), [("run_completed", "completed"), ("run_waiting", "waiting")])
async def test_an_answer_waits_for_a_record_that_is_behind_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str, status: str
):
    calls = [Call("pay", {})] if status == "waiting" else []
    provider = ScriptedProvider([Answer("yes", calls=calls)])
    async with serving(tmp_path, provider, tools=[pay], agents=[writer(id="payer", tools=("pay",))]) as api:
        behind = Behind(api, event)
        monkeypatch.setattr(api.engine.store, "append", behind)
        expect = 202 if status == "waiting" else 200
        asked = asyncio.create_task(api.chat(agent_id="payer", run_id="r1", expect=expect))
        async with asyncio.timeout(20):
            await behind.reached.wait()
            api.engine.worker.hub.poke("r1")  # as a reader in another process hears of it
            await asyncio.wait({asked}, timeout=SOON_S)
            behind.go.set()
            assert (await asked)["status"] == status


async def test_a_view_waits_for_a_record_that_is_behind_the_end_that_readers_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with serving(tmp_path, ScriptedProvider(["yes"])) as api:
        behind = Behind(api, "run_completed")
        monkeypatch.setattr(api.engine.store, "append", behind)
        await api.start(run_id="r1")
        async with asyncio.timeout(20):
            await behind.reached.wait()
            looking = asyncio.create_task(api.call("GET", "/runs/r1"))
            await asyncio.wait({looking}, timeout=SOON_S)
            behind.go.set()
            view = await looking
        assert (view["status"], view["response"]) == ("completed", "yes")


@pytest.mark.parametrize("path", ["/api/runs/r1/events", "/api/events?runs=r1"])
async def test_a_stream_whose_store_goes_away_ends_in_order_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
):
    gate = Gate()
    provider = ScriptedProvider([Answer("half", gate, "whole")])
    async with serving(tmp_path, provider) as api, listening(api) as client:
        await api.start(run_id="r1")
        await gate.reached.wait()
        async with client.stream("GET", path) as answer:
            lines = answer.aiter_lines()
            while "content_delta" not in await anext(lines):
                pass

            async def away(*args: Any, **options: Any) -> Any:
                raise StoreUnavailable("away, says the test")

            for method in ("read_entries", "heads"):
                monkeypatch.setattr(api.engine.store, method, away)
            api.engine.worker.hub.poke("r1")
            rest = [line async for line in lines]
        assert ": the store is away, read on from the last id" in rest
        assert "retry: 2000" in rest
        monkeypatch.undo()
        gate.open()
        await api.until("r1", "completed")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_replay_whose_store_is_away_is_refused_and_not_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Found by a campaign: it ended in good order, without an event."""
    async with serving(tmp_path, ScriptedProvider(["yes"])) as api:
        await api.start(run_id="r1")
        await api.until("r1", "completed")

        async def away(*args: Any, **options: Any) -> Any:
            raise StoreUnavailable("away, says the test")

        monkeypatch.setattr(api.engine.store, "read_entries", away)
        refused = await api.client.get("/api/runs/r1/events?follow=false")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2"), refused.text
        assert refused.json()["type"] == "store_unavailable"
        monkeypatch.undo()
        answer = await api.client.get("/api/runs/r1/events?follow=false")
        assert answer.text.count("event: run_completed") == answer.text.count("event: run_started") == 1


async def test_a_run_whose_only_reader_leaves_while_the_store_is_away_is_cancelled_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agio.engine.engine.LEAVE_AGAIN_S", 0.01)
    gate = Gate()
    provider = ScriptedProvider([Answer("half", gate, "whole")])
    async with serving(tmp_path, provider) as api, listening(api) as client:
        await api.start(run_id="r1", detached=False)
        await gate.reached.wait()
        get_run = api.engine.store.get_run
        tries = 0
        back = asyncio.Event()

        async def away_for_a_while(*args: Any) -> Any:
            nonlocal tries
            tries += 1
            if tries <= 3:
                raise StoreUnavailable("away, says the test")
            back.set()
            return await get_run(*args)

        async with client.stream("GET", "/api/runs/r1/events") as answer:
            lines = answer.aiter_lines()
            while "content_delta" not in await anext(lines):
                pass
            monkeypatch.setattr(api.engine.store, "get_run", away_for_a_while)
        async with asyncio.timeout(20):
            await back.wait()
        await api.until("r1", "cancelled")
