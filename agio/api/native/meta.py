"""Health, and facts about this installation."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Protocol, runtime_checkable

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep, Runtime, RuntimeDep, get_session_timeout
from agio.api.native.schemas.meta import DocsView, HealthView, InfoView, PlainHealthView, ReadinessView
from agio.api.problems import documented
from agio.domain.agents import Agent
from agio.domain.errors import NotFound, ProviderError, StoreUnavailable
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.settings import Settings

router = APIRouter(tags=["meta"])
probes = APIRouter(prefix="/health", tags=["meta"])
"""For load balancers and orchestrators: at the root, where they look."""

_LOADED_AT = time.monotonic()
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "The store is away, or the process stops.", "model": ReadinessView}
}
COUNT_TIMEOUT_S = 0.5
PING_TIMEOUT_S = 1.0

FALLBACK_AGENT = "assistant"
"""The default agent where the composition root names none."""

FEATURES = ("approvals", "checkpoints", "compare", "fork", "http_tools", "multiplexed_events", "pause", "restore")
"""What every installation can do."""

DOCS = DocsView(swagger="/docs", redoc="/redoc", openapi="/openapi.json")
NO_DOCS = DocsView(swagger=None, redoc=None, openapi=None)


def facts_of(request: Request) -> Mapping[str, Any]:
    """Return what was left about the installation at `app.state.info`, if anything, over its settings."""
    settings: Settings | None = getattr(request.app.state, "settings", None)
    facts: dict[str, Any] = {"default_agent": FALLBACK_AGENT, "features": {}, "docs": True}
    if settings is not None:
        features = {"access_control": request.app.state.access.checks}
        facts |= {"default_agent": settings.default_agent, "features": features, "docs": settings.docs_enabled}
    return facts | dict(getattr(request.app.state, "info", None) or {})


async def get_default_agent(request: Request, engine: Engine, caller: Caller) -> Agent | None:
    """Return the default agent, else the one of a fresh installation, None when there is neither."""
    for agent_id in (facts_of(request)["default_agent"], FALLBACK_AGENT):
        try:
            return await engine.agents.get(caller, agent_id)
        except NotFound:
            continue
    return None


@runtime_checkable
class _SaysWhatIsSetUp(Protocol):
    """Providers that tell which of them can be called."""

    def configured(self) -> list[str]:
        """Return the names of the real models' providers that are set up here."""
        ...


def real_providers(engine: Engine, provider: str | None) -> list[str]:
    """Return the names of the real models' providers that are set up, as far as it can be told."""
    if isinstance(engine.providers, _SaysWhatIsSetUp):
        return engine.providers.configured()
    return [provider] if provider is not None and is_demo(engine, provider) is False else []


def is_demo(engine: Engine, provider: str | None) -> bool | None:
    """Say whether a provider is no real one; None: it is not configured."""
    if provider is None:
        return None
    try:
        return engine.providers.get(provider).is_demo
    except ProviderError:
        return None


async def count_sessions(request: Request, runtime: Runtime) -> int:
    """Return how many sessions are in use, or were when that could be told last: a probe must be quick."""
    state = request.app.state
    if runtime.ready:
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(COUNT_TIMEOUT_S):
                state.sessions_counted = await runtime.engine.conversations.count_used(get_session_timeout(request))
    counted: int = getattr(state, "sessions_counted", 0)
    return counted


@router.get(
    "/health",
    operation_id="getHealth",
    summary="See that the server answers",
    response_model_exclude_none=True,
    responses=documented(),
)
async def get_health(
    request: Request,
    runtime: RuntimeDep,
    components: Annotated[bool, Query(description="Say how the parts are too.")] = False,
) -> HealthView:
    """Needs no database; `components=true` says whether it can be reached."""
    parts = {"store": "ready" if runtime.ready else "away"} if components else None
    return HealthView(version=request.app.version, timestamp=utc_now(), components=parts)


@probes.get("", operation_id="probeHealth", summary="See that the process runs", responses=documented())
async def probe_health(request: Request, runtime: RuntimeDep) -> PlainHealthView:
    """Needs no database; while that is away, `sessions` is what it was."""
    uptime = round(time.monotonic() - _LOADED_AT, 3)
    sessions = await count_sessions(request, runtime)
    return PlainHealthView(version=request.app.version, timestamp=utc_now(), sessions=sessions, uptime=uptime)


@probes.get(
    "/ready",
    operation_id="probeReadiness",
    summary="See whether to send requests here",
    response_model=ReadinessView,
    responses=documented() | NOT_READY,
)
async def probe_readiness(
    runtime: RuntimeDep,
    components: Annotated[bool, Query(description="Say which part is not.")] = False,
) -> Response:
    """Not while the database is away, the worker is not at work, or once the process was told to stop."""
    parts = {
        "store": "ready" if await _store_answers(runtime) else "away",
        "worker": "ready" if runtime.ready and runtime.engine.worker.is_working else "stopped",
        "process": "draining" if runtime.draining else "ready",
    }
    ready = set(parts.values()) == {"ready"}
    body: dict[str, Any] = {"status": "ready" if ready else "not_ready"}
    return JSONResponse(body | ({"components": parts} if components else {}), 200 if ready else 503)


async def _store_answers(runtime: Runtime) -> bool:
    if not runtime.ready:
        return False
    try:
        async with asyncio.timeout(PING_TIMEOUT_S):
            await runtime.engine.store.ping()
    except (TimeoutError, StoreUnavailable):
        return False
    return True


@router.get("/info", operation_id="getInfo", summary="Read facts about the server", responses=documented())
async def get_info(request: Request, engine: EngineDep, caller: CallerDep) -> InfoView:
    """What is switched on, and what the default agent talks to."""
    facts = facts_of(request)
    agent = await get_default_agent(request, engine, caller)
    provider = facts.get("provider") or (agent.provider if agent else None)
    providers = real_providers(engine, provider)
    return InfoView(
        version=request.app.version,
        store=engine.store.name,
        hint_source=engine.store.hint_source,
        features=dict.fromkeys(FEATURES, True) | facts["features"],
        default_agent=agent.id if agent else facts["default_agent"],
        provider=provider,
        model=facts.get("model") or (agent.model if agent else None),
        providers=providers,
        provider_configured=bool(providers),
        demo=is_demo(engine, provider) is True,
        docs=DOCS if facts["docs"] else NO_DOCS,
    )
