"""Two runs side by side."""

from typing import Annotated

from fastapi import APIRouter, Query

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.compare import CompareView, view_comparison
from agio.api.problems import documented
from agio.engine.creation import get_run

router = APIRouter(tags=["runs"])


@router.get("/compare", operation_id="compareRuns", summary="Compare two runs", responses=documented(404))
async def compare_runs(
    engine: EngineDep,
    caller: CallerDep,
    a: Annotated[str, Query(min_length=1, max_length=64, description="Id of the first run.")],
    b: Annotated[str, Query(min_length=1, max_length=64, description="Id of the second run.")],
) -> CompareView:
    """Aligned by step: same, changed or only in one; a fork shows the steps that it took over."""
    comparison = await engine.reading.compare(caller, a, b)
    return view_comparison(
        await get_run(engine.store, caller, a),
        await get_run(engine.store, caller, b),
        comparison,
        await engine.sessions.common_ancestor(caller, a, b),
    )
