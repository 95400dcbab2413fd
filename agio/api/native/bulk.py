"""One command for several runs."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.runs import BulkAnswer, BulkBody, BulkRow, RunSelection
from agio.api.problems import documented
from agio.domain.errors import AgioError, NotFound
from agio.domain.runs import Run, RunFilter
from agio.domain.status import LIVE, RunStatus
from agio.engine.caller import Caller
from agio.engine.commands import ResumeRequest
from agio.engine.engine import Engine

router = APIRouter(prefix="/runs", tags=["runs"])


async def _bulk(
    engine: Engine, caller: Caller, selection: RunSelection, command: Callable[[str], Awaitable[Run]]
) -> BulkAnswer:
    rows: list[BulkRow] = []
    for run_id in await _selected(engine, caller, selection):
        try:
            run = await command(run_id)
            rows.append(BulkRow(run_id=run_id, ok=True, status=run.status, message="accepted"))
        except AgioError as error:
            status: Any = getattr(error, "status", None)
            rows.append(BulkRow(run_id=run_id, ok=False, status=status, type=error.code, message=str(error)))
    return BulkAnswer(items=rows, total=len(rows), accepted=sum(row.ok for row in rows))


async def _selected(engine: Engine, caller: Caller, selection: RunSelection) -> list[str]:
    if selection.run_ids is not None:
        wanted = list(dict.fromkeys(selection.run_ids))
        return [run_id for run_id in wanted if await _fits(engine, caller, run_id, selection)]
    where = RunFilter(
        statuses=frozenset(selection.status) if selection.status else LIVE,
        agent_id=selection.agent_id,
        session_id=selection.session_id,
        tag=selection.tag,
    )
    found: list[str] = []
    while True:
        page = await engine.store.list_runs(caller.group_id, where, limit=100, offset=len(found), newest_first=False)
        found += [run.id for run in page.items]
        if not page.items or len(found) >= page.total:
            return found


async def _fits(engine: Engine, caller: Caller, run_id: str, selection: RunSelection) -> bool:
    try:
        run = await engine.store.get_run(caller.group_id, run_id)
    except NotFound:
        return True  # its row shall say that there is none
    return (
        (selection.status is None or run.status in selection.status)
        and selection.agent_id in (None, run.agent_id)
        and selection.session_id in (None, run.session_id)
        and (selection.tag is None or selection.tag in run.tags)
    )


@router.post("/cancel", operation_id="cancelRuns", summary="Cancel several runs", responses=documented())
async def cancel_runs(body: BulkBody, engine: EngineDep, caller: CallerDep) -> BulkAnswer:
    """An empty filter means all live runs; the answer has a row per run."""
    return await _bulk(
        engine, caller, body.filter, lambda run_id: engine.commands.cancel(caller, run_id, reason=body.reason)
    )


@router.post("/pause", operation_id="pauseRuns", summary="Pause several runs", responses=documented())
async def pause_runs(body: BulkBody, engine: EngineDep, caller: CallerDep) -> BulkAnswer:
    """An empty filter means all live runs; the answer has a row per run."""
    return await _bulk(
        engine,
        caller,
        body.filter,
        lambda run_id: engine.commands.pause(caller, run_id, mode=body.mode, reason=body.reason),
    )


@router.post("/resume", operation_id="resumeRuns", summary="Resume several runs", responses=documented())
async def resume_runs(body: BulkBody, engine: EngineDep, caller: CallerDep) -> BulkAnswer:
    """Without a status in the filter: all paused runs; the answer has a row per run."""
    selection = body.filter
    if selection.status is None and selection.run_ids is None:
        selection = selection.model_copy(update={"status": [RunStatus.PAUSED]})
    return await _bulk(
        engine, caller, selection, lambda run_id: engine.commands.resume(caller, run_id, ResumeRequest())
    )
