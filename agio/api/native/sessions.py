"""Sessions: conversations, their branches and trees."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.sessions import (
    BranchView,
    SessionBody,
    SessionChanges,
    SessionView,
    TreeView,
    view_branch,
    view_tree,
)
from agio.api.native.schemas.traces import MessageView, view_message
from agio.api.once import KEYED, once, reserve
from agio.api.problems import documented
from agio.domain.errors import AlreadyExists
from agio.domain.sessions import Session
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine

router = APIRouter(prefix="/sessions", tags=["sessions"])

SessionPath = Annotated[str, Path(max_length=128, description="The session's id.", examples=["session-1"])]
Filter = Query(max_length=200, pattern=r"^[^\x00]*$")


@router.get("", operation_id="listSessions", summary="List sessions, newest first", responses=documented())
async def list_sessions(
    engine: EngineDep,
    caller: CallerDep,
    user_id: Annotated[str | None, Filter] = None,
    agent_id: Annotated[str | None, Filter] = None,
    q: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Occurs in the id or title.")
    ] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[SessionView]:
    """Rows carry no messages."""
    page = await engine.sessions.list(caller, limit=limit, offset=offset, user_id=user_id, agent_id=agent_id, text=q)
    return listed([SessionView.model_validate(session) for session in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createSession",
    summary="Make an empty session",
    status_code=201,
    response_model=SessionView,
    responses=documented(404, 409),
    dependencies=[KEYED],
)
async def create_session(body: SessionBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Not needed before a message: chat makes the session that it names, or one of its own."""
    if body.agent_id is not None:
        await engine.agents.get(caller, body.agent_id)
    note, _ = await reserve(request, engine, caller, wanted_id=body.id)

    async def make(session_id: str) -> Response:
        session = body.to_session(caller.group_id, session_id, by=caller.name, at=utc_now())
        made = await _create_once(engine, caller, session, since=note.created_at if note else None)
        view = SessionView.model_validate(made)
        return JSONResponse(view.model_dump(mode="json"), 201, {"Location": f"/api/sessions/{made.id}"})

    return await once(request, engine, caller, make, wanted_id=body.id)


async def _create_once(engine: Engine, caller: Caller, session: Session, *, since: datetime | None) -> Session:
    """Make the session, unless a request under the same key, noted at `since`, was faster."""
    try:
        return await engine.sessions.create(caller, session)
    except AlreadyExists:
        there = await engine.sessions.get(caller, session.id)
        if since is None or there.created_at < since:
            raise
        return there


@router.get("/{session_id}", operation_id="getSession", summary="Look at a session", responses=documented(404))
async def get_session(session_id: SessionPath, engine: EngineDep, caller: CallerDep) -> SessionView:
    """Its record; the messages are below it."""
    return SessionView.model_validate(await engine.sessions.get(caller, session_id))


@router.patch("/{session_id}", operation_id="updateSession", summary="Change a session", responses=documented(404, 409))
async def update_session(
    session_id: SessionPath, body: SessionChanges, engine: EngineDep, caller: CallerDep
) -> SessionView:
    """Title, metadata and the like; or which of its branches the next message goes to."""
    return SessionView.model_validate(await engine.sessions.update(caller, session_id, body.to_changes()))


@router.delete(
    "/{session_id}",
    operation_id="deleteSession",
    summary="Delete a session with its runs",
    status_code=204,
    responses=documented(404, 409),
)
async def delete_session(
    session_id: SessionPath,
    engine: EngineDep,
    caller: CallerDep,
    cancel: Annotated[bool, Query(description="Cancel its live runs first.")] = False,
) -> None:
    """Refused while it has live runs, unless `cancel`; and while other sessions were forked from it."""
    await engine.sessions.delete(caller, session_id, cancel=cancel)


@router.get(
    "/{session_id}/messages",
    operation_id="listSessionMessages",
    summary="Read the conversation on a branch",
    responses=documented(404),
)
async def list_session_messages(
    session_id: SessionPath,
    engine: EngineDep,
    caller: CallerDep,
    branch_id: Annotated[str | None, Query(max_length=128, description="Left out: the current one.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> ListOf[MessageView]:
    """From its first message on, what it shares with its parents included, up to its last checkpoint."""
    messages = await engine.reading.session_messages(caller, session_id, branch_id)
    rows = [view_message(message) for message in messages[offset : offset + limit]]
    return listed(rows, len(messages), limit, offset)


@router.get(
    "/{session_id}/branches",
    operation_id="listBranches",
    summary="List a session's branches, oldest first",
    responses=documented(404),
)
async def list_branches(
    session_id: SessionPath, engine: EngineDep, caller: CallerDep, limit: Limit = 100, offset: Offset = 0
) -> ListOf[BranchView]:
    """Forks, restores and retries each have a branch of their own."""
    heads = await engine.sessions.branches(caller, session_id)
    return listed([view_branch(head) for head in heads[offset : offset + limit]], len(heads), limit, offset)


@router.get(
    "/{session_id}/tree",
    operation_id="getSessionTree",
    summary="Read a session's whole checkpoint tree",
    responses=documented(404),
)
async def get_session_tree(session_id: SessionPath, engine: EngineDep, caller: CallerDep) -> TreeView:
    """Branches, checkpoints and runs, without payloads."""
    return view_tree(await engine.sessions.tree(caller, session_id))
