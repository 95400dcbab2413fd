"""POST /chat, as Kawai's document has it."""

import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.contract.conftest import Contract
from tests.e2e.client import asked_of, new_id

TOOLS = {"tool_rounds": 1, "text": "two"}


@pytest.mark.contract("K12", "K17", "K18", "K20", "K21", "C33")
def test_default_agent_answers_with_the_documented_fields(contract: Contract):
    answer = contract.post("/chat", {"message": "What is machine learning?"})
    assert answer.keys() >= {"answer", "session_id", "steps", "completed", "plan"}
    assert isinstance(answer["answer"], str)
    assert (answer["steps"], answer["completed"], answer["plan"]) == (1, True, None)
    assert contract.get(f"/sessions/{answer['session_id']}")["message_count"] == 2


@pytest.mark.contract("K13")
@pytest.mark.parametrize("body", [{}, {"message": ""}, {"message": "  "}, {"message": 7}, {"message": None}])
def test_message_is_required(contract: Contract, body: dict[str, object]):
    answer = contract.post("/chat", body, expect=422)
    assert set(answer) == {"detail"}
    assert answer["detail"][0]["loc"] == ["body", "message"]


@pytest.mark.contract("K14", "K18", "K46")
def test_client_names_the_session(contract: Contract):
    session_id = f"{new_id('ann')}@example.org"
    assert contract.post("/chat", {"message": "hello", "session_id": session_id})["session_id"] == session_id
    assert contract.get(f"/sessions/{session_id}")["message_count"] == 2


@pytest.mark.contract("K12")
def test_members_that_are_not_known_and_nulls_are_accepted(contract: Contract):
    body = {"message": "hello", "session_id": None, "max_steps": None, "temperature": 0.5}
    assert contract.post("/chat", body)["completed"] is True


@pytest.mark.contract("K15", "K16", "K19", "K36")
def test_step_limit_forces_an_answer_as_one_more_step(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(tool_rounds=9, text="forced")
    answer = contract.post("/chat", {"message": "hello", "agent": agent, "max_steps": 2})
    assert (answer["answer"], answer["steps"], answer["completed"]) == ("forced", 3, True)
    assert len(asked_of(provider, name)) == 3


@pytest.mark.contract("K16")
def test_no_answer_is_forced_where_the_client_does_not_want_one(contract: Contract):
    agent, _ = contract.agent(tool_rounds=9)
    body = {"message": "hello", "agent": agent, "max_steps": 1, "force_provide_answer": False}
    answer = contract.post("/chat", body)
    assert (answer["answer"], answer["completed"]) == (None, False)


@pytest.mark.contract("K15")
@pytest.mark.parametrize("steps", [0, -1, "three", 1.5])
def test_max_steps_is_a_positive_number(contract: Contract, steps: object):
    answer = contract.post("/chat", {"message": "hello", "max_steps": steps}, expect=422)
    assert answer["detail"][0]["loc"] == ["body", "max_steps"]


@pytest.mark.contract("K21", "K35")
def test_plan_is_told(contract: Contract):
    agent, _ = contract.agent({"planning_interval": 1}, **TOOLS)
    assert contract.post("/chat", {"message": "hello", "agent": agent})["plan"] == "two"


@pytest.mark.contract("K12", "K38")
def test_failed_run_is_told_with_its_ids(contract: Contract):
    agent, _ = contract.agent(status=401, error="made to fail")
    answer = contract.post("/chat", {"message": "hello", "agent": agent}, expect=502)
    assert set(answer) == {"detail", "session_id", "run_id"}
    assert contract.get(f"/api/runs/{answer['run_id']}")["status"] == "failed"


@pytest.mark.contract("K12")
def test_unknown_agent_is_plainly_not_found(contract: Contract):
    answer = contract.post("/chat", {"message": "hello", "agent": "nobody"}, expect=404)
    assert answer == {"detail": "there is no agent 'nobody'"}


@pytest.mark.contract("K45", "K48")
def test_session_example_is_answered_in_context(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="a language")
    session_id = new_id("user")
    for message in ("What is Python?", "What are its main features?"):
        contract.post("/chat", {"message": message, "session_id": session_id, "agent": agent})
    asked = [message["content"] for message in asked_of(provider, name)[1]["messages"]]
    assert asked == ["What is Python?", "a language", "What are its main features?"]


@pytest.mark.contract("K45")
def test_session_goes_on_over_chat_and_stream_alike(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="ok")
    session_id = new_id("user")
    contract.kawai("one", session_id=session_id, agent=agent)
    contract.post("/chat", {"message": "two", "session_id": session_id, "agent": agent})
    contract.kawai("three", session_id=session_id, agent=agent)
    asked = [message["content"] for message in asked_of(provider, name)[2]["messages"]]
    assert asked == ["one", "ok", "two", "ok", "three"]


@pytest.mark.contract("C34")
def test_repeated_request_under_one_key_is_one_run(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="once")
    key = {"Idempotency-Key": new_id("key")}
    first, second = (contract.post("/chat", {"message": "hi", "agent": agent}, headers=key) for _ in range(2))
    assert first == second
    assert len(asked_of(provider, name)) == 1
