"""Agents written in Python over A2A, with the official client: both versions, both bindings."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Role,
    SendMessageConfiguration,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from google.protobuf.json_format import MessageToDict

from agio import Agent, Part, Rejected, Turn
from agio.domain.ids import new_id
from tests.api.serving import Api, listening, serving
from tests.api.test_a2a import DIALECTS, closing, javascript, peer, rpc, saying, state_of
from tests.support.receiver import URL, Receiver

CSV = b"a,b\r\n1,2\r\n\x00\xff"


class Clerk:
    """What the agent under test does is said by the message's text."""

    def __init__(self) -> None:
        self.heard: list[Turn] = []
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, turn: Turn) -> Any:
        self.heard.append(turn)
        wish = turn.messages[0].content if isinstance(turn.messages[0].content, str) else "parts"
        found: Any = getattr(self, str(wish).split(" ", maxsplit=1)[0])
        return await found(turn)

    async def alone(self, turn: Turn) -> Any:
        return turn.reply("just ", Part(data={"said": turn.message.text}))

    async def parts(self, turn: Turn) -> str:
        return json.dumps([part.stored() for part in turn.message.parts])

    async def refuse(self, turn: Turn) -> None:
        await turn.emit("half", name="draft")
        raise Rejected("not my office")

    async def fail(self, turn: Turn) -> None:
        raise ValueError("secret-4711")

    async def ask(self, turn: Turn) -> Any:
        answers = [one for one in turn.messages if one.role == "user"][1:]
        if len(answers) < 2:
            await turn.emit(f"note {len(answers)}", name="notes", append=True, last=False)
            return turn.ask(f"question {len(answers)}?", Part(data={"wanted": ["red", "blue"]}))
        return " and ".join(str(one.content) for one in answers)

    async def make(self, turn: Turn) -> str:
        await turn.say("making ")
        await turn.emit(Part(raw=CSV, filename="t.csv", media_type="text/csv"), name="table", description="all of it")
        await turn.emit(
            Part(data=[1, {"b": None}], metadata={"n": 1}), Part(url="https://x.test/y"), artifact_id="both"
        )
        for number in range(3):
            await turn.emit(f"chunk {number} ", name="long", append=number > 0, last=number == 2)
        return "done"

    async def hold(self, turn: Turn) -> None:
        try:
            await turn.emit("first ", name="long", last=False)
            self.reached.set()
            await self.gate.wait()
            await turn.emit("second", name="long", append=True)
        finally:
            self.left.set()


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


@pytest.fixture
async def api(tmp_path: Path, clerk: Clerk) -> AsyncIterator[Api]:
    async with serving(tmp_path, agents=[Agent("Clerk", function=clerk)], default_agent="writer") as served:
        yield served


def artifacts_of(task: Task) -> dict[str, list[Any]]:
    return {one.artifact_id: [MessageToDict(part) for part in one.parts] for one in task.artifacts}


def followed(items: list[StreamResponse]) -> dict[str, list[str]]:
    """Return the texts of the artifacts that a reader has in the end, chunk by chunk."""
    found: dict[str, list[str]] = {}
    for item in items:
        if item.HasField("task"):
            found = {one.artifact_id: [part.text for part in one.parts] for one in item.task.artifacts}
        elif item.HasField("artifact_update"):
            update = item.artifact_update
            had = found.get(update.artifact.artifact_id, []) if update.append else []
            found[update.artifact.artifact_id] = [*had, *(part.text for part in update.artifact.parts)]
    return found


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_a_bare_message_answers_in_place_of_a_task(api: Api, clerk: Clerk, version: str, binding: str):
    async with peer(api, version, binding) as they:
        they.use("clerk")
        asked = saying("alone")
        (answer,) = [item async for item in they.blocking.send_message(asked)]
        (streamed,) = [item async for item in they.client.send_message(saying("alone too"))]
    for item, text in ((answer, "alone"), (streamed, "alone too")):
        assert item.HasField("message"), item
        assert (item.message.role, item.message.task_id) == (Role.ROLE_AGENT, "")
        assert item.message.context_id
        first, second = item.message.parts
        assert (first.text, MessageToDict(second.data)) == ("just ", {"said": text})
    assert clerk.heard[0].message.id == asked.message.message_id
    run = (await api.call("GET", f"/runs/{clerk.heard[0].run_id}"))["status"]
    assert run == "completed"


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_artifacts_are_files_data_and_chunks_in_order(api: Api, version: str, binding: str):
    async with peer(api, version, binding) as they:
        they.use("clerk")
        task = await they.send(saying("make"))
        heard = [item async for item in they.client.send_message(saying("make"))]
        again = await they.client.get_task(GetTaskRequest(id=task.id))
    made = artifacts_of(task)
    assert made == artifacts_of(again)
    assert list(made) == ["answer", "table", "both", "long"]
    assert made["answer"][0]["text"] == "making done"
    table = next(one for one in task.artifacts if one.artifact_id == "table")
    assert (table.name, table.description, table.parts[0].raw) == ("table", "all of it", CSV)
    assert (table.parts[0].filename, table.parts[0].media_type) == ("t.csv", "text/csv")
    assert made["both"][0]["data"] == [1, {"b": None}]
    assert made["both"][1]["url"] == "https://x.test/y"
    assert [part["text"] for part in made["long"]] == ["chunk 0 ", "chunk 1 ", "chunk 2 "]
    chunks = [item.artifact_update for item in heard if item.HasField("artifact_update")]
    long = [one for one in chunks if one.artifact.artifact_id == "long"]
    assert [(one.append, one.last_chunk) for one in long] == [(False, False), (True, False), (True, True)]
    assert followed(heard)["long"] == ["chunk 0 ", "chunk 1 ", "chunk 2 "]
    assert heard[0].HasField("task")
    assert state_of(heard[-1]) == TaskState.TASK_STATE_COMPLETED


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_an_agent_rejects_and_asks(api: Api, clerk: Clerk, version: str, binding: str):
    async with peer(api, version, binding) as they:
        they.use("clerk")
        rejected = await they.send(saying("refuse"))
        assert rejected.status.state == TaskState.TASK_STATE_REJECTED
        assert (rejected.status.message.parts[0].text, artifacts_of(rejected)) == ("not my office", {})
        task = await they.send(saying("ask"))
        assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert task.status.message.parts[0].text == "question 0?"
        assert MessageToDict(task.status.message.parts[1].data) == {"wanted": ["red", "blue"]}
        record = await api.call("GET", f"/runs/{task.id}")
        assert (record["status"], record["status_reason"], record["owner"]) == ("waiting", "input", None)
        await api.call("POST", f"/runs/{task.id}/resume", {}, expect=422)
        first = saying("red", task_id=task.id)  # and no context: it is the task's
        heard = [item async for item in they.client.send_message(first)]
        assert state_of(heard[-1]) == TaskState.TASK_STATE_INPUT_REQUIRED
        assert clerk.heard[-1].message.id == first.message.message_id
        done = await they.send(saying("blue", task_id=task.id, context_id=task.context_id))
        assert (done.id, done.context_id, done.status.state) == (
            task.id,
            task.context_id,
            TaskState.TASK_STATE_COMPLETED,
        )
        assert [part["text"] for part in artifacts_of(done)["answer"]] == ["red and blue"]
        assert [part["text"] for part in artifacts_of(done)["notes"]] == ["note 0", "note 1"]
        whole = await they.client.get_task(GetTaskRequest(id=task.id))
        assert [(one.role, one.parts[0].text) for one in whole.history] == [
            (Role.ROLE_USER, "ask"),
            (Role.ROLE_AGENT, "question 0?"),
            (Role.ROLE_USER, "red"),
            (Role.ROLE_AGENT, "question 1?"),
            (Role.ROLE_USER, "blue"),
            (Role.ROLE_AGENT, "red and blue"),
        ]
        assert whole.history[2].message_id == first.message.message_id
        if version == "1.0":
            for state, wanted in (
                (TaskState.TASK_STATE_REJECTED, [rejected.id]),
                (TaskState.TASK_STATE_FAILED, []),
                (TaskState.TASK_STATE_COMPLETED, [task.id]),
            ):
                listed = await they.client.list_tasks(ListTasksRequest(status=state))
                assert [one.id for one in listed.tasks] == wanted


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_readers_come_and_go_while_a_function_works(api: Api, clerk: Clerk, version: str, binding: str):
    async with peer(api, version, binding) as they:
        they.use("clerk")
        heard: list[StreamResponse] = []
        async with closing(they.client.send_message(saying("hold"))) as stream:
            async for item in stream:
                heard.append(item)
                if item.HasField("artifact_update"):
                    break
        assert followed(heard) == {"long": ["first "]}
        task_id = heard[0].task.id
        both: list[list[StreamResponse]] = [[], []]
        here = [asyncio.Event(), asyncio.Event()]

        async def follow(number: int) -> None:
            async with closing(they.client.subscribe(SubscribeToTaskRequest(id=task_id))) as stream:
                async for item in stream:
                    both[number].append(item)
                    here[number].set()

        readers = [asyncio.create_task(follow(number)) for number in (0, 1)]
        async with asyncio.timeout(20):
            await asyncio.gather(*(one.wait() for one in here))
            clerk.gate.set()
            await asyncio.gather(*readers)
        for items in both:
            assert followed(items[:1]) == {"long": ["first "]}
            assert followed(items) == {"long": ["first ", "second"]}
            assert state_of(items[-1]) == TaskState.TASK_STATE_COMPLETED
        clerk.gate.clear()
        clerk.left.clear()
        async with closing(they.client.send_message(saying("hold"))) as stream:
            async for item in stream:
                if item.HasField("artifact_update"):
                    cancelled = await they.client.cancel_task(CancelTaskRequest(id=item.artifact_update.task_id))
                    assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
                    assert artifacts_of(cancelled)["long"][0]["text"] == "first "
                last = item
        assert state_of(last) == TaskState.TASK_STATE_CANCELED
        async with asyncio.timeout(20):
            await clerk.left.wait()  # the function was cancelled, not left behind


async def test_a_function_sees_parts_metadata_and_what_the_message_refers_to(api: Api, clerk: Clerk):
    parts = [
        {"text": "look", "metadata": {"lang": "en"}},
        {"raw": "AP8=", "mediaType": "application/pdf", "filename": "a.pdf"},
        {"data": {"a": [1, None]}},
        {"url": "https://x.test/b.csv", "mediaType": "text/csv"},
        {"data": None},
    ]
    message = {
        "messageId": "mine",
        "role": "ROLE_USER",
        "parts": parts,
        "metadata": {"k": "v"},
        "referenceTaskIds": ["other"],
        "extensions": ["https://x.test/ext"],
    }
    answer = await rpc(api, "SendMessage", {"message": message}, version="1.0", agent="clerk")
    task = answer["result"]["task"]
    assert json.loads(task["artifacts"][0]["parts"][0]["text"]) == [
        {"text": "look", "metadata": {"lang": "en"}},
        {"raw": "AP8=", "media_type": "application/pdf", "filename": "a.pdf"},
        {"data": {"a": [1, None]}},
        {"url": "https://x.test/b.csv", "media_type": "text/csv"},
        {"text": "null"},
    ]
    heard = clerk.heard[0].message
    assert (heard.id, heard.text, heard.parts[1].raw) == ("mine", "look\nnull", b"\x00\xff")
    assert heard.metadata == {"k": "v", "referenceTaskIds": ["other"], "extensions": ["https://x.test/ext"]}
    assert task["history"][0]["messageId"] == "mine"
    assert [list(part) for part in task["history"][0]["parts"]][1] == ["raw", "filename", "mediaType"]


async def test_what_a_function_raises_is_not_told(api: Api):
    answer = await rpc(api, "SendMessage", {"message": _text("fail")}, version="1.0", agent="clerk")
    assert answer["result"]["task"]["status"]["state"] == "TASK_STATE_FAILED"
    assert "secret-4711" not in json.dumps(answer)


async def test_a_task_that_is_asked_for_at_once_is_a_task(api: Api, clerk: Clerk):
    """`returnImmediately` names the task before the function could say that there is none."""
    body = {"message": _text("alone"), "configuration": {"returnImmediately": True}}
    task_id = (await rpc(api, "SendMessage", body, version="1.0", agent="clerk"))["result"]["task"]["id"]
    await api.until(task_id, "completed")
    task = (await rpc(api, "GetTask", {"id": task_id}, version="1.0", agent="clerk"))["result"]
    assert task["status"]["message"]["parts"][0]["text"] == "just "
    assert "artifacts" not in task


async def test_pushes_tell_of_a_question_and_of_artifacts(tmp_path: Path, clerk: Clerk):
    receiver = Receiver()
    async with serving(tmp_path, agents=[Agent("Clerk", function=clerk)]) as api:
        api.engine.worker.dispatcher._client = receiver.client()
        push = TaskPushNotificationConfig(id="mine", url=URL, token="a-token-of-mine")
        async with peer(api, "1.0", "JSONRPC") as they:
            they.use("clerk")
            configuration = SendMessageConfiguration(task_push_notification_config=push)
            task = await they.send(saying("ask", configuration=configuration))
            told = (await receiver.got(1))[-1]["task"]
            assert told["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
            assert told["status"]["message"]["parts"][0]["text"] == "question 0?"
            assert told["artifacts"][0]["parts"] == [{"text": "note 0"}]
            await they.send(saying("red", task_id=task.id))
            await they.send(saying("blue", task_id=task.id))
            told = (await receiver.got(3))[-1]["task"]
            assert told["status"]["state"] == "TASK_STATE_COMPLETED"
            assert [one["artifactId"] for one in told["artifacts"]] == ["answer", "notes"]


async def test_other_wires_talk_to_a_function_too(api: Api):
    answer = await api.call("POST", "/chat", {"agent_id": "clerk", "message": "make", "stream": False})
    assert answer["response"] == "making done"
    asked = await api.call("POST", "/runs", {"agent_id": "clerk", "message": "ask"}, expect=202)
    await api.until(asked["run_id"], "waiting")
    await api.call("POST", f"/runs/{asked['run_id']}/resume", {"message": "one"}, expect=202)
    await api.until(asked["run_id"], "waiting")
    await api.call("POST", f"/runs/{asked['run_id']}/resume", {"message": "two"}, expect=202)
    assert (await api.until(asked["run_id"], "completed"))["response"] == "one and two"


async def test_the_javascript_client_hears_a_bare_message_and_artifacts_in_order(api: Api):
    async with listening(api) as http:
        for version, binding in DIALECTS:
            said = await javascript(http, "clerk", version, binding, "alone", "make")
            assert [part["content"]["value"] for part in said["sent"]["parts"]] == ["just ", {"said": "alone"}]
            assert "status" not in said["sent"]
            payloads = [item["payload"] for item in said["heard"]]
            updates = [one["value"] for one in payloads if one["$case"] == "artifactUpdate"]
            long = [one for one in updates if one["artifact"]["artifactId"] == "long"]
            texts = [one["artifact"]["parts"][0]["content"]["value"] for one in long]
            assert texts == ["chunk 0 ", "chunk 1 ", "chunk 2 "]
            marks = [(one["append"], one["lastChunk"]) for one in long]
            if (version, binding) != ("0.3", "HTTP+JSON"):  # there this client drops them; the Python one does not
                assert marks == [(False, False), (True, False), (True, True)], (version, binding)


def _text(text: str) -> dict[str, Any]:
    return {"messageId": new_id(), "role": "ROLE_USER", "parts": [{"text": text}]}
