"""What an execution did, as spans (seed item S44)."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Instant
from agio.api.native.schemas.traces import Span, view_trace
from agio.api.problems import documented
from agio.api.protocols.kasal.execution_shapes import run_name_of
from agio.api.protocols.kasal.executions import ExecutionPath
from agio.domain.executions import ExecutionStatus, status_of
from agio.domain.runs import WORKFLOW_AGENT

router = APIRouter(prefix="/execution-trace", tags=["kasal"])


class SpanView(BaseModel):
    """A stretch of time with what happened in it."""

    id: str
    parent_id: str | None
    kind: str = Field(description="`run` (the execution, or a task's), `step`, `model` or `tool`.")
    name: str
    started_at: Instant | None
    duration_ms: int | None
    status: str
    attributes: dict[str, Any]


class TraceView(BaseModel):
    """What an execution did."""

    execution_id: str
    run_name: str
    status: ExecutionStatus
    spans: list[SpanView] = Field(description="Each behind the one that it is in.")


@router.get(
    "/{execution_id}",
    operation_id="getExecutionTrace",
    summary="Read an execution as spans",
    responses=documented(404),
)
async def get_trace(execution_id: ExecutionPath, engine: EngineDep, caller: CallerDep) -> TraceView:
    """The execution, its tasks, their steps, model calls and tool calls, with their times."""
    run = await engine.executions.find(caller, execution_id)
    whole = view_trace(await engine.trees.trace(caller, execution_id))
    return TraceView(
        execution_id=run.id,
        run_name=run_name_of(run),
        status=status_of(run),
        spans=list(_flat(whole, None)),
    )


def _flat(span: Span, parent_id: str | None) -> Iterator[SpanView]:
    took_ms = span.duration_ms
    if span.kind == "run" and span.started_at and span.ended_at:  # its own figure leaves out what it waited
        took_ms = round((span.ended_at - span.started_at).total_seconds() * 1000)
    yield SpanView(
        id=span.id,
        parent_id=parent_id,
        kind=span.kind,
        name=span.name.removeprefix(WORKFLOW_AGENT),
        started_at=span.started_at,
        duration_ms=took_ms,
        status=span.status,
        attributes=span.attributes,
    )
    for child in span.children:
        yield from _flat(child, span.id)
