"""`GET /metrics`, for Prometheus."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from agio.api.context import Runtime, RuntimeDep
from agio.api.problems import documented
from agio.domain.errors import NotFound, StoreUnavailable
from agio.domain.status import LIVE
from agio.observability.metrics import CONTENT_TYPE, LookedUp, Metrics, render_gauges

router = APIRouter(tags=["meta"])

STORE_TIMEOUT_S = 2.0
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Figures of the whole server.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Read the server's figures, as Prometheus does",
    response_model=None,
    responses=TEXT | documented(404),
)
async def get_metrics(request: Request, runtime: RuntimeDep) -> Response:
    """Of all processes of this server, whichever answers. Switched off by `AGIO_METRICS_ENABLED=false`."""
    metrics: Metrics | None = getattr(request.app.state, "metrics", None)
    if metrics is None:
        raise NotFound("metrics are switched off here")
    figures = await asyncio.to_thread(metrics.render)
    return Response(figures + await _look_up(runtime), media_type=CONTENT_TYPE)


async def _look_up(runtime: Runtime) -> bytes:
    """Return what only the database knows. It is the same whichever server is asked."""
    gauges = [LookedUp("agio_store_up", "The database answers.", "", {"": 0.0})]
    if runtime.ready:
        store = runtime.engine.store
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(STORE_TIMEOUT_S):
                living = await store.living(runtime.engine.settings.lease_s)
                counted = await store.count_live()
            runs = {status.value: float(counted.get(status, 0)) for status in sorted(LIVE)}
            gauges = [
                LookedUp("agio_store_up", "The database answers.", "", {"": 1.0}),
                LookedUp("agio_workers", "Living worker processes on this database.", "", {"": float(len(living))}),
                LookedUp("agio_runs", "Runs on this database that have not ended.", "status", runs),
            ]
    return render_gauges(gauges)
