"""The documented clients live through a step in which the model says nothing for 20 s."""

import ast
import json
import re

import pytest

from tests.contract.conftest import SPOKEN
from tests.contract.silence import Heard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KINDS = ["run_start", "step_start", "run_end"]


@pytest.mark.contract("K22")
def test_curl_prints_the_answer(heard: Heard):
    assert json.loads(heard.curl_chat)["answer"] == SPOKEN


@pytest.mark.contract("K12", "K23")
def test_python_requests_prints_the_answer(heard: Heard):
    assert heard.python_chat == f"{SPOKEN}\n"


@pytest.mark.contract("K39", "C7")
def test_curl_reads_lines_of_data_and_empty_ones(heard: Heard):
    lines = heard.curl_stream.split("\n")
    assert [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")] == KINDS
    assert {line for line in lines if not line.startswith("data: ")} == {""}
    assert re.search("\n{6,}", heard.curl_stream)  # kept alive, by nothing that any reader minds


@pytest.mark.contract("K40", "C7")
def test_python_requests_reads_the_stream_line_by_line(heard: Heard):
    printed = [line.partition(": ") for line in heard.python_stream.splitlines()]
    assert [kind for kind, _, _ in printed] == KINDS
    assert ast.literal_eval(printed[0][2])["prompt"] == "Search for AI news"
    assert ast.literal_eval(printed[-1][2]) == {"answer": SPOKEN}


@pytest.mark.contract("K41")
def test_event_source_logs_and_closes_at_run_end(heard: Heard):
    assert [event["type"] for event in heard.event_source] == KINDS
    assert heard.event_source[-1]["data"] == {"answer": SPOKEN}


@pytest.mark.contract("K41")
def test_real_browser_logs_and_closes_at_run_end(heard: Heard):
    if heard.browser is None:
        pytest.skip("needs Chromium (.ci/run with CI_BROWSER=1 installs it)")
    assert [kind for kind, _ in heard.browser] == KINDS
    assert heard.browser[0][1]["prompt"] == "Hello!"
    assert heard.browser[-1][1] == {"answer": SPOKEN}


@pytest.mark.contract("K8", "K43", "K47")
def test_session_lasts_while_it_works_and_expires_although_it_is_looked_at(heard: Heard):
    assert heard.session in ([200, 404], [404, 200, 404])  # it may be looked at before it is made


@pytest.mark.contract("F22", "F24", "C6")
def test_httpx_reads_the_stream_without_a_timeout_of_its_own(heard: Heard):
    *texts, done = heard.httpx_stream
    assert "".join(json.loads(text[6:])["text"] for text in texts) == SPOKEN
    assert done == "data: [DONE]"


@pytest.mark.contract("F12")
def test_httpx_gets_the_answer(heard: Heard):
    assert (heard.httpx_run["output"], heard.httpx_run["success"]) == (SPOKEN, True)


@pytest.mark.contract("F44")
def test_socket_stays_open(heard: Heard):
    kinds = [frame["type"] for frame in heard.socket]
    assert re.fullmatch("conversation_id( token)+ result", " ".join(kinds))
    assert heard.socket[-1] == {"type": "result", "data": SPOKEN, "success": True}


@pytest.mark.contract("F48", "F51")
def test_stream_that_fails_half_way_is_one_run_and_one_error(heard: Heard):
    """The model breaks off in mid-answer each time that it is asked; what was heard is not said again."""
    frames, runs = heard.half_failed
    assert [frame["type"] for frame in frames] == ["conversation_id", "token", "token", "error"]
    assert "".join(frame["data"] for frame in frames[1:3]) == "Once upon "
    assert runs == 1
