"""The application: routers, middleware, life cycle."""

import gc
import logging
import multiprocessing
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from agio import __version__
from agio.api import docs, problems, protocols, ui
from agio.api.access import authorise
from agio.api.context import Runtime
from agio.api.guarding import SecurityHeaders, guard
from agio.api.metering import Metering
from agio.api.middleware import RequestId
from agio.api.native import (
    access_keys,
    agents,
    approvals,
    bulk,
    chat,
    checkpoints,
    compare,
    generation,
    llm_keys,
    login,
    meta,
    metrics,
    models,
    multiplex,
    runs,
    schedules,
    sessions,
    templates,
    tools,
    users,
    webhooks,
    workflows,
)
from agio.api.openapi import describe
from agio.api.routes import add_routes, work_out
from agio.api.tracing import CallersTrace
from agio.bootstrap import DeclaredAgent, find_ui, make_access, make_runtime
from agio.bootstrap.access import read_limit
from agio.bootstrap.serving import check_open, uvicorn_host
from agio.domain.agents import Agent
from agio.domain.errors import Invalid
from agio.observability.logs import setup_logging
from agio.observability.metrics import Metrics
from agio.observability.traces import Traces
from agio.settings import Settings, load_settings
from agio.tools import Tool

log = logging.getLogger(__name__)

ROUTERS: tuple[APIRouter, ...] = (
    meta.router,
    agents.router,
    chat.router,
    bulk.router,
    checkpoints.router,
    runs.router,
    approvals.router,
    sessions.router,
    compare.router,
    multiplex.router,
    tools.router,
    login.about_me,
    access_keys.router,
    llm_keys.router,
    users.router,
    webhooks.router,
    workflows.router,
    schedules.router,
    models.router,
    templates.router,
    generation.router,
)


def create_app(
    settings: Settings | None = None,
    *,
    title: str = "Agio",
    version: str = __version__,
    agents: Iterable[Agent | DeclaredAgent] = (),
    tools: Iterable[Tool | Callable[..., Any]] = (),
    enable_cors: bool = True,
    cors: bool | None = None,
    cors_origins: Sequence[str] | None = None,
    runtime: Runtime | None = None,
    ui_dir: Path | None = None,
) -> FastAPI:
    """Return the whole server as one ASGI application.

    Args:
        settings: None: from the environment and `.env`.
        title: shown in the OpenAPI document.
        version: shown in the OpenAPI document.
        agents: made in Python; read-only over the API.
        tools: made in Python, for these agents and for those made over the API.
        enable_cors: answer browsers of other origins.
        cors: another name of `enable_cors`.
        cors_origins: which origins; None: as the settings say.
        runtime: an engine made elsewhere, in place of one made from the settings.
        ui_dir: the built UI; None: the one of the package or checkout.
    """
    settings = settings or load_settings()
    made = runtime or make_runtime(settings, agents=agents, tools=tools)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work_out(app)
        await made.start()
        try:
            yield
        finally:
            await made.stop()

    app = _make_app(title, version, lifespan)
    app.state.runtime = made
    app.state.access = access = make_access(settings, made.engine.store)
    app.state.settings = settings
    problems.install(app)
    _add_routes(app, settings, ui_dir)
    guard(app, settings, access, read_limit(settings.rate_limit) if settings.rate_limit else None)
    if enable_cors if cors is None else cors:
        _allow_origins(app, list(cors_origins if cors_origins is not None else settings.cors_origins))
    app.add_middleware(SecurityHeaders)
    _meter(app, made)
    traces: Traces | None = getattr(made, "traces", None)
    if traces is not None:
        app.add_middleware(CallersTrace, traces=traces)
    app.add_middleware(RequestId)
    return app


def _make_app(title: str, version: str, lifespan: Callable[[FastAPI], Any]) -> FastAPI:
    return FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(authorise)],
    )


def _add_routes(app: FastAPI, settings: Settings, ui_dir: Path | None) -> None:
    for router in ROUTERS:
        add_routes(app, router, prefix="/api")
        add_routes(app, router, prefix="/api/v1", include_in_schema=False)
    for router in (meta.probes, login.router, metrics.router):
        add_routes(app, router)
    describe(app)
    protocols.install(app, settings.wires)
    if settings.docs_enabled:
        docs.install(app)
    ui.mount(app, ui_dir or find_ui())


def _meter(app: FastAPI, runtime: Runtime) -> None:
    """Count requests, refused ones included, unless the figures are switched off."""
    figures: Metrics | None = getattr(runtime, "metrics", None)
    app.state.metrics = figures
    if figures is not None:
        app.add_middleware(Metering, metrics=figures)


def _allow_origins(app: FastAPI, origins: list[str]) -> None:
    """Answer other origins; credentials only where they are named one by one (browsers demand it)."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_credentials="*" not in origins,
        expose_headers=[
            *("X-Request-ID", "X-Run-ID", "X-Session-ID", "Location", "Retry-After", "WWW-Authenticate"),
            *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"),
        ],
    )


def _refuse_to_be_open(settings: Settings) -> None:
    """Stop uvicorn's command on a public address where nobody is checked.

    Not in a process that uvicorn's supervisor would start again and again: there every remote call is refused.
    """
    host = uvicorn_host(sys.argv, os.environ)
    if host is None:
        return
    try:
        check_open(settings, host)
    except Invalid as error:
        if multiprocessing.parent_process() is None:
            raise
        log.error("this server answers its own machine only", extra={"reason": str(error)})


def __getattr__(name: str) -> Any:
    """Make `app` on demand, so that importing this module opens nothing."""
    if name != "app":
        raise AttributeError(name)
    settings = load_settings()
    if not logging.getLogger().handlers:  # plain `uvicorn agio.api.app:app`
        setup_logging(settings.log_level, settings.log_format)
    _refuse_to_be_open(settings)
    made = create_app(settings)
    globals()["app"] = made
    # What is there by now stays: looking through it stops the loop for a tenth of a second, again and again.
    gc.freeze()
    return made
