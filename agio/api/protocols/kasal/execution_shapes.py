"""Executions on Kasal's wire."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agio.api.native.schemas.common import Body, Instant, JsonObject, View
from agio.api.native.schemas.workflows import TaskView
from agio.api.protocols.kasal.shapes import TEXTS_EXAMPLE, CrewTextFields, ModelName, Written
from agio.domain.crews import OnRestart
from agio.domain.executions import CREW_TAG, Analytics, ExecutionStatus, Sum, seconds_of, status_of, trouble_of
from agio.domain.runs import WORKFLOW_AGENT, Run
from agio.domain.status import RunStatus
from agio.engine.reading import RunDetail

StatusName = Annotated[
    ExecutionStatus, BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given)
]
"""Upper and lower case alike."""


class ExecutionBody(CrewTextFields):
    """A crew to be set to work: a stored one, or one that is written down here."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**TEXTS_EXAMPLE, "inputs": {"topic": "tides"}}]})

    crew_id: str | None = Field(default=None, min_length=1, max_length=128, description="A stored crew.")
    inputs: JsonObject = Field(default_factory=dict, description="`{name}` in the crew's texts stands for these.")
    run_name: str | None = Field(default=None, min_length=1, max_length=200, pattern=r"\S")
    on_restart: OnRestart | None = Field(
        default=None,
        description="When its server dies or stops: another process goes on with it, or it is cancelled. Left out: as "
        "the installation's `AGIO_ON_RESTART` says.",
    )


class NameBody(Body):
    """A crew to find a name for."""

    model_config = ConfigDict(json_schema_extra={"examples": [TEXTS_EXAMPLE]})

    agents_yaml: Written = ""
    tasks_yaml: Written = ""
    model: ModelName | None = Field(default=None, description="Asked for a name; left out: none is.")


class NameView(View):
    """A name."""

    name: str


class StopBody(Body):
    """How to stop an execution."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "wrong inputs"}]})

    stop_type: Literal["graceful", "force"] = Field(
        default="graceful", description="Either way tasks that are finished stay so, and what was said is kept."
    )
    reason: Annotated[str, Field(max_length=2000)] | None = None


class ExecutionStarted(View):
    """An execution was accepted."""

    execution_id: str
    status: ExecutionStatus
    status_text: str = Field(description="The same in lower case.")
    message: str
    run_name: str


class ExecutionRow(BaseModel):
    """An execution, without payloads."""

    id: str
    execution_id: str
    name: str
    run_name: str
    status: ExecutionStatus
    status_text: str = Field(description="The same in lower case.")
    paused: bool = Field(description="It rests because somebody asked.")
    waiting: bool = Field(description="It, or a task of it, waits for a person: see `GET /approvals`.")
    message: str | None = Field(description="Why it did not complete.")
    crew_id: str | None
    total_tokens: int
    duration_s: float | None
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    completed_at: Instant | None


class ExecutionView(ExecutionRow):
    """An execution."""

    result: str | None
    error: str | None
    inputs: dict[str, Any]
    on_restart: OnRestart | None


class PastExecutionView(ExecutionView):
    """An execution with its tasks."""

    tasks: list[TaskView]


class SumView(BaseModel):
    """What executions add up to."""

    total: int
    by_status: dict[str, int]
    total_tokens: int
    mean_duration_s: float | None = Field(description="From their beginning to their end.")
    p95_duration_s: float | None


class DayView(SumView):
    """Those of one day, in UTC."""

    date: date


class AnalyticsView(SumView):
    """What executions add up to, in all and per day."""

    days: list[DayView]
    truncated: bool = Field(description="There are more; the newest ones were counted.")


def run_name_of(run: Run) -> str:
    """Return what an execution is called."""
    return str(run.metadata.get("run_name") or run.agent_id.removeprefix(WORKFLOW_AGENT))


def view_started(run: Run, status: ExecutionStatus, message: str) -> ExecutionStarted:
    """Return what is answered to a command on an execution."""
    return ExecutionStarted(
        execution_id=run.id, status=status, status_text=status.lower(), message=message, run_name=run_name_of(run)
    )


def view_row(run: Run, awaiting: frozenset[str]) -> ExecutionRow:
    """Return an execution as a row of a list; `awaiting`: executions that wait for a person."""
    return ExecutionRow(**_fields(run, awaiting))


def view_execution(detail: RunDetail, awaiting: frozenset[str]) -> ExecutionView:
    """Return an execution, whole."""
    return ExecutionView(**_whole(detail, awaiting))


def view_past(detail: RunDetail, awaiting: frozenset[str], tasks: list[TaskView]) -> PastExecutionView:
    """Return an execution with its tasks."""
    return PastExecutionView(**_whole(detail, awaiting), tasks=tasks)


def _whole(detail: RunDetail, awaiting: frozenset[str]) -> dict[str, Any]:
    run, workflow = detail.run, detail.spec.workflow
    failed = status_of(run) is ExecutionStatus.FAILED
    return {
        **_fields(run, awaiting),
        "result": detail.response,
        "error": trouble_of(run) if failed else None,
        "inputs": workflow.inputs if workflow else {},
        "on_restart": run.on_restart,
    }


def _fields(run: Run, awaiting: frozenset[str]) -> dict[str, Any]:
    status, name = status_of(run), run_name_of(run)
    crews = [tag.removeprefix(CREW_TAG) for tag in run.tags if tag.startswith(CREW_TAG)]
    return {
        "id": run.id,
        "execution_id": run.id,
        "name": name,
        "run_name": name,
        "status": status,
        "status_text": status.lower(),
        "paused": run.status is RunStatus.PAUSED,
        "waiting": run.id in awaiting,
        "message": trouble_of(run),
        "crew_id": crews[0] if crews else None,
        "total_tokens": run.metrics.total_tokens,
        "duration_s": seconds_of(run),
        "group_id": run.group_id,
        "created_by": run.created_by,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "started_at": run.started_at,
        "completed_at": run.ended_at,
    }


def view_analytics(analytics: Analytics, *, truncated: bool) -> AnalyticsView:
    """Return what executions add up to."""
    days = [DayView(date=day, **_sum(one)) for day, one in analytics.days]
    return AnalyticsView(**_sum(analytics.whole), days=days, truncated=truncated)


def _sum(one: Sum) -> dict[str, Any]:
    return {
        "total": one.total,
        "by_status": {status.value: count for status, count in one.by_status.items()},
        "total_tokens": one.total_tokens,
        "mean_duration_s": one.mean_duration_s,
        "p95_duration_s": one.p95_duration_s,
    }
