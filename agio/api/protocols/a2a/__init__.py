"""Agent2Agent (A2A) 1.0 and 0.3 on the same addresses, over JSON-RPC and HTTP+JSON, through the official `a2a-sdk`.

Contexts are sessions, tasks are runs, input-required is an approval.
"""

import logging

import a2a.server.routes  # noqa: F401 - before a2a.compat, which it goes in a circle with
from fastapi import FastAPI

from agio.api.protocols.a2a import push, routes
from agio.api.protocols.plain import add_tag
from agio.api.routes import add_routes


def install(app: FastAPI) -> None:
    """Add the wire's routes and its tag, and let webhooks speak it."""
    # It logs whole requests, with a trace for each that is malformed; what goes wrong in here is logged by us.
    logging.getLogger("a2a").setLevel(logging.CRITICAL)
    add_routes(app, routes.router)
    add_tag(app, "a2a", "Agent2Agent 1.0 and 0.3 below `/a2a/{agent_id}`; agent cards.")
    engine = app.state.runtime.engine
    engine.worker.dispatcher.forms |= push.forms(engine)
