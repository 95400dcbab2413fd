"""Kasal's `/api-keys`: the same stored model keys as `/api/keys`, in its own words (seed items S61 to S63)."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, SecretStr

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep, LlmKeysDep, PrincipalDep
from agio.api.native.llm_keys import check_secret, key_to_change, may_manage, visible_users
from agio.api.native.schemas.access import Name
from agio.api.native.schemas.common import Body, Instant, Limit, ListOf, Offset, View, listed
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.errors import Denied, Invalid
from agio.domain.llm_keys import LlmKey
from agio.security import LlmKeys

router = APIRouter(prefix="/api-keys", tags=["kasal"])

KeyPath = Annotated[str, Path(max_length=128, description="The key's id.")]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1000, examples=["sk-0123456789abcdef"])]


class ApiKeyBody(Body):
    """A model provider's key to keep."""

    name: Name = Field(description="What stored models call it: their `api_key_name`.", examples=["openai_key"])
    service: Annotated[str, Field(min_length=1, max_length=100, description="The provider.", examples=["openai"])]
    key: Secret


class ApiKeyChanges(Body):
    """What shall become different; what is left out stays as it is."""

    name: Name = Field(default_factory=str)
    key: Secret | None = None


class ApiKeyView(View):
    """A kept key; of its text no more than the last characters."""

    id: str
    name: str
    service: str
    masked: str = Field(examples=["…cdef"])
    usable: bool = Field(description="False: AGIO_SECRET_KEY lacks what it was encrypted with.")
    user_id: str | None = Field(description="Whose runs it is for; null: the whole group's.")
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant


@router.get("", operation_id="kasalListApiKeys", summary="List kept model keys, oldest first", responses=documented())
async def list_api_keys(
    keys: LlmKeysDep, by: PrincipalDep, limit: Limit = 20, offset: Offset = 0
) -> ListOf[ApiKeyView]:
    """Masked. Who is no admin sees their own and the group's."""
    page = await keys.list(by.group_id, users=visible_users(by), limit=limit, offset=offset)
    return listed([_view(key, keys) for key in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="kasalCreateApiKey",
    summary="Keep a model provider's key",
    status_code=201,
    response_model=ApiKeyView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.RUN)
async def create_api_key(
    body: ApiKeyBody, request: Request, engine: EngineDep, caller: CallerDep, keys: LlmKeysDep, by: PrincipalDep
) -> Response:
    """Encrypted; its text shows nowhere again. An admin's is for the whole group, anyone else's for their own runs."""
    if not engine.providers.knows(body.service):
        raise Invalid(f"there is no provider {body.service!r}", field="service")
    secret = check_secret(body.key, "key")
    user_id = None if by.may(Permission.ADMIN) else by.user_id
    if not may_manage(by, user_id):
        raise Denied("only an admin keeps keys of the group")

    async def make(key_id: str) -> Response:
        kept = await keys.add(
            by.group_id, body.service, secret, user_id=user_id, by=by.name, name=body.name, key_id=key_id
        )
        headers = {"Location": f"/api/v1/api-keys/{kept.id}"}
        return JSONResponse(_view(kept, keys).model_dump(mode="json"), 201, headers)

    return await once(request, engine, caller, make)


@router.put(
    "/{key_id}",
    operation_id="kasalUpdateApiKey",
    summary="Rename a kept model key, or put another text in its place",
    responses=documented(404, 409),
)
@needs(Permission.RUN)
async def update_api_key(key_id: KeyPath, body: ApiKeyChanges, keys: LlmKeysDep, by: PrincipalDep) -> ApiKeyView:
    """Counts for every model call from now on, also of runs at work."""
    known = await key_to_change(keys, by, key_id)
    name = body.name if "name" in body.model_fields_set else None
    secret = check_secret(body.key, "key") if body.key is not None else None
    if name is None and secret is None:
        return _view(known, keys)
    return _view(await keys.change(by.group_id, key_id, name=name, secret=secret), keys)


@router.delete(
    "/{key_id}",
    operation_id="kasalDeleteApiKey",
    summary="Forget a kept model key",
    status_code=204,
    responses=documented(404),
)
@needs(Permission.RUN)
async def delete_api_key(key_id: KeyPath, keys: LlmKeysDep, by: PrincipalDep) -> None:
    """At once, in every process."""
    await key_to_change(keys, by, key_id)
    await keys.delete(by.group_id, key_id)


def _view(key: LlmKey, keys: LlmKeys) -> ApiKeyView:
    return ApiKeyView(
        id=key.id,
        name=key.name,
        service=key.provider,
        masked=f"…{key.hint}",
        usable=keys.is_readable(key),
        user_id=key.user_id,
        group_id=key.group_id,
        created_by=key.created_by,
        created_at=key.created_at,
        updated_at=key.updated_at,
    )
