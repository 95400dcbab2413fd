"""What becomes of runs whose model misbehaves: a local OpenAI-compatible server does as it is told."""

from collections.abc import Iterator

import pytest

from agio.testing.openai_server import FakeOpenAI, RunningServer, running_server
from tests.e2e.client import asked_of, check_whole, model
from tests.e2e.in_thread import Api, ask, serving

pytestmark = pytest.mark.xdist_group("api")

KEY = "sk-very-secret-key"


@pytest.fixture(scope="module")
def openai_server() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def provider(openai_server: RunningServer) -> FakeOpenAI:
    """The local OpenAI-compatible server's records."""
    return openai_server.app


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, openai_server: RunningServer) -> Iterator[Api]:
    """An installation with a key and an endpoint."""
    with serving(tmp_path_factory.mktemp("real"), openai_api_key=KEY, openai_base_url=openai_server.url) as served:
        yield served


def test_info_tells_of_a_real_provider(real: Api):
    assert real.get("/info")["demo"] is False


def test_a_rejected_key_fails_the_run_and_is_not_shown(real: Api, openai_server: RunningServer):
    _, run = ask(real, status=401, error=f"Incorrect API key provided: {KEY}", error_code="invalid_api_key")
    frames = real.events(run)
    assert (frames[-1].event, frames[-1].data["error"]["code"]) == ("run_failed", "provider_auth")
    assert KEY not in str([frame.data for frame in frames[1:]])  # the first one names the model
    refused = real.chat(modifications={"model": model(status=401)}, expect=502)
    assert (refused["type"], refused["title"]) == ("provider_auth", "Model provider failed")
    assert real.get(f"/runs/{refused['run_id']}")["status"] == "failed"


def test_an_endpoint_that_recovers_is_asked_again_and_one_that_does_not_is_unavailable(real: Api, provider: FakeOpenAI):
    never, lost = ask(real, status=503)
    asked, run = ask(real, status=503, fail_times=2, text="at last")
    frames = real.events(run)
    assert [f.data["code"] for f in frames if f.event == "warning"] == ["provider_unavailable"] * 2
    assert frames[-1].data["response"] == "at last"
    assert len(asked_of(provider, asked)) == 3
    last = real.events(lost)[-1]
    assert (last.event, last.data["error"]["code"]) == ("run_failed", "provider_unavailable")
    assert last.data["error"]["retryable"]
    assert len(asked_of(provider, never)) == 5


@pytest.mark.parametrize("tear", [True, False])
def test_a_stream_without_a_finish_is_no_short_answer(real: Api, provider: FakeOpenAI, tear: bool):
    provider.control = {"cut_after": 3, "tear": tear}
    _, run = ask(real, tokens=6)
    with real.stream("GET", f"/runs/{run}/events") as events:
        frames = [next(events)]
        while frames[-1].event != "warning":
            frames.append(next(events))
        provider.reset()
        frames += events
    check_whole(frames)
    assert frames[-1].data["response"] == "".join(f"word{n} " for n in range(6))
    shown = next(f.data["message_id"] for f in frames if f.event == "content_delta")
    assert next(f.data["message_id"] for f in frames if f.event == "content_reset") == shown


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [("calculator", '{"expression": ', "invalid_arguments"), ("telephone", "{}", "unknown_tool")],
)
def test_bad_tool_calls_go_back_to_the_model(real: Api, provider: FakeOpenAI, name: str, arguments: str, code: str):
    asked, run = ask(real, tool_rounds=1, tool_name=name, tool_arguments=arguments, text="sorry")
    frames = real.events(run)
    assert [f.data["code"] for f in frames if f.event == "warning"] == [code]
    assert next(f.data["error"]["code"] for f in frames if f.event == "tool_call_failed") == code
    assert frames[-1].data["response"] == "sorry"
    assert asked_of(provider, asked)[1]["messages"][-1]["content"].startswith("error: ")


def test_the_step_limit_asks_for_an_answer_or_fails(real: Api, provider: FakeOpenAI):
    asked, run = ask(real, {"max_steps": 2}, tool_rounds=9, text="what I know")
    frames = real.events(run)
    assert frames[-1].data["response"] == "what I know"
    assert [f.data["code"] for f in frames if f.event == "warning"] == ["max_steps"]
    assert "tools" not in asked_of(provider, asked)[-1]
    agent = real.get(f"/runs/{run}")["agent_id"]
    failed = real.chat(agent_id=agent, force_final_answer=False, expect=500)
    assert failed["type"] == "max_steps"
