"""What all ways to begin a run share."""

from collections.abc import Collection
from datetime import datetime

from agio.domain.agents import AgentSnapshot
from agio.domain.errors import Invalid, InvalidTransition, NotFound
from agio.domain.events import RunStarted
from agio.domain.ids import is_client_id, new_id
from agio.domain.journal import Entry
from agio.domain.messages import Content, text_of
from agio.domain.runs import PauseRequest, Run
from agio.domain.status import RunStatus, StopReason
from agio.engine.caller import Caller
from agio.storage.port import Store

PREVIEW_CHARS = 200
"""How much of the input a list shows."""


async def get_run(store: Store, caller: Caller, run_id: str) -> Run:
    """Return a run, or say plainly that there is none."""
    try:
        return await store.get_run(caller.group_id, run_id)
    except NotFound:
        raise NotFound(f"there is no run {run_id!r}") from None


def check_status(run: Run, allowed: Collection[RunStatus]) -> None:
    """Refuse early what the store would refuse later. Raises `InvalidTransition`."""
    if run.status not in allowed:
        wanted = ", ".join(sorted(allowed))
        raise InvalidTransition(f"the run is {run.status}; it must be one of {wanted}", status=run.status)


def check_run_id(run_id: str | None) -> None:
    """Refuse a run id that no client may choose. Raises `Invalid`."""
    if run_id is not None and not is_client_id(run_id):
        raise Invalid("a run id has 1 to 64 letters, digits, '-' or '_'", field="run_id")


def not_started(caller: Caller, now: datetime) -> PauseRequest:
    """Return the pause of a run that shall rest before its first step."""
    return PauseRequest(by=caller.name, at=now, reason=StopReason.NOT_STARTED)


def new_run(
    caller: Caller,
    session_id: str,
    branch_id: str,
    snapshot: AgentSnapshot,
    now: datetime,
    run_id: str | None,
    message: Content | None,
) -> Run:
    """Return a run as it is before anybody claims it."""
    return Run(
        id=run_id or new_id(),
        group_id=caller.group_id,
        session_id=session_id,
        branch_id=branch_id,
        agent_id=snapshot.agent_id,
        agent_version=snapshot.version,
        agent_digest=snapshot.digest,
        model=snapshot.model,
        preview=text_of(message)[:PREVIEW_CHARS] if message is not None else "",
        user_id=caller.user_id,
        created_by=caller.name,
        created_at=now,
        updated_at=now,
    )


def first_entry(run: Run) -> Entry:
    """Return the entry that every journal begins with."""
    return Entry(
        run_id=run.id,
        group_id=run.group_id,
        first_seq=1,
        last_seq=1,
        epoch=0,
        attempt=1,
        at=run.created_at,
        events=(
            RunStarted(
                session_id=run.session_id,
                branch_id=run.branch_id,
                agent_id=run.agent_id,
                model=run.model,
                attempt=1,
                parent_run_id=run.place.parent_run_id if run.place else None,
                task_id=run.place.task_id if run.place else None,
                depth=run.place.depth if run.place else None,
            ),
        ),
    )
