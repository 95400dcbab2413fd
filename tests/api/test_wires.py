"""Neighbours' wires are served where they are wanted, and missed by nobody where they are not."""

import asyncio
import importlib
import json
import shutil
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from agio.api import protocols
from agio.api.app import create_app
from agio.domain.errors import Invalid
from agio.settings import Settings
from agio.testing.provider import Answer, Gate, ScriptedProvider, Silence
from tests.api.serving import Api, listening, serving
from tests.architecture.imports import read_imports
from tests.support.server import ROOT

WIRES = Path(protocols.__file__).parent
PATHS = {"kawai": "/stream", "firefly": "/agents/"}


def _paths(**settings: Any) -> set[str]:
    return set(create_app(Settings(**settings)).openapi()["paths"])


def test_all_wires_are_served_unless_the_setting_says_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGIO_DATABASE_URL", f"sqlite:///{tmp_path}/agio.db")
    paths = {wires: _paths(wires=wires) for wires in WANTED}
    served = {wires: {name for name, path in PATHS.items() if path in paths[wires]} for wires in WANTED}
    assert served == {None: {"kawai", "firefly"}, (): set(), ("kawai",): {"kawai"}, ("firefly",): {"firefly"}}


WANTED: tuple[tuple[str, ...] | None, ...] = (None, (), ("kawai",), ("firefly",))


def test_unknown_wire_stops_the_start_and_the_known_ones_are_named():
    with pytest.raises(Invalid, match=r"no wire 'hawaii'; there are: a2a, aipartnerupflow, firefly, kasal, kawai"):
        protocols.install(FastAPI(), ["hawaii"])


@pytest.mark.parametrize("wire", ["a2a", "aipartnerupflow", "kasal", *sorted(PATHS)])
def test_nothing_outside_a_wires_folder_imports_it(wire: str):
    """So the folder can be deleted."""
    folder = f"agio.api.protocols.{wire}"
    users = {module for module, used in read_imports(ROOT / "agio").items() if any(u.startswith(folder) for u in used)}
    assert all(module.startswith(folder) for module in users)


def test_folder_that_is_deleted_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(WIRES, tmp_path / "protocols", ignore=shutil.ignore_patterns("kawai", "__pycache__"))
    monkeypatch.setattr(protocols, "__path__", [str(tmp_path / "protocols")])
    for name in [name for name in sys.modules if name.startswith("agio.api.protocols.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("agio.api.protocols.kawai")
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path}/agio.db"))
    paths = set(app.openapi()["paths"])
    assert {"/api/chat", "/agents/"} <= paths
    assert not {"/chat", "/stream"} & paths


@pytest.mark.parametrize(
    ("path", "body", "members"),
    [
        ("/chat", {"message": "hello"}, {"detail", "session_id", "run_id"}),
        ("/agents/writer/run", {"prompt": "hello"}, {"detail", "conversation_id", "run_id"}),
        ("/api/chat", {"agent_id": "writer", "message": "hello", "stream": False}, {"type", "run_id", "session_id"}),
    ],
)
@pytest.mark.contract("C34")
async def test_answer_that_takes_too_long_is_504_and_the_run_goes_on(
    tmp_path: Path, path: str, body: dict[str, Any], members: set[str]
):
    provider = ScriptedProvider([Answer("at ", gate := Gate(), "last")])
    async with serving(tmp_path, provider) as api:
        _set(api, answer_timeout_s=0.05, default_agent="writer")
        answer = await api.client.post(path, json=body)
        assert (answer.status_code, members <= set(answer.json())) == (504, True)
        gate.open()
        assert (await api.until(answer.json()["run_id"], "completed"))["response"] == "at last"


@pytest.mark.parametrize("path", ["/chat", "/agents/writer/run"])
async def test_waiting_ends_when_the_process_stops(tmp_path: Path, path: str):
    provider = ScriptedProvider([Answer("on", gate := Gate(), Silence())])
    async with serving(tmp_path, provider) as api:
        _set(api, default_agent="writer")
        asking = asyncio.create_task(api.client.post(path, json={"message": "hello", "prompt": "hello"}))
        await gate.reached.wait()
        api.app.state.runtime.drain()
        answer = await asking
        assert (answer.status_code, "the run goes on" in answer.json()["detail"]) == (503, True)


@pytest.mark.contract("C8")
async def test_streams_end_in_order_when_the_process_stops(tmp_path: Path):
    """A plain client is told the end, for it cannot come back; a browser is not, for it can."""
    provider = ScriptedProvider(default=_hold)
    heard: dict[str, str] = {}
    async with serving(tmp_path, provider) as api, listening(api) as client:
        _set(api, default_agent="writer")
        asked = {
            "plain": client.stream("GET", "/stream?message=hi", headers={"Accept": "*/*"}),
            "browser": client.stream("GET", "/stream?message=hi", headers={"Accept": "text/event-stream"}),
            "firefly": client.stream("POST", "/agents/writer/stream", json={"prompt": "hi"}),
        }
        readers = [asyncio.create_task(_read(request, heard, name)) for name, request in asked.items()]
        async with asyncio.timeout(20):
            await provider.wait_for_calls(3)
            while not all("{" in heard.get(name, "") for name in asked):  # noqa: ASYNC110 - the readers tell nobody
                await asyncio.sleep(0.01)
        api.app.state.runtime.drain()
        await asyncio.gather(*readers)
    last = json.loads(heard["plain"].strip().rpartition("data: ")[2])
    assert (last["type"], last["data"]) == ("run_end", {"answer": None})
    assert '"run_end"' not in heard["browser"]
    assert heard["firefly"].endswith("data: [DONE]\n\n")


def _hold(request: Any) -> Any:
    return Answer("on", Silence())


async def _read(request: AbstractAsyncContextManager[httpx.Response], heard: dict[str, str], name: str) -> None:
    heard[name] = ""
    async with request as answer:
        async for text in answer.aiter_text():
            heard[name] += text


def _set(api: Api, **settings: Any) -> None:
    api.app.state.settings = api.app.state.settings.model_copy(update=settings)
