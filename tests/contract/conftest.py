"""Two servers as the neighbours' documents start them, shared by all tests of this folder, and their model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.testing.openai_server import FakeOpenAI, RunningServer, running_server
from tests.contract.silence import Heard, hear_all
from tests.e2e.client import model, new_id
from tests.support.server import Server, free_port, serving

#: F2, F3, F6: a module with an application made by the factory, its agents registered.
MYAPP = """
from agio import Agent, create_app

app = create_app(
    title="My GenAI Service",
    version="1.0.0",
    agents=[Agent("Summariser", description="Summarises.", model="{silent}", tags=["text"])],
)
"""
#: K1, K2, K3, K5 to K8, K11: an agent served in one call.
SERVE = """
import os
from agio import Agent, OpenAIModel, WebSearchTool

model = OpenAIModel(model_id="{silent}", base_url="{base_url}", api_key_env_var="OPENROUTER_API_KEY")
agent = Agent("Kawai", model=model, tools=[WebSearchTool()], max_steps=10)
agent.serve(
    port=int(os.environ["AGIO_PORT"]),
    session_timeout=2,
    enable_cors=True,
    allowed_origins=["https://app.example"],
    log_level="warning",
)
"""
SILENT_S = 20
SPOKEN = "here I am"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of this folder on one worker process: they share servers, and a wait of 20 s."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("contract"))
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True, slots=True)
class Contract:
    """A server, and calls to it over a network."""

    server: Server
    http: httpx.Client

    @property
    def url(self) -> str:
        return self.server.url

    def call(self, method: str, path: str, body: Any = None, *, expect: int = 200, **options: Any) -> Any:
        """Return the decoded answer; its status must be as expected."""
        answer = self.http.request(method, path, json=body, **options)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, *, expect: int = 200, **options: Any) -> Any:
        return self.call("GET", path, expect=expect, **options)

    def post(self, path: str, body: Any, *, expect: int = 200, **options: Any) -> Any:
        return self.call("POST", path, body, expect=expect, **options)

    def agent(self, agent: dict[str, Any] | None = None, **behaviour: Any) -> tuple[str, str]:
        """Make an agent whose model behaves like this; return its id and the model's name."""
        name = model(**behaviour)
        body = {"id": new_id("agent"), "name": "Tester", "model": name, "tools": ["calculator"], **(agent or {})}
        return self.post("/api/agents", body, expect=201)["id"], name

    def kawai(self, message: str = "hello", **fields: Any) -> list[dict[str, Any]]:
        """Return the events of GET /stream, read as Kawai's documented client reads them."""
        params = {"message": message, **fields}
        with self.http.stream("GET", "/stream", params=params, headers={"Accept": "*/*"}) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            return [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]

    def firefly(self, name: str, prompt: str = "hello", **fields: Any) -> list[str]:
        """Return what the frames of POST /agents/{name}/stream say, comments left out."""
        body = {"prompt": prompt, **fields}
        with self.http.stream("POST", f"/agents/{name}/stream", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            lines = [line for line in answer.iter_lines() if line and not line.startswith(":")]
        assert all(line.startswith("data: ") for line in lines), lines
        return [line.removeprefix("data: ") for line in lines]


@pytest.fixture(scope="session")
def openai_server() -> Iterator[RunningServer]:
    """The provider: a local server that does what a model's name says."""
    with running_server() as server:
        yield server


@pytest.fixture
def provider(openai_server: RunningServer) -> FakeOpenAI:
    """What it has recorded."""
    return openai_server.app


@pytest.fixture(scope="session")
def silent() -> str:
    """The name of a model that says nothing for long."""
    return model(silent_s=SILENT_S, text=SPOKEN)


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory, openai_server: RunningServer, silent: str) -> Iterator[Contract]:
    """The factory's application, started as Firefly's document has it; its default agent answers Kawai's clients."""
    folder = tmp_path_factory.mktemp("myapp")
    (folder / "myapp.py").write_text(MYAPP.format(silent=silent))
    variables = {
        "AGIO_OPENAI_API_KEY": "sk-test",
        "AGIO_OPENAI_BASE_URL": openai_server.url,
        "AGIO_DEFAULT_MODEL": "fake",
        "AGIO_DATABASE_URL": f"sqlite:///{folder}/agio.db",
        "AGIO_DRAIN_S": "1",
    }
    port = free_port()
    command = ["-m", "uvicorn", "myapp:app", "--reload", "--port", str(port)]
    with (
        serving(command, folder, port=port, variables=variables) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        server.wait_for("/health/ready", 200)
        yield Contract(server, http)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, openai_server: RunningServer, silent: str) -> Iterator[Contract]:
    """An agent served in one call, as Kawai's document has it. Its model says nothing for 20 s."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "serve.py").write_text(SERVE.format(silent=silent, base_url=openai_server.url))
    variables = {"OPENROUTER_API_KEY": "sk-or-kawai", "SERPER_API_KEY": "", "AGIO_DRAIN_S": "1"}
    with (
        serving(["serve.py"], folder, variables=variables) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        server.wait_for("/health/ready", 200)
        yield Contract(server, http)


@pytest.fixture(scope="session")
def heard(contract: Contract, served: Contract) -> Heard:
    """What the documents' own clients heard from a model that says nothing for 20 s, all of them at once."""
    return hear_all(served.url, contract.url)
