"""Sessions that expire: what was said in them is forgotten, what was done in them stays on record.

An expired session goes on with an empty branch. Its runs, checkpoints and older branches remain for people to look
at, until retention or somebody deletes them.
"""

import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from agio.domain.branches import Branch
from agio.domain.errors import AlreadyExists
from agio.domain.runs import RunFilter
from agio.domain.sessions import Session
from agio.domain.status import LIVE
from agio.storage.port import BRANCHES, SESSIONS, Store


async def has_expired(store: Store, session: Session, now: datetime) -> bool:
    """Say whether nobody has used the session for its timeout. Its runs use it until they end."""
    if not session.is_idle(session.updated_at, now):
        return False
    live = await store.list_runs(session.group_id, RunFilter(session_id=session.id, statuses=LIVE), limit=1)
    if live.total:
        return False
    last = await store.list_runs(session.group_id, RunFilter(session_id=session.id), limit=1)
    ends = [run.ended_at for run in last.items if run.ended_at is not None]
    return all(session.is_idle(ended_at, now) for ended_at in ends)


async def begin_anew(store: Store, session: Session, *, by: str, at: datetime) -> Session:
    """Give an expired session an empty branch to go on with; return it as it is then.

    Of several callers at once all get the same branch. Raises `NotFound` when it was deleted meanwhile.
    """
    old = session.current_branch_id
    branch = Branch(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, old)),
        group_id=session.group_id,
        session_id=session.id,
        name="main",
        created_by=by,
        created_at=at,
    )
    # The branch first: a session without one could take no message.
    with suppress(AlreadyExists):
        await store.insert(BRANCHES, branch)

    def change(record: Session) -> Session:
        if record.current_branch_id != old:
            return record
        return replace(record, current_branch_id=branch.id, updated_at=at)

    return await store.update(SESSIONS, session.group_id, session.id, change)
