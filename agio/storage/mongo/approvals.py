"""Approvals."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agio.domain.approvals import Approval
from agio.storage.mongo.calls import Part, read, write
from agio.storage.mongo.database import Document
from agio.storage.mongo.schema import APPROVALS
from agio.storage.port import Page


class ApprovalMethods(Part):
    """Implements the part of `RunStore` that is about approvals."""

    @read
    async def get_approval(self, group_id: str, approval_id: str) -> Approval:
        return await self._approvals.get(group_id, approval_id)

    @write
    async def update_approval(
        self, group_id: str, approval_id: str, change: Callable[[Approval], Approval]
    ) -> Approval:
        return await self._approvals.change(group_id, approval_id, change)

    @read
    async def list_approvals(
        self,
        group_id: str,
        *,
        status: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page[Approval]:
        where: Document = {"group_id": group_id}
        if status is not None:
            where["status"] = status
        if run_id is not None:
            where["run_id"] = run_id
        return await self._approvals.page(where, limit=limit, offset=offset)

    async def _cancel_pending(self, ended: Mapping[str, datetime]) -> None:
        """Cancel what still waits for a decision about these runs; their ends by run id."""
        wanted = {"pending": {"$in": list(ended)}}
        found = self._database[APPROVALS].find(wanted, {"group_id": 1, "run_id": 1})
        for each in await found.to_list(None):
            await self._cancel(each, ended[each["run_id"]])

    async def _cancel(self, found: Document, at: datetime) -> None:
        def cancelled(approval: Approval) -> Approval:
            if approval.status != "pending":
                return approval
            return replace(approval, status="cancelled", resolved_at=at)

        await self._approvals.change(found["group_id"], found["_id"].partition("/")[2], cancelled)


def fields(approval: Approval) -> dict[str, Any]:
    """Return the fields that approvals are found by."""
    pending = {"pending": approval.run_id} if approval.status == "pending" else {}
    return {"run_id": approval.run_id, "status": approval.status, **pending}
