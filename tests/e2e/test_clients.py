"""The documented client examples (seed items A40-A44), unchanged, against a model that says nothing for 8 s."""

import asyncio
import json
import shutil
import subprocess

import httpx
import pytest
import requests

from tests.e2e.client import Client, model
from tests.support.server import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SILENT_S = 8
FRONTEND = ROOT / "frontend"
NODE = shutil.which("node")

#: A43 and A44, as documented, with the class of the UI under the name that the example uses.
TYPESCRIPT = """
import { runnerImport } from "vite";
const { module } = await runnerImport("./src/core/event-source.ts");
const EventSource = module.AgioEventSource;
const [base, agentId] = process.argv.slice(1);

const eventSource = new EventSource(`${base}/chat`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ agent_id: agentId, message: 'Hello!', stream: true }),
});

eventSource.addEventListener('content_delta', (event) => {
  const data = JSON.parse(event.data);
  console.log(data.content);
});

eventSource.addEventListener('run_completed', (event) => {
  const data = JSON.parse(event.data);
  console.log('Completed:', data.metrics.total_tokens);
  eventSource.close();
});
"""
ODD = "one\u2028two\u0085three\u2029 four\r\nfive ünï"


def _list_agents(base: str) -> list[str]:
    """A40."""
    response = httpx.get(f"{base}/agents")
    return [agent["id"] for agent in response.json()["items"]]


def _ask(base: str, agent_id: str) -> str:
    """A41. Non-streaming calls name a timeout of their own."""
    response = httpx.post(f"{base}/chat", json={"agent_id": agent_id, "message": "Hello!", "stream": False}, timeout=60)
    return response.json()["response"]


def _stream(base: str, agent_id: str) -> list[dict[str, object]]:
    """A42: no timeout is given, so httpx waits 5 s at most for each byte."""
    printed = []
    with httpx.stream(
        "POST",
        f"{base}/chat",
        json={"agent_id": agent_id, "message": "Hello!", "stream": True},
        headers={"Accept": "text/event-stream"},
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data:"):
                printed.append(json.loads(line[5:]))
    return printed


def _stream_with_requests(base: str, agent_id: str) -> list[dict[str, object]]:
    """The same with requests, whose lines end wherever Python says that a line ends."""
    printed = []
    body = {"agent_id": agent_id, "message": "Hello!"}
    with requests.post(f"{base}/chat", json=body, stream=True, timeout=5) as response:
        for line in response.iter_lines(decode_unicode=True):
            if line and line.startswith("data:"):  # type: ignore[arg-type]  # decoded, so these are texts
                printed.append(json.loads(line[5:]))
    return printed


def _said(events: list[dict[str, object]]) -> str:
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "run_started"
    assert events[-1]["type"] == "run_completed"
    return "".join(str(event["content"]) for event in events if event["type"] == "content_delta")


@pytest.mark.contract("A40", "A41", "A42", "C6")
async def test_python_examples_live_through_a_silent_step(client: Client):
    base = f"{client.cluster.url}/api"
    agent = await client.agent(model=model(silent_s=SILENT_S, text="here I am"))
    listed, answer, streamed, read = await asyncio.gather(
        asyncio.to_thread(_list_agents, base),
        asyncio.to_thread(_ask, base, agent),
        asyncio.to_thread(_stream, base, agent),
        asyncio.to_thread(_stream_with_requests, base, agent),
    )
    assert "assistant" in listed
    assert answer == "here I am"
    assert _said(streamed) == _said(read) == "here I am"


async def test_python_examples_read_texts_with_odd_line_breaks(client: Client):
    base = f"{client.cluster.url}/api"
    agent = await client.agent(model=model(text=ODD))
    assert _said(await asyncio.to_thread(_stream, base, agent)) == ODD
    assert _said(await asyncio.to_thread(_stream_with_requests, base, agent)) == ODD
    assert await asyncio.to_thread(_ask, base, agent) == ODD


@pytest.mark.contract("A43", "A44", "C5")
@pytest.mark.skipif(
    NODE is None or not (FRONTEND / "node_modules" / "vite").is_dir(), reason="needs npm ci in frontend"
)
async def test_the_typescript_example_reads_a_chat(client: Client):
    agent = await client.agent(model=model(text="from the browser"))
    command = [str(NODE), "--input-type=module", "--eval", TYPESCRIPT, f"{client.cluster.url}/api", agent]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=FRONTEND, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["from ", "the ", "browser", "Completed: 13"], done.stderr
