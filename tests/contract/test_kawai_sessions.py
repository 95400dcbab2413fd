"""GET /health and the sessions, as Kawai's document has them."""

import threading

import pytest

from tests.contract.conftest import Contract
from tests.e2e.client import new_id


@pytest.mark.contract("K42", "C1", "F57")
def test_health_counts_sessions_and_tells_the_time(contract: Contract):
    before = contract.get("/health")
    assert before.items() >= {"status": "healthy", "version": "1.0.0"}.items()  # the factory's
    assert isinstance(before["sessions"], int)
    assert isinstance(before["uptime"], float)
    session_id = new_id("user")
    contract.post("/chat", {"message": "hello", "session_id": session_id})
    after = contract.get("/health")
    assert after["sessions"] == before["sessions"] + 1
    assert after["uptime"] > before["uptime"]
    contract.call("DELETE", f"/sessions/{session_id}")
    assert contract.get("/health")["sessions"] == before["sessions"]


@pytest.mark.contract("K43", "C27")
def test_session_is_looked_at_without_being_used(contract: Contract):
    session_id = new_id("user")
    contract.post("/chat", {"message": "hello", "session_id": session_id})
    first = contract.get(f"/sessions/{session_id}")
    assert set(first) == {"session_id", "created_at", "last_accessed", "message_count"}
    assert (first["session_id"], first["message_count"]) == (session_id, 2)
    assert first["created_at"].endswith("Z")
    assert contract.get(f"/sessions/{session_id}") == first
    contract.post("/chat", {"message": "hello again", "session_id": session_id})
    later = contract.get(f"/sessions/{session_id}")
    assert later["last_accessed"] > first["last_accessed"]
    assert (later["created_at"], later["message_count"]) == (first["created_at"], 4)


@pytest.mark.contract("K44")
def test_deleted_session_is_gone_with_its_history(contract: Contract):
    session_id = new_id("user")
    run_id = contract.post("/chat", {"message": "hello", "session_id": session_id})["run_id"]
    assert contract.call("DELETE", f"/sessions/{session_id}") == {"session_id": session_id, "deleted": True}
    gone = {"detail": f"there is no session '{session_id}'"}
    assert contract.get(f"/sessions/{session_id}", expect=404) == gone
    assert contract.call("DELETE", f"/sessions/{session_id}", expect=404) == gone
    contract.get(f"/api/runs/{run_id}", expect=404)
    contract.post("/chat", {"message": "hello", "session_id": session_id})
    assert contract.get(f"/sessions/{session_id}")["message_count"] == 2


@pytest.mark.contract("K44")
def test_deleting_a_session_that_works_cancels_its_run(contract: Contract):
    agent, _ = contract.agent(silent_s=60)
    session_id = new_id("user")
    ended: list[str] = []

    def read() -> None:
        params = {"message": "hi", "agent": agent, "session_id": session_id}
        with contract.http.stream("GET", "/stream", params=params, headers={"Accept": "*/*"}) as answer:
            for line in answer.iter_lines():
                if "step_start" in line:
                    working.set()
                ended.append(line)

    working = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    assert working.wait(60)
    assert contract.call("DELETE", f"/sessions/{session_id}")["deleted"] is True
    reader.join(60)
    assert any("run_end" in line for line in ended)


@pytest.mark.contract("C21")
def test_sessions_and_conversations_are_one_store(contract: Contract):
    session_id = new_id("user")
    contract.post("/chat", {"message": "hello", "session_id": session_id})
    assert contract.get(f"/agents/conversations/{session_id}")["message_count"] == 2
    assert contract.get(f"/api/sessions/{session_id}")["idle_timeout_s"] == 3600
    made = contract.post("/agents/conversations", {})["conversation_id"]
    assert contract.get(f"/api/sessions/{made}")["idle_timeout_s"] is None
    assert contract.get(f"/sessions/{made}")["message_count"] == 0
