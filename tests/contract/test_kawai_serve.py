"""`Agent.serve()` and what goes into it, as Kawai's document has it."""

import inspect
from pathlib import Path

import pytest

from agio import Agent
from agio.testing.openai_server import FakeOpenAI
from tests.contract.conftest import Contract
from tests.contract.silence import Heard
from tests.support.server import ROOT


@pytest.mark.contract("K1", "K5", "C33")
def test_served_agent_answers_as_the_default(served: Contract):
    assert served.get("/api/info")["default_agent"] == "kawai"
    agent = served.get("/api/agents/kawai")
    assert (agent["max_steps"], agent["tools"]) == (10, ["web_search"])


@pytest.mark.contract("K2", "K53", "K55")
def test_key_is_read_from_the_variable_that_is_named(heard: Heard, provider: FakeOpenAI, silent: str):
    assert heard.python_chat
    keys = {seen.headers["authorization"] for seen in provider.recorded if seen.model == silent}
    assert "Bearer sk-or-kawai" in keys


@pytest.mark.contract("K3", "K54", "K50")
def test_web_search_without_a_key_is_a_result_that_says_so(contract: Contract):
    """Where the variable is blank the default agent is not given the tool at all."""
    search = {"tool_name": "web_search", "tool_arguments": '{"query": "news"}', "tool_rounds": 1}
    agent, _ = contract.agent({"tools": ["web_search"]}, text="no news", **search)
    events = contract.kawai(agent=agent)
    (result,) = [event["data"]["tool_result"] for event in events if event["type"] == "tool_result"]
    assert "SERPER_API_KEY" in result["error"]
    assert events[-1]["data"] == {"answer": "no news"}
    assert "web_search" not in contract.get("/api/agents/assistant")["tools"]


@pytest.mark.contract("K6", "K7", "K8", "K9", "K10", "K11")
def test_parameters_have_the_documented_names_and_defaults():
    found = {name: value.default for name, value in inspect.signature(Agent.serve).parameters.items()}
    wanted = {"host": "0.0.0.0", "port": 8000, "session_timeout": 3600, "enable_cors": True, "log_level": "info"}
    assert found.items() >= wanted.items()
    assert list(found["allowed_origins"]) == ["*"]


@pytest.mark.contract("K6", "K7")
def test_it_listens_on_every_interface_at_the_port(served: Contract):
    wanted = f"00000000:{served.server.port:04X}"
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert wanted in listening


@pytest.mark.contract("K9", "K10", "K59", "C22")
def test_origins_are_those_that_are_allowed(served: Contract, contract: Contract):
    def allowed(server: Contract, origin: str) -> tuple[str | None, str | None]:
        headers = server.http.get("/health", headers={"Origin": origin}).headers
        return headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")

    assert allowed(served, "https://app.example") == ("https://app.example", "true")
    assert allowed(served, "https://other.example") == (None, "true")
    assert allowed(contract, "https://other.example") == ("*", None)


@pytest.mark.contract("K11")
def test_log_level_is_the_servers(heard: Heard, served: Contract, contract: Contract):
    assert heard.python_chat
    assert '"level": "info"' not in served.server.log.read_text()
    assert '"level": "info"' in contract.server.log.read_text() or "INFO" in contract.server.log.read_text()


@pytest.mark.contract("K49")
def test_example_that_the_unit_starts_is_there():
    """tests/integration/test_examples.py runs it."""
    assert 'if __name__ == "__main__":\n    agent.serve(' in (ROOT / "examples/serve_example.py").read_text()


@pytest.mark.contract("K8", "K42")
def test_served_health_tells_the_package_version(served: Contract):
    assert served.get("/health").items() >= {"status": "healthy", "version": "0.1.0"}.items()


@pytest.mark.contract("K3")
def test_tool_of_the_document_can_be_made_without_a_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    from agio import WebSearchTool  # noqa: PLC0415 - as the document imports it

    assert WebSearchTool().name == "web_search"
