"""The composition root: what is built from which settings, and how it starts, waits, drains and stops."""

import asyncio
import inspect
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from agio.bootstrap import Runtime, make_engine, make_store, running
from agio.bootstrap.agent import Agent
from agio.bootstrap.agents import resolve_model
from agio.bootstrap.assembly import make_providers, make_tools
from agio.bootstrap.serving import (
    check_open,
    check_port,
    is_local,
    server_options,
    uvicorn_host,
    worker_variables,
)
from agio.bootstrap.signals import install_drain_signal, watch_parent
from agio.domain.agents import Agent as AgentRecord
from agio.domain.errors import AlreadyExists, Conflict, Invalid, NotFound, StoreUnavailable, ToolError, Unsupported
from agio.domain.tools import StoredTool
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.starting import StartRequest
from agio.engine.tail import Draining
from agio.providers.model import OpenAIModel
from agio.settings import Settings, load_settings
from agio.storage.port import TOOLS
from agio.testing.provider import Answer, Gate, ScriptedProvider
from agio.tools import ToolRegistry, tool
from agio.tools.builtin import WebSearchTool

CALLER = Caller()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(env_file=None, database_url=f"sqlite:///{tmp_path / 'agio.db'}", drain_s=0.5)


def with_(settings: Settings, **changes: Any) -> Settings:
    return load_settings(env_file=None, **{"database_url": settings.database_url, "drain_s": 0.5, **changes})


def scripted(settings: Settings, *answers: Answer | str) -> tuple[Engine, ScriptedProvider]:
    provider = ScriptedProvider(answers)
    agent = Agent("Tester", model="scripted")
    return make_engine(settings, agents=[agent], providers=[provider], variables={}), provider


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


# -- what is built


def test_store_is_the_one_that_the_url_names(settings: Settings):
    assert make_store(settings).name == "sqlite"
    assert make_store(load_settings(env_file=None, mongo_uri="mongodb://localhost/agio")).name == "mongodb"


async def default_agent(settings: Settings, variables: dict[str, str]) -> AgentRecord:
    return await make_engine(settings, variables=variables).agents.get(CALLER, "assistant")


async def test_fresh_installation_has_an_assistant_on_the_demo(settings: Settings):
    agent = await default_agent(settings, {})
    assert (agent.provider, agent.source) == ("demo", "code")
    assert agent.tools == ("calculator", "current_time", "http_get", "send_message")


async def test_assistant_follows_the_providers_that_are_set_up(settings: Settings):
    assert (await default_agent(settings, {"MISTRAL_API_KEY": "k"})).provider == "mistral"
    chosen = with_(settings, openai_api_key="sk-1", default_model="gpt-4o", serper_api_key="k")
    agent = await default_agent(chosen, {"MISTRAL_API_KEY": "k"})
    assert (agent.provider, agent.model) == ("openai", "gpt-4o")
    assert "web_search" in agent.tools


async def test_default_agent_from_code_takes_the_assistants_place(settings: Settings):
    mine = Agent("Mine", tools=["calculator"])
    engine = make_engine(with_(settings, default_agent="mine"), agents=[mine], variables={})
    async with running(engine):
        assert (await engine.agents.get(CALLER, "mine")).tools == ("calculator",)
        with pytest.raises(NotFound):
            await engine.agents.get(CALLER, "assistant")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (None, ("demo", "demo")),
        ("demo", ("demo", "demo")),
        ("demo/fast", ("demo", "fast")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("anthropic/claude-x", ("anthropic", "claude-x")),
        ("google/gemini-x", ("gemini", "gemini-x")),
        ("mistral", ("mistral", "mistral-medium-latest")),
        ("ollama/llama3:8b", ("ollama", "llama3:8b")),
        (OpenAIModel(model_id="m", base_url="https://openrouter.ai/api/v1"), ("openrouter", "m")),
        (OpenAIModel(model_id="m", base_url="http://localhost:9/v1"), ("localhost-9", "m")),
    ],
)
def test_model_is_resolved(model: OpenAIModel | str | None, expected: tuple[str, str], settings: Settings):
    assert resolve_model(model, make_providers(settings, {})) == expected


def test_model_of_nobody_known_belongs_to_the_default_provider_or_is_refused(settings: Settings):
    assert resolve_model("llama3", make_providers(with_(settings, openai_base_url="http://h/v1"), {}))[0] == "openai"
    with pytest.raises(Invalid, match="nothing tells whose model 'llama3' is"):
        resolve_model("llama3", make_providers(settings, {}))


def test_given_tool_takes_the_place_of_a_built_in_one(settings: Settings):
    @tool(name="calculator")
    def abacus(beads: int) -> int:
        """Count beads."""
        return beads

    registry = make_tools(settings, make_store(settings), [abacus, WebSearchTool(), WebSearchTool("key")])
    assert {one.name: one for one in registry.registered}["calculator"] is abacus
    with pytest.raises(AlreadyExists, match="two different tools are named 'calculator'"):
        make_tools(settings, make_store(settings), [abacus, replace(abacus, description="another")])


async def test_tool_made_over_the_api_is_found_by_its_whole_name_in_its_group(settings: Settings):
    store = make_store(settings)
    tools = make_tools(settings, store)
    await store.open()
    now = utc_now()
    for name, enabled in (("get_page", True), ("get_page_2", False)):
        record = StoredTool(
            id=name, group_id="default", name=name, configuration={"url": "https://example.invalid/{id}"},
            enabled=enabled, created_at=now, updated_at=now,
        )  # fmt: skip
        await store.insert(TOOLS, record)
    found = await tools.find("default", "get_page")
    assert found is not None
    assert (found.source, list(found.parameters["properties"])) == ("api", ["id"])
    assert await tools.find("other", "get_page") is None
    with pytest.raises(ToolError, match="disabled"):
        await tools.find("default", "get_page_2")
    assert {"get_page", "calculator"} <= {one.name for one in await tools.list("default")}
    await store.close()


async def test_agents_tools_and_endpoints_become_known(settings: Settings):
    @tool
    def shout(text: str) -> str:
        """Shout."""
        return text.upper()

    agent = Agent("Loud", tools=[shout, "calculator"], model=OpenAIModel(model_id="m", base_url="http://h:1/v1"))
    engine = make_engine(settings, agents=[agent], variables={})
    record = await engine.agents.get(CALLER, "loud")
    assert (record.tools, record.provider) == (("shout", "calculator"), "h-1")
    assert engine.providers.knows("h-1")
    assert isinstance(engine.toolbox, ToolRegistry)
    assert shout in engine.toolbox.registered


def test_engine_gets_its_part_of_the_settings(settings: Settings):
    chosen = with_(settings, lease_s=6, max_runs_per_group=1, max_runs_per_worker=3, on_restart="cancel")
    got = make_engine(chosen, variables={}).settings
    assert (got.lease_s, got.drain_s, got.runs_per_group, got.runs_per_worker, got.on_restart) == (
        6,
        0.5,
        1,
        3,
        "cancel",
    )


# -- how it lives


async def test_running_engine_executes_and_lets_go_of_everything(settings: Settings):
    engine, provider = scripted(settings, "42")
    async with running(engine):
        run = await engine.starting.start(CALLER, StartRequest(agent_id="tester", message="?"))
        last = [item async for item in engine.tail(CALLER, run.id)][-1]
        assert not isinstance(last, Draining)
        assert last.entry.events[-1].type == "run_completed"
    assert provider.was_closed


async def test_runtime_without_its_database_waits_for_it_and_takes_no_other(settings: Settings, tmp_path: Path):
    in_the_way = tmp_path / "folder"
    in_the_way.write_text("a file where the database's folder should be")
    engine, _ = scripted(with_(settings, database_url=f"sqlite:///{in_the_way / 'agio.db'}"))
    runtime = Runtime(engine, retry_s=0.01)
    await runtime.start()
    assert not runtime.ready
    assert "folder" in (runtime.problem or "")
    in_the_way.unlink()
    await eventually(lambda: runtime.ready)
    assert runtime.problem is None
    assert (in_the_way / "agio.db").is_file()
    await runtime.stop()
    assert not runtime.ready


async def test_runtime_stops_while_it_waits_for_its_database(settings: Settings, tmp_path: Path):
    (tmp_path / "folder").touch()
    engine, provider = scripted(with_(settings, database_url=f"sqlite:///{tmp_path / 'folder' / 'agio.db'}"))
    runtime = Runtime(engine, retry_s=0.01)
    await runtime.start()
    await runtime.stop()
    assert provider.was_closed


async def test_runtime_stops_though_its_driver_swallows_a_cancellation(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    """As PyMongo on Python 3.11 may, while it looks for a server."""
    engine, provider = scripted(settings)
    asked = asyncio.Event()
    failed = False

    async def swallow() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise StoreUnavailable("nobody answers")
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise StoreUnavailable("nobody answers") from None

    monkeypatch.setattr(engine.store, "open", swallow)
    runtime = Runtime(engine, retry_s=0.01)
    await runtime.start()
    await asked.wait()
    async with asyncio.timeout(5):
        await runtime.stop()
    assert provider.was_closed


async def test_runtime_starts_while_its_database_is_silent(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agio.bootstrap.runtime.START_S", 0.01)
    engine, _ = scripted(settings)
    answer, open_store = asyncio.Event(), engine.store.open

    async def open_late() -> None:
        await answer.wait()
        await open_store()

    monkeypatch.setattr(engine.store, "open", open_late)
    runtime = Runtime(engine)
    await runtime.start()
    assert not runtime.ready
    answer.set()
    await eventually(lambda: runtime.ready)
    await runtime.stop()


async def test_runtime_told_to_stop_opens_its_database_no_more(settings: Settings, tmp_path: Path):
    (tmp_path / "folder").touch()
    engine, _ = scripted(with_(settings, database_url=f"sqlite:///{tmp_path / 'folder' / 'agio.db'}"))
    runtime = Runtime(engine, retry_s=0.01)
    await runtime.start()
    runtime.drain()
    (tmp_path / "folder").unlink()
    await runtime.stop()
    assert not (tmp_path / "folder").exists()


async def test_runtime_does_not_start_on_a_database_that_it_must_not_touch(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    engine, provider = scripted(settings)

    async def refuse() -> None:
        raise Unsupported("the schema is newer than this program")

    monkeypatch.setattr(engine.store, "open", refuse)
    with pytest.raises(Unsupported, match="newer"):
        await Runtime(engine).start()
    assert provider.was_closed


async def test_signal_drains_at_once_and_hands_the_run_over(settings: Settings):
    gate = Gate()
    engine, provider = scripted(settings, Answer("a", gate, "b"))
    handled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: handled.append(number))
    runtime = Runtime(engine)
    try:
        await runtime.start()
        run = await engine.starting.start(CALLER, StartRequest(agent_id="tester", message="?"))
        await asyncio.wait_for(gate.reached.wait(), 10)
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: engine.worker.is_draining)
        assert isinstance([item async for item in engine.tail(CALLER, run.id)][-1], Draining)
        await runtime.stop()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handled == [signal.SIGTERM]
    assert provider.open_streams == 0
    store = make_store(settings)
    await store.open()
    left = await store.get_run("default", run.id)
    await store.close()
    assert (left.status, left.owner, left.handed_over) == ("queued", None, True)


async def test_drain_signal_leaves_nothing_behind_and_does_nothing_off_the_main_thread():
    heard: list[str] = []
    loop = asyncio.get_running_loop()
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        ours = signal.getsignal(signal.SIGTERM)
        restore = install_drain_signal(loop, lambda: heard.append("drain"))
        assert signal.getsignal(signal.SIGTERM) is not ours
        restore()
        assert signal.getsignal(signal.SIGTERM) is ours
        thread = threading.Thread(target=install_drain_signal, args=(loop, lambda: heard.append("thread")))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == []


async def test_process_without_a_supervisor_watches_nobody():
    await asyncio.wait_for(watch_parent(lambda: pytest.fail("there is nobody to lose")), 5)


# -- what a server is started with


def test_server_waits_for_streams_longer_than_the_drain_takes(settings: Settings):
    options = server_options(with_(settings, drain_s=7.5, workers=4))
    assert options["timeout_graceful_shutdown"] == 13
    assert options["timeout_keep_alive"] > 60, "nginx would re-use connections that the server has closed"
    assert (options["workers"], "reload" in options) == (4, False)
    assert options.keys() <= inspect.signature(uvicorn.Config).parameters.keys()


def test_reload_wins_over_workers(settings: Settings):
    options = server_options(with_(settings, reload=True, workers=4))
    assert (options["reload"], "workers" in options) == (True, False)


def test_proxy_headers_are_read_by_agio_itself(settings: Settings):
    assert server_options(with_(settings, trust_proxy=True))["proxy_headers"] is False


@pytest.mark.parametrize(
    ("arguments", "variables", "host"),
    [
        (["/usr/bin/uvicorn", "agio.api.app:app"], {}, "127.0.0.1"),
        (["/usr/bin/uvicorn", "agio.api.app:app"], {"UVICORN_HOST": "::"}, "::"),
        (["uvicorn", "agio.api.app:app", "--host", "0.0.0.0"], {"UVICORN_HOST": "::1"}, "0.0.0.0"),
        (["/lib/uvicorn/__main__.py", "--host=0.0.0.0", "agio.api.app:app"], {}, "0.0.0.0"),
        (["uvicorn", "--uds", "/run/agio.sock", "agio.api.app:app"], {}, None),
        (["agio", "serve", "--host", "0.0.0.0"], {}, None),
        ([], {}, None),
    ],
)
def test_address_is_read_from_uvicorns_command(arguments: list[str], variables: dict[str, str], host: str | None):
    assert uvicorn_host(arguments, variables) == host


def test_no_start_on_a_public_address_where_nobody_is_checked(settings: Settings):
    check_open(settings, "127.0.0.1")
    with pytest.raises(Invalid, match="AGIO_ALLOW_OPEN=true"):
        check_open(settings, "0.0.0.0")
    check_open(with_(settings, allow_open=True), "0.0.0.0")
    check_open(with_(settings, api_keys=["k"]), "0.0.0.0")
    with pytest.raises(Invalid):
        check_open(with_(settings, api_keys=["k"], auth_enabled=False), "0.0.0.0")


def test_arguments_reach_other_processes_as_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "c.yaml").write_text("drain_s: 4")
    arguments = {"host": "::1", "port": 9, "reload": True, "log_level": "debug", "config_file": tmp_path / "c.yaml"}
    for name, value in worker_variables({**arguments, "workers": None}).items():
        monkeypatch.setenv(name, value)
    assert load_settings(env_file=None) == load_settings(env_file=None, **arguments)
    assert load_settings(env_file=None).drain_s == 4


def test_port_that_is_taken_is_told_plainly():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"port {port} on 127.0.0.1 is in use"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "local"), [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_who_can_reach_a_host(host: str, local: bool):
    assert is_local(host) is local
