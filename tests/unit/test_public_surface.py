"""What `from agio import …` offers, and the agent that a script runs."""

import ast
import asyncio
import gc
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import agio
from agio.bootstrap.agent import Agent
from agio.bootstrap.embedded import RunFailed
from agio.domain.errors import Invalid
from agio.engine.clock import utc_now
from agio.providers.model import OpenAIModel
from agio.tools import tool

ROOT = Path(__file__).resolve().parents[2]

PUBLIC = [
    "Agent",
    "AgioError",
    "LLMKeyConfigManager",
    "OpenAIModel",
    "Part",
    "RateLimiter",
    "Rejected",
    "RunFailed",
    "RunResult",
    "Settings",
    "ToolContext",
    "ToolError",
    "Turn",
    "WebSearchTool",
    "__version__",
    "add_auth_middleware",
    "add_rate_limit_middleware",
    "create_app",
    "sse_stream",
    "tool",
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a `.env`, and a data folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


# -- names


def test_public_names_are_these():
    assert sorted(agio.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(agio))
    with pytest.raises(AttributeError, match="no attribute 'agent'"):
        agio.__getattr__("agent")


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_can_be_imported(name: str):
    assert getattr(agio, name) is not None


def test_type_checkers_are_told_the_same_names_from_the_same_modules():
    tree = ast.parse((ROOT / "agio" / "__init__.pyi").read_text())
    homes = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert homes == agio._HOMES  # type: ignore[attr-defined]  # not for users, so not in the stub
    listed = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed) == PUBLIC


def test_importing_the_package_imports_the_standard_library_only():
    code = "import sys; before = set(sys.modules); import agio; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names == {"agio"}


def test_version_is_the_packages():
    assert agio.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


# -- declaring


@tool
def shout(text: str) -> str:
    """Say it loudly.

    Args:
        text: What to say.
    """
    return text.upper()


def test_agent_gets_an_id_from_its_name():
    assert Agent("Travel Planner!").id == "travel-planner"
    assert Agent(model="demo", tools=[shout], max_steps=10).id == "agent"
    assert Agent("Anything", id="my_agent-2").id == "my_agent-2"


@pytest.mark.parametrize(
    "arguments", [{"name": "!!"}, {"id": "Has Blanks"}, {"name": "conversations"}, {"max_steps": 0}]
)
def test_agent_that_could_not_be_named_or_run_is_refused(arguments: dict[str, Any]):
    with pytest.raises(Invalid):
        Agent(**arguments)


def test_plain_functions_become_tools():
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    agent = Agent("Adder", tools=[add, shout, "calculator"])
    assert [one.name for one in agent.tool_objects] == ["add", "shout"]
    assert agent.to_record(provider="demo", model="demo", at=utc_now()).tools == ("add", "shout", "calculator")


# -- running in a script


def test_run_answers_and_tells_what_it_took(empty_folder: Path):
    result = Agent("Helper", tools=["calculator"]).run("What is 6 * 7?")
    assert "42" in str(result)
    assert (result.answer, result.status, result.steps) == (result.response, "completed", 2)
    assert [message.role for message in result.messages] == ["user", "assistant", "tool", "assistant"]
    assert result.metrics.total_tokens > 0
    assert not (empty_folder / "data").exists()


def test_database_of_a_script_goes_with_its_agent(empty_folder: Path):
    agent = Agent("Helper")
    agent.run("Hello")
    assert list(empty_folder.glob("agio-*/agio.db"))
    del agent
    gc.collect()
    assert not list(empty_folder.glob("agio-*"))


def test_session_goes_on_from_run_to_run():
    agent = Agent("Helper")
    first = agent.run("Hello")
    second = agent.run("And now?", session_id=first.session_id)
    assert len(second.messages) == 4
    assert len(agent.run("Unrelated").messages) == 2


def test_own_tool_is_called():
    result = Agent("Helper", tools=[shout]).run("use shout")
    assert [message.name for message in result.messages if message.role == "tool"] == ["shout"]


@pytest.mark.parametrize(("agreed", "said"), [(True, "was recorded"), (False, "did not succeed")])
def test_approval_is_asked_of_the_script(agreed: bool, said: str):
    asked: list[tuple[str, Any]] = []

    def approve(name: str, arguments: Any) -> bool:
        asked.append((name, arguments["to"]))
        return agreed

    result = Agent("Helper", tools=["send_message"]).run("Send a message to Ann", approve=approve)
    assert asked == [("send_message", "Ann")]
    assert said in result.response


async def test_approval_may_be_a_coroutine_function():
    async def approve(name: str, arguments: Any) -> bool:
        await asyncio.sleep(0)
        return True

    result = await Agent("Helper", tools=["send_message"]).arun("Send a message to Ann", approve=approve)
    assert result.status == "completed"


def test_run_that_needs_a_person_and_has_none_fails_plainly():
    with pytest.raises(RunFailed, match="approve a call of 'send_message'; pass approve=") as raised:
        Agent("Helper", tools=["send_message"]).run("Send a message to Ann")
    assert raised.value.code == "approval_required"


def test_failed_run_raises_with_its_code():
    with pytest.raises(RunFailed) as raised:
        Agent("Helper", model="openai/gpt-4o").run("Hello")
    assert raised.value.code in ("provider_not_configured", "provider_auth")
    assert raised.value.run_id


async def test_stream_yields_the_events_of_the_api():
    events = [item async for item in Agent("Helper", tools=["calculator"]).stream("What is 6 * 7?")]
    names = [name for name, _ in events]
    assert names[0] == "run_started"
    assert names[-1] == "run_completed"
    assert {"content_delta", "tool_call_completed", "checkpoint_created"} <= set(names)
    assert [data["seq"] for _, data in events] == list(range(1, len(events) + 1))
    assert all(data["type"] == name for name, data in events)
    text = "".join(data["content"] for name, data in events if name == "content_delta")
    assert text == events[-1][1]["response"]
    assert events[-1][1]["metrics"]["steps"] == 2


async def test_runs_side_by_side_share_one_engine():
    agent = Agent("Helper", tools=["calculator"])
    results = await asyncio.gather(*(agent.arun(f"What is {n} * 2?") for n in range(5)))
    assert [str(2 * n) in result.response for n, result in enumerate(results)] == [True] * 5


async def test_leaving_a_stream_cancels_its_run_and_the_agent_goes_on():
    agent = Agent("Helper")
    stream = agent.stream("Count to 2000 slowly")
    async for name, _ in stream:
        if name == "content_delta":
            break
    await asyncio.wait_for(stream.aclose(), 10)
    assert (await agent.arun("Hello")).status == "completed"


async def test_cancelled_caller_cancels_the_run_and_its_tool():
    started, left = asyncio.Event(), asyncio.Event()

    @tool
    async def hang() -> str:
        """Hang."""
        started.set()
        try:
            return str(await asyncio.Event().wait())
        finally:
            left.set()

    task = asyncio.create_task(Agent("Helper", tools=[hang]).arun("use hang"))
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert left.is_set()


async def test_run_inside_an_event_loop_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"await agent\.arun"):
        Agent("Helper").run("Hello")


# -- serving


def test_serving_an_object_from_several_processes_says_what_to_do():
    with pytest.raises(Invalid, match="uvicorn module:app --workers 4"):
        Agent("Helper").serve(workers=4)


def test_serve_starts_one_server_with_this_agent_as_the_default(monkeypatch: pytest.MonkeyPatch):
    started: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **options: started.append((app, options)))
    monkeypatch.setenv("AGIO_WORKERS", "4")
    agent = Agent("My Agent", model=OpenAIModel(model_id="m", base_url="http://127.0.0.1:1/v1"))
    agent.serve(port=0, session_timeout=60, allowed_origins=["https://a.example"], log_level="warning")
    app, options = started[0]
    assert (options["host"], options["port"], options["workers"]) == ("0.0.0.0", 0, 1)
    settings = app.state.settings
    assert (settings.default_agent, settings.session_timeout_s) == ("my-agent", 60)
    assert (settings.cors_origins, settings.log_level) == (("https://a.example",), "WARNING")
