"""Keys of model providers that users and groups leave for their runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import SecretStr

from agio.api.access import needs
from agio.api.context import EngineDep, LlmKeysDep, PrincipalDep
from agio.api.native.schemas.access import GroupsUser, LlmKeyBody, LlmKeyView
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.errors import Denied, Invalid, NotFound
from agio.domain.llm_keys import LlmKey
from agio.security import LlmKeys, Principal

router = APIRouter(tags=["access"])

REPLACED: dict[int | str, dict[str, Any]] = {
    200: {"description": "It took the place of another one.", "model": LlmKeyView}
}
KeyPath = Annotated[str, Path(max_length=128, description="The key's id.")]


@router.post(
    "/keys",
    operation_id="keepLlmKey",
    summary="Keep a model provider's key",
    status_code=201,
    response_model=LlmKeyView,
    responses=REPLACED | documented(),
)
@needs(Permission.RUN)
async def keep_llm_key(body: LlmKeyBody, engine: EngineDep, keys: LlmKeysDep, by: PrincipalDep) -> Response:
    """For the runs of one user, or of the whole group; in place of the one of the same provider and name, if any.

    Without `user_id` it is the caller's own, or the group's if the caller is no person. The key shows nowhere again.
    """
    user_id = body.user_id if "user_id" in body.model_fields_set else by.user_id
    if not may_manage(by, user_id):
        raise Denied("only an admin keeps keys of other users, or of the group")
    if not engine.providers.knows(body.provider):
        raise Invalid(f"there is no provider {body.provider!r}", field="provider")
    secret = check_secret(body.api_key, "api_key")
    kept, is_new = await keys.put(by.group_id, body.provider, secret, user_id=user_id, by=by.name, name=body.name)
    status, headers = (201, {"Location": f"/api/keys/{kept.id}"}) if is_new else (200, {})
    return JSONResponse(_view(kept, keys).model_dump(mode="json"), status, headers)


@router.get("/keys", operation_id="listLlmKeys", summary="List kept model keys, oldest first", responses=documented())
async def list_llm_keys(
    keys: LlmKeysDep,
    by: PrincipalDep,
    user_id: Annotated[GroupsUser | None, Query(description="Of this user only.")] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[LlmKeyView]:
    """Masked. Who is no admin sees their own and the group's."""
    if user_id is not None:
        if not _may_see(by, user_id):
            raise Denied("only an admin sees keys of other users")
        users: list[str | None] | None = [user_id]
    else:
        users = visible_users(by)
    page = await keys.list(by.group_id, users=users, limit=limit, offset=offset)
    return listed([_view(key, keys) for key in page.items], page.total, limit, offset)


@router.delete(
    "/keys/{key_id}",
    operation_id="deleteLlmKey",
    summary="Forget a kept model key",
    status_code=204,
    responses=documented(404),
)
@needs(Permission.RUN)
async def delete_llm_key(key_id: KeyPath, keys: LlmKeysDep, by: PrincipalDep) -> None:
    """At once, in every process."""
    await key_to_change(keys, by, key_id)
    await keys.delete(by.group_id, key_id)


def check_secret(given: SecretStr, field: str) -> str:
    """Return the text of a key. Raises `Invalid`, without it, when it cannot be one."""
    secret = given.get_secret_value().strip()
    if not (secret and secret.isascii() and secret.isprintable()):
        raise Invalid("the key holds characters that no key has", field=field)
    return secret


def visible_users(by: Principal) -> list[str | None] | None:
    """Return whose keys somebody sees, None among them being the group's own; None: everybody's."""
    return None if by.may(Permission.ADMIN) else [None, *([by.user_id] if by.user_id else [])]


async def key_to_change(keys: LlmKeys, by: Principal, key_id: str) -> LlmKey:
    """Return a key that somebody may change or forget. Raises `NotFound`, `Denied`."""
    key = await keys.get(by.group_id, key_id)
    if not _may_see(by, key.user_id):
        raise NotFound(f"there is no key {key_id!r}")
    if not may_manage(by, key.user_id):
        raise Denied("only an admin changes or forgets keys of the group")
    return key


def may_manage(by: Principal, user_id: str | None) -> bool:
    """Say whether somebody may keep, change and forget keys of a user; None: of the group."""
    return by.may(Permission.ADMIN) or (user_id is not None and user_id == by.user_id)


def _may_see(by: Principal, user_id: str | None) -> bool:
    return user_id is None or may_manage(by, user_id)


def _view(key: LlmKey, keys: LlmKeys) -> LlmKeyView:
    return LlmKeyView(
        id=key.id,
        provider=key.provider,
        name=key.name,
        user_id=key.user_id,
        masked=f"…{key.hint}",
        kept="encrypted" if keys.is_durable else "memory",
        usable=keys.is_readable(key),
        created_by=key.created_by,
        created_at=key.created_at,
        updated_at=key.updated_at,
    )
