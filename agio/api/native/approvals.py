"""The approval inbox: tool calls that wait for a person's word."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.runs import ApprovalView, DecisionBody, view_approval
from agio.api.problems import documented
from agio.domain.errors import NotFound
from agio.engine.commands import Verdict

router = APIRouter(prefix="/approvals", tags=["approvals"])

ApprovalPath = Annotated[str, Path(max_length=128, description="The approval's id.")]


@router.get("", operation_id="listApprovals", summary="List approvals, oldest first", responses=documented())
async def list_approvals(
    engine: EngineDep,
    caller: CallerDep,
    status: Annotated[
        Literal["pending", "approved", "rejected", "cancelled"] | None, Query(description="Left out: all.")
    ] = None,
    run_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[ApprovalView]:
    """Those of a run that ended are cancelled."""
    page = await engine.store.list_approvals(caller.group_id, status=status, run_id=run_id, limit=limit, offset=offset)
    return listed([view_approval(approval) for approval in page.items], page.total, limit, offset)


@router.get("/{approval_id}", operation_id="getApproval", summary="Look at an approval", responses=documented(404))
async def get_approval(approval_id: ApprovalPath, engine: EngineDep, caller: CallerDep) -> ApprovalView:
    """What shall be called, with which arguments, and what was decided."""
    try:
        return view_approval(await engine.store.get_approval(caller.group_id, approval_id))
    except NotFound:
        raise NotFound(f"there is no approval {approval_id!r}") from None


@router.post(
    "/{approval_id}",
    operation_id="decideApproval",
    summary="Approve or reject a tool call",
    responses=documented(404, 409),
)
async def decide_approval(
    approval_id: ApprovalPath, body: DecisionBody, engine: EngineDep, caller: CallerDep
) -> ApprovalView:
    """The run goes on by itself. The same decision once more changes nothing; another one is refused."""
    verdict = Verdict(approval_id=approval_id, **body.model_dump())
    approval, _ = await engine.commands.decide(caller, verdict)
    return view_approval(approval)
