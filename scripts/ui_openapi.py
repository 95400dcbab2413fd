"""Write the part of the OpenAPI document that the UI's types are generated from.

Only the calls that the UI makes, and only their shapes: a new route or a better text elsewhere asks for nothing here.
`python -m scripts.ui_openapi` writes it, with `--check` it exits with 1 when it is stale; `npm run types` makes
TypeScript of it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agio.api.app import create_app
from agio.settings import Settings

FILE = Path(__file__).resolve().parents[1] / "frontend" / "openapi.json"

CALLS = """
GET /api/info
GET,POST /api/agents
GET,PATCH,DELETE /api/agents/{agent_id}
GET /api/agents/{agent_id}/versions
GET,POST /api/runs
GET,DELETE /api/runs/{run_id}
GET /api/runs/{run_id}/events
GET /api/runs/{run_id}/steps
GET /api/runs/{run_id}/messages
GET /api/runs/{run_id}/trace
GET,POST /api/runs/{run_id}/checkpoints
POST /api/runs/{run_id}/pause
POST /api/runs/{run_id}/resume
POST /api/runs/{run_id}/cancel
POST /api/runs/{run_id}/retry
GET,PATCH /api/checkpoints/{checkpoint_id}
GET /api/checkpoints/{checkpoint_id}/diff
POST /api/checkpoints/{checkpoint_id}/plan
POST /api/checkpoints/{checkpoint_id}/restore
POST /api/checkpoints/{checkpoint_id}/fork
GET /api/approvals
POST /api/approvals/{approval_id}
GET /api/sessions
GET,PATCH,DELETE /api/sessions/{session_id}
GET /api/sessions/{session_id}/messages
GET /api/sessions/{session_id}/tree
GET /api/compare
GET,POST /api/tools
PATCH,DELETE /api/tools/{tool_id}
POST /api/tools/{tool_id}/test
GET /api/me
GET,POST /api/access-keys
DELETE /api/access-keys/{key_id}
GET,POST /api/users
PATCH,DELETE /api/users/{name}
GET,POST /api/schedules
POST /api/scheduler/schedules
PATCH,DELETE /api/schedules/{schedule_id}
POST /api/schedules/{schedule_id}/run
GET /api/schedules/{schedule_id}/fires
GET,POST /api/crews
PUT,DELETE /api/crews/{crew_id}
POST /api/crews/debug
GET,POST /api/tasks
PUT,DELETE /api/tasks/{task_id}
GET,POST /api/templates
PATCH,DELETE /api/templates/{template_id}
GET,POST /api/models
PATCH,DELETE /api/models/{model_name}
GET,POST /api/executions
POST /api/agent-generation/generate
POST /api/task-generation/generate
POST /api/crew-generation/generate
GET,POST /api/keys
DELETE /api/keys/{key_id}
POST /auth/login
POST /auth/logout
"""
"""Methods and path of every call that the UI makes."""

_TEXTS = {"description", "summary", "title", "example", "examples", "operationId", "tags", "default", "security"}


def ui_document() -> dict[str, Any]:
    """Return the document with the UI's calls, the schemas that they name, and no texts.

    Raises:
        KeyError: the API has no such call any more.
    """
    whole = create_app(Settings()).openapi()
    paths: dict[str, Any] = {}
    for line in CALLS.split("\n"):
        methods, _, path = line.partition(" ")
        for method in methods.split(",") if path else ():
            paths.setdefault(path, {})[method.lower()] = _call(whole["paths"][path][method.lower()])
    schemas: dict[str, Any] = {}
    waiting = list(_names(paths))
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _bare(whole["components"]["schemas"][name])
            waiting += _names(schemas[name])
    document = {"openapi": whole["openapi"], "info": {"title": "Agio", "version": "1"}, "paths": paths}
    return document | {"components": {"schemas": dict(sorted(schemas.items()))}}


def _call(operation: dict[str, Any]) -> dict[str, Any]:
    """Keep parameters, body and JSON answers of success."""
    kept: dict[str, Any] = {"parameters": [p for p in operation.get("parameters", []) if p["in"] != "header"]}
    if "requestBody" in operation:
        kept["requestBody"] = operation["requestBody"]
    kept = {name: _bare(part) for name, part in kept.items()}
    kept["responses"] = {}
    for code, answer in operation["responses"].items():
        if code.startswith("2"):
            kept["responses"][code] = {"description": ""}
            if body := answer.get("content", {}).get("application/json"):
                kept["responses"][code]["content"] = {"application/json": _bare(body)}
    return kept


def _bare(part: Any, *, inside_properties: bool = False) -> Any:
    """Return the part without texts; a property may be called `title`."""
    if isinstance(part, list):
        return [_bare(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _bare(value, inside_properties=name == "properties")
        for name, value in part.items()
        if inside_properties or name not in _TEXTS
    }


def _names(part: Any) -> Iterator[str]:
    """Yield the schemas that the part refers to."""
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for value in part.values():
            yield from _names(value)
    elif isinstance(part, list):
        for item in part:
            yield from _names(item)


def main() -> int:
    """Write the file, or check it."""
    text = json.dumps(ui_document(), indent=1, sort_keys=True) + "\n"
    if "--check" not in sys.argv:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.read_text(encoding="utf-8") == text:
        return 0
    print("frontend/openapi.json is stale: run `make types`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
