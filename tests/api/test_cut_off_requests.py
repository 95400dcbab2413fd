"""Requests whose server died half-way, and that the client repeats with the same key."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agio import crashes
from agio.testing.provider import ScriptedProvider
from tests.api.serving import Api, serving

Cut = Callable[[str], None]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Cuts off, where it is told to, the first request that comes there."""

    def cut_at(wanted: str) -> None:
        def reach(place: str) -> None:
            if place == wanted:
                monkeypatch.undo()
                raise RuntimeError("cut off, says the test")

        monkeypatch.setattr(crashes, "at", reach)

    return cut_at


async def _ended(api: Api) -> tuple[str, str]:
    """Return an ended run of session s1 and its first checkpoint."""
    run = await api.chat("one?", session_id="s1")
    return run["run_id"], (await api.checkpoints(run["run_id"]))[0]["id"]


async def _current(api: Api) -> Any:
    return (await api.call("GET", "/sessions/s1"))["current_branch_id"]


IN_PLACE = pytest.mark.parametrize("new", [True, False], ids=["new-run", "in-place"])


@IN_PLACE
async def test_a_restore_that_is_asked_for_again_moves_the_session(api: Api, cut: Cut, new: bool):
    source, checkpoint = await _ended(api)
    path, body = f"/checkpoints/{checkpoint}/restore", {"create_new_run": new}
    cut("accept")
    await api.call("POST", path, body, expect=500, Idempotency_Key="k")
    assert await _current(api) == "s1"
    made = await api.call("POST", path, body, expect=201, Idempotency_Key="k")
    assert await _current(api) == made["branch_id"] != "s1"
    assert (await api.until(made["run_id"], "completed"))["attempt"] == (1 if new else 2)
    runs = (await api.call("GET", f"/runs?parent_run_id={source}"))["items"]
    assert [run["id"] for run in runs] == ([made["run_id"]] if new else [])


@IN_PLACE
async def test_a_session_that_moved_on_meanwhile_is_left_alone(api: Api, cut: Cut, new: bool):
    _, checkpoint = await _ended(api)
    path, body = f"/checkpoints/{checkpoint}/restore", {"create_new_run": new}
    cut("accept")
    await api.call("POST", path, body, expect=500, Idempotency_Key="k")
    other = await api.call("POST", f"/checkpoints/{checkpoint}/fork", expect=201)
    await api.call("PATCH", "/sessions/s1", {"current_branch_id": other["branch_id"]})
    await api.call("POST", path, body, expect=201, Idempotency_Key="k")
    assert await _current(api) == other["branch_id"]


async def test_a_retry_that_is_asked_for_again_is_one_attempt(tmp_path: Path, cut: Cut):
    async with serving(tmp_path, ScriptedProvider()) as api:  # without a script every call fails
        run_id = (await api.start(session_id="s1"))["id"]
        await api.until(run_id, "failed")
        cut("accept")
        await api.call("POST", f"/runs/{run_id}/retry", expect=500, Idempotency_Key="k")
        await api.until(run_id, "failed")
        for _ in range(2):
            await api.call("POST", f"/runs/{run_id}/retry", expect=202, Idempotency_Key="k")
            view = await api.call("GET", f"/runs/{run_id}")
            assert (view["attempt"], view["branch_id"]) == (2, await _current(api))
        await api.call("POST", f"/runs/{run_id}/retry", expect=202, Idempotency_Key="another")
        assert (await api.call("GET", f"/runs/{run_id}"))["attempt"] == 3


async def test_a_branch_that_nothing_came_to_is_not_shown(api: Api, cut: Cut):
    _, checkpoint = await _ended(api)
    cut("fork")
    path, body = f"/checkpoints/{checkpoint}/restore", {"create_new_run": False}
    await api.call("POST", path, body, expect=500, Idempotency_Key="k")
    assert [one["id"] for one in (await api.call("GET", "/sessions/s1/branches"))["items"]] == ["s1"]
    assert [one["id"] for one in (await api.call("GET", "/sessions/s1/tree"))["branches"]] == ["s1"]
    made = await api.call("POST", path, body, expect=201, Idempotency_Key="k")
    shown = [one["id"] for one in (await api.call("GET", "/sessions/s1/branches"))["items"]]
    assert shown == ["s1", made["branch_id"]]
