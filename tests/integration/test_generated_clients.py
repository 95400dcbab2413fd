"""Clients that others generate from the API's own description: they compile, and hold a chat.

`make test` installs the generators where it can; openapi-python-client has an environment of its own, for it wants
another typer than Agio.
"""

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from agio.api.app import create_app
from agio.settings import Settings
from tests.api.serving import Api, listening, serving
from tests.support.server import ROOT

NODE = shutil.which("node")
TOOLS = ROOT / "frontend" / "node_modules" / ".bin"
PYTHON = ROOT / ".venv" / "clients" / "bin" / "python"

TYPESCRIPT = """
import type { components, paths } from "./wire.js";

type Operation<P extends keyof paths, M extends "get" | "post"> = NonNullable<paths[P][M]>;
type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type Answer<O> = O extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;
declare const process: { argv: string[] };
const base = process.argv[2];

async function get<P extends keyof paths>(path: P): Promise<Answer<Operation<P, "get">>> {
  return (await fetch(base + path)).json();
}

async function post<P extends keyof paths>(
  path: P,
  body: Body<Operation<P, "post">>,
): Promise<Answer<Operation<P, "post">>> {
  const headers = { "content-type": "application/json" };
  return (await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

const agents = await get("/api/agents");
const first: components["schemas"]["AgentView"] | undefined = agents.items[0];
if (first === undefined) throw new Error("no agent");
const answer = await post("/api/chat", { agent_id: first.id, message: "hello", stream: false });
// @ts-expect-error the answer has no such member, so it is typed
void answer.nothing;
// @ts-expect-error a message is a text or parts, so the body is typed
void ((): unknown => post("/api/chat", { agent_id: "writer", message: 1 }));
const response: string | null = answer.response;
console.log(JSON.stringify({ response, status: answer.status, agent: first.id }));
"""

CHAT = """
import json
import sys

from agio_client import Client
from agio_client.api.agents import list_agents
from agio_client.api.chat import chat
from agio_client.api.runs import get_run
from agio_client.models import ListOfAgentView, ChatAnswer, ChatBody, RunView

with Client(base_url=sys.argv[1]) as client:
    agents = list_agents.sync(client=client)
    assert isinstance(agents, ListOfAgentView), agents
    answer = chat.sync(client=client, body=ChatBody(agent_id=agents.items[0].id, message="hello", stream=False))
    assert isinstance(answer, ChatAnswer), answer
    run = get_run.sync(answer.run_id, client=client)
    assert isinstance(run, RunView), run
    print(json.dumps({"response": answer.response, "status": run.status, "agent": run.agent_id}))
"""
SAID = {"response": "fine", "status": "completed", "agent": "writer"}


async def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command to its good end; return what it printed."""
    env = {**os.environ, **variables}
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=env, stdout=-1, stderr=-1)
    out, trouble = await process.communicate()
    assert process.returncode == 0, f"{command}: {out.decode()}{trouble.decode()}"
    return out.decode()


def operations(document: dict[str, Any]) -> Sequence[str]:
    """Return the ids of all operations."""
    return [operation["operationId"] for path in document["paths"].values() for operation in path.values()]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def test_the_document_is_valid_and_every_operation_has_an_id_of_its_own(document: dict[str, Any]):
    validate(document)
    ids = Counter(operations(document))
    assert [name for name, count in ids.items() if count > 1] == []
    assert len(ids) > 100


def test_every_schema_has_a_short_title_of_its_own(document: dict[str, Any]):
    """Generators make classes of the titles; those of one title get lost."""
    titles = {name: schema["title"] for name, schema in document["components"]["schemas"].items()}
    assert {name for name, title in titles.items() if name != title} == set()
    assert [name for name in titles if "__" in name] == []


@pytest.fixture
def description(tmp_path: Path, document: dict[str, Any]) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    return path


async def talk(api: Api, *command: str | Path, cwd: Path, **variables: str) -> Any:
    """Run a client against the API over HTTP; return what it printed."""
    async with listening(api) as http:
        return json.loads(await run(*command, _base(http), cwd=cwd, **variables))


def _base(http: httpx.AsyncClient) -> str:
    return str(http.base_url).rstrip("/")


async def test_a_typescript_client_compiles_and_holds_a_chat(tmp_path: Path, description: Path):
    if NODE is None or not (TOOLS / "openapi-typescript").exists():
        pytest.skip("NO TYPESCRIPT GENERATOR: make test installs it where there is npm")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "chat.ts").write_text(TYPESCRIPT)
    generator = TOOLS / "openapi-typescript"
    await run(generator, description, "-o", "wire.ts", "--default-non-nullable", "false", cwd=tmp_path)
    options = ["--strict", "--target", "ES2022", "--module", "nodenext", "--lib", "ES2023,DOM"]
    await run(TOOLS / "tsc", *options, "--outDir", "out", "chat.ts", cwd=tmp_path)
    (tmp_path / "out" / "package.json").write_text('{"type": "module"}')
    async with serving(tmp_path) as api:
        assert await talk(api, NODE, "out/chat.js", cwd=tmp_path) == SAID


async def test_a_python_client_is_whole_and_holds_a_chat(tmp_path: Path, description: Path):
    if not PYTHON.exists():
        pytest.skip("NO PYTHON GENERATOR: make test installs it")
    (tmp_path / "generator.yaml").write_text("post_hooks: []\n")
    (tmp_path / "chat.py").write_text(CHAT)
    command: list[str | Path] = [
        PYTHON,
        "-m",
        "openapi_python_client",
        "generate",
        "--fail-on-warning",
        "--meta",
        "none",
    ]
    command += ["--path", description, "--output-path", "agio_client", "--config", "generator.yaml"]
    await run(*command, cwd=tmp_path)
    await run(sys.executable, "-m", "compileall", "-q", "agio_client", cwd=tmp_path)
    async with serving(tmp_path) as api:
        assert await talk(api, PYTHON, "chat.py", cwd=tmp_path, PYTHONPATH=str(tmp_path)) == SAID
