"""aipartnerupflow's commands, examples and providers (items P2 to P13, P41)."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from agio import __version__
from agio.bootstrap import make_engine, make_providers
from agio.cli.main import app
from agio.engine.caller import Caller
from agio.engine.examples import EXAMPLES, make_examples_once
from agio.settings import Settings
from agio.storage.port import TASK_TREES
from agio.storage.sqlite import SQLiteStore
from tests.contract.flow import Flow, flow_app
from tests.support.in_thread import running_app
from tests.support.server import ROOT, environment

runner = CliRunner()
HERE = Caller()


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    app = flow_app(tmp_path_factory.mktemp("started"), examples=True)
    with running_app(app) as url, httpx.Client(base_url=url, timeout=20) as http:
        yield Flow(http)


def settings(folder: Path, **more: object) -> Settings:
    return Settings(database_url=f"sqlite:///{folder}/agio.db", **more)  # type: ignore[arg-type]


async def titles(folder: Path) -> dict[str, str]:
    """Return the example trees' root names by their ids."""
    engine = make_engine(settings(folder))
    await engine.store.open()
    try:
        found = (await engine.store.find(TASK_TREES, HERE.group_id)).items
        return {tree.id: tree.root.name for tree in found}
    finally:
        await engine.store.close()


@pytest.mark.contract("P2")
def test_p2_the_default_port_is_8000(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for name in ("AGIO_PORT", "AGIO_HOST"):
        monkeypatch.delenv(name, raising=False)
    started: list[dict[str, object]] = []
    monkeypatch.setattr("uvicorn.run", lambda target, **options: started.append({"app": target, **options}))
    monkeypatch.setattr("agio.cli.serve.check_port", lambda host, port: None)
    monkeypatch.setenv("AGIO_DATABASE_URL", f"sqlite:///{tmp_path}/agio.db")
    assert runner.invoke(app, ["serve"]).exit_code == 0
    assert (started[0]["app"], started[0]["port"]) == ("agio.api.app:app", 8000)


@pytest.mark.contract("P4", "C17")
def test_p4_the_module_is_the_command(tmp_path: Path):
    command = [sys.executable, "-m", "agio", "version"]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


@pytest.mark.contract("P10", "P11")
def test_p10_p11_examples_are_made_by_hand_and_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGIO_DATABASE_URL", f"sqlite:///{tmp_path}/agio.db")
    made = runner.invoke(app, ["examples", "init"])
    assert (made.exit_code, made.output) == (0, "made 3 example task trees\n")
    assert runner.invoke(app, ["examples", "init"]).output == "made 0 example task trees\n"
    with running_app(flow_app(tmp_path)) as url, httpx.Client(base_url=url) as http:
        flow = Flow(http)
        flow.call("tasks.update", {"task_id": "example-number", "name": "changed"})
        own = flow.call("tasks.create", [{"id": "own", "name": "calculator"}])
    assert runner.invoke(app, ["examples", "init", "--force"]).output == "made 3 example task trees\n"
    assert asyncio.run(titles(tmp_path))["example-calculation"] == "A number"
    assert own["name"] in asyncio.run(titles(tmp_path)).values(), "other records are left alone"


@pytest.mark.contract("P12")
async def test_p12_workers_that_start_together_make_the_examples_once(tmp_path: Path):
    engines = [make_engine(settings(tmp_path)) for _ in range(4)]
    for engine in engines:
        await engine.store.open()
        await engine.store.beat(engine.worker.id, {})
    made = await asyncio.gather(
        *(make_examples_once(engine.store, engine.task_trees, engine.worker.id, 10.0) for engine in engines)
    )
    assert sum(made) == len(EXAMPLES)
    first = engines[0]
    assert {tree.id for tree in (await first.store.find(TASK_TREES, "default")).items} == EXAMPLES.keys()
    await first.task_trees.delete(HERE, "example-number")
    assert await make_examples_once(first.store, first.task_trees, first.worker.id, 10.0) == 0
    assert (await first.store.find(TASK_TREES, "default")).total == len(EXAMPLES) - 1, "deleted ones stay away"
    for engine in engines:
        await engine.store.close()


@pytest.mark.contract("P12")
async def test_p12_a_worker_that_died_in_the_midst_of_it_is_replaced(tmp_path: Path):
    engine = make_engine(settings(tmp_path))
    await engine.store.open()
    assert isinstance(engine.store, SQLiteStore)
    insert = engine.store.insert

    async def dies(kind: object, record: object) -> object:
        if kind is TASK_TREES and getattr(record, "id", "") == "example-question":
            raise RuntimeError("killed")
        return await insert(kind, record)  # type: ignore[arg-type]

    engine.store.insert = dies  # type: ignore[assignment,method-assign]
    with pytest.raises(RuntimeError):
        await make_examples_once(engine.store, engine.task_trees, "dead", 10.0)
    engine.store.insert = insert  # type: ignore[method-assign]
    assert await make_examples_once(engine.store, engine.task_trees, engine.worker.id, 10.0) == 2
    page = await engine.store.find(TASK_TREES, "default")
    assert {tree.id for tree in page.items} == EXAMPLES.keys()
    await engine.store.close()


@pytest.mark.contract("P12")
def test_p12_examples_are_there_and_work(flow: Flow):
    for task_id in ("example-number", "example-answer", "example-article"):
        with flow.stream({"task_id": task_id}) as frames:
            assert list(frames)[-2]["status"] == "completed", task_id
    assert flow.status("example-total")["result"] == "105"


@pytest.mark.contract("P41")
@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai/gpt-4", "openai", "gpt-4"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("anthropic/claude-3", "anthropic", "claude-3"),
        ("claude-3-opus", "anthropic", "claude-3-opus"),
        ("google/gemini-pro", "gemini", "gemini-pro"),
        ("gemini/gemini-pro", "gemini", "gemini-pro"),
        ("mistral/mistral-large", "mistral", "mistral-large"),
        ("groq/llama-3", "groq", "llama-3"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("who/knows", None, None),
    ],
)
def test_p41_model_names_say_their_provider(tmp_path: Path, model: str, provider: str | None, name: str | None):
    detected = make_providers(settings(tmp_path), {}).detect(model)
    assert detected == ((provider, name) if provider else None)


@pytest.mark.contract("P41")
def test_p41_provider_that_is_not_set_up_or_not_known_is_a_clear_task_error(flow: Flow):
    wrong: list[tuple[dict[str, str], str]] = [
        ({"llm": "groq/llama-3"}, "GROQ_API_KEY"),
        ({"provider": "nobody", "role": "x"}, "no provider 'nobody'"),
    ]
    for number, (given, said) in enumerate(wrong):
        task = {"id": f"t{number}", "name": "ask", "schemas": {"method": "agent"}, "params": given}
        assert said in flow.execute([task])[-2]["error"]


def test_the_commands_table_stands_in_the_documentation():
    text = (ROOT / "docs" / "neighbours.md").read_text(encoding="utf-8")
    for theirs in ("aipartnerupflow serve", "aipartnerupflow-server", "python -m aipartnerupflow.api.main"):
        assert f"`{theirs}" in text
