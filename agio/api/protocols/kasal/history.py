"""What became of executions (seed items S40, S41, S45)."""

from fastapi import APIRouter

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset
from agio.api.native.schemas.workflows import view_tree
from agio.api.problems import documented
from agio.api.protocols.kasal.execution_shapes import (
    AnalyticsView,
    ExecutionRow,
    PastExecutionView,
    view_analytics,
    view_past,
)
from agio.api.protocols.kasal.executions import CallerInGroup, ExecutionPath, Wanted, rows_of

router = APIRouter(prefix="/execution-history", tags=["kasal"])


@router.get("", operation_id="listExecutionHistory", summary="List executions, newest first", responses=documented())
async def list_history(
    engine: EngineDep, caller: CallerInGroup, wanted: Wanted, limit: Limit = 50, offset: Offset = 0
) -> ListOf[ExecutionRow]:
    """Those at work included."""
    return await rows_of(engine, caller, wanted, limit, offset)


@router.get(
    "/analytics",
    operation_id="analyseExecutions",
    summary="Count executions",
    responses=documented(),
)
async def analyse_history(engine: EngineDep, caller: CallerInGroup, wanted: Wanted) -> AnalyticsView:
    """By status and by day, with durations and tokens."""
    analytics, is_cut = await engine.executions.analyse(caller, wanted)
    return view_analytics(analytics, truncated=is_cut)


@router.get(
    "/{execution_id}",
    operation_id="getExecutionHistory",
    summary="Look at an execution with its tasks",
    responses=documented(404),
)
async def get_history(execution_id: ExecutionPath, engine: EngineDep, caller: CallerDep) -> PastExecutionView:
    """With what each task answered."""
    detail = await engine.executions.get(caller, execution_id)
    tree = view_tree(await engine.trees.read(caller, execution_id))
    return view_past(detail, await engine.executions.awaiting_people(caller, [detail.run]), tree.tasks)
