"""What A2A 1.0 demands of a server, on the raw wire; docs/a2a-musts.md says which test shows which demand."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.types.a2a_pb2 import AgentCard
from google.protobuf.json_format import ParseDict

from agio import Agent, Turn
from agio.domain.ids import new_id
from agio.testing.provider import Answer, Gate
from tests.api.serving import Api, listening, serving
from tests.support.receiver import URL, Receiver

BINDINGS = ["JSONRPC", "HTTP+JSON"]
PATHS = {
    "SendMessage": ("POST", "/message:send"),
    "SendStreamingMessage": ("POST", "/message:stream"),
    "GetTask": ("GET", "/tasks/{id}"),
    "ListTasks": ("GET", "/tasks"),
    "CancelTask": ("POST", "/tasks/{id}:cancel"),
    "SubscribeToTask": ("POST", "/tasks/{id}:subscribe"),
    "CreateTaskPushNotificationConfig": ("POST", "/tasks/{taskId}/pushNotificationConfigs"),
    "GetTaskPushNotificationConfig": ("GET", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "ListTaskPushNotificationConfigs": ("GET", "/tasks/{taskId}/pushNotificationConfigs"),
    "DeleteTaskPushNotificationConfig": ("DELETE", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard"),
}
STATUSES = {-32001: 404, -32002: 400, -32004: 400, -32005: 400, -32009: 400, -32602: 400}
REASONS = {-32001: "TASK_NOT_FOUND", -32002: "TASK_NOT_CANCELABLE", -32004: "UNSUPPORTED_OPERATION"}
REASONS |= {-32005: "CONTENT_TYPE_NOT_SUPPORTED", -32009: "VERSION_NOT_SUPPORTED"}


class Wire:
    """One binding, without a client in between."""

    def __init__(self, client: httpx.AsyncClient, binding: str, agent: str = "writer") -> None:
        self.client, self.binding, self.base = client, binding, f"/a2a/{agent}"

    @property
    def kinds(self) -> set[str]:
        """The media types that answers may have; HTTP+JSON has one of its own since 1.0."""
        return {"application/json"} | ({"application/a2a+json"} if self.binding == "HTTP+JSON" else set())

    async def ask(self, method: str, params: dict[str, Any], version: str = "1.0") -> httpx.Response:
        headers = {"A2A-Version": version}
        if self.binding == "JSONRPC":
            body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
            return await self.client.post(self.base, json=body, headers=headers)
        verb, path = PATHS[method]
        named = set(re.findall(r"{(\w+)}", path))
        rest = {name: value for name, value in params.items() if name not in named}
        url = self.base + path.format(**params)
        if verb == "POST":
            return await self.client.request(verb, url, json=rest, headers=headers)
        return await self.client.request(verb, url, params=rest, headers=headers)

    async def call(self, method: str, params: dict[str, Any], version: str = "1.0") -> Any:
        """Return the result; the answer must be good."""
        answer = await self.ask(method, params, version)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].split(";")[0] in self.kinds
        if self.binding == "HTTP+JSON":
            return answer.json()
        body = answer.json()
        assert (body["jsonrpc"], body["id"], body.keys() & {"error"}) == ("2.0", 7, set()), body
        return body["result"]

    async def refused(self, method: str, params: dict[str, Any], code: int, version: str = "1.0") -> None:
        """Check an error in the binding's own form."""
        answer = await self.ask(method, params, version)
        assert answer.headers["content-type"].split(";")[0] in self.kinds
        error = answer.json()["error"]
        assert error["message"]
        if self.binding == "JSONRPC":
            assert (answer.status_code, answer.json()["jsonrpc"], error["code"]) == (200, "2.0", code), error
            return
        assert (answer.status_code, error["code"]) == (STATUSES[code], STATUSES[code]), error
        assert isinstance(error["status"], str)
        if code in REASONS:
            (info,) = [one for one in error["details"] if one["@type"].endswith("google.rpc.ErrorInfo")]
            assert (info["reason"], info["domain"]) == (REASONS[code], "a2a-protocol.org")


def message(text: str = "hello", **fields: Any) -> dict[str, Any]:
    said = {"messageId": new_id(), "role": "ROLE_USER", "parts": [{"text": text}]} | fields
    return {"message": said}


async def echo(turn: Turn) -> Any:
    return turn.reply(turn.message.text) if turn.message.text == "alone" else turn.ask("and?")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path, agents=[Agent("Echo", function=echo)], default_agent="writer") as served:
        yield served


@pytest.fixture(params=BINDINGS)
def wire(api: Api, request: pytest.FixtureRequest) -> Wire:
    return Wire(api.client, request.param)


async def test_a_task_has_its_fields_in_protojson(wire: Wire):
    task = (await wire.call("SendMessage", message()))["task"]
    assert task["id"]
    assert task["contextId"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", task["status"]["timestamp"])
    assert [(one["artifactId"], one["parts"]) for one in task["artifacts"]] == [("answer", [{"text": "fine"}])]
    for said, role in zip(task["history"], ("ROLE_USER", "ROLE_AGENT"), strict=True):
        assert (said["role"], said["messageId"] != "", list(said["parts"][0])) == (role, True, ["text"])
    assert not re.search(r'"[a-z]+_[a-z]+":', json.dumps({**task, "metadata": {}}))


async def test_contexts_and_tasks_are_named_and_kept(wire: Wire):
    first = (await wire.call("SendMessage", message()))["task"]
    second = (await wire.call("SendMessage", message(contextId="my-own-context")))["task"]
    assert second["contextId"] == "my-own-context"
    assert len({first["id"], second["id"], first["contextId"], second["contextId"]}) == 4
    assert (await wire.call("GetTask", {"id": first["id"]}))["status"]["state"] == "TASK_STATE_COMPLETED"
    asked = Wire(wire.client, wire.binding, "echo")
    open_task = (await asked.call("SendMessage", message()))["task"]
    assert open_task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    again = (await asked.call("SendMessage", message("more", taskId=open_task["id"])))["task"]
    assert again["contextId"] == open_task["contextId"]
    await asked.refused("SendMessage", message("x", taskId=open_task["id"], contextId="elsewhere"), -32602)


async def test_what_is_not_there_or_over_is_refused(wire: Wire):
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        await wire.refused(method, {"id": "nothing"}, -32001)
    await wire.refused("SendMessage", message(taskId="nothing"), -32001)
    task = (await wire.call("SendMessage", message()))["task"]
    await wire.refused("SendMessage", message("more", taskId=task["id"]), -32004)
    await wire.refused("SubscribeToTask", {"id": task["id"]}, -32004)
    await wire.refused("CancelTask", {"id": task["id"]}, -32002)


async def test_what_is_malformed_or_of_another_kind_is_refused(wire: Wire):
    odd = [{"raw": "dGNr", "mediaType": "application/x-unsupported-type"}]
    await wire.refused("SendMessage", message(parts=odd), -32005)
    await wire.refused("SendMessage", message(parts=[]), -32602)
    await wire.refused("SendMessage", message(messageId=""), -32602)
    await wire.refused("ListTasks", {"pageSize": 0}, -32602)
    unknown = message(inventedField=1)
    assert (await wire.call("SendMessage", unknown))["task"]["id"]


async def test_versions_are_served_as_they_are_asked_for(wire: Wire, api: Api):
    assert (await wire.call("SendMessage", message(), version="1.0.1"))["task"]["id"]
    await wire.refused("SendMessage", message(), -32009, version="7.3")
    old = {"messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hello"}], "kind": "message"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": old}}
    for headers in ({}, {"A2A-Version": ""}):
        answer = (await api.client.post("/a2a/writer", json=body, headers=headers)).json()
        assert (answer["result"]["kind"], answer["result"]["status"]["state"]) == ("task", "completed")


async def test_tasks_are_listed_in_pages_without_artifacts(wire: Wire):
    ids = [(await wire.call("SendMessage", message(str(n), contextId="one")))["task"]["id"] for n in range(3)]
    first = await wire.call("ListTasks", {"contextId": "one", "pageSize": 2})
    assert [one["id"] for one in first["tasks"]] == ids[:0:-1]
    assert all("artifacts" not in one or one["artifacts"] == [] for one in first["tasks"])
    stamps = [one["status"]["timestamp"] for one in first["tasks"]]
    assert stamps == sorted(stamps, reverse=True)
    token = first["nextPageToken"]
    last = await wire.call("ListTasks", {"contextId": "one", "pageSize": 2, "pageToken": token})
    assert ([one["id"] for one in last["tasks"]], last["nextPageToken"]) == (ids[:1], "")
    whole = await wire.call("ListTasks", {"contextId": "one", "includeArtifacts": "true"} | _flag(wire))
    assert all(one["artifacts"] for one in whole["tasks"])


def _flag(wire: Wire) -> dict[str, Any]:
    return {"includeArtifacts": True} if wire.binding == "JSONRPC" else {}


async def test_sending_waits_unless_told_not_to_and_cancel_answers_with_the_task(wire: Wire, api: Api):
    api.provider.add(Answer("one", Gate()))
    at_once = {"configuration": {"returnImmediately": True}}
    task = (await wire.call("SendMessage", message() | at_once))["task"]
    assert task["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    await api.until_event(task["id"], "step_started")
    assert (await wire.call("GetTask", {"id": task["id"]}))["status"]["state"] == "TASK_STATE_WORKING"
    assert (await wire.call("CancelTask", {"id": task["id"]}))["status"]["state"] == "TASK_STATE_CANCELED"


async def stream(client: httpx.AsyncClient, binding: str, method: str, params: dict[str, Any]) -> AsyncIterator[Any]:
    """Yield the events of a stream as StreamResponses."""
    verb, path = PATHS[method]
    url, body = "/a2a/writer", {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    if binding != "JSONRPC":
        url, body = url + path.format(**params), {name: value for name, value in params.items() if name != "id"}
    async with client.stream(verb, url, json=body, headers={"A2A-Version": "1.0"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                data = json.loads(line.removeprefix("data:"))
                assert binding != "JSONRPC" or (data["jsonrpc"], data["id"]) == ("2.0", 7)
                yield data["result"] if binding == "JSONRPC" else data


@pytest.mark.parametrize("binding", BINDINGS)
async def test_streams_begin_with_the_task_and_are_alike_and_apart(api: Api, binding: str):
    api.provider.add(Answer("one ", gate := Gate(), "two"))
    async with listening(api) as client, asyncio.timeout(20):
        sent = stream(client, binding, "SendStreamingMessage", message())
        first = await anext(sent)
        assert list(first) == ["task"]
        rest = [await anext(sent)]
        while "artifactUpdate" not in rest[-1]:  # "one " is in the journal, and nothing comes until the gate opens
            rest.append(await anext(sent))
        followed: list[list[Any]] = [[], [], []]
        ready = [asyncio.Event() for _ in followed]

        async def follow(number: int) -> None:
            events = stream(client, binding, "SubscribeToTask", {"id": first["task"]["id"]})
            async for event in events:
                followed[number].append(event)
                ready[number].set()
                if number == 2:
                    break
            await events.aclose()  # type: ignore[attr-defined]

        readers = [asyncio.create_task(follow(number)) for number in range(3)]
        await asyncio.gather(*(one.wait() for one in ready))
        await readers[2]
        gate.open()
        await asyncio.gather(*readers)
        rest += [event async for event in sent]
    assert [list(event) for event in (followed[0][0], followed[2][0])] == [["task"], ["task"]]
    assert followed[0] == followed[1]
    assert all(len(event) == 1 for event in rest)
    assert rest[-len(followed[0]) + 1 :] == followed[0][1:]
    assert rest[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_of_a_bare_message_holds_nothing_else(api: Api, binding: str):
    wire = Wire(api.client, binding, "echo")
    assert list(await wire.call("SendMessage", message("alone"))) == ["message"]
    answer = await wire.ask("SendStreamingMessage", message("alone"))
    (line,) = [line for line in answer.text.splitlines() if line.startswith("data:")]
    data = json.loads(line.removeprefix("data:"))
    said = data["result"] if binding == "JSONRPC" else data
    assert list(said) == ["message"]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_pushes_are_configured_told_and_forgotten(tmp_path: Path, binding: str):
    receiver = Receiver(statuses=[500])
    async with serving(tmp_path, webhook_retry_s=0.01) as api:
        api.engine.worker.dispatcher._client = receiver.client()
        api.provider.add(Answer("a", gate := Gate()))
        wire = Wire(api.client, binding)
        task = (await wire.call("SendMessage", message() | {"configuration": {"returnImmediately": True}}))["task"]
        await gate.reached.wait()
        auth = {"scheme": "Bearer", "credentials": "let-me-in"}
        mine = {"taskId": task["id"], "id": "mine", "url": URL, "token": "t-0123456789", "authentication": auth}
        made = await wire.call("CreateTaskPushNotificationConfig", mine)
        one = {"taskId": task["id"], "id": "mine"}
        assert (made["id"], await wire.call("GetTaskPushNotificationConfig", one)) == ("mine", made)
        await wire.call("CreateTaskPushNotificationConfig", {**mine, "id": "other"})
        every = await wire.call("ListTaskPushNotificationConfigs", {"taskId": task["id"]})
        assert [config["id"] for config in every["configs"]] == ["mine", "other"]
        for _ in range(2):
            await wire.ask("DeleteTaskPushNotificationConfig", one | {"id": "other"})
        await wire.refused("GetTaskPushNotificationConfig", one | {"id": "other"}, -32001)
        gate.open()
        told = await receiver.got(2)
        assert {request.headers["Authorization"] for request in receiver.taken} == {"Bearer let-me-in"}
        assert {tuple(payload) for payload in told} == {("task",)}


async def test_cards_tell_what_is_served(api: Api):
    for path in ("/.well-known/agent-card.json", "/a2a/echo/.well-known/agent-card.json"):
        found = (await api.client.get(path, headers={"A2A-Version": "1.0"})).json()
        card = ParseDict(found, AgentCard())
        assert all((card.name, card.description, card.version, card.skills, card.capabilities.streaming))
        assert all(one.url.startswith("http") for one in card.supported_interfaces)
        assert {one.protocol_binding for one in card.supported_interfaces} == set(BINDINGS)
        own = Wire(api.client, "JSONRPC", card.skills[0].id)
        rest = Wire(api.client, "HTTP+JSON", card.skills[0].id)
        assert await own.call("GetExtendedAgentCard", {}) == await rest.call("GetExtendedAgentCard", {})


async def test_who_may_not_sees_nothing(tmp_path: Path):
    ann, bob = "ann-0123456789-0123456789", "bob-0123456789-0123456789"
    keys = [{"key": ann, "name": "ann", "group": "a"}, {"key": bob, "name": "bob", "group": "b"}]
    async with serving(tmp_path, api_keys=keys) as api:
        for binding in BINDINGS:
            wire = Wire(api.client, binding)
            assert (await wire.ask("GetTask", {"id": "x"})).status_code == 401
            card = (await api.client.get("/.well-known/agent-card.json", headers={"A2A-Version": "1.0"})).json()
            assert set(card["securitySchemes"]) == {"apiKey", "bearer"}
            api.client.headers["X-API-Key"] = ann
            task = (await wire.call("SendMessage", message()))["task"]
            api.client.headers["X-API-Key"] = bob
            await wire.refused("GetTask", {"id": task["id"]}, -32001)
            await wire.refused("CancelTask", {"id": task["id"]}, -32001)
            assert (await wire.call("ListTasks", {}))["tasks"] == []
            del api.client.headers["X-API-Key"]
