"""A2A with the official Python client over real HTTP: both versions, both bindings."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import A2AClientError, Client, ClientConfig, ClientFactory
from a2a.types.a2a_pb2 import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from agio.api.protocols.a2a.cards import make_card
from agio.api.protocols.a2a.push import TOKEN_HEADER
from agio.domain.ids import new_id
from agio.testing.provider import Answer, Call, Gate
from agio.tools import tool
from tests.api.serving import Api, listening, serving, writer
from tests.support.receiver import URL, Receiver, check_signature

JAVASCRIPT = Path(__file__).resolve().parents[1] / "a2a_js"
DIALECTS = [("1.0", "JSONRPC"), ("1.0", "HTTP+JSON"), ("0.3", "JSONRPC"), ("0.3", "HTTP+JSON")]


@tool(requires_approval=True)
async def wire_money(to: str) -> str:
    """Send money."""
    return f"sent to {to}"


class Peer:
    """A server with a client that speaks one dialect to its agent `writer`."""

    def __init__(self, api: Api, http: httpx.AsyncClient, version: str, binding: str) -> None:
        self.api, self.http, self.version, self.binding = api, http, version, binding
        card = make_card(writer(), f"{str(http.base_url).rstrip('/')}/a2a/writer", checks=False)
        kept = [
            one
            for one in card.supported_interfaces
            if (one.protocol_version, one.protocol_binding) == (version, binding)
        ]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        self.card: AgentCard = card
        self.use("writer")

    def use(self, agent_id: str) -> None:
        """Talk to this agent from now on."""
        base = f"{str(self.http.base_url).rstrip('/')}/a2a/{agent_id}"
        for one in self.card.supported_interfaces:
            one.url = base
        self.client = self._client(streaming=True)
        self.blocking = self._client(streaming=False)

    def _client(self, *, streaming: bool) -> Client:
        config = ClientConfig(
            streaming=streaming, httpx_client=self.http, supported_protocol_bindings=["JSONRPC", "HTTP+JSON"]
        )
        return ClientFactory(config).create(self.card)

    @property
    def has_whole_push(self) -> bool:
        """The sdk's 0.3 client over HTTP+JSON neither lists nor deletes configurations."""
        return (self.version, self.binding) != ("0.3", "HTTP+JSON")

    def refusal(self, text: str) -> Any:
        """Expect an error; the sdk's client of 0.3 over HTTP+JSON does not read what it says."""
        is_mute = (self.version, self.binding) == ("0.3", "HTTP+JSON")
        return pytest.raises((A2AError, A2AClientError), match=None if is_mute else text)

    async def send(self, request: SendMessageRequest) -> Task:
        async for answer in self.blocking.send_message(request):
            assert answer.HasField("task"), answer
            return answer.task
        raise AssertionError("no answer")


@asynccontextmanager
async def peer(api: Api, version: str, binding: str) -> AsyncIterator[Peer]:
    async with listening(api) as http:
        yield Peer(api, http, version, binding)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    agents = [writer(id="banker", name="Banker", tools=("wire_money",))]
    async with serving(tmp_path, agents=agents, tools=[wire_money], default_agent="writer") as served:
        yield served


def saying(text: str = "hello", **fields: Any) -> SendMessageRequest:
    configuration = fields.pop("configuration", None)
    message = Message(message_id=new_id(), role=Role.ROLE_USER, parts=[Part(text=text)], **fields)
    return SendMessageRequest(message=message, configuration=configuration)


def closing(stream: Any) -> AbstractAsyncContextManager[AsyncIterator[StreamResponse]]:
    """Close the stream of the sdk's client, which it says is an iterator only."""
    return aclosing(stream)


def answer_of(task: Task) -> str:
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


def state_of(item: StreamResponse) -> int | None:
    if item.HasField("task"):
        return item.task.status.state
    return item.status_update.status.state if item.HasField("status_update") else None


def shown(items: list[StreamResponse]) -> str:
    """What a reader shows that honours `append`."""
    text = ""
    for item in items:
        if item.HasField("task"):
            text = answer_of(item.task)
        elif item.HasField("artifact_update"):
            chunk = "".join(part.text for part in item.artifact_update.artifact.parts)
            text = text + chunk if item.artifact_update.append else chunk
    return text


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_send_get_list_and_go_on_in_the_context(api: Api, version: str, binding: str):
    api.provider.add(Answer("one ", "two"), Answer("three"))
    async with peer(api, version, binding) as they:
        greeting = saying("hello")
        task = await they.send(greeting)
        assert (task.status.state, answer_of(task)) == (TaskState.TASK_STATE_COMPLETED, "one two")
        run = await api.call("GET", f"/runs/{task.id}")
        assert (run["session_id"], run["status"]) == (task.context_id, "completed")
        assert run["metadata"]["a2a"]["messageId"] == greeting.message.message_id
        again = await they.client.get_task(GetTaskRequest(id=task.id, history_length=1))
        assert [message.role for message in again.history] == [Role.ROLE_AGENT]
        second = await they.send(saying("more", context_id=task.context_id))
        assert second.context_id == task.context_id
        assert second.id != task.id
        assert [m.content for m in api.provider.requests[1].messages if m.role != "system"] == [
            "hello",
            "one two",
            "more",
        ]
        if version == "1.0":
            listed = await they.client.list_tasks(ListTasksRequest(context_id=task.context_id, page_size=1))
            assert ([one.id for one in listed.tasks], listed.total_size) == ([second.id], 2)
            rest = await they.client.list_tasks(
                ListTasksRequest(
                    context_id=task.context_id,
                    page_size=1,
                    page_token=listed.next_page_token,
                    include_artifacts=True,
                )
            )
            assert [answer_of(one) for one in rest.tasks] == ["one two"]
        with they.refusal("no task"):
            await they.client.get_task(GetTaskRequest(id="nothing"))


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_a_stream_is_left_and_taken_up_by_two_readers_and_cancelled(api: Api, version: str, binding: str):
    gate = Gate()
    api.provider.add(Answer("one ", gate, "two"))
    async with peer(api, version, binding) as they:
        heard: list[StreamResponse] = []
        async with closing(they.client.send_message(saying())) as stream:
            async for item in stream:
                heard.append(item)
                if item.HasField("artifact_update"):
                    break
        assert heard[0].HasField("task")
        assert shown(heard) == "one "
        task_id = heard[0].task.id
        await gate.reached.wait()
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
            cancelled = await they.client.cancel_task(CancelTaskRequest(id=task_id))
            await asyncio.gather(*readers)
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        for items in both:
            assert items[0].task.status.state == TaskState.TASK_STATE_WORKING
            assert answer_of(items[0].task) == "one "
            assert state_of(items[-1]) == TaskState.TASK_STATE_CANCELED
        with they.refusal("over"):
            await they.client.cancel_task(CancelTaskRequest(id=task_id))


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_a_stream_holds_the_whole_answer_in_chunks(api: Api, version: str, binding: str):
    api.provider.add(Answer("let me see", Call("calculator", {"expression": "6*7"})), Answer("it ", "is ", "42"))
    async with peer(api, version, binding) as they:
        heard = [item async for item in they.client.send_message(saying())]
    assert heard[0].task.status.state in (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
    assert [state for item in heard[1:] if (state := state_of(item)) is not None] == [
        TaskState.TASK_STATE_WORKING,
        TaskState.TASK_STATE_COMPLETED,
    ]
    assert shown(heard) == "it is 42"
    chunks = [item.artifact_update for item in heard if item.HasField("artifact_update")]
    assert [chunk.last_chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_an_approval_is_input_required(api: Api, version: str, binding: str):
    api.provider.add(
        *(Answer(Call("wire_money", {"to": "ann"})), Answer("sent")),
        *(Answer(Call("wire_money", {"to": "bob"})), Answer("not sent")),
    )
    async with peer(api, version, binding) as they:
        they.use("banker")
        task = await they.send(saying("pay ann"))
        assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        asked = next(part.data for part in task.status.message.parts if part.WhichOneof("content") == "data")
        assert asked.struct_value.fields["tool"].string_value == "wire_money"
        done = await they.send(saying("yes", task_id=task.id))
        assert (done.id, done.context_id, answer_of(done)) == (task.id, task.context_id, "sent")
        other = await they.send(saying("pay bob"))
        approval_id = (await api.call("GET", f"/runs/{other.id}"))["pending_approvals"][0]
        approval_id = approval_id if isinstance(approval_id, str) else approval_id["id"]
        verdict = ParseDict({"approval_id": approval_id, "decision": "reject", "note": "too much"}, Value())
        request = saying("", task_id=other.id, context_id=other.context_id)
        del request.message.parts[:]
        request.message.parts.append(Part(data=verdict))
        heard = [item async for item in they.client.send_message(request)]
        assert state_of(heard[0]) in (TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_WORKING)
        assert state_of(heard[-1]) == TaskState.TASK_STATE_COMPLETED
        assert shown(heard) == "not sent"
        results = [m.content for m in api.provider.requests[-1].messages if m.role == "tool"]
        assert results == ["error: anonymous rejected this call: too much"]
        with they.refusal("over"):
            await they.send(saying("again", task_id=done.id))
        with they.refusal("context"):
            await they.send(saying("again", task_id=done.id, context_id="elsewhere"))


@pytest.mark.parametrize(("version", "binding"), DIALECTS)
async def test_pushes_are_signed_and_tried_again(tmp_path: Path, version: str, binding: str):
    receiver = Receiver(statuses=[500])
    async with serving(tmp_path, webhook_retry_s=0.01) as api:
        api.engine.worker.dispatcher._client = receiver.client()
        api.provider.add(Answer("a", gate := Gate(), "b"))
        config = TaskPushNotificationConfig(id="mine", url=URL, token="a-token-of-mine")
        async with peer(api, version, binding) as they:
            immediate = SendMessageConfiguration(return_immediately=True, task_push_notification_config=config)
            task = await they.send(saying(configuration=immediate))
            await gate.reached.wait()
            kept = await they.client.get_task_push_notification_config(
                GetTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
            )
            assert (kept.url, kept.token, kept.task_id) == (URL, "a-token-of-mine", task.id)
            second = TaskPushNotificationConfig(task_id=task.id, id="second", url=URL)
            await they.client.create_task_push_notification_config(second)
            if they.has_whole_push:
                listed = await they.client.list_task_push_notification_configs(
                    ListTaskPushNotificationConfigsRequest(task_id=task.id)
                )
                assert [one.id for one in listed.configs] == ["mine", "second"]
                second_one = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="second")
                await they.client.delete_task_push_notification_config(second_one)
            count = 2 if they.has_whole_push else 3
            inward = TaskPushNotificationConfig(task_id=task.id, id="inward", url="http://169.254.169.254/")
            with they.refusal("public"):
                await they.client.create_task_push_notification_config(inward)
            gate.open()
            pushed = (await receiver.got(count))[-1]
            told = pushed if version == "0.3" else pushed["task"]
            assert told["id"] == task.id
            assert told["status"]["state"] == ("completed" if version == "0.3" else "TASK_STATE_COMPLETED")
            assert told["artifacts"][0]["parts"][0]["text"] == "ab"
        mine = [request for request in receiver.taken if TOKEN_HEADER in request.headers]
        assert {request.headers[TOKEN_HEADER] for request in mine} == {"a-token-of-mine"}
        for request in mine:
            check_signature(request, b"a-token-of-mine")
        assert len({request.headers["webhook-id"] for request in receiver.taken}) == count - 1


async def rpc(api: Api, method: str, params: Any, *, version: str | None = None, agent: str = "writer") -> Any:
    headers = {"A2A-Version": version} if version else {}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return (await api.client.post(f"/a2a/{agent}", json=body, headers=headers)).json()


@pytest.mark.parametrize(
    ("version", "method", "params", "code"),
    [
        (None, "message/send", {"message": {"role": "user", "parts": [{"kind": "text", "text": "x"}]}}, -32602),
        (None, "message/send", {"message": {"role": "user", "messageId": "m"}}, -32602),
        (None, "message/send", {"message": {"messageId": "m", "parts": [{"kind": "text", "text": "x"}]}}, -32602),
        (None, "tasks/get", {"id": "nothing"}, -32001),
        (None, "nonsense", {}, -32601),
        ("1.0", "SendMessage", {"message": {"role": "ROLE_USER", "parts": [{"text": "x"}]}}, -32602),
        ("1.0", "SendMessage", {"message": {"messageId": "m", "role": "ROLE_USER"}}, -32602),
        ("1.0", "GetTask", {}, -32602),
        ("1.0", "ListTasks", {"pageSize": 1000}, -32602),
        ("1.0", "ListTasks", {"pageToken": "made up"}, -32602),
        ("1.0", "SubscribeToTask", {"id": "nothing"}, -32001),
        ("9.0", "GetTask", {"id": "nothing"}, -32009),
        (None, "GetTask", {"id": "nothing"}, -32009),
    ],
)
async def test_errors_have_their_codes(api: Api, version: str | None, method: str, params: Any, code: int):
    answer = await rpc(api, method, params, version=version)
    assert (answer["id"], answer["error"]["code"]) == (1, code), answer


@pytest.mark.contract("P14")
async def test_cards_suit_each_version_at_all_paths(api: Api):
    for name in ("agent-card.json", "agent-card", "agent.json"):
        card = (await api.client.get(f"/.well-known/{name}")).json()
        assert card["url"] == card["supportedInterfaces"][0]["url"] == "http://test/a2a/writer"
        assert (card["protocolVersion"], card["preferredTransport"]) == ("0.3", "JSONRPC")
        assert {"name", "description", "version"} <= card.keys()
        assert (card["capabilities"]["streaming"], card["skills"][0]["id"]) == (True, "writer")
        new = (await api.client.get(f"/.well-known/{name}", headers={"A2A-Version": "1.0"})).json()
        assert ParseDict(new, AgentCard()).name == "Writer"
        assert "url" not in new
    own = (await api.client.get("/a2a/banker/.well-known/agent-card.json")).json()
    assert ParseDict(own, AgentCard()).supported_interfaces[0].url == "http://test/a2a/banker"
    assert [(one["protocolBinding"], one["protocolVersion"]) for one in own["supportedInterfaces"]] == [
        (binding, version) for version, binding in DIALECTS
    ]
    assert (await api.client.get("/a2a/banker/.well-known/agent.json")).json()["url"] == "http://test/a2a/banker"
    assert (await api.client.get("/a2a/nobody/.well-known/agent-card.json")).status_code == 404


async def test_tasks_of_other_agents_are_not_there(api: Api):
    run = await api.chat("hello")
    assert (await rpc(api, "GetTask", {"id": run["run_id"]}, version="1.0"))["result"]["id"] == run["run_id"]
    answer = await rpc(api, "GetTask", {"id": run["run_id"]}, version="1.0", agent="banker")
    assert answer["error"]["code"] == -32001


async def test_files_and_data_reach_the_model(api: Api):
    parts = [
        {"text": "look"},
        {"raw": "aGk=", "mediaType": "image/png", "filename": "a.png"},
        {"data": {"a": [1, 2]}},
        {"url": "https://x.test/b.csv", "mediaType": "text/csv"},
    ]
    message = {"messageId": "m", "role": "ROLE_USER", "parts": parts}
    for _ in range(2):  # the same messageId is no repeat
        answer = await rpc(api, "SendMessage", {"message": message}, version="1.0")
        assert answer["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert len(api.provider.requests) == 2
    content = api.provider.requests[0].messages[-1].content
    assert [part["type"] for part in content if isinstance(part, dict)] == ["text", "image_url", "text", "text"]
    assert content[1]["image_url"]["url"] == "data:image/png;base64,aGk="  # type: ignore[index]
    assert json.loads(content[2]["text"]) == {"a": [1, 2]}  # type: ignore[index]


@pytest.mark.mongo
async def test_a_task_on_mongodb(tmp_path: Path, mongo_uri: str):
    agents = [writer(id="banker", name="Banker", tools=("wire_money",))]
    async with serving(tmp_path, agents=agents, tools=[wire_money], database_url=mongo_uri) as api:
        api.provider.add(Answer(Call("wire_money", {"to": "ann"})), Answer("se", "nt"))
        async with peer(api, "1.0", "JSONRPC") as they:
            they.use("banker")
            task = await they.send(saying("pay ann"))
            assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
            heard = [item async for item in they.client.send_message(saying("yes", task_id=task.id))]
            assert (shown(heard), state_of(heard[-1])) == ("sent", TaskState.TASK_STATE_COMPLETED)
            listed = await they.client.list_tasks(ListTasksRequest(context_id=task.context_id))
            assert [one.status.state for one in listed.tasks] == [TaskState.TASK_STATE_COMPLETED]


async def javascript(http: httpx.AsyncClient, *arguments: str) -> Any:
    """Let the official JavaScript client send and stream a message; return what it heard."""
    if not (JAVASCRIPT / "node_modules" / "@a2a-js").is_dir():
        pytest.skip("NO JAVASCRIPT CLIENT: make test installs it where there is npm")
    base = str(http.base_url).rstrip("/")
    command = ["node", str(JAVASCRIPT / "client.mjs"), base, *arguments]
    called = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    out, trouble = await called.communicate()
    assert called.returncode == 0, trouble.decode()
    return json.loads(out)


async def test_the_javascript_client(api: Api):
    async with listening(api) as http:
        for version, binding in DIALECTS:
            api.provider.add(Answer("one ", "two"), Answer("three ", "four"))
            said = await javascript(http, "writer", version, binding)
            assert said["sent"]["status"]["state"] == TaskState.TASK_STATE_COMPLETED
            assert said["sent"]["artifacts"][0]["parts"][0]["content"]["value"] == "one two"
            updates = [item["payload"] for item in said["heard"]]
            chunks = [one["value"] for one in updates if one["$case"] == "artifactUpdate"]
            texts = [part["content"]["value"] for chunk in chunks for part in chunk["artifact"]["parts"]]
            assert "".join(texts) == "three four"
            assert updates[-1]["value"]["status"]["state"] == TaskState.TASK_STATE_COMPLETED
