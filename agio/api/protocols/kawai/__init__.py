"""Kawai's wire: one agent per server, `/chat`, `/stream` and `/sessions` at the root (seed items K12 to K48)."""

from fastapi import FastAPI

from agio.api.protocols.kawai import routes
from agio.api.protocols.plain import add_tag
from agio.api.routes import add_routes


def install(app: FastAPI) -> None:
    """Add the wire's routes and its tag."""
    add_routes(app, routes.router)
    add_tag(app, "kawai", "The wire of Kawai's clients; the served or default agent answers.")
