"""Which runs a list shows, and where it goes on."""

import base64
import binascii
import json
from typing import Any

from agio.domain.errors import Invalid
from agio.domain.runs import RunFilter
from agio.storage.codec import to_micros
from agio.storage.mongo import keys
from agio.storage.mongo.database import Document
from agio.storage.mongo.kinds import containing


def condition(group_id: str, where: RunFilter) -> Document:
    """Return the condition of the runs to list."""
    exact: dict[str, Any] = {
        "agent_id": where.agent_id,
        "session_id": where.session_id,
        "branch": keys.in_group(group_id, where.branch_id) if where.branch_id is not None else None,
        "parent": where.parent_run_id,
        "tags": where.tag,
    }
    found: Document = {"group_id": group_id}
    found.update((name, value) for name, value in exact.items() if value is not None)
    if where.statuses is not None:
        found["status"] = {"$in": sorted(status.value for status in where.statuses)}
    created: Document = {}
    if where.since is not None:
        created["$gte"] = to_micros(where.since)
    if where.until is not None:
        created["$lt"] = to_micros(where.until)
    if created:
        found["created_at"] = created
    if where.workflows_only:
        found["flow"] = True
    if where.text:
        found["$or"] = [{name: containing(where.text)} for name in ("_id", "preview", "agent_id")]
    return found


def cursor_at(document: Document) -> str:
    """Return the cursor that marks the place of this run."""
    text = json.dumps([document["created_at"], document["_id"]], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def beyond(cursor: str, direction: str) -> Document:
    """Return the condition of the runs on one side (`$lt`, `$gt`) of a cursor. Raises `Invalid`."""
    try:
        created_at, run_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(created_at, int) or not isinstance(run_id, str) or abs(created_at) >= 2**62:
            raise ValueError("not a time and an id")
    except (ValueError, TypeError, binascii.Error) as error:
        raise Invalid(f"cursor {cursor!r} was not made by this store", field="cursor") from error
    return after(created_at, run_id, direction)


def after(created_at: int, run_id: str, direction: str = "$gt") -> Document:
    """Return the condition of the runs on one side of this one in order of creation."""
    return {"$or": [{"created_at": {direction: created_at}}, {"created_at": created_at, "_id": {direction: run_id}}]}
