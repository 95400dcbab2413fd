"""Kasal's wire: its resources under `/api/v1`, and under `/api` like everything else (seed items S7 to S69)."""

from fastapi import APIRouter, FastAPI

from agio.api.protocols.kasal import api_keys, crews, executions, history, logs, scheduler, tasks, traces
from agio.api.protocols.plain import add_tag
from agio.api.routes import add_routes

ROUTERS: tuple[APIRouter, ...] = (
    crews.router,
    tasks.router,
    executions.router,
    history.router,
    logs.router,
    traces.router,
    api_keys.router,
    scheduler.router,
)


def install(app: FastAPI) -> None:
    """Add the wire's routes, under both prefixes, and its tag."""
    for router in ROUTERS:
        add_routes(app, router, prefix="/api")
        add_routes(app, router, prefix="/api/v1", include_in_schema=False)
    scheduler.install_reader(app.state.runtime.engine)
    add_tag(app, "kasal", "Kasal's resources: crews, tasks, executions, their history, logs and traces.")
