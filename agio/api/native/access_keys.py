"""Access keys, to call Agio with, and stream tokens, for readers that cannot send headers."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import AccessDep, CallerDep, EngineDep, PrincipalDep
from agio.api.native.schemas.access import (
    AccessKeyBody,
    AccessKeyView,
    IssuedKeyView,
    StreamTokenBody,
    StreamTokenView,
    view_key,
)
from agio.api.native.schemas.common import Limit, ListOf, Offset, as_utc, listed
from agio.api.once import KEYED, reserve
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.errors import AlreadyExists, Denied
from agio.engine.creation import get_run

router = APIRouter(tags=["access"])

KeyPath = Annotated[str, Path(max_length=128, description="The access key's id.")]
UNSTORED = {"Cache-Control": "no-store"}


@router.post(
    "/access-keys",
    operation_id="createAccessKey",
    summary="Issue an access key",
    status_code=201,
    response_model=IssuedKeyView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.ADMIN)
async def create_access_key(
    body: AccessKeyBody, request: Request, engine: EngineDep, caller: CallerDep, access: AccessDep, by: PrincipalDep
) -> Response:
    """The answer holds the key, this once: of its secret only a hash is kept. A repeated request tells no key."""
    note, _ = await reserve(request, engine, caller)
    key_id = note.resource_id if note else None
    try:
        issued = await access.access_keys.issue(
            by, name=body.name, scopes=body.scopes, expires_at=as_utc(body.expires_at), key_id=key_id
        )
        record, text = issued.record, issued.text
    except AlreadyExists:
        record, text = await access.access_keys.get(by.group_id, key_id or ""), None
    view = IssuedKeyView(**view_key(record).model_dump(), key=text)
    headers = UNSTORED | {"Location": f"/api/access-keys/{record.id}"}
    return JSONResponse(view.model_dump(mode="json"), 201, headers)


@router.get(
    "/access-keys", operation_id="listAccessKeys", summary="List access keys, newest first", responses=documented()
)
@needs(Permission.ADMIN)
async def list_access_keys(
    access: AccessDep, by: PrincipalDep, limit: Limit = 20, offset: Offset = 0
) -> ListOf[AccessKeyView]:
    """Masked; revoked and expired ones too."""
    page = await access.access_keys.list(by.group_id, limit=limit, offset=offset)
    return listed([view_key(record) for record in page.items], page.total, limit, offset)


@router.get(
    "/access-keys/{key_id}", operation_id="getAccessKey", summary="Look at an access key", responses=documented(404)
)
@needs(Permission.ADMIN)
async def get_access_key(key_id: KeyPath, access: AccessDep, by: PrincipalDep) -> AccessKeyView:
    """Masked."""
    return view_key(await access.access_keys.get(by.group_id, key_id))


@router.delete(
    "/access-keys/{key_id}",
    operation_id="revokeAccessKey",
    summary="Revoke an access key",
    status_code=204,
    responses=documented(404),
)
@needs(Permission.ADMIN)
async def revoke_access_key(key_id: KeyPath, access: AccessDep, by: PrincipalDep) -> None:
    """At once, in every process; its record stays in the list."""
    await access.access_keys.revoke(by.group_id, key_id, by=by.name)


@router.post(
    "/stream-tokens",
    operation_id="createStreamToken",
    summary="Issue a short-lived token for an EventSource or WebSocket",
    status_code=201,
    response_model=StreamTokenView,
    responses=documented(404),
)
@needs(Permission.READ)
async def create_stream_token(
    engine: EngineDep, caller: CallerDep, access: AccessDep, by: PrincipalDep, body: StreamTokenBody | None = None
) -> Response:
    """For `?token=`: reads the run, the session, or every stream of the group, and nothing else."""
    wanted = body or StreamTokenBody()
    if by.stream is not None:
        raise Denied("a stream token issues no others")
    if wanted.run_id is not None:
        await get_run(engine.store, caller, wanted.run_id)
    if wanted.session_id is not None:
        await engine.sessions.get(caller, wanted.session_id)
    issued = await access.stream_tokens.issue(
        name=caller.name, group_id=caller.group_id, run_id=wanted.run_id, session_id=wanted.session_id
    )
    view = StreamTokenView(token=issued.text, expires_at=issued.expires_at)
    return JSONResponse(view.model_dump(mode="json"), 201, UNSTORED)
