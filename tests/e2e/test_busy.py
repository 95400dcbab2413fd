"""Two messages at once to one session, over connections to any process, under each `on_busy`."""

import asyncio
import itertools
from typing import Any

import pytest

from agio.testing.openai_server import FakeOpenAI
from tests.e2e.client import Client, asked_of, model, new_id, shown

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def _at_once(client: Client, body: dict[str, Any], count: int) -> list[tuple[int, Any]]:
    """Send so many messages at the same time; return status and answer of each."""

    async def send(number: int) -> tuple[int, Any]:
        async with client.connection() as connection:
            answer = await connection.post("/runs", json={**body, "message": f"message {number}"})
            return answer.status_code, answer.json()

    return await asyncio.gather(*(send(number) for number in range(count)))


async def test_queue_runs_one_after_the_other_and_each_sees_the_answers_before(client: Client, provider: FakeOpenAI):
    asked, session = model(tokens=20, pace=100), new_id("session")
    body = {"agent_id": await client.agent(model=asked), "session_id": session, "on_busy": "queue"}
    answers = await _at_once(client, body, 4)
    assert [status for status, _ in answers] == [202] * 4
    for _, view in answers:
        assert (await client.ended(view["id"]))[-1].event == "run_completed"
    requests = [[message["content"] for message in body["messages"]] for body in asked_of(provider, asked)]
    assert [len(messages) for messages in requests] == [1, 3, 5, 7]
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(requests))
    said = await client.call("GET", f"/sessions/{session}/messages")
    assert {m["content"] for m in said["items"] if m["role"] == "user"} == {f"message {n}" for n in range(4)}


async def test_reject_takes_exactly_one(client: Client):
    body = {
        "agent_id": await client.agent(model=model(silent_s=60)),
        "session_id": new_id("session"),
        "on_busy": "reject",
    }
    answers = await _at_once(client, body, 4)
    assert sorted(status for status, _ in answers) == [202, 409, 409, 409]
    taken = next(view for status, view in answers if status == 202)
    problems = [problem for status, problem in answers if status == 409]
    assert {(p["type"], p["holder"]) for p in problems} == {("branch_busy", taken["id"])}
    await client.call("POST", f"/runs/{taken['id']}/cancel", expect=202)
    assert (await client.ended(taken["id"]))[-1].event == "run_cancelled"
    assert (await _at_once(client, body, 1))[0][0] == 202
    await client.call("POST", "/runs/cancel", {"filter": {"session_id": body["session_id"]}})


async def test_interrupt_cancels_what_works_and_the_last_message_is_answered(client: Client, provider: FakeOpenAI):
    session = new_id("session")
    first = await client.start(await client.agent(model=model(tokens=50, silent_s=60)), session_id=session)
    await client.owner(first)
    asked = model(text="the new answer")
    second = await client.start(await client.agent(model=asked), "instead", session_id=session, on_busy="interrupt")
    frames = await client.ended(second)
    assert frames[-1].data["response"] == shown(frames) == "the new answer"
    cancelled = await client.view(first)
    assert (cancelled["status"], cancelled["status_reason"]) == ("cancelled", "interrupted_by_message")
    assert [m["content"] for m in asked_of(provider, asked)[0]["messages"] if m["role"] == "user"] == [
        "hello",
        "instead",
    ]


async def test_interrupts_at_once_leave_one_answer_and_no_run_behind(client: Client):
    agent, session = await client.agent(model=model(tokens=30, pace=30)), new_id("session")
    answers = await _at_once(client, {"agent_id": agent, "session_id": session, "on_busy": "interrupt"}, 4)
    assert [status for status, _ in answers] == [202] * 4
    ends = [(await client.ended(view["id"]))[-1].event for _, view in answers]
    assert set(ends) <= {"run_completed", "run_cancelled"}
    assert ends.count("run_completed") >= 1


async def test_fork_answers_both_at_the_same_time_on_branches_of_their_own(client: Client, provider: FakeOpenAI):
    asked, session = model(tokens=100, pace=50), new_id("session")
    agent = await client.agent(model=asked)
    answers = await _at_once(client, {"agent_id": agent, "session_id": session, "on_busy": "fork"}, 3)
    assert [status for status, _ in answers] == [202] * 3
    runs = [view["id"] for _, view in answers]
    views = [await client.until(run, "running", "completed") for run in runs]
    assert len({view["branch_id"] for view in views}) == 3
    for run in runs:
        assert (await client.ended(run))[-1].event == "run_completed"
    starts = sorted(view["started_at"] for view in [await client.view(run) for run in runs])
    ends = sorted(view["ended_at"] for view in [await client.view(run) for run in runs])
    assert starts[-1] < ends[0], "they worked at the same time"
    questions = [[m["content"] for m in body["messages"]] for body in asked_of(provider, asked)]
    assert sorted(questions) == [["message 0"], ["message 1"], ["message 2"]] or all(
        len(messages) <= 2 for messages in questions
    )
