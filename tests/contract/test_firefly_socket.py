"""The WebSocket, as Firefly's document has it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from agio import Settings, create_app
from agio.testing.openai_server import FakeOpenAI, RunningServer
from tests.contract.conftest import Contract
from tests.e2e.client import asked_of, model, new_id
from tests.support.in_thread import running_app

PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Talk:
    """One connection."""

    socket: ClientConnection

    async def say(self, prompt: object, **fields: Any) -> None:
        await self.socket.send(json.dumps({"prompt": prompt, **fields}))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def turn(self, prompt: object = "hello", **fields: Any) -> list[dict[str, Any]]:
        """Say something and return the frames up to the turn's end."""
        await self.say(prompt, **fields)
        frames = [await self.hear()]
        while frames[-1]["type"] not in ("result", "error"):
            frames.append(await self.hear())
        return frames

    async def closed(self) -> int:
        """Return with which code the server closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


@asynccontextmanager
async def talking(url: str, agent: str) -> AsyncIterator[Talk]:
    async with connect(f"{url.replace('http', 'ws', 1)}/ws/agents/{agent}") as socket:
        yield Talk(socket)


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


@pytest.mark.contract("F44", "F46", "F47", "F49", "F56")
async def test_turns_on_one_connection_are_one_conversation(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="one two")
    async with talking(contract.url, agent) as talk:
        first = await talk.turn("I like tea", conversation_id=None, deps=None)
        second = await talk.turn("What did I say?")
    assert kinds(first) == ["conversation_id", "token", "token", "result"]
    assert kinds(second) == ["token", "token", "result"]
    assert (
        first[1:]
        == second
        == [
            {"type": "token", "data": "one "},
            {"type": "token", "data": "two"},
            {"type": "result", "data": "one two", "success": True},
        ]
    )
    asked = [message["content"] for message in asked_of(provider, name)[1]["messages"]]
    assert asked == ["I like tea", "one two", "What did I say?"]
    found = contract.get(f"/agents/conversations/{first[0]['data']}")
    assert found["message_count"] == 4


@pytest.mark.contract("F45", "F49")
async def test_conversation_that_the_client_names_is_gone_on_with(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="ok")
    conversation = new_id("talk")
    contract.post(f"/agents/{agent}/run", {"prompt": "one", "conversation_id": conversation})
    async with talking(contract.url, agent) as talk:
        assert kinds(await talk.turn("two", conversation_id=conversation, deps={})) == ["token", "result"]
        assert kinds(await talk.turn("three")) == ["token", "result"]
    asked = [message["content"] for message in asked_of(provider, name)[2]["messages"]]
    assert asked == ["one", "ok", "two", "ok", "three"]


@pytest.mark.contract("F50", "C21")
async def test_two_connections_know_nothing_of_each_other(contract: Contract, provider: FakeOpenAI):
    agent, name = contract.agent(text="ok")
    async with talking(contract.url, agent) as ann, talking(contract.url, agent) as bob:
        ids = [(await talk.turn(f"I am {who}"))[0]["data"] for talk, who in ((ann, "Ann"), (bob, "Bob"))]
        await ann.turn("who am I?")
    assert ids[0] != ids[1]
    asked = [message["content"] for message in asked_of(provider, name)[2]["messages"]]
    assert asked == ["I am Ann", "ok", "who am I?"]


@pytest.mark.contract("F45", "F48")
@pytest.mark.parametrize(
    "text",
    ["", "nope", "[]", "7", "null", "{}", '{"prompt": ""}', '{"prompt": 7}', '{"prompt": "x", "conversation_id": "/"}'],
)
async def test_bad_message_is_told_and_the_connection_stays(contract: Contract, text: str):
    agent, _ = contract.agent(text="ok")
    async with talking(contract.url, agent) as talk:
        await talk.socket.send(text)
        frame = await talk.hear()
        assert (frame["type"], frame["success"], bool(frame["data"])) == ("error", False, True)
        assert kinds(await talk.turn()) == ["conversation_id", "token", "result"]


@pytest.mark.contract("F44")
async def test_unknown_agent_is_refused_with_a_code(contract: Contract):
    async with talking(contract.url, "nobody") as talk:
        assert await talk.closed() == 4004


@pytest.mark.contract("F48")
async def test_failed_turn_does_not_end_the_conversation(contract: Contract):
    agent, _ = contract.agent(status=401, fail_times=1, text="ok")
    async with talking(contract.url, agent) as talk:
        assert kinds(await talk.turn()) == ["conversation_id", "error"]
        assert kinds(await talk.turn()) == ["token", "result"]


@pytest.mark.contract("F51")
async def test_agent_that_gives_its_answer_in_one_piece_is_told_too(contract: Contract):
    agent, _ = contract.agent(text="whole")
    async with talking(contract.url, agent) as talk:
        assert kinds(await talk.turn()) == ["conversation_id", "token", "result"]


@pytest.mark.contract("F44", "F52")
async def test_prompts_that_come_early_wait_their_turn(contract: Contract):
    agent, _ = contract.agent(text="ok", silent_s=0.2)
    async with talking(contract.url, agent) as talk:
        for _ in range(3):
            await talk.say("hello")
        frames = [await talk.hear() for _ in range(7)]
    assert kinds(frames) == ["conversation_id", *("token", "result") * 3]


@pytest.mark.contract("F52")
async def test_run_goes_on_when_its_client_leaves(contract: Contract):
    agent, _ = contract.agent(text="ok", silent_s=1)
    async with talking(contract.url, agent) as talk:
        await talk.say("hello")
        await talk.hear()
    assert len(await _runs(contract.http, agent, "completed")) == 1


@pytest.mark.contract("F52")
async def test_run_is_cancelled_when_its_client_leaves_where_the_setting_says_so(
    tmp_path: Path, openai_server: RunningServer
):
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/agio.db",
        drain_s=0,
        on_socket_close="cancel",
        openai_api_key=SecretStr("sk-test"),
        openai_base_url=openai_server.url,
        default_model=model(silent_s=60),
    )
    with running_app(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30) as http:
        async with talking(url, "assistant") as talk:
            await talk.say("hello")
            await talk.hear()
        (run,) = await _runs(http, "assistant", "cancelled")
    assert run["status_reason"] == "client_left"


async def _runs(http: httpx.Client, agent: str, status: str) -> list[dict[str, Any]]:
    """Return the agent's runs, once one has that status."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            where = {"agent_id": agent, "status": status}
            answer = await asyncio.to_thread(http.get, "/api/runs", params=where)
            found: list[dict[str, Any]] = answer.json()["items"]
            if found:
                return found
            await asyncio.sleep(0.05)
