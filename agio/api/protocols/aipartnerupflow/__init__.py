"""aipartnerupflow's wire: task trees over JSON-RPC, event streams and a WebSocket.

A tree is a record until it is executed; then it is a workflow's run, its tasks are child runs.
"""

from fastapi import FastAPI

from agio.api.protocols.aipartnerupflow import routes, socket
from agio.api.protocols.plain import add_tag
from agio.api.routes import add_routes


def install(app: FastAPI) -> None:
    """Add the wire's routes and its tag."""
    add_routes(app, routes.router)
    add_routes(app, socket.router)
    add_tag(app, "aipartnerupflow", "Task trees: JSON-RPC at `/` and `/tasks`, and a WebSocket at `/ws`.")
