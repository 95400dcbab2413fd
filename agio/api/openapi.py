"""What the OpenAPI document says beyond the routes."""

import json
import re
from typing import Any

from fastapi import FastAPI

from agio.api.access import is_open
from agio.api.native.schemas.runs import ChatAnswer
from agio.api.native.schemas.traces import EventList
from agio.api.problems import Problem

TEXT = """Durable, controllable runs of LLM agents.

A **run** lives on when its client leaves: read its events from any worker, pause, resume or cancel it, restore or
fork it from any checkpoint. Start with `POST /api/chat`; its stream's first event names the run.

Errors are problem bodies (RFC 9457) with a stable `type`. Every creating call takes an `Idempotency-Key`.
"""
TAGS = {
    "chat": "A message in, a run out.",
    "runs": "Look, follow, command.",
    "checkpoints": "Restore, fork, plan, diff.",
    "approvals": "Decisions that runs wait for.",
    "sessions": "Conversations, their branches and trees.",
    "agents": "What runs are started from.",
    "tools": "What agents may call.",
    "webhooks": "Be told when runs end.",
    "events": "Many runs in one stream.",
    "access": "Logins, users, access keys, stream tokens.",
    "workflows": "Crews and task trees as runs.",
    "schedules": "What is started again and again.",
    "models": "Names of a group's own for models.",
    "templates": "Prompts with variables.",
    "generation": "Agents, tasks and crews, drafted by a model.",
    "meta": "Health and facts.",
}


SCHEMES = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A configured or issued key."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `POST /auth/login`, or a key."},
}


_MODULE = re.compile(r"^agio__api__(?:native|protocols__(?P<wire>[a-z0-9]+))__\w+__(?=[A-Z])")
"""What FastAPI puts before one of several schemas of one name."""


def describe(app: FastAPI) -> None:
    """Let the application's OpenAPI document carry texts, tags and the shapes of problems."""
    app.description = TEXT
    app.openapi_tags = [{"name": name, "description": text} for name, text in TAGS.items()]
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for model in (Problem, ChatAnswer, EventList):
                made = model.model_json_schema(ref_template="#/components/schemas/{model}")
                for name, definition in made.pop("$defs", {}).items():
                    schemas.setdefault(name, definition)
                schemas.setdefault(model.__name__, made)
            if app.state.access.checks:
                _add_security(document)
            app.openapi_schema = _named_plainly(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _named_plainly(document: dict[str, Any]) -> dict[str, Any]:
    """Give schemas short names, a neighbour's with its wire before it: generators make classes of their titles."""
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    for name in [name for name in schemas if "__" in name]:
        short = _MODULE.sub(lambda found: (found["wire"] or "").title(), name)
        if short != name and (short not in schemas or schemas[short] == schemas[name]):
            text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{short}"')
            text = text.replace(f'"{name}": {{', f'"{short}": {{')
    named: dict[str, Any] = json.loads(text)
    for name, schema in named["components"]["schemas"].items():
        schema["title"] = name
    return named


def _add_security(document: dict[str, Any]) -> None:
    """Say which credentials are taken, and which operations need none."""
    document["components"]["securitySchemes"] = SCHEMES
    document["security"] = [{name: []} for name in SCHEMES]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if is_open(method.upper(), path):
                operation["security"] = []
