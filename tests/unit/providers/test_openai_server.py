"""The fake server does what it is told."""

import json
import subprocess
import sys

import httpx

from agio.testing.openai_server import RunningServer


def ask(server: RunningServer, model: str = "fake", **more: object) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}
    return httpx.post(f"{server.url}/chat/completions", json=body)


def root(server: RunningServer) -> str:
    return server.url.removesuffix("/v1")


def test_answer_without_a_stream(server: RunningServer):
    answer = ask(server, "fake?text=Hello").json()
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_stream_ends_with_usage_and_done(server: RunningServer):
    lines = [line for line in ask(server, "fake?tokens=3", stream=True).text.split("\n\n") if line]
    assert len(lines) == 7
    assert json.loads(lines[-2][6:])["usage"]["completion_tokens"] == 3
    assert lines[-1] == "data: [DONE]"


def test_tool_rounds_are_counted_by_the_results(server: RunningServer):
    tools = [{"type": "function", "function": {"name": "calculator"}}]
    history = [{"role": "user", "content": "Hi"}]
    reasons = []
    for _ in range(3):
        body = {"model": "fake?tool_rounds=2", "messages": history, "tools": tools}
        answer = httpx.post(f"{server.url}/chat/completions", json=body).json()
        reasons.append(answer["choices"][0]["finish_reason"])
        history.append({"role": "tool", "content": "2"})
    assert reasons == ["tool_calls", "tool_calls", "stop"]


def test_failures_can_pass(server: RunningServer):
    statuses = [ask(server, "fake?status=503&fail_times=2").status_code for _ in range(3)]
    assert statuses == [503, 503, 200]


def test_control_holds_for_all_until_reset(server: RunningServer):
    httpx.post(f"{root(server)}/control", json={"status": 429, "retry_after": "3"})
    answer = ask(server)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    httpx.post(f"{root(server)}/reset")
    assert ask(server).status_code == 200


def test_requests_are_recorded(server: RunningServer):
    ask(server, "fake?tokens=1")
    recorded = httpx.get(f"{root(server)}/recorded").json()
    assert [item["model"] for item in recorded] == ["fake?tokens=1"]
    assert recorded[0]["body"]["messages"][0]["content"] == "Hi"
    assert httpx.get(f"{root(server)}/closed").json() == []
    assert httpx.get(f"{server.url}/models").json()["data"][0]["id"] == "fake"


def test_client_that_leaves_is_recorded(server: RunningServer):
    body = {"model": "fake?tokens=100&pace=20", "stream": True, "messages": []}
    with httpx.stream("POST", f"{server.url}/chat/completions", json=body) as response:
        next(response.iter_lines())
    while not (closed := httpx.get(f"{root(server)}/closed").json()):
        pass
    assert closed[0]["writes"] < 50


def test_it_runs_as_a_program():
    command = [sys.executable, "-m", "agio.testing.openai_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        try:
            assert httpx.get(f"{url}/models").status_code == 200
        finally:
            process.terminate()
