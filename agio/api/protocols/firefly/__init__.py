"""Firefly's wire: agents by name, conversations, and a WebSocket (seed items F11 to F25 and F44 to F56)."""

from fastapi import FastAPI

from agio.api.protocols.firefly import conversations, routes, socket
from agio.api.protocols.plain import add_tag
from agio.api.routes import add_routes


def install(app: FastAPI) -> None:
    """Add the wire's routes and its tag."""
    for router in (conversations.router, routes.router, socket.router):
        add_routes(app, router)
    add_tag(app, "firefly", "The wire of Firefly's clients. Its WebSocket is `/ws/agents/{name}`.")
